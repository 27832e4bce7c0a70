"""Who is asked, or switched off, before one node goes on: a real etcd, a real power strip.

The reference cluster changes its arbitration while it runs: no snapshot of its own is needed.
"""

from typing import Final

import pytest

from hapair_lab import cluster, etcd_service, faults
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from tests.lab.story import (
    boot_of,
    notes,
    part_the_nodes,
    server_pid,
    serving,
    wait_for_standing,
)
from tests.lab.watchdogs import give_watchdog, is_fed
from tests.labs import LabFrom

pytestmark = pytest.mark.lab(seconds=30)

METHOD: Final = """
    <method node="{0}" agent="fence_lab" timeout="20s"><parameter name="plug" value="{0}"/></method>
"""
# A busy host makes agents slow; whoever is to go first shall be done before the other one begins.
BY_FENCING: Final = f"""
  <arbitration by="fencing" window="20s">
    {METHOD.format("node1")} {METHOD.format("node2")}
  </arbitration>
"""
BY_ETCD: Final = """
  <arbitration by="witness">{etcd}</arbitration>
  <watchdog timeout="6s"/>
"""


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    """A settled cluster whose application runs on node1."""
    return lab_from(cluster.formed_step())


def in_this_order(node: Machine, *names: str) -> bool:
    """Tell whether the node's history has lines of these names, each after the one before it."""
    told = iter(notes(node))
    return all(name in told for name in names)


@pytest.mark.qemu_only("the kernel of other guests has a watchdog of another kind")
def test_etcd_grants_the_right_after_a_power_loss_and_after_a_reset_by_the_watchdog(
    formed_lab: Lab,
) -> None:
    """Rows 1 and 4. FAIL: nobody is granted the right, anybody could be, or a hung node stays."""
    for node in formed_lab.nodes:
        give_watchdog(node)
    cluster.arbitrate(formed_lab, BY_ETCD.format(etcd=etcd_service.install(formed_lab)))
    tried = formed_lab.node1.check("clbuild --check-witness", timeout_s=PATIENCE_S)
    assert "all is well" in tried
    assert not etcd_service.answers_strangers(formed_lab.outside)
    with serving(formed_lab) as story:
        story.node1.power_off()
        story.service_answers()
        assert story.runs_on() == "node2"
        assert in_this_order(story.node2, "detected", "granted", "promoted", "started")
        assert "the witness granted" in story.node2.check("clevents --json")
        story.node1.power_on()
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.redundant_again()
        assert story.runs_on() == "node2"
        assert is_fed(story.node2)
        before = boot_of(story.node2)
        faults.hang_process(story.node2, "hapaird.service")
        formed_lab.wait_until(
            "the watchdog resets node2",
            lambda: boot_of(story.node2) not in ("", before),
            timeout_s=PATIENCE_S,
        )
        story.node2.wait_until_booted()
        story.service_answers()
        assert in_this_order(story.node1, "detected", "granted", "promoted", "started")
        assert is_fed(story.node1)
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.redundant_again()
        assert story.runs_on() == "node1"


def test_a_silent_node_is_switched_off_before_the_other_one_goes_on(formed_lab: Lab) -> None:
    """Rows 2 and 21. FAIL: a node is promoted beside one that has power, or both go dark."""
    formed_lab.install_fence_agent()
    cluster.arbitrate(formed_lab, BY_FENCING)
    with serving(formed_lab) as story:
        story.node1.freeze()  # Nothing but the strip takes its power.
        story.service_answers()
        assert not story.node1.is_on()
        assert in_this_order(story.node2, "fencing", "fenced", "granted", "promoted", "started")
        story.node1.power_on()
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.redundant_again()
        assert story.runs_on() == "node2"
        before = server_pid(story.node2)
        part_the_nodes(formed_lab)  # Each could switch the other one off now: the active one does.
        formed_lab.wait_until(
            "the stand-by is switched off", lambda: not story.node1.is_on(), timeout_s=PATIENCE_S
        )
        story.service_answers()
        assert server_pid(story.node2) == before
