"""What this version does not promise: each hole exists, and the checkers see it.

A test here that fails because no rule is broken is good news: then the promise has grown, and
the manual and ``tests/sim/promise.py`` have to say so. Holes that are closed are kept below, as
proof.
"""

from dataclasses import replace
from math import inf

import pytest

from hapair.core.words.effects import Do
from hapair.core.words.events import Halt, Run
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing
from tests.checkers.rules import BrokenRuleError
from tests.sim.by_hand import ByHand, Deed
from tests.sim.faults import (
    BreakDisk,
    Cut,
    FailActions,
    HangDaemon,
    KillDaemon,
    Pause,
    SlowStore,
)
from tests.sim.hardships import FailLooks, LoseStream, Reconfigure
from tests.sim.machine import Trouble
from tests.sim.settings import NODES, PRIVATE, PUBLIC
from tests.sim.stage import (
    ASK_OPERATOR,
    DATA,
    FENCING,
    KINDS,
    LONG_S,
    PATHS,
    WEB,
    WEB_TOO,
    WITH_FENCING,
    WITH_WITNESS,
    WITNESS,
    Stage,
    with_kind,
)
from tests.sim.test_stories_of_dead_disks import lost_its_disk_unseen


def test_paths_two_cables_cut_at_once_leave_both_sides_running() -> None:
    stage = Stage().begin()
    stage.suffers(Cut(PUBLIC, NODES, LONG_S), Cut(PRIVATE, NODES, LONG_S))
    with pytest.raises(BrokenRuleError, match="R1: "):
        stage.run_for(60.0)


@pytest.mark.parametrize("kind", [WITNESS, PATHS])
def test_a_machine_that_stands_still_for_long_runs_what_has_no_data_twice_for_a_moment(
    kind: ArbitrationKind,
) -> None:
    """A pause longer than the lease: the machine stops nothing, and its watchdog pauses as well."""
    stage = Stage(with_kind(kind, WEB_TOO)).begin()
    stage.suffers(Pause("node1", 20.0))
    with pytest.raises(BrokenRuleError, match="R1: node1 and node2 run web"):
        stage.run_for(60.0)


def test_witness_without_a_watchdog_a_lease_does_not_bind_a_daemon_that_hangs() -> None:
    """Only what has no replicated data runs twice: frozen writes hold back the rest."""
    stage = Stage(replace(with_kind(WITNESS, WEB_TOO), watchdog=False)).begin()
    stage.suffers(HangDaemon("node1", LONG_S))
    stage.cuts_off()
    with pytest.raises(BrokenRuleError, match="R1: node1 and node2 run web"):
        stage.run_for(60.0)


def test_witness_with_a_watchdog_it_does() -> None:
    stage = Stage(with_kind(WITNESS, WEB_TOO)).begin()
    stage.suffers(HangDaemon("node1", LONG_S))
    stage.cuts_off()
    stage.waits_for(lambda: stage.runs_on(WEB) == ("node2",), 20.0)
    stage.ends_well()


def test_operator_a_wrong_confirmation_starts_it_twice() -> None:
    stage = Stage(ASK_OPERATOR).begin()
    stage.suffers(Cut(PUBLIC, NODES, LONG_S), Cut(PRIVATE, NODES, LONG_S))
    stage.run_for(10.0)
    stage.world.confirm("node2")
    with pytest.raises(BrokenRuleError, match="R1: "):
        stage.run_for(30.0)


def test_a_statement_that_no_witness_recorded_is_not_known_to_the_other_node() -> None:
    """The survivor warns of it. When it dies, the witness grants the other node the same epoch."""
    stage = Stage(WITH_WITNESS).begin()
    stage.loses_witness("node2")
    stage.dies("node1")
    stage.run_for(30.0)
    stage.world.confirm("node2")
    stage.run_for(30.0)
    assert "not-recorded" in stage.alarms("node2")
    assert stage.served_by() == "node2"
    stage.dies("node2")
    stage.world.power_on("node1")
    with pytest.raises(BrokenRuleError, match="R2: "):
        stage.run_for(100.0)


@pytest.mark.parametrize("kind", [FENCING, PATHS])
def test_who_held_the_right_does_not_know_of_a_statement_on_the_other_node(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.dies("node2")
    stage.waits_for(lambda: stage.standing("node1") is Standing.ALONE, 15.0)
    stage.dies("node1")
    stage.world.power_on("node2")
    stage.run_for(80.0)
    stage.world.confirm("node2")
    stage.waits_for(lambda: stage.served_by() == "node2", 30.0)
    stage.run_for(10.0)
    stage.dies("node2")
    stage.world.power_on("node1")
    with pytest.raises(BrokenRuleError, match="R2: "):
        stage.run_for(100.0)


def test_paths_a_right_that_waits_for_its_disk_is_taken_although_the_peer_is_back() -> None:
    """node1's daemon was away, and the copies kept apart by hand: both decide by the same paths."""
    stage = Stage().begin()
    stage.suffers(ByHand("node1", DATA, Deed.DISCONNECT), KillDaemon("node1", 12.0))
    stage.run_for(1.0)
    stage.suffers(SlowStore("node2", inf, 25.0))
    with pytest.raises(BrokenRuleError, match="R1: both nodes have stored the right"):
        stage.run_for(60.0)


def test_a_disk_that_fails_while_no_daemon_stores_it_looks_complete_after_a_power_loss() -> None:
    stage = lost_its_disk_unseen(WITH_WITNESS)
    stage.world.power_on("node1")
    with pytest.raises(BrokenRuleError, match="R2: "):
        stage.run_for(100.0)


def test_fencing_an_agent_that_is_slower_than_the_head_start_may_switch_both_off() -> None:
    """No rule of safety is broken; the service is out until the nodes have booted."""
    both_off = 0
    for seed in range(5):
        stage = Stage(WITH_FENCING, seed=f"slow agent {seed}").begin()
        stage.world.third_parties.strip.takes_s = (6.0, 9.0)
        stage.cuts_off(for_s=30.0)
        stage.run_for(25.0)
        both_off += not any(machine.powered for machine in stage.world.machines.values())
        stage.ends_well()
    assert both_off


# --- Closed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [WITNESS, FENCING])
def test_a_stream_of_facts_that_stays_away_lets_no_dead_kernel_answer(
    kind: ArbitrationKind,
) -> None:
    """The kernel is read without it."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(LoseStream("node2", 120.0))
    stage.dies("node1")
    stage.takes_over("node2", 60.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_dies_while_the_stream_is_away_makes_a_copy_old(kind: ArbitrationKind) -> None:
    """Its word was that the copy is good; the disk comes back, and the peer is gone by then."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(LoseStream("node2", 60.0), BreakDisk("node2", "orders.data0", 10.0))
    stage.run_for(4.0)
    stage.dies("node1")
    stage.run_for(60.0)
    assert stage.served_by() == ""
    stage.ends_well()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_failed_look_calls_running_is_started_after_one_that_tells(
    kind: ArbitrationKind,
) -> None:
    """Its stop ended with the time-out only; a program that cannot be asked is left alone."""
    stage = Stage(with_kind(kind, WEB_TOO)).begin()
    hangs = FailActions("node1", Do.STOP_PROGRAM, WEB, Trouble.HAPPENS_LATE, 30.0)
    stage.suffers(FailLooks("node1", 30.0), hangs)
    stage.world.command("node1", Halt(WEB))
    stage.run_for(5.0)
    stage.world.command("node1", Run(WEB))
    stage.run_for(24.0)
    assert stage.is_together()
    assert stage.runs_on(WEB) == ()
    assert "not-seen" in stage.alarms("node1")
    stage.waits_for(lambda: stage.served_by(WEB) == "node1", 35.0)
    assert "seen-again" in stage.notes("node1")
    stage.ends_well()


def test_operator_two_cables_cut_at_once_leave_one_side_running() -> None:
    stage = Stage(ASK_OPERATOR).begin()
    stage.suffers(Cut(PUBLIC, NODES, 60.0), Cut(PRIVATE, NODES, 60.0))
    stage.run_for(58.0)
    assert stage.served_by() == "node1"
    assert "ask-operator" in stage.alarms("node2")
    stage.ends_well()


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_machine_with_replicated_data_may_stand_still_for_as_long_as_it_likes(
    kind: ArbitrationKind, node: str
) -> None:
    """DRBD holds the writes; otherwise both sides would acknowledge for a moment."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(Pause(node, 30.0))
    stage.run_for(60.0)
    assert len(stage.runs_on()) == 1
    stage.ends_well()


def test_fencing_closes_it_for_what_has_no_data_too() -> None:
    stage = Stage(with_kind(FENCING, WEB_TOO)).begin()
    stage.suffers(Pause("node1", 20.0))
    stage.run_for(30.0)
    assert stage.runs_on(WEB) == ("node2",)
    stage.ends_well()


@pytest.mark.parametrize("kind", KINDS)
def test_a_daemon_that_hangs_behind_a_cut_link_loses_nothing_of_what_has_data(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(replace(with_kind(kind), watchdog=False)).begin()
    stage.suffers(HangDaemon("node1", 40.0), Cut(PRIVATE, NODES, 40.0))
    stage.run_for(45.0)
    stage.ends_well()


def test_paths_a_daemon_that_hangs_behind_a_cut_link_runs_nothing_twice() -> None:
    """Not even what has no data: its address still answers, and is probed before it is added."""
    stage = Stage(WEB_TOO).begin()
    stage.suffers(HangDaemon("node1", 50.0), Cut(PRIVATE, NODES, 60.0))
    stage.run_for(45.0)
    assert stage.standing("node2") is Standing.ALONE
    assert stage.runs_on(WEB) == ("node1",)


def test_another_kind_of_arbitration_that_only_one_node_has_yet_gives_no_right() -> None:
    """The two lose each other in the seconds between their commits: only one may ask somebody."""
    stage = Stage(WITH_FENCING).begin()
    stage.suffers(Reconfigure("node1", 3.0, LONG_S, WITH_WITNESS))
    stage.run_for(1.0)
    stage.cuts_off()
    stage.run_for(60.0)
    assert not stage.stored("node1").holds_right
    stage.ends_well()
