"""The adapters for DRBD and file systems on two guests with the real thing."""

import gzip
import inspect
import io
import json
import tarfile
from dataclasses import dataclass, replace
from ipaddress import ip_interface
from pathlib import Path

import pytest

import hapair
from hapair.adapters.drbd.resource_file import FENCE_PEER
from hapair.config.built_json import dumps
from hapair.model.application import Application
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import Attachment, Network
from hapair_lab import snapshots
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from hapair_lab.snapshots import Rest, Step
from tests.adapters.clusters import cluster
from tests.adapters.loops import volume_at
from tests.labs import LabFrom
from tools.package_tree import ROOT

pytestmark = pytest.mark.lab(seconds=7)
HANDLER = ROOT / "packaging" / "helpers" / "fence-peer"
SOURCE = Path(hapair.__file__).parent
VOLUME = replace(volume_at(Path("/srv/orders"), minor=10), port=7711, size_bytes=64 << 20)
PRIVATE = Network(
    "private",
    tuple(
        Attachment(f"node{n}", ip_interface(f"10.77.2.{n}/24"), ("priv0", "priv1")) for n in (1, 2)
    ),
    replication=True,
)


def package_of_source() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for file in sorted(SOURCE.rglob("*.py")):
            archive.add(file, Path("hapair") / file.relative_to(SOURCE))
        for name in ("guest_driver.py", "guest_verdict.py"):
            archive.add(Path(__file__).with_name(name), name)
    return gzip.compress(content.getvalue(), mtime=0)  # The same for the same source.


@dataclass(frozen=True, slots=True)
class Node:
    machine: Machine

    def does(self, *deeds: str) -> dict[str, tuple[str, str]]:
        """Do the deeds in the guest; return for each how it ended and what was said."""
        printed = self.machine.check(
            ["python3", "/opt/test/guest_driver.py", *deeds], timeout_s=PATIENCE_S
        )
        answers = [json.loads(line) for line in printed.splitlines()]
        return {answer["deed"]: (answer["kind"], str(answer["said"])) for answer in answers}

    def will_hear(self, verdict: str) -> None:
        """Let the handler get this verdict from now on."""
        self.machine.check(
            "systemctl stop verdict 2>/dev/null; rm -f /run/hapair/control.sock;"
            " systemd-run -q --unit verdict --working-directory"
            f" /opt/test python3 guest_verdict.py {verdict};"
            " while [ ! -S /run/hapair/control.sock ]; do sleep 0.1; done"
        )

    def done(self, *deeds: str) -> None:
        """Do the deeds; every one must succeed."""
        failed = {
            deed: kind
            for deed, kind in self.does(*deeds).items()
            if kind[0] in ("Refused", "Unknown")
        }
        assert not failed


@dataclass(frozen=True, slots=True)
class Pair:
    one: Node
    two: Node


def prepare(lab: Lab) -> None:
    """Make the volume replicated and UpToDate on both nodes, with an empty file system."""
    application = BuiltApplication(Application("orders", "node1"), (VOLUME,), "")
    built = Built(1, replace(cluster(), networks=(PRIVATE,)), "", 10, (application,))
    nodes = [Node(machine) for machine in lab.nodes]
    for node in nodes:
        node.machine.check("mkdir -p /opt/test /etc/cluster/built /usr/lib/hapair")
        node.machine.put("/opt/test.tgz", package_of_source())
        node.machine.put("/etc/cluster/built/built.json", dumps(built))
        node.machine.put(FENCE_PEER, HANDLER.read_bytes(), mode=0o755)
        node.machine.check(
            "tar xzf /opt/test.tgz -C /opt/test; vgcreate -q vg /dev/vdb;"
            " lvcreate -q -y -L 64M -n data vg; lvcreate -q -y -L 4M -n data_meta vg; sync"
        )
        node.will_hear("peer-fenced")
        node.done("write", "make_meta_data", "bring_up")
    one, two = nodes
    one.done("wait:Connected", "force")
    one.machine.check("mkfs.ext4 -q /dev/drbd10")
    two.done("wait:UpToDate,Connected,Primary")
    one.done("wait:UpToDate,Connected", "demote")


def bring_up_again(lab: Lab) -> None:
    """Do what the boot of guests that were halted for the snapshot does not."""
    nodes = [Node(machine) for machine in lab.nodes]
    for node in nodes:
        node.will_hear("peer-fenced")
        node.done("bring_up")
    for node in nodes:
        node.done("wait:UpToDate,Connected")


@pytest.fixture
def pair(lab_from: LabFrom) -> Pair:
    """The prepared pair; each test continues from it."""
    ingredients = (package_of_source().hex(), inspect.getsource(prepare), HANDLER.read_text())
    rest = Rest(lambda _: None, bring_up_again)
    lab = lab_from(Step("test-drbd", snapshots.OS_BOOTED, ingredients, prepare, rest=rest))
    return Pair(Node(lab.node1), Node(lab.node2))


def test_a_volume_goes_up_moves_and_comes_down(pair: Pair) -> None:
    pair.one.done("bring_up", "promote", "promote", "mount", "mount")
    answers = pair.one.does("mounted", "demote", "take_down")
    assert answers["mounted"] == ("bool", "True")
    assert answers["demote"][0] == "Refused"
    assert "held open" in answers["demote"][1]
    assert answers["take_down"][0] == "Refused"
    assert pair.two.does("promote")["promote"][0] == "Refused"
    assert "not Primary" in pair.two.does("mount")["mount"][1]

    pair.one.machine.check("echo written >/srv/orders/line")
    pair.one.done("unmount", "unmount", "demote", "demote")
    pair.two.done("promote", "mount")
    assert pair.two.machine.check("cat /srv/orders/line") == "written\n"
    pair.two.done("unmount", "demote", "take_down", "take_down")
    pair.one.done("wait:Connecting")
    pair.two.done("bring_up", "wait:UpToDate,Connected")
    assert "held by" not in str(pair.one.does("promote", "mount", "end_holders", "unmount"))
    assert "resource" in pair.one.machine.check("drbdsetup show")
    assert "orders.data" in pair.one.machine.check("drbdadm status")


def test_power_loss_is_seen_and_survived(pair: Pair) -> None:
    pair.one.done("promote", "mount")
    pair.one.machine.check("dd if=/dev/urandom of=/srv/orders/file bs=64k count=4 conv=fsync")
    written = pair.one.machine.check("sha256sum </srv/orders/file")
    pair.one.machine.power_off()
    pair.two.done("wait:Connecting,UpToDate,Secondary", "promote", "mount")
    assert pair.two.machine.check("sha256sum </srv/orders/file") == written

    pair.one.machine.power_on()
    pair.one.done("bring_up", "wait:Connected,UpToDate,Primary")
    assert pair.one.does("promote")["promote"][0] == "Refused"


def test_a_disk_with_errors_is_detached_and_the_peers_copy_serves(pair: Pair) -> None:
    pair.one.done("promote", "mount")
    pair.one.machine.check(
        "dmsetup suspend vg-data; dmsetup load vg-data --table"
        ' "0 $(blockdev --getsz /dev/vg/data) error"; dmsetup resume vg-data;'
        " dd if=/dev/zero of=/srv/orders/later bs=4k count=1 conv=fsync"
    )
    pair.one.done("wait:Diskless,Connected,UpToDate", "unmount", "demote")
    pair.two.done("promote", "mount")
    assert pair.two.machine.check("stat -c %s /srv/orders/later") == "4096\n"


ENDED = "while [ ! -s /run/ended ]; do sleep 0.1; done; cat /run/ended"
# Goes on when the write is frozen.
WRITING = (
    "(dd if=/dev/zero of=/srv/orders/late bs=4k count=1 conv=fsync; echo $? >/run/ended)"
    " >/dev/null 2>&1 </dev/null & while ! ps -o stat= -C dd | grep -q D; do sleep 0.1; done"
)


@pytest.mark.reference
def test_frozen_writes_are_ended_by_a_forced_detach(pair: Pair) -> None:
    """The loser of a partition comes down without a reboot, and comes back as the target."""
    one = pair.one
    one.done("promote", "mount")
    one.will_hear("denied")
    one.machine.cable("priv0").pull()
    one.done("wait:Connecting,True")  # True: suspended.
    one.machine.check(WRITING)
    assert one.does("unmount:3")["unmount:3"][0] in ("Refused", "Unknown")
    one.done("detach_by_force", "end_holders", "unmount", "demote", "take_down")
    assert one.does("mounted")["mounted"] == ("bool", "False")
    assert one.machine.check(ENDED) == "1\n"

    pair.two.done("wait:Connecting", "promote", "mount")
    one.machine.cable("priv0").plug()
    one.done("bring_up", "wait:Connected,UpToDate,Primary")


def test_a_primary_without_its_peer_goes_on_once_the_daemon_says_so(pair: Pair) -> None:
    pair.one.done("promote", "mount")
    pair.one.machine.cable("priv0").pull()
    pair.one.done("wait:Connecting,Outdated,False")
    pair.one.machine.check("dd if=/dev/zero of=/srv/orders/late bs=4k count=1 conv=fsync")


def test_frozen_writes_go_on_when_the_verdict_comes_after_the_handler(pair: Pair) -> None:
    one = pair.one
    one.done("promote", "mount")
    one.will_hear("denied")
    one.machine.cable("priv0").pull()
    one.done("wait:Connecting,True")
    one.machine.check(WRITING)
    one.done("resume", "wait:Connecting,UpToDate,False", "resume")
    assert one.machine.check(ENDED) == "0\n"


def test_a_copy_without_its_peer_is_not_promoted_without_a_verdict(pair: Pair) -> None:
    pair.two.will_hear("denied")
    pair.one.machine.power_off()
    pair.two.done("wait:Connecting,UpToDate,Secondary")
    kind, said = pair.two.does("promote")["promote"]
    assert kind == "Refused"
    assert "Refusing to be Primary while peer is not outdated" in said
    pair.two.will_hear("peer-outdated")
    pair.two.done("promote", "mount")


def test_a_missing_backing_device_is_no_success_and_can_be_tried_again(pair: Pair) -> None:
    pair.two.done("take_down")
    pair.two.machine.check("vgchange -q -an vg; vgrename -q vg gone")
    kind, said = pair.two.does("bring_up")["bring_up"]
    assert kind == "Refused"
    assert 'Volume group "vg" not found' in said
    pair.two.machine.check("vgrename -q gone vg")
    # Still inactive, as a boot may leave it.
    pair.two.done("bring_up", "wait:UpToDate,Connected")
