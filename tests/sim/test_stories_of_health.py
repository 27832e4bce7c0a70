"""Told stories: what monitors find is mended here, there, or rests, and never goes to and fro."""

from collections.abc import Callable

import pytest

from hapair.core.words.events import Clear
from tests.sim.machine import Core
from tests.sim.mutants_of_health import MUTANTS_OF_HEALTH, fails_on, shape, starts
from tests.sim.run import CORE
from tests.sim.settings import NODES
from tests.sim.sickness import ProgramFails
from tests.sim.stage import LONG_S, ORDERS, Stage

STORIES = tuple(dict.fromkeys(each.story for each in MUTANTS_OF_HEALTH if each.story is not None))


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_story_ends_as_it_should(story: Callable[[Core], None]) -> None:
    story(CORE)


def test_a_program_that_died_serves_again_at_once() -> None:
    stage = Stage(shape()).begin()
    stage.suffers(ProgramFails(ORDERS, 60.0, 1.0, NODES))
    assert stage.waits_for(lambda: starts(stage) != [], 5.0) < 1.5
    stage.ends_well()


def test_what_rests_is_tried_at_once_when_a_person_says_so() -> None:
    stage = Stage(shape()).begin()
    stage.suffers(fails_on(*NODES))
    stage.run_for(20.0)
    assert stage.served_by() == ""
    stage.faults.end_all()
    before = len(starts(stage))
    stage.run_for(10.0)
    assert len(starts(stage)) == before
    owner = stage.world.owner(ORDERS)
    assert owner is not None
    assert stage.types(owner, Clear(ORDERS)).accepted
    stage.waits_for(lambda: stage.served_by() == owner, 10.0)


def test_a_new_daemon_adopts_the_run_and_restarts_nothing() -> None:
    stage = Stage(shape()).begin()
    stage.world.kill_daemon("node1", 0.5)
    stage.run_for(10.0)
    assert starts(stage) == []
    daemon = stage.world.machines["node1"].daemon
    assert daemon is not None
    assert daemon.watched[ORDERS] == 1


def test_a_program_that_dies_while_its_daemon_is_away_is_started_by_the_next() -> None:
    stage = Stage(shape()).begin()
    stage.world.kill_daemon("node1", 2.0)
    stage.suffers(ProgramFails(ORDERS, LONG_S, LONG_S, NODES))
    stage.waits_for(lambda: starts(stage) == ["node1"], 10.0)
