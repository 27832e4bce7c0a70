"""What a step costs grows with the number of applications, not with its square."""

import gc
import sys
from types import FrameType
from typing import Any

import pytest

from hapair.core import explain, node
from hapair.core.words.effects import Act, Effect, Layer, Look
from hapair.core.words.events import (
    Ended,
    EndedTogether,
    Introduce,
    LookAgain,
    Looked,
    LookedTogether,
    Tick,
)
from hapair.core.words.state import NodeState
from hapair.model.outcome import Done
from hapair.model.status import Phase, Wanted
from tests.core.bench import Bench, built
from tests.sim.settings import application

FEW = 4
MANY = 4 * FEW
SLACK = 1.1


def running(applications: int) -> NodeState:
    names = [f"app{number:02}" for number in range(applications)]
    bench = Bench(built(*map(application, names)))
    bench.together()
    for name in names:
        bench.command(Introduce(name, Wanted.UP))
    assert bench.state.published is not None
    said = bench.state.published.applications
    assert [each.phase for each in said] == [Phase.RUNNING] * applications
    return bench.state


def tick(state: NodeState) -> None:
    node.step(state, Tick(state.now_s + 0.1))


def clstat(state: NodeState) -> None:
    explain.report(state, state.now_s)


def lines(work: Any, state: NodeState) -> int:  # noqa: ANN401 - a function
    """Return how many lines of code the work goes through."""
    count = 0

    def seen(_frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401
        nonlocal count
        count += event == "line"
        return seen

    before = sys.gettrace()
    gc.disable()  # The ends of what other tests left are no lines of this work.
    sys.settrace(seen)
    try:
        work(state)
    finally:
        sys.settrace(before)
        gc.enable()
    return count


@pytest.mark.parametrize("work", [tick, clstat])
def test_an_application_costs_as_much_among_many_as_among_few(work: Any) -> None:  # noqa: ANN401
    few, many = running(FEW), running(MANY)
    assert lines(work, many) <= lines(work, few) * MANY / FEW * SLACK


def looks_in(effects: tuple[Effect, ...]) -> list[Look]:
    return [effect for effect in effects if isinstance(effect, Look)]


def test_many_items_are_looked_at_each_once_and_answered_in_one_step() -> None:
    before = running(MANY)
    state, effects = node.step(before, LookAgain(before.now_s))
    looks = looks_in(effects)
    asked = {(look.application, look.layer, look.resource) for look in looks}
    assert len(asked) == len(looks) >= 2 * MANY
    answers = tuple(Looked(state.now_s, look.effect_id, up=True) for look in looks)
    state, effects = node.step(state, LookedTogether(state.now_s, answers))
    assert state.items == before.items
    assert looks_in(effects) == []
    assert state.unsure == ()


def test_the_addresses_of_many_are_put_back_in_as_many_steps_as_those_of_one() -> None:
    before = running(MANY)
    state, effects = node.step(before, LookAgain(before.now_s))
    now_s = state.now_s
    answers = tuple(
        Looked(now_s, look.effect_id, up=look.layer is not Layer.ADDRESSED)
        for look in looks_in(effects)
    )
    state, effects = node.step(state, LookedTogether(now_s, answers))
    acts = [effect for effect in effects if isinstance(effect, Act)]
    assert len(acts) == MANY
    ends = tuple(Ended(now_s, act.effect_id, Done()) for act in acts)
    state, _ = node.step(state, EndedTogether(now_s, ends))
    addressed = [each for item, each in state.every_item() if item.layer is Layer.ADDRESSED]
    assert all(each.upkeep.put_back == 1 and not each.busy for each in addressed)
