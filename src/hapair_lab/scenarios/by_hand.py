"""What an administrator does by hand when the active node dies, without hapair.

node1 holds a replicated file system and a service address, an application writes to it, a client
on ``outside`` never stops asking. The power of node1 goes; we do by hand on node2 what has to be
done, in the right order. PASS: the service is back, no acknowledged line is missing.
"""

from __future__ import annotations

from typing import Final

from hapair_lab import ledger
from hapair_lab.lab import PATIENCE_S, Lab, in_parallel
from hapair_lab.machine import Machine
from hapair_lab.progress import say
from hapair_lab.scenario import Scenario
from hapair_lab.snapshots import OS_BOOTED

SERVICE_ADDRESS: Final = "10.77.1.100"
FOLDER: Final = "/srv/ledger"
PROMOTE: Final = "until drbdadm primary r0; do sleep 0.2; done"  # Once the peer's end is noticed.
DRBD_RESOURCE: Final = """resource r0 {
  device /dev/drbd0;
  disk /dev/vg/data;
  meta-disk internal;
  on node1 { address 10.77.2.1:7788; }
  on node2 { address 10.77.2.2:7788; }
}
"""


def drbd_state(node: Machine) -> str:
    """Return what the kernel says about the replicated volumes."""
    return node.check(["cat", "/proc/drbd"])


def wait_until_synchronised(lab: Lab) -> None:
    """Wait until both copies are current."""
    lab.wait_until(
        "both copies are UpToDate",
        lambda: "ds:UpToDate/UpToDate" in drbd_state(lab.node1),
        timeout_s=PATIENCE_S,
    )


def _make_volume(node: Machine) -> None:
    node.put("/etc/drbd.d/r0.res", DRBD_RESOURCE)
    node.check("sync /etc/drbd.d/r0.res /etc/drbd.d")  # This machine will lose its power.
    node.check("vgcreate vg /dev/vdb && lvcreate -y -L 64M -n data vg")
    node.check("drbdadm create-md --force r0 && modprobe drbd && drbdadm up r0")


def replicate(lab: Lab) -> None:
    """Make a replicated volume on LVM with a file system that node1 has mounted."""
    in_parallel(_make_volume, lab.nodes)
    lab.wait_until(
        "the nodes are connected",
        lambda: "cs:Connected" in drbd_state(lab.node1),
        timeout_s=PATIENCE_S,
    )
    # Nothing is on the volumes yet, so there is nothing to copy.
    lab.node1.check("drbdadm new-current-uuid --clear-bitmap r0/0")
    wait_until_synchronised(lab)
    lab.node1.check("drbdadm primary r0 && mkfs.ext4 -q /dev/drbd0")


def start_service(node: Machine) -> None:
    """Promote, mount, start the application, take the address and tell the neighbours."""
    node.check(f"{PROMOTE}; mkdir -p {FOLDER} && mount /dev/drbd0 {FOLDER}")
    ledger.install_server(node)
    node.check(f"systemd-run --unit=ledger python3 -I -S {ledger.SERVER_PATH} {FOLDER}/lines")
    node.check(f"ip address add {SERVICE_ADDRESS}/24 dev pub0")
    node.check(f"arping -U -c 1 -w 1 -I pub0 {SERVICE_ADDRESS} || true")


def play(lab: Lab) -> None:
    """Play the story."""
    say("making a replicated volume on both nodes, as hapair will do it for you")
    replicate(lab)
    start_service(lab.node1)
    client = ledger.NeverStoppingClient(lab.outside, SERVICE_ADDRESS)
    client.start()
    client.wait_for_answers(20)
    say("pulling the power of node1, then doing on node2 what has to be done")
    lab.node1.power_off()
    start_service(lab.node2)
    client.wait_for_answers(20)
    record = client.stop()
    missing = ledger.missing(record, lab.node2.get(f"{FOLDER}/lines").decode())
    say(f"outage: {record.longest_gap.seconds:.1f} s")
    say(f"acknowledged lines missing: {len(missing)} of {len(record.numbers)}")
    if missing:
        raise AssertionError(f"acknowledged, but lost: {missing}")


SCENARIO: Final = Scenario(
    name="by-hand",
    summary="power loss of the active node without hapair: the same by hand, and how long it takes",
    starts_from=lambda: OS_BOOTED,
    play=play,
)
