"""Told stories: the nodes lose each other, or the third party (rows 2, 3, 7, 10, 11, 17, 18)."""

import pytest

from hapair.core.applications.reconnect import TRIES_MAX
from hapair.core.words.effects import Do
from hapair.core.words.events import ConfirmPeerDown, Halt, Move
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk, Role
from hapair.model.status import Standing
from tests.checkers.rules import BrokenRuleError
from tests.sim.drbd import Written
from tests.sim.faults import Cut, DeadStrip, FailActions, LoseReference
from tests.sim.hardships import LoseStream
from tests.sim.machine import Trouble
from tests.sim.settings import NODES, PRIVATE, PUBLIC
from tests.sim.stage import (
    DATA,
    FENCING,
    KINDS,
    LONG_S,
    ORDERS,
    PATHS,
    WITH_FENCING,
    WITH_WITNESS,
    WITNESS,
    Stage,
    with_kind,
)

each_kind = pytest.mark.parametrize("kind", KINDS)


# --- Row 2: total partition, both alive ---------------------------------------------------------


@each_kind
def test_row_02_of_a_total_partition_the_active_side_wins(kind: ArbitrationKind) -> None:
    """With ``paths`` both go on: that is its documented hole, and the checkers see it."""
    stage = Stage(with_kind(kind)).begin()
    stage.cuts_off()
    if kind is PATHS:
        with pytest.raises(BrokenRuleError, match="R1: "):
            stage.run_for(60.0)
        return
    stage.run_for(60.0)
    assert stage.served_by() == "node1"
    assert (NODES[0], Do.STOP_PROGRAM) not in stage.acts
    assert (NODES[1], Do.PROMOTE) not in stage.acts
    assert stage.outage_s() < (6.5 if kind is FENCING else 3.5)
    if kind is WITNESS:
        assert stage.reason("node2") == "denied"
        assert "denied" in stage.notes("node2")
    else:
        assert not stage.world.machines["node2"].powered
    stage.ends_well()
    assert stage.served_by() == "node1"


def test_row_02_the_side_that_also_lost_the_witness_freezes_stops_and_discards_nothing() -> None:
    stage = Stage(WITH_WITNESS).begin()
    stage.loses_witness("node1")
    stage.cuts_off()
    stage.waits_for(lambda: stage.copy("node1").suspended, 2.5)
    promised = stage.acknowledged()
    stage.takes_over("node2", 8.0)
    stage.waits_for(lambda: stage.runs_on() == ("node2",), 10.0)
    assert stage.acknowledged() > promised
    stops = [do for node, do in stage.acts if node == "node1"]
    assert Do.DETACH in stops, "its frozen writes fail, nobody waits for them"
    assert Do.RESUME not in stops
    assert stage.reason("node1") in ("lease-over", "denied")
    stage.ends_well()
    assert stage.served_by() == "node2"


@pytest.mark.parametrize("deaf", NODES)
@pytest.mark.parametrize("kind", [WITNESS, FENCING])
def test_row_02_a_partition_in_one_direction_leaves_one_side_running(
    deaf: str, kind: ArbitrationKind
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.cuts_off(deaf)
    stage.run_for(60.0)
    assert stage.served_by() in NODES
    assert len(stage.runs_on()) == 1
    assert stage.outage_s() < 12.0
    stage.ends_well()


# --- Row 3: only the replication link -----------------------------------------------------------


@each_kind
def test_row_03_the_replication_link_alone_fails_and_comes_back(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(Cut(PRIVATE, NODES, 30.0))
    stage.run_for(15.0)
    assert stage.served_by() == "node1"
    assert stage.copy("node1").connection is Connection.CONNECTING
    assert stage.copy("node1").peer_disk is Disk.OUTDATED, "the handler's answer"
    assert stage.copy("node1").meta.peer_outdated
    assert stage.stored("node2").behind == (DATA,)
    stage.waits_for(stage.is_redundant, 60.0)
    stage.waits_for(lambda: stage.stored("node2").behind == (), 3.0)
    assert stage.acts == []
    assert stage.outage_s() < 3.0, "frozen until the peer has stored it, no longer"


@each_kind
@pytest.mark.parametrize("seed", ["a", "c", "e", "f"])
def test_row_03_a_handler_that_asks_before_the_loss_is_known_loses_no_time(
    kind: ArbitrationKind, seed: str
) -> None:
    stage = Stage(with_kind(kind), seed).begin()
    stage.suffers(LoseStream("node1", 20.0), Cut(PRIVATE, NODES, 30.0))
    stage.run_for(12.0)
    assert stage.served_by() == "node1"
    assert stage.outage_s() < 5.0, "the kernel notices it, and is read a second later"
    stage.ends_well()


@each_kind
def test_row_03_the_standby_refuses_when_the_active_node_dies_then(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    stage.run_for(20.0)
    assert stage.served_by() == "node1"
    stage.dies("node1")
    stage.run_for(60.0)
    assert stage.served_by() == ""
    assert stage.stored("node2").behind == (DATA,)
    assert (NODES[1], Do.PROMOTE) not in stage.acts
    stage.ends_well()


@each_kind
def test_row_03_link_and_node_die_at_once_and_nothing_acknowledged_is_lost(
    kind: ArbitrationKind,
) -> None:
    """The kernel freezes before it acknowledges alone, so the standby misses nothing."""
    stage = Stage(with_kind(kind)).begin()
    stage.world.replication.notices_after_s = (0.5, 0.6)
    # Not one heartbeat reaches node2 any more, so that it is never told.
    stage.suffers(Cut(PRIVATE, NODES, LONG_S), Cut(PUBLIC, ("node2",), LONG_S))
    stage.waits_for(lambda: stage.copy("node1").suspended, 1.5)
    promised = stage.acknowledged()
    stage.run_for(0.5)
    assert stage.acknowledged() == promised
    stage.dies("node1")
    stage.takes_over("node2")
    stage.ends_well()


@each_kind
def test_row_03_a_standby_that_cannot_store_keeps_the_writes_frozen(kind: ArbitrationKind) -> None:
    """The daemon of the standby is dead, so it can promise nothing: the writes wait for it."""
    stage = Stage(with_kind(kind)).begin()
    machine = stage.world.machines["node2"]
    stage.world.replication.notices_after_s = (0.5, 0.6)
    stage.world.kill_daemon("node2", LONG_S)
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    stage.waits_for(lambda: stage.copy("node1").suspended, 3.0)
    promised = stage.acknowledged()
    stage.run_for(0.8)
    assert stage.acknowledged() == promised
    # Then the silence is total, and the right decides.
    stage.run_for(8.0)
    assert stage.acknowledged() > promised
    assert stage.standing("node1") is Standing.ALONE
    assert machine.disk.behind == ()
    if machine.powered:
        stage.world.start_daemon("node2")
    stage.ends_well()
    assert stage.served_by() == "node1"


# --- Row 7: the third party fails, then the active node -----------------------------------------


@each_kind
def test_row_07_the_third_party_fails_and_later_the_active_node(kind: ArbitrationKind) -> None:
    """The first loss alone costs nothing; after both the standby starts nothing, and says why.

    The third party of ``paths`` is the reference address, that of fencing is the power strip.
    """
    stage = Stage(with_kind(kind)).begin()
    match kind:
        case ArbitrationKind.WITNESS:
            stage.loses_witness()
        case ArbitrationKind.FENCING:
            stage.suffers(DeadStrip(LONG_S))
        case _:
            stage.suffers(LoseReference(NODES, LONG_S))
    stage.run_for(30.0)
    assert stage.served_by() == "node1"
    assert stage.acts == []
    if kind is WITNESS:
        assert "witness-lost" in stage.alarms("node1") & stage.alarms("node2")

    stage.dies("node1")
    stage.run_for(60.0)
    assert stage.served_by() == ""
    assert stage.reason("node2") == {WITNESS: "promised", FENCING: "fence"}.get(kind, "isolated")
    assert kind is PATHS or stage.alarms("node2") & {"promised", "fencing-failed"}
    assert stage.types("node2", ConfirmPeerDown()).accepted
    stage.takes_over("node2")
    stage.ends_well()


# --- Row 10: fence races and loops --------------------------------------------------------------


def test_row_10_the_active_node_has_a_head_start_in_the_race() -> None:
    for seed in range(10):
        stage = Stage(WITH_FENCING, seed=f"race {seed}").begin()
        stage.cuts_off()
        stage.run_for(20.0)
        assert stage.served_by() == "node1"
        assert "fencing" not in stage.notes("node2")
        assert not stage.world.machines["node2"].powered


def test_row_10_with_a_witness_the_active_node_is_first_to_ask() -> None:
    for seed in range(10):
        stage = Stage(WITH_WITNESS, seed=f"race {seed}").begin()
        stage.cuts_off()
        stage.run_for(20.0)
        assert stage.served_by() == "node1"
        assert stage.holders() == {1: {"node1"}}


@each_kind
def test_row_10_a_node_that_boots_into_silence_fences_nobody(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.dies("node2")
    stage.run_for(15.0)
    stage.cuts_off(for_s=150.0)
    stage.world.power_on("node2")
    stage.run_for(140.0)
    assert "fencing" not in stage.notes("node2"), "never before it has joined"
    assert (NODES[1], Do.PROMOTE) not in stage.acts
    assert stage.served_by() == "node1"
    stage.ends_well()


# --- Row 11: the fence device dies with the node ------------------------------------------------


def test_row_11_a_dead_fence_device_is_tried_ever_more_rarely_until_a_person_speaks() -> None:
    stage = Stage(WITH_FENCING).begin()
    stage.suffers(DeadStrip(LONG_S))
    stage.dies("node1")
    stage.run_for(400.0)
    assert stage.served_by() == ""
    tries = [n for _, who, n in stage.world.notes if (who, n.name) == ("node2", "fencing-failed")]
    assert 5 <= len(tries) <= 10, "not silent, and no storm"
    assert stage.types("node2", ConfirmPeerDown()).accepted
    stage.takes_over("node2")
    stage.ends_well()


def test_row_11_a_fence_device_that_comes_back_ends_the_wait_by_itself() -> None:
    stage = Stage(WITH_FENCING).begin()
    stage.suffers(DeadStrip(20.0))
    stage.dies("node1")
    stage.run_for(20.0)
    assert stage.served_by() == ""
    stage.takes_over("node2", 45.0)
    stage.ends_well()


def test_row_11_an_answer_of_the_strip_that_was_lost_proves_nothing() -> None:
    stage = Stage(WITH_FENCING).begin()
    stage.world.third_parties.strip.loses_answers = 1.0
    stage.dies("node1")
    stage.run_for(60.0)
    assert stage.served_by() == ""
    stage.world.third_parties.strip.loses_answers = 0.0
    stage.takes_over("node2", 60.0)
    stage.ends_well()


# --- Row 17: both sides were written ------------------------------------------------------------


@each_kind
def test_row_17_copies_that_were_both_written_stay_apart_and_the_granted_side_runs(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(Cut(PRIVATE, NODES, 20.0))
    stage.run_for(10.0)
    # A person promotes the standby's copy by force, past all software, and writes to it.
    resource = stage.resource()
    resource.promote("node2", force=True)
    resource.fenced("node2", 7)
    assert resource.write("node2", -1, path_works=False) is Written.ACKNOWLEDGED
    resource.demote("node2")
    stage.acts.clear()
    stage.run_for(200.0)

    assert stage.served_by() == "node1"
    assert stage.outage_s() < 3.0
    assert -1 in stage.copy("node2").data, "R4: nothing is discarded"
    assert resource.resyncs == 0
    assert stage.copy("node1").role is Role.PRIMARY
    assert not stage.copy("node1").replicating
    tries = stage.acts.count((NODES[0], Do.BRING_UP)) + stage.acts.count((NODES[1], Do.BRING_UP))
    assert tries <= 12, "bounded: DRBD compares, refuses and gives up again"
    assert stage.stored("node2").behind == (DATA,)


# --- Row 18: a resync that stalls or loops ------------------------------------------------------


@each_kind
def test_row_18_a_resync_that_loops_promotes_nothing_and_stops_nothing(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.world.replication.resync_takes_s = (25.0, 25.0)
    stage.dies("node2")
    stage.run_for(8.0)
    stage.world.power_on("node2")
    stage.waits_for(lambda: stage.copy("node2").connection is Connection.SYNC_TARGET, 30.0)
    stage.acts.clear()
    for _ in range(6):
        stage.suffers(Cut(PRIVATE, NODES, 3.0))
        stage.run_for(10.0)
        assert stage.copy("node2").disk is Disk.INCONSISTENT
        assert not stage.types("node1", Move(ORDERS)).accepted
    assert stage.served_by() == "node1"
    assert stage.acts == []
    stage.waits_for(stage.is_redundant, 60.0)
    stage.ends_well()


# --- Two Primaries met --------------------------------------------------------------------------


def test_copies_that_gave_each_other_up_are_joined_again_when_the_loser_has_stopped() -> None:
    """The networks come back while the loser is still Primary: DRBD gives the peer up."""
    stage = Stage(WITH_WITNESS).begin()
    stage.suffers(FailActions("node1", Do.UNMOUNT, ORDERS, Trouble.REFUSED, 25.0))
    stage.loses_witness("node1")
    stage.cuts_off(for_s=12.0)
    stage.takes_over("node2", 8.0)
    stage.waits_for(lambda: stage.now_s > 15.5, 20.0)
    stage.waits_for(
        lambda: Connection.STAND_ALONE in [stage.copy(node).connection for node in NODES], 10.0
    )
    stage.waits_for(stage.is_redundant, 90.0)
    assert "reconnect" in stage.notes("node1") | stage.notes("node2")
    assert stage.served_by() == "node2"
    stage.ends_well()


def test_a_connection_that_is_given_up_again_and_again_is_tried_a_few_times_only() -> None:
    """Something ends each connection soon after it was made; in the end it holds."""
    stage = Stage(WITH_WITNESS).begin()
    stage.acts.clear()
    for _ in range(20):
        stage.resource().disconnect("node1")
        stage.run_for(12.0)
    assert stage.acts.count(("node1", Do.BRING_UP)) == TRIES_MAX
    assert stage.copy("node1").connection is Connection.STAND_ALONE
    stage.suffers(Cut(PRIVATE, NODES, 3.0))
    stage.waits_for(stage.is_redundant, 60.0)
    stage.ends_well()


def test_a_halted_application_is_nobodys_reason_to_win() -> None:
    """Nothing is active, so neither side has a head start; still only one is granted."""
    for seed in range(5):
        stage = Stage(WITH_WITNESS, seed=f"idle {seed}").begin()
        assert stage.types("node1", Halt(ORDERS)).accepted
        stage.cuts_off(for_s=30.0)
        stage.run_for(29.0)
        assert sum(stage.stored(node).holds_right for node in NODES) == 1
        stage.ends_well()
