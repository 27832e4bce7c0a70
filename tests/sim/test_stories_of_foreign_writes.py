"""Told stories: somebody writes to a volume behind DRBD, while DRBD does not have it."""

from dataclasses import replace

import pytest

from hapair.core.words.effects import Do
from hapair.core.words.events import ConfirmCopy, ConfirmPeerDown, Form, Leave
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing
from tests.sim.faults import FOREIGN_WRITE as FOREIGN
from tests.sim.faults import FailActions, PullCable, WriteBehind
from tests.sim.machine import Trouble
from tests.sim.settings import NODES, PUBLIC, application
from tests.sim.stage import DATA, FENCING, KINDS, LONG_S, ORDERS, WITNESS, Stage, with_kind

each_kind = pytest.mark.parametrize("kind", KINDS)
ALARM = "written-behind"


def writes_behind(stage: Stage, node: str) -> None:
    assert not stage.copy(node).configured, "DRBD keeps others from what it has"
    stage.suffers(WriteBehind(node, DATA))


def both_lose_power_and_node1_is_written(stage: Stage) -> None:
    for node in NODES:
        stage.dies(node)
    stage.run_for(3.0)
    writes_behind(stage, "node1")
    for node in NODES:
        stage.world.power_on(node)


def seen_on(stage: Stage, node: str) -> bool:
    return FOREIGN in stage.copy(node).data


@each_kind
def test_a_copy_that_was_written_while_its_node_was_halted_is_made_anew(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.types("node2", Leave(handover=True))
    writes_behind(stage, "node2")
    stage.types("node2", Form())
    stage.waits_for(stage.is_redundant, 60.0)
    assert not seen_on(stage, "node2")
    assert ALARM in stage.alarms("node2")
    stage.waits_for(lambda: not stage.stored("node2").foreign, 10.0)
    stage.ends_well()


@each_kind
def test_nothing_is_doubted_when_nobody_wrote(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.types("node2", Leave(handover=True))
    stage.types("node2", Form())
    stage.waits_for(stage.is_redundant, 60.0)
    assert ALARM not in stage.alarms("node2")
    assert ("node2", Do.BRING_UP_ANEW) not in stage.acts
    stage.ends_well()


def test_of_a_copy_that_may_miss_writes_and_one_that_was_written_a_person_chooses_one() -> None:
    """The untouched one need not be thrown away; with this arbitration no epoch proves it."""
    stage = Stage(with_kind(ArbitrationKind.OPERATOR)).begin()
    both_lose_power_and_node1_is_written(stage)
    stage.waits_for(stage.is_together, 60.0)
    assert not stage.types("node2", ConfirmCopy(ORDERS)).accepted, "the copies may meet"
    stage.run_for(20.0)
    assert stage.served_by() == ""
    assert stage.types("node2", ConfirmCopy(ORDERS)).accepted
    stage.waits_for(stage.is_redundant, 60.0)
    stage.ends_well()
    assert not seen_on(stage, "node1")
    assert not seen_on(stage, "node2")


@each_kind
def test_after_a_loss_of_power_the_copy_that_nobody_touched_goes_on(kind: ArbitrationKind) -> None:
    """A line of fstab mounts the bare volume of node1 at its boot."""
    stage = Stage(with_kind(kind)).begin()
    both_lose_power_and_node1_is_written(stage)
    stage.waits_for(lambda: stage.served_by() != "", 120.0)
    assert not seen_on(stage, stage.served_by())
    stage.waits_for(stage.is_redundant, 60.0)
    assert not seen_on(stage, "node1")
    assert ALARM in stage.alarms("node1")
    stage.ends_well()


def test_a_copy_that_was_written_waits_for_the_peer_that_was_ahead() -> None:
    """node1 wrote alone; it is away when node2 comes back with a volume that somebody wrote to."""
    stage = Stage(with_kind(WITNESS)).begin()
    stage.types("node2", Leave(handover=True))
    stage.dies("node1")
    writes_behind(stage, "node2")
    stage.types("node2", Form(timeout_s=5.0))
    stage.run_for(20.0)
    assert stage.served_by() == ""
    assert stage.stored("node2").foreign
    stage.ends_well()
    assert not seen_on(stage, "node2")


def test_a_person_decides_when_the_peer_never_comes_back() -> None:
    stage = Stage(with_kind(FENCING)).begin()
    for node in NODES:
        stage.dies(node)
    writes_behind(stage, "node2")
    stage.world.power_on("node2")
    stage.waits_for(lambda: bool(stage.stored("node2").foreign), 60.0)
    if stage.standing("node2") is not Standing.ALONE:
        assert stage.types("node2", ConfirmPeerDown()).accepted
    stage.run_for(10.0)
    assert stage.served_by() == ""
    assert not stage.types("node2", ConfirmCopy("web")).accepted
    assert stage.types("node2", ConfirmCopy(ORDERS)).accepted
    stage.waits_for(lambda: stage.served_by() == "node2", 60.0)
    assert not stage.types("node2", ConfirmCopy(ORDERS)).accepted
    stage.ends_well()
    assert seen_on(stage, "node1"), "all of the peer's copy was replaced"


@each_kind
def test_of_two_copies_that_were_written_none_is_used_before_a_person_decides(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    for node in NODES:
        stage.dies(node)
    for node in NODES:
        writes_behind(stage, node)
    stage.copy("node1").data.add(FOREIGN - 1)
    for node in NODES:
        stage.world.power_on(node)
    stage.waits_for(stage.is_together, 60.0)
    stage.run_for(30.0)
    assert stage.served_by() == ""
    assert stage.types("node2", ConfirmCopy(ORDERS)).accepted
    stage.waits_for(stage.is_redundant, 60.0)
    assert FOREIGN - 1 not in stage.copy("node1").data
    stage.ends_well()


def test_an_attachment_anew_whose_answer_was_lost_is_made_again() -> None:
    """It happened, and the resync is complete before anybody knows."""
    stage = Stage(with_kind(WITNESS)).begin()
    stage.types("node2", Leave(handover=True))
    writes_behind(stage, "node2")
    stage.acts.clear()
    stage.suffers(FailActions("node2", Do.BRING_UP_ANEW, ORDERS, Trouble.HAPPENS_LATE, 40.0))
    stage.types("node2", Form())
    stage.waits_for(lambda: ("node2", Do.TAKE_DOWN) in stage.acts, 60.0)
    stage.ends_well()
    assert not seen_on(stage, "node2")
    assert not stage.stored("node2").foreign


def test_a_daemon_that_dies_while_a_copy_is_made_anew_begins_anew() -> None:
    stage = Stage(with_kind(WITNESS)).begin()
    stage.types("node2", Leave(handover=True))
    writes_behind(stage, "node2")
    stage.world.command("node2", Form())
    stage.waits_for(lambda: ("node2", Do.BRING_UP_ANEW) in stage.acts, 30.0)
    stage.dies("node2")
    stage.run_for(2.0)
    stage.ends_well()
    assert stage.is_redundant()
    assert not seen_on(stage, "node2")
    assert not stage.stored("node2").foreign
    assert DATA not in stage.stored("node2").doubtful


@pytest.mark.parametrize("seed", range(4))
def test_of_two_volumes_each_written_on_another_node_those_are_taken_that_drbd_wrote_last(
    seed: int,
) -> None:
    """The word of a person is about all volumes of a node: on node1 it would be a split brain."""
    shape = replace(with_kind(WITNESS), applications=(application(ORDERS, volumes=2),))
    stage = Stage(shape, seed=f"two volumes {seed}").begin()
    stage.suffers(PullCable(PUBLIC, "node2", LONG_S))  # Clients are told nothing of what it writes.
    stage.types("node1", Leave(handover=True))
    stage.waits_for(lambda: stage.runs_on() == ("node2",), 20.0)
    stage.suffers(WriteBehind("node1", f"{ORDERS}.data1"))
    stage.suffers(FailActions("node1", Do.BRING_UP, ORDERS, Trouble.REFUSED, 20.0))
    stage.types("node1", Form())
    stage.types("node2", Leave(handover=True))
    assert stage.standing("node1") is Standing.ALONE
    stage.suffers(WriteBehind("node2", DATA))
    stage.run_for(20.0)
    stage.ends_well()
