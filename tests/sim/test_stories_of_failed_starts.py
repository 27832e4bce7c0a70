"""Told stories: what failed to start is tried again as long as nobody else can run it."""

import pytest

from hapair.core.words.effects import Do
from hapair.core.words.events import Halt, Run
from hapair.model.cluster import ArbitrationKind
from tests.sim.faults import BreakDisk, Cut, FailActions, Fault, Partition, PowerOff, TakenAddress
from tests.sim.machine import Trouble
from tests.sim.settings import NODES, PRIVATE
from tests.sim.stage import DATA, KINDS, LONG_S, ORDERS, WITNESS, Stage, with_kind

each_kind = pytest.mark.parametrize("kind", KINDS)
STARTS: tuple[Do, ...] = (Do.PROMOTE, Do.MOUNT, Do.ADD_ADDRESSES, Do.START_PROGRAM)
IP_ONLY = Partition(NODES, LONG_S, arp=True)
LONGEST_PAUSE_S = 160.0


def fails(do: Do, for_s: float, node: str = "node2", how: Trouble = Trouble.REFUSED) -> Fault:
    return FailActions(node, do, ORDERS, how, for_s)


def test_the_winner_waits_for_the_losers_address_and_then_serves() -> None:
    """A filter of packets cuts node1 off from everybody, but lets it say which addresses it has."""
    stage = Stage(with_kind(WITNESS)).begin()
    stage.suffers(IP_ONLY)
    stage.loses_witness("node1")
    stage.waits_for(lambda: stage.runs_on() == ("node2",), 20.0)
    stage.takes_over("node2", 30.0)
    assert all(not record.failures for record in stage.stored("node2").records)
    stage.ends_well()


@each_kind
@pytest.mark.parametrize("do", STARTS)
def test_what_failed_on_the_only_node_is_tried_again(kind: ArbitrationKind, do: Do) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(fails(do, 40.0), PowerOff("node1", LONG_S))
    stage.run_for(30.0)
    assert stage.served_by() == ""
    assert "failed-here" in stage.alarms("node2")
    stage.takes_over("node2", 60.0)
    stage.ends_well()


def test_what_fails_for_long_is_tried_ever_more_slowly() -> None:
    stage = Stage(with_kind(WITNESS)).begin()
    stage.suffers(fails(Do.START_PROGRAM, 900.0), PowerOff("node1", LONG_S))
    stage.run_for(300.0)
    stage.acts.clear()
    stage.run_for(590.0)
    tries = [do for _, do in stage.acts].count(Do.START_PROGRAM)
    assert 590.0 // LONGEST_PAUSE_S - 1 <= tries <= 590.0 // LONGEST_PAUSE_S + 1
    assert set(stage.acts) <= {("node2", Do.START_PROGRAM), ("node2", Do.KILL_PROGRAM)}
    stage.takes_over("node2", LONGEST_PAUSE_S + 20.0)
    stage.ends_well()


def test_what_failed_on_both_nodes_is_tried_again_and_no_operator_is_needed() -> None:
    stage = Stage(with_kind(WITNESS)).begin()
    stage.suffers(*(fails(Do.START_PROGRAM, 60.0, node) for node in NODES))
    stage.suffers(PowerOff("node1", 5.0))
    stage.run_for(50.0)
    assert stage.served_by() == ""
    stage.waits_for(lambda: stage.served_by() != "", 100.0)
    stage.ends_well()


def test_a_peer_that_can_run_it_gets_it_although_it_is_tried_here_again() -> None:
    stage = Stage(with_kind(WITNESS)).begin()
    stage.suffers(fails(Do.START_PROGRAM, LONG_S), PowerOff("node1", 60.0))
    stage.run_for(59.0)
    assert stage.served_by() == ""
    stage.takes_over("node1", 30.0)
    assert ORDERS in {each.application for each in stage.state("node1").stored.records}
    stage.ends_well()


def test_a_strangers_address_stays_a_conflict_with_an_alarm_and_is_asked_for_again() -> None:
    stage = Stage(with_kind(WITNESS)).begin()
    stage.suffers(TakenAddress(ORDERS, 120.0), PowerOff("node1", LONG_S))
    stage.run_for(100.0)
    assert stage.runs_on() == ()
    assert "failed-here" in stage.alarms("node2")
    assert stage.copy("node2", DATA).role.value == "Primary"  # The data stays up.
    stage.takes_over("node2", LONGEST_PAUSE_S)
    stage.ends_well()


def test_where_it_failed_it_is_tried_again_when_the_other_nodes_copy_is_lost() -> None:
    stage = Stage(with_kind(WITNESS)).begin()
    stage.types("node1", Halt(ORDERS))
    stage.suffers(fails(Do.START_PROGRAM, 10.0, "node1"))
    stage.world.command("node1", Run(ORDERS))
    stage.takes_over("node2", 30.0)
    stage.suffers(BreakDisk("node2", DATA, LONG_S))
    stage.run_for(3.0)
    stage.suffers(Cut(PRIVATE, NODES, 5.0))
    stage.waits_for(lambda: stage.served_by() == "", 10.0)
    stage.takes_over("node1", LONGEST_PAUSE_S)
