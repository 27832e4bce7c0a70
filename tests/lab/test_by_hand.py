"""Somebody types DRBD's own commands beside the cluster, or its package is upgraded (C6, C7)."""

from typing import Final

import pytest

from hapair_lab import cluster
from hapair_lab.lab import Lab
from hapair_lab.machine import Machine
from tests.lab.story import Story, server_pid, serving
from tests.labs import LabFrom

pytestmark = pytest.mark.lab(seconds=40)

RESOURCE: Final = "orders.data"
# What each does, or that the kernel refuses it, is DRBD's; no command of these may leave traces.
TYPED: Final = (
    f"drbdadm disconnect {RESOURCE}",
    f"drbdadm secondary {RESOURCE}",
    f"drbdadm down {RESOURCE}",
    "systemctl start drbd",
    "systemctl restart drbd",
    "systemctl stop drbd",
)


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    """A settled cluster whose application runs on node1."""
    return lab_from(cluster.formed_step())


def typed_on(story: Story, node: Machine) -> None:
    for command in TYPED:
        node.run(command, timeout_s=120)
        node.check("sleep 1")
        story.redundant_again()
        story.service_answers()
        assert story.runs_on() == "node1", command


@pytest.mark.long
def test_what_is_typed_on_the_stand_by_is_mended_by_itself(formed_lab: Lab) -> None:
    """FAIL: no redundancy from then on, and nobody is told."""
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        typed_on(story, story.node2)
        assert server_pid(story.node1) == before


@pytest.mark.long
def test_what_is_typed_on_the_active_node_stops_nothing_that_lasts(formed_lab: Lab) -> None:
    """FAIL: the program is gone, or writes where nobody replicates it."""
    with serving(formed_lab) as story:
        typed_on(story, story.node1)
