"""Told stories: somebody removes the addresses of an application that runs."""

from dataclasses import replace
from typing import Final

import pytest

from hapair.core.applications.upkeep import AT_ONCE_MAX, PAUSE_DOUBLINGS_MAX, PAUSE_S
from hapair.core.words.effects import Do
from hapair.core.words.events import Halt, Move
from hapair.model.cluster import ArbitrationKind
from hapair.runtime.node.survey import LOOK_AGAIN_S
from tests.sim.faults import FailActions, KillDaemon, Pause, RemoveAddresses
from tests.sim.hardships import FailLooks
from tests.sim.machine import Core, Trouble
from tests.sim.run import CORE
from tests.sim.settings import NODES
from tests.sim.stage import KINDS, LONG_S, ORDERS, PATHS, WITNESS, Stage, with_kind

BACK_S: Final = 45.0
AHEAD_S: Final = (0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09)  # Which one counts depends on chance.
ONCE = RemoveAddresses(ORDERS, LONG_S, 1.0)
each_kind = pytest.mark.parametrize("kind", KINDS)


def restored(stage: Stage) -> int:
    return [do for _, do in stage.acts].count(Do.RESTORE_ADDRESSES)


def back_after_the_lease(kind: ArbitrationKind, ahead_s: float, core: Core = CORE) -> Stage:
    """node1 stands still for longer than its lease, without a watchdog.

    So long before it goes on somebody removes the addresses of its successor.
    """
    stage = Stage(replace(with_kind(kind), watchdog=False), core=core).begin()
    stage.suffers(Pause("node1", BACK_S))
    stage.run_for(BACK_S - ahead_s)
    assert stage.runs_on() == NODES
    stage.suffers(ONCE)
    stage.run_for(10.0)
    return stage


@each_kind
def test_a_removed_address_is_back_within_a_second_and_nothing_else_happens(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(ONCE)
    assert stage.served_by() == ""
    assert stage.waits_for(lambda: stage.served_by() == "node1", 1.0) < 1.0
    stage.run_for(10.0)
    assert stage.acts == [("node1", Do.RESTORE_ADDRESSES)]
    assert "address-restored" in stage.notes("node1")
    stage.ends_well()


def test_what_the_kernel_did_not_tell_is_found_by_the_slow_look() -> None:
    stage = Stage().begin()
    stage.suffers(RemoveAddresses(ORDERS, LONG_S, 1.0, lost=True))
    assert stage.waits_for(lambda: stage.served_by() == "node1", LOOK_AGAIN_S + 2.0) > 1.0
    stage.ends_well()


@pytest.mark.parametrize("every_s", [0.2, 0.5])
def test_a_fight_is_bounded_moves_nothing_and_ends_well(every_s: float) -> None:
    stage = Stage().begin()
    stage.suffers(RemoveAddresses(ORDERS, every_s, 60.0))
    stage.run_for(60.0)
    assert AT_ONCE_MAX <= restored(stage) <= AT_ONCE_MAX + PAUSE_DOUBLINGS_MAX + 1
    assert set(stage.acts) == {("node1", Do.RESTORE_ADDRESSES)}
    assert "address-fought" in stage.alarms("node1")
    longest_s = PAUSE_S * 2**PAUSE_DOUBLINGS_MAX
    stage.waits_for(lambda: stage.served_by() == "node1", longest_s + 1.0)
    stage.ends_well()


@each_kind
def test_a_node_that_is_cut_off_puts_nothing_back(kind: ArbitrationKind) -> None:
    """Who has the right in the end serves; the rule itself is watched all the time."""
    stage = Stage(with_kind(kind)).begin()
    stage.cuts_off(for_s=30.0) if kind is not ArbitrationKind.PATHS else stage.dies("node2")
    stage.suffers(RemoveAddresses(ORDERS, 0.3, 6.0))
    stage.run_for(20.0)
    stage.ends_well()


def test_what_is_moved_or_halted_meanwhile_comes_to_rest() -> None:
    stage = Stage().begin()
    stage.suffers(RemoveAddresses(ORDERS, 0.3, 40.0))
    assert stage.types("node1", Move(ORDERS)).accepted
    stage.run_for(10.0)
    assert stage.types("node2", Halt(ORDERS)).accepted
    stage.acts.clear()
    stage.run_for(30.0)
    assert stage.acts == []
    stage.ends_well()


def test_an_address_that_cannot_be_put_back_stops_nothing() -> None:
    stage = Stage().begin()
    refused = FailActions("node1", Do.RESTORE_ADDRESSES, ORDERS, Trouble.REFUSED, 20.0)
    stage.suffers(refused, ONCE)
    stage.run_for(20.0)
    assert stage.runs_on() == ("node1",)
    assert "address-missing" in stage.alarms("node1")
    stage.ends_well()
    assert set(stage.acts) == {("node1", Do.RESTORE_ADDRESSES)}


def test_a_new_daemon_brings_back_what_was_removed_while_there_was_none() -> None:
    stage = Stage().begin()
    stage.suffers(KillDaemon("node1", 1.0), ONCE)
    stage.waits_for(lambda: stage.served_by() == "node1", 5.0)
    assert stage.runs_on() == ("node1",)
    stage.ends_well()


@pytest.mark.parametrize("ahead_s", AHEAD_S)
@pytest.mark.parametrize("kind", [WITNESS, PATHS])
def test_a_peer_that_is_back_has_the_time_to_remove_its_addresses(
    kind: ArbitrationKind, ahead_s: float
) -> None:
    back_after_the_lease(kind, ahead_s).ends_well()


@pytest.mark.parametrize("ahead_s", AHEAD_S)
def test_a_watchdog_that_stood_still_with_its_machine_ends_no_lease_in_time(ahead_s: float) -> None:
    """node1 has its short lease, unheard, when node2 puts its addresses back."""
    stage = Stage(with_kind(WITNESS)).begin()
    stage.suffers(Pause("node1", BACK_S))
    stage.run_for(BACK_S - ahead_s)
    stage.cuts_off()
    stage.suffers(ONCE)
    stage.waits_for(lambda: stage.runs_on() == ("node2",), 15.0)
    stage.ends_well()


def test_what_a_start_could_not_complete_is_removed_before_the_peer_starts() -> None:
    """A new daemon cannot look, so the addresses count as there in part; they all are."""
    stage = Stage().begin()
    refused = FailActions("node1", Do.ADD_ADDRESSES, ORDERS, Trouble.REFUSED, 15.0)
    stage.suffers(FailLooks("node1", 3.0), refused, KillDaemon("node1", 0.5))
    stage.waits_for(lambda: stage.served_by() == "node2", 30.0)
    stage.ends_well()
