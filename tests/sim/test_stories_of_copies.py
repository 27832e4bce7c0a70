"""Told stories: whose copy has every write, when disks, links and daemons fail in turn."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from hapair.core.words.effects import Do
from hapair.core.words.events import Halt, Leave, Run
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk, Role
from hapair.model.status import Standing
from tests.sim.faults import BreakDisk, Cut, FailActions, KillDaemon
from tests.sim.machine import Core, Parcel, Trouble
from tests.sim.run import CORE
from tests.sim.settings import NODES, PRIVATE, PUBLIC, application
from tests.sim.stage import (
    DATA,
    FENCING,
    KINDS,
    LONG_S,
    ONE_APPLICATION,
    ORDERS,
    PATHS,
    WITH_FENCING,
    WITH_WITNESS,
    WITNESS,
    Stage,
    with_kind,
)

each_kind = pytest.mark.parametrize("kind", KINDS)
SECOND = "orders.data1"


def missing_on(stage: Stage, node: str) -> int:
    return len(stage.world.clients.acknowledged[DATA] - stage.copy(node).data)


@each_kind
def test_a_copy_that_is_behind_is_not_proven_by_a_peer_without_a_disk(
    kind: ArbitrationKind,
) -> None:
    """node1 writes alone, then its disk breaks, then the link is back: nothing is compared."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(Cut(PRIVATE, NODES, 15.0))
    stage.waits_for(lambda: DATA in stage.stored("node2").behind, 8.0)
    stage.run_for(5.0)
    stage.suffers(BreakDisk("node1", DATA, LONG_S))
    stage.run_for(30.0)
    assert missing_on(stage, "node2") > 0
    assert stage.served_by() == ""
    assert stage.stored("node2").behind == (DATA,)


@each_kind
def test_a_copy_that_was_away_is_not_proven_by_a_peer_whose_disk_is_gone(
    kind: ArbitrationKind,
) -> None:
    """node1 acted alone; after a loss of power it boots without its disk."""
    stage = Stage(with_kind(kind)).begin()
    stage.dies("node2")
    stage.waits_for(lambda: stage.standing("node1") is Standing.ALONE, 15.0)
    stage.run_for(5.0)
    stage.dies("node1")
    stage.run_for(3.0)
    stage.copy("node1").broken = True
    for node in NODES:
        stage.world.power_on(node)
    stage.run_for(90.0)
    assert stage.standing("node2") is Standing.TOGETHER
    assert missing_on(stage, "node2") > 0
    assert stage.served_by() == ""


@each_kind
def test_after_a_loss_of_power_the_node_whose_disk_is_whole_goes_on(kind: ArbitrationKind) -> None:
    """Nobody acted alone, which the epochs show: so nothing need be compared."""
    stage = Stage(with_kind(kind)).begin()
    for node in NODES:
        stage.dies(node)
    stage.run_for(3.0)
    stage.copy("node1").broken = True
    for node in NODES:
        stage.world.power_on(node)
    stage.waits_for(lambda: stage.served_by() == "node2", 120.0)
    assert missing_on(stage, "node2") == 0
    stage.copy("node1").broken = False
    stage.ends_well()


@each_kind
def test_one_broken_disk_of_two_gives_the_application_to_the_peer(kind: ArbitrationKind) -> None:
    shape = replace(with_kind(kind), applications=(application(ORDERS, volumes=2),))
    stage = Stage(shape).begin()
    stage.suffers(BreakDisk("node1", DATA, LONG_S))
    stage.run_for(3.0)
    stage.types("node1", Halt(ORDERS))
    stage.world.command("node1", Run(ORDERS))
    stage.waits_for(lambda: stage.served_by() == "node2", 60.0)
    assert stage.copy("node2", SECOND).disk is Disk.UP_TO_DATE
    stage.ends_well()


@each_kind
def test_what_a_dead_daemon_said_last_makes_no_complete_copy_old(kind: ArbitrationKind) -> None:
    """The daemon said that it writes alone; after its death its kernel completed the other copy."""
    stage = Stage(with_kind(kind)).begin()
    stage.world.replication.resync_takes_s = (0.3, 0.4)
    stage.suffers(Cut(PRIVATE, NODES, 4.0))
    stage.waits_for(lambda: DATA in stage.stored("node2").behind, 6.0)
    stage.run_for(0.5)
    stage.suffers(KillDaemon("node1", 4.5))
    stage.waits_for(
        lambda: (
            stage.copy("node1").connection is Connection.CONNECTED
            and stage.copy("node2").disk is Disk.UP_TO_DATE
        ),
        15.0,
    )
    stage.run_for(0.3)
    stage.dies("node1")
    stage.takes_over("node2")
    stage.ends_well()


@pytest.mark.parametrize("kind", [WITNESS, FENCING])
def test_who_lost_its_disk_does_not_win_against_the_only_good_copy(kind: ArbitrationKind) -> None:
    """node1 is active and would have the head start, but has no disk."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(BreakDisk("node1", DATA, LONG_S))
    stage.run_for(3.0)
    assert stage.served_by() == "node1", "through the disk of node2"
    stage.cuts_off()
    stage.takes_over("node2", 20.0)
    stage.ends_well()


@each_kind
def test_a_primary_that_loses_its_peer_amid_the_resync_to_itself_gives_way(
    kind: ArbitrationKind,
) -> None:
    """The other copy is whole, and the nodes hear each other."""
    stage = Stage(with_kind(kind)).begin()
    stage.world.replication.resync_takes_s = (6.0, 8.0)
    stage.suffers(BreakDisk("node1", DATA, 2.0))
    stage.waits_for(lambda: stage.copy("node1").connection is Connection.SYNC_TARGET, 20.0)
    stage.run_for(1.0)
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    stage.waits_for(lambda: stage.served_by() == "node2", 60.0)
    stage.ends_well()


def cut_right_after_a_resync(core: Core = CORE) -> Stage:
    """Cut everything while what node2 says of the newer connection is still on its way."""
    stage = Stage(WITH_WITNESS, seed="a0", core=core).begin()
    stage.world.replication.resync_takes_s = (1.0, 1.2)
    while stage.world.tunnel.wire.name != PUBLIC:
        stage.world.tunnel.close()
        stage.waits_for(lambda: stage.world.tunnel.open, 5.0)
    stage.suffers(Cut(PRIVATE, NODES, 8.0))
    stage.waits_for(lambda: DATA in stage.stored("node2").behind, 6.0)
    stage.run_for(2.0)
    stage.waits_for(lambda: stage.copy("node2").connection is Connection.SYNC_TARGET, 15.0)
    stage.run_for(0.9)
    stage.suffers(Cut(PUBLIC, NODES, LONG_S))
    stage.waits_for(lambda: DATA not in stage.stored("node2").behind, 3.0)
    stage.run_for(0.1)
    return stage


def test_what_the_peer_stored_of_an_earlier_loss_lets_nothing_be_written_at_a_later_one() -> None:
    stage = cut_right_after_a_resync()
    theirs = stage.state("node1").peer.state
    assert theirs is not None
    assert theirs.behind == (DATA,), "node1 has not heard the newer word"
    stage.loses_witness("node1")
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    stage.takes_over("node2", 20.0)
    stage.ends_well()


@pytest.mark.parametrize("kind", [WITNESS, PATHS])
def test_who_leaves_while_the_daemon_of_the_peer_starts_anew_leaves_good_copies(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(KillDaemon("node2", 0.5))
    stage.world.command("node1", Leave(handover=True))
    stage.waits_for(lambda: stage.served_by() == "node2", 60.0)
    assert stage.standing("node1") is Standing.HALTED
    stage.ends_well()


@pytest.mark.parametrize("kind", [WITNESS, FENCING])
def test_no_disk_is_given_up_whose_handler_was_just_told_to_go_on(kind: ArbitrationKind) -> None:
    """The kernel hears the answer when the handler's programs end, and crashes without a disk."""
    shape = replace(ONE_APPLICATION, applications=(application(ORDERS, volumes=2),))
    stage = Stage(with_kind(kind, shape)).begin()
    stage.dies("node2")
    stage.waits_for(lambda: stage.standing("node1") is Standing.ALONE, 20.0)
    stage.suffers(BreakDisk("node1", DATA, 20.0))
    stage.run_for(15.0)
    stage.ends_well()


def test_a_disk_that_was_given_up_is_attached_by_the_next_daemon() -> None:
    stage = Stage(WITH_WITNESS).begin()
    stage.world.attach_disks = lambda: None  # type: ignore[method-assign] # No person helps.
    stage.loses_witness("node1")
    stage.cuts_off(for_s=60.0)
    side = stage.copy("node1")
    while not (side.disk is Disk.DISKLESS and side.role is Role.SECONDARY):
        stage.run_for(0.002)
    stage.suffers(KillDaemon("node1", 0.5))
    stage.run_for(50.0)
    stage.ends_well()


def test_agents_do_not_switch_machines_off_beside_each_other() -> None:
    """node2 is deaf and the power strip slow: agents run one at a time, and no more than needed."""
    stage = Stage(WITH_FENCING).begin()
    parties = stage.world.third_parties
    parties.power_on, parties.strip.takes_s = stage.world.power_on, (8.0, 20.0)
    asked: list[str] = []
    fence = parties.fence

    def counted(peer: str, deliver: Callable[[Parcel], None]) -> None:
        asked.append(peer)
        fence(peer, deliver)

    parties.fence = counted  # type: ignore[method-assign]
    stage.cuts_off("node2", for_s=20.0)
    stage.run_for(90.0)
    assert len(asked) < 8
    stage.ends_well()


def test_a_disk_is_attached_again_although_it_could_not_be_taken_down_at_first() -> None:
    """The standby must be able to take over once its disk works again."""
    stage = Stage(WITH_WITNESS).begin()
    stage.suffers(BreakDisk("node2", DATA, 4.0))
    stage.run_for(1.0)
    stage.suffers(FailActions("node2", Do.TAKE_DOWN, ORDERS, Trouble.HANGS, 40.0))
    stage.suffers(KillDaemon("node2", 0.5))
    stage.run_for(60.0)
    stage.world.attach_disks()
    stage.waits_for(stage.is_redundant, 30.0)
    stage.dies("node1")
    stage.takes_over("node2", 20.0)
    stage.ends_well()


def test_a_loser_attaches_its_disk_although_it_could_not_be_taken_down_at_first() -> None:
    stage = Stage(WITH_WITNESS).begin()
    stage.suffers(FailActions("node1", Do.TAKE_DOWN, ORDERS, Trouble.HANGS, 60.0))
    stage.loses_witness("node1", for_s=20.0)
    stage.cuts_off(for_s=20.0)
    stage.run_for(70.0)
    stage.ends_well()
