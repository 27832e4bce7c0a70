"""One application of 29 small file systems: what comes for all of them at once disturbs nobody."""

import json
import re
import time
from typing import Final

import pytest

from hapair_lab import cluster
from hapair_lab.cluster import MANY
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from hapair_lab.progress import say
from tests.lab.quiet import Quiet
from tests.lab.story import notes, serving, wait_for_standing
from tests.labs import LabFrom

pytestmark = pytest.mark.lab(seconds=110)

VOLUMES: Final = 1 + MANY.further_volumes
# Started on a node for each volume that is completed: DRBD's handlers are chains of programs, its
# snapshot is one, and LVM's tools start some of their own. By the square it would be eighty. What a
# boot starts without any resync (udev's workers, the kernel's threads) follows the host's speed: on
# two hosts 773 and 905 were counted above it for all 29 volumes.
PROGRAMS_PER_VOLUME: Final = 45
OF_A_BOOT: Final = 2200
TRIES: Final = 3


@pytest.fixture
def many_lab(lab_from: LabFrom) -> Lab:
    lab = lab_from(cluster.formed_step(MANY))
    lab.prefer()
    return lab


def started(node: Machine) -> int:
    """Return how many processes were ever started since the boot: no load changes that."""
    found = re.search(r"^processes (\d+)$", node.get("/proc/stat").decode(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def tell_failover(node: Machine) -> None:
    told = json.loads(node.check("clevents --failovers --json"))["failovers"][-1]
    say(", ".join(f"{each['name']} {float(each['after_s']):.1f} s" for each in told["steps"]))


def move(lab: Lab, source: Machine) -> None:
    """Move the application away; what the host's pauses spoil is done once more."""
    for _ in range(TRIES):
        wait_for_standing(lab, "together", *lab.nodes)
        cluster.wait_until_redundant(lab)
        if source.run("clmoveapp orders", timeout_s=PATIENCE_S).ok:
            return
    source.check("clmoveapp orders", timeout_s=PATIENCE_S)


def test_a_node_with_many_volumes_comes_back_without_a_silence(many_lab: Lab) -> None:
    """FAIL: what the resyncs start keeps the daemons from their heartbeats, or the move fails."""
    node1, node2 = many_lab.nodes
    quiet = Quiet(many_lab)
    with serving(many_lab) as story, quiet.watching_the_host():
        node1.power_off()
        story.service_answers()
        assert story.runs_on() == "node2"
        tell_failover(node2)
        for folder in cluster.further_mounts(MANY):
            node2.check(f"dd if=/dev/urandom of={folder}/new bs=64k count=8 conv=fsync")

        quiet.begin(node2)
        before = started(node2)
        begun_s = time.monotonic()
        node1.power_on()
        quiet.begin(node1)
        cluster.wait_until_settled(many_lab)
        say(f"both copies are complete {time.monotonic() - begun_s:.0f} s after the power came")
        for node, more in ((node1, started(node1) - OF_A_BOOT), (node2, started(node2) - before)):
            say(f"{node.name} started {more} programs for {VOLUMES} volumes")
            assert more <= VOLUMES * PROGRAMS_PER_VOLUME, node.name

        move(many_lab, node2)
        story.service_answers()
        assert story.runs_on() == "node1"
        wait_for_standing(many_lab, "together", *many_lab.nodes)
        cluster.wait_until_settled(many_lab)
    assert "promoted" in notes(node2)
    assert quiet.disturbed() == []
