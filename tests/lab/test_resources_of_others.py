"""DRBD resources that are not ours: what the kernel says of them is no word about the peer."""

import re
from typing import Final

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from tests.lab.story import serving, wait_for_standing
from tests.labs import LabFrom

pytestmark = [pytest.mark.lab(seconds=30), pytest.mark.long]

# Two resources of one kernel that are each other's peer live as long as the kernel: like one that
# is replicated to a third machine. Two volumes each; the minors are some of those that are ours.
VOLUMES: Final = {"backup": (12, 13), "mirror": (14, 15)}
ENDS: Final = {"backup": ("7900", "7901"), "mirror": ("7901", "7900")}
SETUP: Final = "/lib/drbd/drbdsetup-84"
BROKEN: Final = b"resource theirs {\n    on node3 {\n"


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    return lab_from(cluster.formed_step())


def bring_up(node: Machine, name: str) -> None:
    lines = [f"modprobe loop; {SETUP} new-resource {name}"]
    for volume, minor in enumerate(VOLUMES[name]):
        disk = f"/dev/loop{minor - 12}"
        lines += [
            f"truncate -s 8M /root/{minor}.img && losetup {disk} /root/{minor}.img",
            f"drbdmeta --force {minor} v08 {disk} internal create-md",
            f"{SETUP} new-minor {name} {minor} {volume}",
            f"{SETUP} attach {minor} {disk} {disk} internal",
        ]
    own, theirs = ENDS[name]
    lines.append(f"{SETUP} connect {name} ipv4:127.0.0.1:{own} ipv4:127.0.0.1:{theirs}")
    node.check("\n".join(("set -e", *lines)), timeout_s=PATIENCE_S)


def connected(node: Machine) -> int:
    """Count the devices of others that are connected."""
    return len(re.findall(r"(?m)^1[2-5]: cs:Connected", node.check("cat /proc/drbd")))


def test_a_dead_peer_is_taken_over_beside_resources_of_others(formed_lab: Lab) -> None:
    """FAIL: the survivor waits for a kernel that answers, or the events of others disturb it.

    Nor does a file of theirs that drbdadm cannot read stop DRBD's handlers, or ours.
    """
    node2 = formed_lab.node2
    for node in formed_lab.nodes:
        node.put("/etc/drbd.d/theirs.res", BROKEN)
    with serving(formed_lab) as story:
        for name in VOLUMES:
            bring_up(node2, name)
        formed_lab.wait_until(
            "the resources of others are connected",
            lambda: connected(node2) == sum(map(len, VOLUMES.values())),
            timeout_s=PATIENCE_S,
        )
        story.service_answers()
        story.node1.power_off()
        story.service_answers()
        assert story.runs_on() == "node2"
        assert connected(node2), "they live on"
        for name in VOLUMES:
            node2.check(f"{SETUP} down {name}")
        story.node1.power_on()
        story.redundant_again()
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.service_answers()
