"""A disk that takes nothing any more (runbook 28): nobody waits for the word of such a node."""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Final

import pytest

from hapair.core.words.events import Halt, Leave, Move
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection
from hapair.model.status import Standing
from hapair.runtime.node.guard import BOUND
from tests.sim.by_hand import ByHand, Deed
from tests.sim.faults import Cut, KillDaemon, LoseReference, Partition, SlowStore
from tests.sim.holders import HoldDevice
from tests.sim.machine import Core
from tests.sim.run import CORE
from tests.sim.settings import NODES, PRIVATE, PUBLIC, Shape, application
from tests.sim.stage import (
    DATA,
    LONG_S,
    ONE_APPLICATION,
    ORDERS,
    WEB,
    WEB_TOO,
    WITNESS,
    Stage,
    with_kind,
)
from tests.sim.watch import ASKED_FOR_S

each_kind = pytest.mark.parametrize("kind", ArbitrationKind)
each_bound = pytest.mark.parametrize("kind", BOUND)
FULL_S: Final = 60.0


def full(node: str, for_s: float = LONG_S) -> SlowStore:
    return SlowStore(node, inf, for_s)


def goes_on(stage: Stage) -> bool:
    """Tell whether a write is acknowledged within the next second."""
    before = stage.acknowledged()
    stage.run_for(1.0)
    return stage.acknowledged() > before


@each_kind
def test_while_the_copies_are_connected_nothing_happens(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(full("node2"), full("node1"))
    stage.run_for(200.0)
    assert stage.is_together()
    assert stage.acts == []
    assert stage.outage_s() < 1.0
    stage.ends_well()


@each_kind
def test_the_active_node_goes_on_without_a_stand_by_that_cannot_store(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(full("node2", 300.0))
    stage.run_for(20.0)
    stage.suffers(Cut(PRIVATE, NODES, 400.0))
    took_s = stage.waits_for(lambda: goes_on(stage) and not stage.copy("node1").suspended, 30.0)
    assert took_s < 25.0
    assert stage.served_by() == "node1"
    stage.run_for(100.0)
    assert goes_on(stage)
    assert stage.runs_on() == ("node1",)
    stage.run_for(600.0)
    assert stage.served_by() == "node1"
    stage.ends_well()


@each_kind
@pytest.mark.parametrize("tenths", range(0, 120, 6))
def test_the_disk_may_take_something_again_at_any_moment(
    kind: ArbitrationKind, tenths: int
) -> None:
    """What it stores then may meet an epoch that was granted, or asked for, meanwhile."""
    stage = Stage(with_kind(kind), seed=f"again after {tenths}").begin()
    stage.suffers(full("node2", 20.0 + tenths / 10))
    stage.run_for(20.0)
    stage.suffers(Cut(PRIVATE, NODES, 120.0))
    stage.run_for(60.0)
    assert stage.served_by() == "node1"
    assert goes_on(stage)
    stage.dies("node1")  # What node2 lacks must not be served by it.
    stage.run_for(30.0)
    stage.ends_well()


@each_kind
def test_who_went_on_and_died_is_not_followed_by_an_old_copy(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(full("node2", 90.0))
    stage.run_for(20.0)
    stage.suffers(Cut(PRIVATE, NODES, 400.0))
    stage.run_for(40.0)
    assert goes_on(stage)
    stage.dies("node1")
    stage.run_for(120.0)
    assert stage.served_by() == "", "the copy of node2 misses writes"
    stage.ends_well()


def waits_with_a_record(stage: Stage) -> None:
    """What node2 stores has nothing to do with what it hears next."""
    stage.world.command("node1", Halt(WEB))
    stage.run_for(2.0)


def waits_with_a_loss(stage: Stage) -> None:
    """What node2 stores is the loss of a connection that is made again meanwhile."""
    stage.suffers(Cut(PRIVATE, NODES, 3.0))
    stage.waits_for(lambda: stage.state("node1").losses == 1, 3.0)
    stage.waits_for(lambda: stage.copy("node1").connection is Connection.CONNECTED, 5.0)
    stage.run_for(1.0)


def went_on_alone_meanwhile(waits: Callable[[Stage], None], core: Core = CORE) -> Stage:
    """node2 stores all the time, while node1 writes alone and is halted; then it is heard again."""
    stage = Stage(with_kind(ArbitrationKind.OPERATOR, WEB_TOO), core=core).begin()
    stage.suffers(full("node2", FULL_S - 0.6))  # It tries again once a second.
    waits(stage)
    stage.suffers(Cut(PRIVATE, NODES, FULL_S))
    stage.waits_for(lambda: goes_on(stage), 30.0)
    stage.types("node1", Leave(handover=False))
    stage.waits_for(lambda: stage.standing("node2") is Standing.ALONE, FULL_S)
    return stage


@pytest.mark.parametrize("waits", [waits_with_a_record, waits_with_a_loss])
def test_what_was_written_alone_meanwhile_is_not_forgotten_for_what_was_said_last(
    waits: Callable[[Stage], None],
) -> None:
    """When its disk takes something again, node1 is halted and says nothing of it any more."""
    stage = went_on_alone_meanwhile(waits)
    assert stage.stored("node2").behind == (DATA,)
    stage.run_for(20.0)
    assert stage.served_by() == "", "the copy of node2 misses writes"
    stage.ends_well()


@pytest.mark.parametrize("seed", range(4))
def test_a_loser_that_runs_nothing_any_more_is_not_waited_for(seed: int) -> None:
    """It had stopped before its disk was full, and is heard again before its lease is over."""
    stage = Stage(with_kind(WITNESS, WEB_TOO), seed=f"idle {seed}").begin()
    stage.types("node1", Move(WEB))
    stage.waits_for(lambda: stage.served_by(WEB) == "node2", 30.0)
    stage.loses_witness("node2", for_s=12.0)
    stage.cuts_off(for_s=12.0)
    stage.waits_for(lambda: stage.runs_on(WEB) == (), 12.0)
    stage.run_for(0.5)
    stage.suffers(full("node2"))
    stage.waits_for(lambda: stage.served_by(WEB) == "node1", 40.0)
    stage.run_for(60.0)
    assert stage.runs_on(WEB) == ("node1",)
    stage.ends_well()


@each_kind
@pytest.mark.parametrize("shape", [WEB_TOO, replace(WEB_TOO, watchdog=True)])
def test_what_has_no_replicated_data_never_runs_twice(kind: ArbitrationKind, shape: Shape) -> None:
    """node2 cannot even stop what it runs; the checkers look at it all the time."""
    stage = Stage(with_kind(kind, shape)).begin()
    stage.types("node1", Move(WEB))
    stage.waits_for(lambda: stage.served_by(WEB) == "node2", 30.0)
    stage.suffers(full("node2", 300.0))
    stage.run_for(20.0)
    stage.suffers(Cut(PRIVATE, NODES, 400.0))
    stage.waits_for(lambda: goes_on(stage), 30.0)
    stage.run_for(60.0)
    assert goes_on(stage)
    assert len(stage.runs_on(WEB)) == 1
    stage.ends_well()


def test_nor_after_a_short_break_of_the_last_network_without_a_watchdog() -> None:
    """That nothing is heard of node2 for a moment is no proof that it ended."""
    shape = with_kind(ArbitrationKind.WITNESS, replace(WEB_TOO, watchdog=False))
    stage = Stage(shape).begin()
    stage.types("node1", Move(WEB))
    stage.waits_for(lambda: stage.served_by(WEB) == "node2", 30.0)
    stage.suffers(full("node2", 200.0))
    stage.run_for(20.0)
    stage.suffers(Cut(PRIVATE, NODES, 400.0))
    stage.run_for(60.0)
    assert stage.standing("node1") is Standing.ALONE
    stage.suffers(Cut(PUBLIC, NODES, 5.0))
    stage.run_for(30.0)
    assert stage.runs_on(WEB) == ("node2",)
    stage.ends_well()


def test_without_a_watchdog_it_keeps_the_addresses_of_what_its_kernel_froze() -> None:
    web = application(WEB, preferred="node2")
    stage = Stage(replace(ONE_APPLICATION, applications=(application(ORDERS), web))).begin()
    stage.waits_for(lambda: stage.served_by(WEB) == "node2", 20.0)
    stage.suffers(full("node2", 100.0))
    stage.world.command("node2", Halt(WEB))  # It waits for its disk from now on.
    stage.run_for(10.0)
    stage.suffers(Cut(PRIVATE, NODES, 100.0))
    stage.waits_for(lambda: stage.runs_on(WEB) == NODES, 30.0)
    stage.run_for(10.0)
    stage.ends_well()


@each_kind
def test_what_was_typed_while_nothing_could_be_stored_is_done_afterwards(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(SlowStore("node1", inf, ASKED_FOR_S + 20.0))
    stage.world.command("node1", Halt("orders"))
    stage.run_for(ASKED_FOR_S)
    assert stage.runs_on() == ("node1",)
    stage.waits_for(lambda: stage.runs_on() == (), 60.0)


@each_kind
def test_a_node_that_cannot_store_is_reset_once_at_most(kind: ArbitrationKind) -> None:
    """It runs something and is cut off: a reset is right, if the peer relies on its lease."""
    stage = Stage(with_kind(kind, replace(ONE_APPLICATION, watchdog=True))).begin()
    stage.suffers(full("node1"))
    stage.run_for(200.0)
    boots = stage.world.machines["node1"].boots
    assert boots == 1
    stage.suffers(LoseReference(("node1",), 110.0))
    stage.cuts_off(for_s=100.0)
    stage.run_for(600.0)
    assert stage.world.machines["node1"].boots <= boots + 1
    stage.ends_well()


@each_bound
@pytest.mark.parametrize("kills", [1, 2, 3])
def test_a_restart_of_the_daemon_puts_off_no_reset(kind: ArbitrationKind, kills: int) -> None:
    """The kill itself feeds the device once more; no new daemon does, unheard on a full disk.

    With paths nothing need be stored before this node stops: then it does so, and is not reset.
    """
    stage = Stage(with_kind(kind, replace(ONE_APPLICATION, watched=BOUND))).begin()
    node, cluster = stage.world.machines["node1"], stage.world.built.cluster
    assert cluster.watchdog is not None
    # With paths it stops by itself; what holds the device keeps it from that.
    stage.suffers(full("node1"), HoldDevice("node1", DATA, ends=False, for_s=None))
    stage.run_for(20.0)
    boots, begin_s = node.boots, stage.now_s
    stage.suffers(LoseReference(("node1",), LONG_S), Partition(NODES, 100.0, arp=True))
    stage.run_for(5.5)
    for _ in range(kills):
        stage.suffers(KillDaemon("node1", 0.5))
        stage.run_for(1.5)
    ends_s = begin_s + cluster.lease_s + cluster.watchdog.timeout_s
    stage.waits_for(lambda: "node1" not in stage.runs_on(), ends_s - stage.now_s)
    stage.run_for(60.0)
    assert node.boots == boots + 1 or (node.boots == boots and kind is ArbitrationKind.PATHS)
    stage.ends_well()


@each_bound
def test_nor_resets_a_node_beside_a_peer_that_hears_it(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind, replace(ONE_APPLICATION, watched=BOUND))).begin()
    node = stage.world.machines["node1"]
    boots = node.boots
    stage.suffers(full("node1"))
    for restart_s in (0.5, 2.0, 4.0):
        stage.suffers(KillDaemon("node1", restart_s))
        stage.run_for(30.0)
    assert node.boots == boots
    assert stage.served_by() == "node1"
    stage.ends_well()


@each_kind
def test_the_stand_by_takes_over_from_a_node_that_boots_with_a_full_disk(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(full("node1"))
    stage.run_for(20.0)
    stage.world.power_off("node1")
    stage.run_for(0.5)
    stage.world.power_on("node1")
    if kind is ArbitrationKind.OPERATOR:
        stage.run_for(100.0)
        assert stage.served_by() == ""
    else:
        stage.takes_over("node2", 60.0)
        stage.run_for(200.0)
        assert stage.served_by() == "node2"
        switched_off = kind is ArbitrationKind.FENCING
        assert stage.standing("node1") is (None if switched_off else Standing.HALTED)
    stage.ends_well()


@each_kind
def test_a_new_daemon_on_a_full_disk_says_so_at_once(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(full("node2"))
    stage.suffers(KillDaemon("node2", 2.0))
    stage.run_for(100.0)
    assert stage.served_by() == "node1"
    stage.suffers(Cut(PRIVATE, NODES, 100.0))
    stage.run_for(40.0)
    assert goes_on(stage)
    stage.ends_well()


@each_kind
def test_an_active_node_that_cannot_store_goes_on_when_its_stand_by_can(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(full("node1", 200.0))
    stage.run_for(20.0)
    stage.suffers(Cut(PRIVATE, NODES, 60.0))
    stage.run_for(40.0)
    assert stage.served_by() in NODES
    assert goes_on(stage)
    stage.ends_well()


@each_kind
def test_what_could_not_be_stored_is_not_forgotten_by_the_next_daemon(
    kind: ArbitrationKind,
) -> None:
    """node2 heard that node1 acts alone, which its disk did not take; then it hears nobody."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(full("node2"), ByHand("node2", DATA, Deed.DISCONNECT))
    stage.waits_for(lambda: goes_on(stage), 30.0)
    stage.run_for(8.0)
    stage.suffers(KillDaemon("node2", 0.5))
    stage.run_for(0.2)
    stage.dies("node1")
    stage.run_for(20.0)
    stage.world.machines["node2"].store_s = 0.0
    stage.run_for(60.0)
    assert stage.served_by() == ""
    if kind in (ArbitrationKind.PATHS, ArbitrationKind.OPERATOR):
        assert "never-joined" in stage.alarms("node2")
    stage.ends_well()


def test_nor_does_it_keep_two_nodes_apart_that_hear_each_other() -> None:
    stage = Stage(with_kind(ArbitrationKind.PATHS)).begin()
    stage.suffers(full("node2"))
    stage.run_for(20.0)
    stage.suffers(KillDaemon("node2", 0.5))
    stage.run_for(10.0)
    stage.world.machines["node2"].store_s = 0.0
    stage.waits_for(stage.is_together, 10.0)
    assert not stage.world.machines["node2"].forgot
    stage.dies("node1")
    stage.takes_over("node2")
    stage.ends_well()
