"""What this version does not promise: each hole exists, and the checkers see it.

A test here that fails because no rule is broken is good news: then the promise has grown, and
the manual and ``tests/sim/promise.py`` have to say so.
"""

import pytest

from hapair.model.cluster import ArbitrationKind
from tests.checkers.rules import BrokenRuleError
from tests.sim.faults import Cut, Pause, PowerOff
from tests.sim.settings import NODES, PRIVATE, PUBLIC
from tests.sim.stage import ASK_OPERATOR, ONE_APPLICATION, Stage

LONG_S = 10_000.0


def test_paths_two_cables_cut_at_once_leave_both_sides_running() -> None:
    stage = Stage().begin()
    stage.suffers(Cut(PUBLIC, NODES, LONG_S), Cut(PRIVATE, NODES, LONG_S))
    with pytest.raises(BrokenRuleError, match="R1: "):
        stage.run_for(60.0)


def test_operator_two_cables_cut_at_once_leave_one_side_running() -> None:
    stage = Stage(ASK_OPERATOR).begin()
    stage.suffers(Cut(PUBLIC, NODES, 60.0), Cut(PRIVATE, NODES, 60.0))
    stage.run_for(58.0)
    assert stage.served_by() == "node1"
    assert "ask-operator" in stage.alarms("node2")
    stage.ends_well()


def test_paths_a_machine_that_stands_still_for_long_is_taken_for_dead() -> None:
    stage = Stage().begin()
    stage.suffers(Pause("node1", 30.0))
    with pytest.raises(BrokenRuleError, match="R1: "):
        stage.run_for(60.0)


def test_operator_a_wrong_confirmation_starts_it_twice() -> None:
    stage = Stage(ASK_OPERATOR).begin()
    stage.suffers(Cut(PUBLIC, NODES, LONG_S), Cut(PRIVATE, NODES, LONG_S))
    stage.run_for(10.0)
    stage.world.confirm("node2")
    with pytest.raises(BrokenRuleError, match="R1: "):
        stage.run_for(30.0)


def test_without_the_brake_writes_are_lost_when_the_link_and_then_the_node_die_at_once() -> None:
    """DRBD's "fencing dont-care": the Primary acknowledges alone before its peer can know."""
    assert ONE_APPLICATION.arbitration is ArbitrationKind.PATHS
    stage = Stage().begin()
    stage.world.replication.notices_after_s = (0.5, 0.6)
    # Not one heartbeat reaches node2 any more, so that it is never told.
    stage.suffers(Cut(PRIVATE, NODES, LONG_S), Cut(PUBLIC, ("node2",), LONG_S))
    stage.waits_for(lambda: not stage.copy("node1").replicating, 1.5)
    acknowledged = stage.world.clients.acknowledged["orders.data0"]
    before = len(acknowledged)
    stage.waits_for(lambda: len(acknowledged) > before, 1.0)
    stage.suffers(PowerOff("node1", LONG_S))
    with pytest.raises(BrokenRuleError, match="R2"):
        stage.run_for(30.0)
