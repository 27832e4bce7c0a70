"""What a step costs grows with the number of applications, not with its square."""

import sys
from types import FrameType
from typing import Any

import pytest

from hapair.core import explain, node
from hapair.core.applications.upkeep import LOOKS_AT_ONCE_MAX
from hapair.core.words.effects import Effect, Look
from hapair.core.words.events import Introduce, LookAgain, Looked, Tick
from hapair.core.words.state import NodeState
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
    sys.settrace(seen)
    try:
        work(state)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("work", [tick, clstat])
def test_an_application_costs_as_much_among_many_as_among_few(work: Any) -> None:  # noqa: ANN401
    few, many = running(FEW), running(MANY)
    assert lines(work, many) <= lines(work, few) * MANY / FEW * SLACK


def looks_in(effects: tuple[Effect, ...]) -> list[Look]:
    return [effect for effect in effects if isinstance(effect, Look)]


def test_many_items_are_looked_at_a_few_at_once_and_each_of_them_once() -> None:
    """Heartbeats wait for nothing longer than a few steps."""
    before = running(MANY)
    state, effects = node.step(before, LookAgain(before.now_s))
    waiting = looks_in(effects)
    asked = []
    while waiting:
        assert len(waiting) <= LOOKS_AT_ONCE_MAX
        look = waiting.pop(0)
        asked.append((look.application, look.layer, look.resource))
        state, effects = node.step(state, Looked(state.now_s, look.effect_id, up=True))
        waiting += looks_in(effects)
    assert len(asked) == len(set(asked)) >= 2 * MANY
    assert state.unsure == ()
