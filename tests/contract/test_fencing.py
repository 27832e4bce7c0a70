"""What every ``Fencing`` promises; the real one runs an agent as a process of this machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hapair.adapters.fencing.agents import FenceAgents
from hapair.adapters.shared.process import ProcessRunner
from hapair.model.cluster import FenceMethod
from hapair.model.outcome import Done, Refused, Unknown
from hapair.ports.arbiters import Fencing
from tests.adapters.fence_agents import NAME, install_agent
from tests.fakes.power import FakeFencing


@dataclass(frozen=True, slots=True)
class World:
    fencing: Fencing
    method: FenceMethod
    missing: FenceMethod
    silent: FenceMethod
    is_off: Callable[[], bool]


@pytest.fixture(params=["fake", "real"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    missing = FenceMethod("node2", "fence_nowhere")
    if request.param == "fake":
        fake = FakeFencing(missing_agents={"fence_nowhere"}, silent={"fence_silent"})
        method = FenceMethod("node2", NAME)
        silent = FenceMethod("node2", "fence_silent")
        return World(fake, method, missing, silent, lambda: "node2" in fake.off)
    install_agent(tmp_path)
    state = tmp_path / "state"
    parameters = (("status_file", str(state)),)
    hanging = (*parameters, ("behave", "hang at off"))
    return World(
        FenceAgents(ProcessRunner(), folder=tmp_path),
        FenceMethod("node2", NAME, 20.0, parameters),
        missing,
        FenceMethod("node2", NAME, 0.3, hanging),
        lambda: state.exists() and state.read_text() == "off",
    )


async def test_a_node_is_off_when_the_agent_confirmed_it(world: World) -> None:
    assert not world.is_off()
    outcome = await world.fencing.switch_off(world.method)
    assert isinstance(outcome, Done)
    assert "node2" in outcome.note
    assert world.is_off()


async def test_what_is_off_may_be_switched_off_again(world: World) -> None:
    for _ in range(2):
        assert isinstance(await world.fencing.switch_off(world.method), Done)


async def test_a_missing_agent_is_refused_with_the_mend(world: World) -> None:
    outcome = await world.fencing.switch_off(world.missing)
    assert isinstance(outcome, Refused)
    assert "apt-get install fence-agents" in outcome.why
    assert not world.is_off()


async def test_no_answer_in_time_is_never_taken_for_off(world: World) -> None:
    outcome = await world.fencing.switch_off(world.silent)
    assert isinstance(outcome, Unknown)
    assert world.silent.agent in outcome.why
