"""Many actions at once: so many begin, and what was ended before its turn never does."""

import asyncio
from dataclasses import replace

from hapair.core.words.effects import Act, Do
from hapair.model.outcome import Refused
from hapair.runtime.node.perform import KILLED_BEFORE, PROMOTED_AT_ONCE
from hapair.runtime.node.turns import AT_ONCE
from tests.runtime.fakes import VOLUME
from tests.runtime.test_perform import Stage, act, stage

__all__ = ["stage"]


async def a_moment() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_many_volumes_take_turns_and_nothing_that_ends_them_waits(stage: Stage) -> None:
    """FAIL: hundreds of programs at once keep the daemon from its heartbeats."""
    first = stage.performer.built
    assert first is not None
    one = first.applications[0]
    volumes = tuple(replace(VOLUME, resource=f"orders.v{n}", minor=n) for n in range(64))
    stage.performer.built = replace(first, applications=(replace(one, volumes=volumes),))
    for number, volume in enumerate(volumes):
        stage.machine.gates[f"promote {volume.resource}"] = asyncio.Event()
        await stage.performer.perform(act(Do.PROMOTE, number, volume.resource))
    await stage.performer.perform(act(Do.DETACH, 100, volumes[0].resource))
    await stage.performer.perform(act(Do.STOP_PROGRAM, 101))
    await a_moment()
    promoted = [each for each in stage.machine.asked if each.startswith("promote")]
    assert len(promoted) == PROMOTED_AT_ONCE < len(volumes)
    assert list(stage.outcomes()) == [100, 101]
    for gate in stage.machine.gates.values():
        gate.set()
    await stage.do()
    assert len(stage.outcomes()) == len(volumes) + 2


async def test_a_start_that_was_killed_while_it_waited_for_its_turn_never_begins(
    stage: Stage,
) -> None:
    """FAIL: a node that lost its right starts it, and takes it for down: its end is ignored."""
    first = stage.performer.built
    assert first is not None
    one = first.applications[0]
    names = [f"web{number}" for number in range(AT_ONCE + 1)]
    apps = (replace(one.application, name=name) for name in names)
    those = tuple(replace(one, application=each, volumes=()) for each in apps)
    stage.performer.built = replace(first, applications=those)
    for number, name in enumerate(names):
        stage.machine.gates[f"start {name}"] = asyncio.Event()
        await stage.performer.perform(Act(number, Do.START_PROGRAM, name, "", 5.0))
    await a_moment()
    last = names[-1]
    await stage.performer.perform(Act(100, Do.KILL_PROGRAM, last, "", 5.0))
    for gate in stage.machine.gates.values():
        gate.set()
    await stage.do()
    assert f"kill {last}" in stage.machine.asked
    assert f"start {last}" not in stage.machine.asked
    assert stage.outcomes()[AT_ONCE] == Refused(KILLED_BEFORE)
    await stage.do(Act(101, Do.START_PROGRAM, last, "", 5.0))
    assert stage.machine.asked[-1] == f"start {last}"
