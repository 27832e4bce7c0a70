"""Arbitration by the packaged witness on a third machine, on real kernels."""

import pytest

from hapair_lab import cluster, witness_service
from hapair_lab.cluster import ClusterPlan
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from tests.lab.story import (
    notes,
    part_the_nodes,
    serving,
    standing,
    wait_for_standing,
)
from tests.labs import LabFrom

pytestmark = pytest.mark.lab(seconds=12)

BY_WITNESS = ClusterPlan(arbitration="witness")


@pytest.fixture
def witness_lab(lab_from: LabFrom) -> Lab:
    """A settled cluster with a witness on ``outside``; its application runs on node1."""
    return lab_from(cluster.formed_step(BY_WITNESS))


def has_given_way(node: Machine) -> bool:
    """Ask the kernel: nothing of the application is mounted, nobody is Primary here."""
    text = node.run("cat /proc/drbd; grep /srv/orders /proc/mounts; ip -br address").stdout
    return "ro:Primary" not in text and "/srv/orders" not in text and "10.77.1.50" not in text


def wait_until_given_way(lab: Lab, node: Machine) -> None:
    what = f"{node.name} has given way"
    lab.wait_until(what, lambda: has_given_way(node), timeout_s=PATIENCE_S)


def test_a_partition_leaves_the_active_side_running_and_the_other_one_passive(
    witness_lab: Lab,
) -> None:
    """Row 2. FAIL: both run, none runs, or the active one is stopped."""
    with serving(witness_lab) as story:
        part_the_nodes(witness_lab)
        wait_for_standing(witness_lab, "alone", story.node1)
        story.wait_for_note(story.node2, "denied")
        assert standing(story.node2) == "cut"
        story.client.wait_for_answers(20, timeout_s=PATIENCE_S)
        assert story.runs_on() == "node1"
        assert "promoted" not in notes(story.node2)
        witness_lab.mend_all_cuts()
        wait_for_standing(witness_lab, "together", *witness_lab.nodes)
        story.redundant_again()
        story.service_answers()


def test_an_active_node_that_is_cut_off_from_everything_gives_way(witness_lab: Lab) -> None:
    """Row 2, the other way round: its writes freeze, the peer is granted the right."""
    with serving(witness_lab) as story:
        for card in ("pub0", "pub1", "priv0", "priv1"):
            story.node1.cable(card).pull()
        story.client.wait_for_answers(20, timeout_s=PATIENCE_S)
        wait_until_given_way(witness_lab, story.node1)
        assert "lost" in notes(story.node1)
        assert "granted" not in notes(story.node1)
        for card in ("pub0", "pub1", "priv0", "priv1"):
            story.node1.cable(card).plug()
        wait_for_standing(witness_lab, "together", *witness_lab.nodes)
        story.redundant_again()
        story.service_answers()
        assert story.runs_on() == "node2"


def test_a_frozen_active_node_finds_that_it_has_lost_when_it_thaws(witness_lab: Lab) -> None:
    """Row 21. FAIL: a write that it acknowledges after the thaw, or two sides."""
    with serving(witness_lab) as story:
        story.node1.freeze()
        story.client.wait_for_answers(20, timeout_s=PATIENCE_S)
        story.node1.thaw()
        wait_until_given_way(witness_lab, story.node1)
        wait_for_standing(witness_lab, "together", *witness_lab.nodes)
        story.redundant_again()
        story.service_answers()
        assert story.runs_on() == "node2"


def test_a_lost_witness_stops_nothing_and_the_active_node_may_go_on_alone(
    witness_lab: Lab,
) -> None:
    """Row 7. FAIL: anything stops, or the active node freezes when the stand-by dies as well."""
    with serving(witness_lab) as story:
        witness_service.kill(witness_lab.outside)
        story.wait_for_note(story.node1, "waiver")
        story.service_answers()
        story.node2.power_off()
        wait_for_standing(witness_lab, "alone", story.node1)
        story.service_answers()
        witness_service.start(witness_lab.outside)
        story.node2.power_on()
        wait_for_standing(witness_lab, "together", *witness_lab.nodes)
        story.wait_for_note(story.node2, "no-longer-yields")
        story.redundant_again()


def test_a_cold_start_of_one_goes_on_when_the_witness_knows_of_nobody_ahead(
    witness_lab: Lab,
) -> None:
    """Row 8. FAIL: it waits for a person although nothing can be lost."""
    witness_lab.node2.put("/etc/cluster/clstart.xml", '<clstart timeout="5s"/>\n')
    with serving(witness_lab) as story:
        for node in witness_lab.nodes:
            node.power_off()
        story.node2.power_on()
        wait_for_standing(witness_lab, "alone", story.node2)
        story.service_answers()
        assert story.runs_on() == "node2"
        story.node1.power_on()
        wait_for_standing(witness_lab, "together", *witness_lab.nodes)
        story.redundant_again()
