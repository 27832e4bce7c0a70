"""Something else holds the device of an application: no stop may end with it down on both nodes."""

from dataclasses import dataclass
from typing import Final

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from tests.lab.story import Story, notes, server_pid, serving
from tests.labs import LabFrom

pytestmark = pytest.mark.lab(seconds=20)

REFUSED: Final = 1
SCRIPT: Final = "/etc/cluster/orders/run"
DEVICE: Final = "$(findmnt -n -o SOURCE /srv/orders)"
IN_OWN_SPACE: Final = (
    "systemd-run --quiet --unit=second --property=PrivateMounts=yes --property=MountFlags=private"
    " sleep 900; sleep 1"
)
END_UNIT: Final = "systemctl stop second"
MOUNT_INSIDE: Final = "mkdir -p /srv/orders/inside; mount -t tmpfs none /srv/orders/inside"
# A name space that only a file keeps: nobody sees what is mounted there.
KEPT: Final = (
    "mkdir -p /run/kept && mount --bind /run/kept /run/kept && mount --make-private /run/kept"
    " && touch /run/kept/ns && unshare --mount=/run/kept/ns --propagation private true"
)
END_KEPT: Final = "umount /run/kept/ns"


@dataclass(frozen=True, slots=True)
class Second:
    """A holder besides the mount: how it comes, what must be said of it, how it goes."""

    comes: str
    named: tuple[str, ...]
    goes: str


BIND: Final = Second(
    "mkdir -p /export && mount --bind /srv/orders /export", ("the mount on /export",),
    "umount /export",
)  # fmt: skip
SECONDS: Final = (
    Second(IN_OWN_SPACE, ("the mount on /srv/orders in the mount name space of sleep (",
                          "second.service"), END_UNIT),
    Second("setsid unshare -m --propagation private sleep 901 >/dev/null 2>&1 </dev/null & sleep 1",
           ("in the mount name space of sleep (",), "pkill -f '[s]leep 901'"),
    Second("modprobe loop; truncate -s 4M /srv/orders/disk.img"
           " && losetup /dev/loop7 /srv/orders/disk.img",
           ("the loop device /dev/loop7 over /srv/orders/disk.img",), "losetup -d /dev/loop7"),
    Second("mv /srv /srv-old", ("the mount on /srv-old/orders",), "mv /srv-old /srv"),
    Second(f'systemd-run --quiet --unit=second sh -c "exec sleep 900 <{DEVICE}"; sleep 1',
           ("sleep (", "second.service", "has the device open"), END_UNIT),
    Second(MOUNT_INSIDE, ("the mount on /srv/orders/inside",), "umount /srv/orders/inside"),
)  # fmt: skip


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    """A settled cluster whose application runs on node1."""
    return lab_from(cluster.formed_step())


def refuses_and_goes_on(story: Story, second: Second) -> None:
    before = server_pid(story.node1), notes(story.node1).count("stopped")
    story.node1.check(second.comes)
    for command in ("clmoveapp orders", "clhaltapp orders", "clhalt --node node1"):
        said = story.node1.run(command, timeout_s=PATIENCE_S)
        assert said.exit_code == REFUSED, said
        assert "nothing was stopped on node1" in said.stderr
        told = " ".join(said.stderr.split())
        assert all(name in told for name in second.named), said.stderr
        assert "--force" in told
    story.node1.check(second.goes)
    assert (server_pid(story.node1), notes(story.node1).count("stopped")) == before
    story.service_answers()


def test_a_second_mount_is_named_before_a_move_stops_anything(formed_lab: Lab) -> None:
    """FAIL: the application is stopped, the demotion fails for ever, it is down on both nodes."""
    with serving(formed_lab) as story:
        refuses_and_goes_on(story, BIND)
        story.node1.check("clmoveapp orders", timeout_s=PATIENCE_S)
        story.service_answers()
        assert story.runs_on() == "node2"


@pytest.mark.long
@pytest.mark.lab(seconds=50)
def test_every_kind_of_second_holder_is_named_before_anything_stops(formed_lab: Lab) -> None:
    """FAIL: one of them is not seen, and the application is stopped for nothing."""
    with serving(formed_lab) as story:
        for second in SECONDS:
            refuses_and_goes_on(story, second)
        story.node1.check("clmoveapp orders", timeout_s=PATIENCE_S)
        story.service_answers()
        assert story.runs_on() == "node2"


@pytest.mark.long
@pytest.mark.lab(seconds=20)
def test_a_forced_move_frees_the_device_or_comes_back(formed_lab: Lab) -> None:
    """FAIL: the mount in the other name space stays, or what cannot be ended costs the service."""
    with serving(formed_lab) as story:
        story.node1.check(KEPT)
        said = story.node1.run("clmoveapp orders", timeout_s=PATIENCE_S)
        assert said.exit_code == REFUSED, said
        assert "orders runs on node1 again" in said.stderr
        assert "is held by nothing that shows itself" in " ".join(said.stderr.split())
        story.service_answers()
        assert story.runs_on() == "node1"
        story.node1.check(END_KEPT)
        story.node1.check(IN_OWN_SPACE)
        story.node1.check("clmoveapp orders --force", timeout_s=PATIENCE_S)
        story.service_answers()
        assert story.runs_on() == "node2"
        story.node1.check("systemctl is-active second")  # Only the mount was taken from it.
        assert "unmounted in the mount name space of sleep" in story.node1.check("clevents --json")


@pytest.mark.long
@pytest.mark.lab(seconds=25)
def test_a_node_that_cannot_hand_over_stays_and_a_halt_can_be_taken_back(formed_lab: Lab) -> None:
    """FAIL: the application is down on both nodes until a person ends the holder."""
    with serving(formed_lab) as story:
        story.node1.check(KEPT)
        said = story.node1.run("clhalt --node node1", timeout_s=PATIENCE_S)
        assert said.exit_code == REFUSED, said
        assert "node1 stays in the cluster: orders cannot be stopped" in " ".join(
            said.stderr.split()
        )
        story.service_answers()
        assert story.runs_on() == "node1"
        story.node1.run("clhalt --node node1 --stop --timeout 5s", timeout_s=PATIENCE_S)
        story.node1.check("clrunapp orders", timeout_s=PATIENCE_S)
        story.service_answers()
        story.node1.run("clhalt --timeout 5s", timeout_s=PATIENCE_S)
        # It may find the nodes on their way from apart to together, and say that it goes on.
        story.node1.run("clform", timeout_s=PATIENCE_S)
        story.service_answers()
        assert story.runs_on() == "node1"
        story.node1.check(END_KEPT)


SOCKET_OF_INIT: Final = (
    "systemd-run --quiet --unit=second --socket-property=ListenStream=/srv/orders/log true"
)


@pytest.mark.long
@pytest.mark.lab(seconds=10)
def test_a_socket_that_systemd_keeps_there_is_named_before_anything_stops(
    formed_lab: Lab,
) -> None:
    """FAIL: nothing is named, and the file system cannot be unmounted by any means."""
    with serving(formed_lab) as story:
        kept = Second(SOCKET_OF_INIT, ("systemd (1", "keeps open"), "systemctl stop second.socket")
        refuses_and_goes_on(story, kept)
        story.node1.check("clmoveapp orders", timeout_s=PATIENCE_S)
        story.service_answers()


def fails_to_start(story: Story, and_leaves: str) -> None:
    """Halt it, and let its next start on node1 fail, with a second holder left behind."""
    story.node1.check("clhaltapp orders", timeout_s=PATIENCE_S)
    story.node1.check(f"mv {SCRIPT} {SCRIPT}.good")
    script = f'#!/bin/sh\n[ "$1" = stop ] || {{ {and_leaves}; exit 7; }}\n'
    story.node1.put(SCRIPT, script, mode=0o755)


@pytest.mark.long
@pytest.mark.lab(seconds=15)
def test_a_failed_start_goes_to_the_peer_although_a_name_space_had_the_mount(
    formed_lab: Lab,
) -> None:
    """FAIL: the other node never gets its chance."""
    with serving(formed_lab) as story:
        fails_to_start(story, IN_OWN_SPACE)
        story.node1.run("clrunapp orders --node node1", timeout_s=PATIENCE_S)
        story.service_answers()
        assert story.runs_on() == "node2"
        assert "holders-ended" in notes(story.node1)


@pytest.mark.long
@pytest.mark.lab(seconds=30)
def test_a_failed_start_goes_to_the_peer_once_a_person_ended_the_holder(formed_lab: Lab) -> None:
    """FAIL: nobody is named, or the end of the holder is not noticed."""
    with serving(formed_lab) as story:
        fails_to_start(story, MOUNT_INSIDE)
        story.node1.run("clrunapp orders --node node1 --no-wait", timeout_s=PATIENCE_S)
        story.wait_for_note(story.node1, "stuck")
        for page in ("clstat", "clstat --why orders"):
            told = " ".join(story.node1.run(page).stdout.split())
            assert "/srv/orders/inside" in told, told
        story.node1.check("umount /srv/orders/inside")
        story.service_answers()
        assert story.runs_on() == "node2"
