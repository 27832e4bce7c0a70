"""A disk that fails a moment before something is given to its node (decision 0036)."""

from math import inf

import pytest

from hapair.core.words.events import Leave, Move
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing
from tests.sim.faults import SlowStore
from tests.sim.machine import Core
from tests.sim.run import CORE
from tests.sim.stage import LONG_S, WITNESS, Stage, with_kind

each_kind = pytest.mark.parametrize("kind", ArbitrationKind)


def moved_to_a_dead_disk(kind: ArbitrationKind, core: Core = CORE) -> Stage:
    stage = Stage(with_kind(kind), core=core).begin()
    stage.suffers(SlowStore("node2", inf, LONG_S))
    stage.world.command("node1", Move("orders"))
    stage.run_for(2.0)
    return stage


@each_kind
def test_a_move_to_it_comes_back(kind: ArbitrationKind) -> None:
    stage = moved_to_a_dead_disk(kind)
    stage.waits_for(lambda: stage.served_by() == "node1", 30.0)
    stage.run_for(60.0)
    assert stage.served_by() == "node1"
    stage.ends_well()


@each_kind
@pytest.mark.parametrize("since_s", [0.0, 20.0])
def test_who_would_leave_everything_to_it_stays(kind: ArbitrationKind, since_s: float) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(SlowStore("node2", inf, LONG_S))
    stage.run_for(since_s)
    answer = stage.types("node1", Leave(handover=True))
    assert not answer.accepted
    assert "node2 cannot store" in answer.text
    stage.waits_for(lambda: stage.served_by() == "node1", 30.0)
    stage.ends_well()


@each_kind
def test_a_machine_that_goes_down_gives_what_it_has(kind: ArbitrationKind) -> None:
    """node2 takes note of it as soon as its disk takes something."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(SlowStore("node2", inf, 60.0))
    stage.types("node1", Leave(handover=True, shutdown=True), 100.0)
    stage.waits_for(lambda: stage.served_by() == "node2", 120.0)
    stage.ends_well()


def test_nor_when_it_fails_after_the_move_has_begun() -> None:
    stage = Stage(with_kind(WITNESS)).begin()
    stage.world.command("node1", Move("orders"))
    stage.run_for(0.3)
    stage.suffers(SlowStore("node2", inf, LONG_S))
    stage.waits_for(lambda: stage.served_by() == "node1", 30.0)
    stage.ends_well()


def test_a_move_to_a_good_disk_takes_no_longer() -> None:
    stage = Stage(with_kind(WITNESS)).begin()
    stage.world.command("node1", Move("orders"))
    assert stage.waits_for(lambda: stage.served_by() == "node2", 10.0) < 4.0
    assert stage.standing("node1") is Standing.TOGETHER
    assert all(stage.state(node).trial.number == 0 for node in ("node1", "node2"))
    stage.ends_well()
