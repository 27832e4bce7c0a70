"""What every ``Paths`` promises; the real one in two network namespaces."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from hapair.adapters.network.paths import NetworkPaths
from hapair.ports.network import Paths
from tests.adapters.clusters import cluster
from tests.adapters.namespaces import cable, new_network
from tests.fakes.hands import FakePaths
from tests.processes import PATIENCE_S


@dataclass(frozen=True, slots=True)
class World:
    paths: Paths
    plug: Callable[[bool], object]


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.native)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        fake = FakePaths(answering={"public"})
        fake.use(cluster())
        yield World(fake, lambda up: fake.set_link("public", up=up))
        return
    with new_network() as here, new_network() as there:
        cable(here, "pub0", there, "pub0")
        here.ip("address", "add", "10.77.1.1/24", "dev", "pub0")
        there.ip("address", "add", "10.77.1.2/24", "dev", "pub0")
        with here.entered():
            yield World(
                NetworkPaths(cluster(), "node1"),
                lambda up: there.ip("link", "set", "pub0", "up" if up else "down"),
            )


async def test_a_link_is_up_until_the_cable_is_pulled_and_each_change_is_told_once(
    world: World,
) -> None:
    told: asyncio.Queue[bool] = asyncio.Queue()
    world.paths.on_link_change(lambda name, up: told.put_nowait(up) if name == "public" else None)
    assert world.paths.link_up("public")
    for up in (False, True):
        world.plug(up)
        async with asyncio.timeout(PATIENCE_S):
            assert await told.get() is up
        assert world.paths.link_up("public") is up
    assert told.empty()
    if isinstance(world.paths, NetworkPaths):
        world.paths.close()


async def test_the_reference_answers_while_the_network_works(world: World) -> None:
    assert await world.paths.reference_answers("public", timeout_s=PATIENCE_S)
    world.plug(False)  # noqa: FBT003 - Pull the cable.
    assert not await world.paths.reference_answers("public", timeout_s=0.3)


async def test_an_unknown_network_is_down_and_answers_nothing(world: World) -> None:
    assert not world.paths.link_up("unheard-of")
    assert not await world.paths.reference_answers("unheard-of", timeout_s=0.1)
