"""Told stories: one copy has no disk any more, so that nothing can be compared with it."""

from dataclasses import replace

import pytest

from hapair.core.words.events import ConfirmCopy, ConfirmPeerDown, Halt, Move, Run
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Disk
from tests.sim.faults import BreakDisk, Cut, Fault, KillDaemon, PowerOff
from tests.sim.machine import Core
from tests.sim.run import CORE
from tests.sim.settings import NODES, PRIVATE, Shape
from tests.sim.stage import DATA, KINDS, LONG_S, ORDERS, Stage, with_kind

each_kind = pytest.mark.parametrize("kind", [*KINDS, ArbitrationKind.OPERATOR])


def serves_without_its_disk(kind: ArbitrationKind) -> Stage:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(BreakDisk("node1", DATA, LONG_S))
    stage.run_for(3.0)
    assert stage.served_by() == "node1", "through the disk of node2"
    assert stage.copy("node1").disk is Disk.DISKLESS
    return stage


def lost_its_disk_unseen(shape: Shape, core: Core = CORE) -> Stage:
    """Let the disk of node1 fail while its daemon is away; then both machines lose their power."""
    stage = Stage(replace(shape, watchdog=False), core=core).begin()
    stage.suffers(KillDaemon("node1", 10.0))
    stage.run_for(0.2)
    stage.suffers(BreakDisk("node1", DATA, 3.0))
    stage.run_for(2.5)
    for node in NODES:
        stage.dies(node)
    return stage


@each_kind
def test_the_other_node_reboots_and_goes_on_with_the_only_copy(kind: ArbitrationKind) -> None:
    """Nothing can be compared, but node1 knows that it wrote nothing meanwhile."""
    stage = serves_without_its_disk(kind)
    stage.suffers(PowerOff("node2", 3.0))
    stage.waits_for(lambda: stage.served_by() == "node2", 120.0)
    assert stage.world.clients.acknowledged[DATA] <= stage.copy("node2").data
    stage.ends_well()


@each_kind
@pytest.mark.parametrize(
    "ended", [KillDaemon("node1", 1.0), PowerOff("node1", 10.0)], ids=["killed", "powered off"]
)
def test_what_was_not_written_is_known_after_a_restart_too(
    kind: ArbitrationKind, ended: Fault
) -> None:
    stage = serves_without_its_disk(kind)
    stage.suffers(PowerOff("node2", 60.0))  # So long that it is off when it is fenced.
    stage.run_for(5.0)
    stage.suffers(ended)
    stage.waits_for(lambda: stage.served_by() == "node2", 150.0)
    assert stage.world.clients.acknowledged[DATA] <= stage.copy("node2").data
    stage.ends_well()


@each_kind
def test_where_nobody_knows_a_person_may_choose_while_both_are_together(
    kind: ArbitrationKind,
) -> None:
    """No daemon of node1 saw it connected without its disk: it cannot say what its kernel did."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(KillDaemon("node1", 4.0))
    stage.run_for(0.5)
    stage.suffers(BreakDisk("node1", DATA, LONG_S))
    stage.run_for(1.0)
    stage.suffers(PowerOff("node2", 20.0))
    stage.waits_for(stage.is_together, 90.0)
    stage.run_for(30.0)
    assert stage.served_by() == ""
    owner = stage.world.owner(ORDERS) or ""
    assert "no resync" in stage.types(owner, Move(ORDERS)).text
    refused = stage.types("node2", ConfirmPeerDown())
    assert f"copy-is-good {ORDERS}" in refused.text
    assert stage.types("node2", ConfirmCopy(ORDERS)).accepted
    stage.waits_for(lambda: stage.served_by() == "node2", 60.0)
    stage.ends_well()


@each_kind
@pytest.mark.parametrize("apart", [True, False], ids=["without the link", "with the link"])
def test_a_disk_that_failed_unseen_is_not_used_once_the_nodes_have_met(
    kind: ArbitrationKind, *, apart: bool
) -> None:
    """No daemon saw it fail, both lost their power, and it looks complete (documented holes).

    Started alone, node1 would use it; after it has met node2 it waits for DRBD to compare them.
    """
    stage = lost_its_disk_unseen(with_kind(kind))
    if apart:
        stage.suffers(Cut(PRIVATE, NODES, 150.0))
    for node in NODES:
        stage.world.power_on(node)
    stage.waits_for(stage.is_together, 60.0)
    if apart:
        assert DATA in stage.stored("node1").unproven
        if kind is not ArbitrationKind.OPERATOR:
            stage.waits_for(lambda: stage.served_by() == "node2", 60.0)
    else:
        stage.waits_for(stage.is_redundant, 60.0)
    stage.dies("node2")
    stage.run_for(60.0)
    assert stage.served_by() != "node1" or not apart
    stage.world.power_on("node2")
    stage.ends_well()


def test_what_the_peer_remembers_of_a_disk_that_was_compared_since_is_older() -> None:
    """FAIL: its daemon was away when the copies met, and its word keeps the good one unused."""
    stage = Stage(with_kind(ArbitrationKind.WITNESS)).begin()
    assert stage.types("node1", Move(ORDERS)).accepted
    stage.waits_for(lambda: stage.served_by() == "node2", 20.0)
    stage.run_for(3.0)
    stage.suffers(BreakDisk("node2", DATA, 10.0))
    stage.run_for(3.0)
    assert stage.stored("node1").peer_misses == (DATA,)
    stage.suffers(KillDaemon("node1", 60.0))
    stage.run_for(25.0)
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    stage.run_for(15.0)
    assert stage.types("node2", Halt(ORDERS)).accepted
    stage.waits_for(stage.is_together, 60.0)
    stage.run_for(3.0)
    assert stage.types("node2", Run(ORDERS)).accepted
    stage.waits_for(lambda: stage.served_by() == "node2", 30.0)
