"""The heart of a daemon beats on while the daemon decides nothing: for a while, not for ever."""

from dataclasses import replace
from itertools import product

import pytest

from hapair.core.right.fencing import HUNG_S
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing
from hapair.ports.peer import UNDECIDED_MAX_S
from tests.sim.faults import Cut, HangDaemon, LoseReference
from tests.sim.settings import NODES, PRIVATE, PUBLIC, other
from tests.sim.stage import (
    ASK_OPERATOR,
    FENCING,
    LONG_S,
    ONE_APPLICATION,
    PATHS,
    TAKES_OVER_WITHIN_S,
    WITNESS,
    Stage,
    with_kind,
)

BUSY_S = 10.0
AS_BEFORE_S = 15.0  # Until somebody serves beside a node that is silent from the beginning.
UNWATCHED = replace(ONE_APPLICATION, watchdog=False)
each_kind = pytest.mark.parametrize("kind", [WITNESS, FENCING, PATHS])
each_node = pytest.mark.parametrize("node", NODES)


@each_node
@each_kind
def test_a_daemon_that_decides_nothing_for_ten_seconds_is_not_silent(
    node: str, kind: ArbitrationKind
) -> None:
    stage = Stage(with_kind(kind, UNWATCHED)).begin()
    stage.suffers(HangDaemon(node, BUSY_S, beats=True))
    for _ in range(50):
        stage.run_for(BUSY_S / 40)
        assert stage.standing(other(node)) is Standing.TOGETHER
    assert stage.standing(node) is Standing.TOGETHER, "nor has it taken its own pause for silence"
    assert {"detected", "paused"} & (stage.notes("node1") | stage.notes("node2")) == set()
    assert stage.acts == []
    stage.ends_well()


@pytest.mark.parametrize("kind", [WITNESS, FENCING])
def test_row_04b_the_watchdog_resets_it_although_its_heart_beats(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(HangDaemon("node1", LONG_S, beats=True))
    stage.waits_for(lambda: not stage.world.machines["node1"].powered, 6.0)
    stage.takes_over("node2")
    stage.ends_well()


@each_kind
def test_row_04b_without_a_watchdog_the_heart_falls_silent_in_the_end(
    kind: ArbitrationKind,
) -> None:
    """From then on it is a hung daemon as before: an alarm, fencing where there is any."""
    stage = Stage(with_kind(kind, UNWATCHED)).begin()
    stage.suffers(HangDaemon("node1", LONG_S, beats=True))
    stage.run_for(UNDECIDED_MAX_S)
    assert stage.standing("node2") is Standing.TOGETHER
    stage.run_for(4.0)
    assert stage.standing("node2") is Standing.CUT
    assert "kernel-answers" in stage.alarms("node2")
    if kind is FENCING:
        stage.takes_over("node2", HUNG_S + TAKES_OVER_WITHIN_S[FENCING])
        assert not stage.world.machines["node1"].powered
    else:
        stage.run_for(120.0)
        assert stage.served_by() == "node1"
        assert stage.acts == [], "no take-over beside a living kernel"
    stage.ends_well()


@each_node
@each_kind
def test_writes_that_wait_for_a_node_that_decides_nothing_wait_so_much_longer_and_no_more(
    node: str, kind: ArbitrationKind
) -> None:
    """Without the replication network the writes of node1 need the word of either daemon."""
    stage = Stage(with_kind(kind, UNWATCHED)).begin()
    stage.suffers(HangDaemon(node, LONG_S, beats=True))
    stage.run_for(0.5)
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    stage.run_for(UNDECIDED_MAX_S - 1.0)
    assert stage.acts == [], "the other one hears it, and waits"
    stage.run_for(60.0)
    assert stage.standing(other(node)) is Standing.ALONE
    assert stage.outage_s() < UNDECIDED_MAX_S + AS_BEFORE_S
    stage.ends_well()


@each_node
@each_kind
def test_after_its_heart_was_silent_a_daemon_asks_before_it_acts(
    node: str, kind: ArbitrationKind
) -> None:
    stage = Stage(with_kind(kind, UNWATCHED)).begin()
    stage.suffers(HangDaemon(node, UNDECIDED_MAX_S + 6.0, beats=True))
    stage.run_for(UNDECIDED_MAX_S + 5.9)
    stage.waits_for(lambda: "paused" in stage.notes(node), 1.0)
    stage.waits_for(stage.is_together, 10.0)
    assert stage.acts == []
    stage.ends_well()


@pytest.mark.parametrize("hangs_s", [4.0, 9.0, 13.0, 20.0])
@pytest.mark.parametrize("cut_at_s", [0.0, 1.0, 3.5, 8.0])
@pytest.mark.parametrize("deaf", [NODES, ("node1",), ("node2",)])
@each_node
@each_kind
def test_networks_that_fail_meanwhile_let_nobody_write_twice(
    node: str, deaf: tuple[str, ...], cut_at_s: float, hangs_s: float, kind: ArbitrationKind
) -> None:
    """One network of two is enough to be heard; with ``paths`` no second one may fail."""
    stage = Stage(with_kind(kind, UNWATCHED)).begin()
    stage.suffers(HangDaemon(node, hangs_s, beats=True))
    stage.run_for(cut_at_s)
    networks = (PRIVATE,) if kind is PATHS else (PRIVATE, PUBLIC)
    stage.suffers(*(Cut(network, deaf, 12.0) for network in networks))
    stage.run_for(60.0)
    stage.ends_well()


@pytest.mark.parametrize("deaf_s", [4.0, 5.5])
def test_what_was_silent_and_is_heard_again_is_not_lost_afterwards(deaf_s: float) -> None:
    """Node1 decides late what it heard in the meantime, but by the newest of it."""
    stage = Stage(with_kind(FENCING, UNWATCHED)).begin()
    stage.suffers(HangDaemon("node1", 9.0, beats=True))
    stage.run_for(1.0)
    stage.suffers(Cut(PUBLIC, ("node2",), deaf_s), Cut(PRIVATE, ("node2",), deaf_s))
    stage.run_for(30.0)
    assert "detected" not in stage.notes("node1")
    assert all(machine.powered for machine in stage.world.machines.values())
    assert stage.served_by() == "node1"
    stage.ends_well()


@pytest.mark.parametrize("away_s", [3.5, 6.0, 11.0])
@pytest.mark.parametrize(
    ("kind", "node"),
    # A person who says of an active node that lives that it is down is wrong, and is believed.
    [*product((WITNESS, PATHS), NODES), (ASK_OPERATOR.arbitration, "node2")],
)
def test_the_old_word_of_a_node_that_decides_nothing_takes_no_right_away(
    kind: ArbitrationKind, node: str, away_s: float
) -> None:
    """Its heart is heard again, and says that it is together with whom it has not heard since."""
    stage = Stage(with_kind(kind, UNWATCHED)).begin()
    stage.suffers(HangDaemon(node, 14.0, beats=True))
    decides_again_s = stage.now_s + 14.0
    stage.run_for(0.5)
    stage.cuts_off(for_s=away_s)
    stage.run_for(3.2)
    if kind is ASK_OPERATOR.arbitration:
        stage.world.confirm(other(node))
    stage.waits_for(lambda: stage.standing(other(node)) is Standing.ALONE, 1.0)
    while stage.now_s < decides_again_s - 0.2:
        stage.run_for(0.1)
        assert stage.standing(other(node)) is Standing.ALONE
    stage.waits_for(stage.is_together, 30.0)
    stage.ends_well()


@pytest.mark.parametrize("kind", [WITNESS, PATHS])
def test_nor_is_it_missed_when_nobody_is_left_to_ask(kind: ArbitrationKind) -> None:
    """The third party is lost after it said that node1 may act alone."""
    stage = Stage(with_kind(kind, UNWATCHED)).begin()
    stage.suffers(HangDaemon("node2", LONG_S, beats=True))
    stage.run_for(0.5)
    stage.suffers(Cut(PRIVATE, NODES, LONG_S), Cut(PUBLIC, NODES, 5.0))
    stage.run_for(4.0)
    if kind is WITNESS:
        stage.loses_witness()
    else:
        stage.suffers(LoseReference(("node1",), LONG_S))
    stage.run_for(120.0)
    assert stage.standing("node1") is Standing.ALONE
    assert stage.served_by() == "node1"
    stage.ends_well()
