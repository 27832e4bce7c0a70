"""What every ``Addresses`` promises; the real one in two network namespaces."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from hapair.adapters.network.addresses import ServiceAddresses
from hapair.model.application import ServiceAddress
from hapair.model.outcome import Done, Refused
from hapair.ports.network import Addresses
from tests.adapters.clusters import cluster, present, service, trouble
from tests.adapters.namespaces import cable, new_network
from tests.fakes.hands import FakeAddresses
from tests.processes import PATIENCE_S

ALL = service("10.77.1.50/24", "10.77.1.51/24", "fd77:1::50/64")

ASKS_FOR_S = 0.25  # The kernel of a busy host answers late.


@dataclass(frozen=True, slots=True)
class World:
    addresses: Addresses
    give_to_another: Callable[[ServiceAddress], object]
    vanish: Callable[[ServiceAddress], object]  # Somebody removes it.


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.native)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "fake":
        fake = FakeAddresses()
        yield World(fake, fake.foreign.add, fake.vanish)
        return
    with new_network() as here, new_network() as there:
        cable(here, "pub0", there, "pub0")
        for network, number in ((here, 1), (there, 2)):
            network.ip("address", "add", f"10.77.1.{number}/24", "dev", "pub0")
            network.ip("address", "add", f"fd77:1::{number}/64", "dev", "pub0", "nodad")
        with here.entered():
            made = ServiceAddresses(
                cluster(), "node1", probe_interval_s=ASKS_FOR_S, announce_again_after_s=()
            )
            yield World(
                made,
                lambda one: there.ip("address", "add", str(one.address), "dev", "pub0"),
                lambda one: here.ip(
                    *("address", "del", f"{one.address.ip}/{one.address.max_prefixlen}"),
                    *("dev", "pub0"),
                ),
            )
            made.close()


async def test_what_is_added_is_present_until_it_is_removed(world: World) -> None:
    assert await present(world.addresses, ALL) is False
    assert isinstance(await world.addresses.add(ALL, timeout_s=PATIENCE_S), Done)
    assert await present(world.addresses, ALL) is True
    assert isinstance(await world.addresses.remove(ALL, timeout_s=PATIENCE_S), Done)
    assert await present(world.addresses, ALL) is False


async def test_some_of_them_is_neither_all_nor_none(world: World) -> None:
    await world.addresses.add(ALL[:1], timeout_s=PATIENCE_S)
    assert await present(world.addresses, ALL) is None
    assert isinstance(await world.addresses.add(ALL, timeout_s=PATIENCE_S), Done)
    assert await present(world.addresses, ALL) is True


async def test_announcing_changes_nothing(world: World) -> None:
    await world.addresses.add(ALL[:1], timeout_s=PATIENCE_S)
    assert isinstance(await world.addresses.announce(ALL, timeout_s=PATIENCE_S), Done)
    assert await present(world.addresses, ALL[:1]) is True
    assert await present(world.addresses, ALL) is None


async def test_every_action_may_be_repeated(world: World) -> None:
    for _ in range(2):
        assert isinstance(await world.addresses.add(ALL, timeout_s=PATIENCE_S), Done)
    for _ in range(2):
        assert isinstance(await world.addresses.remove(ALL, timeout_s=PATIENCE_S), Done)


async def test_an_address_of_another_machine_is_refused_and_nothing_is_added(
    world: World,
) -> None:
    world.give_to_another(ALL[1])
    outcome = await world.addresses.add(ALL, timeout_s=PATIENCE_S)
    assert isinstance(outcome, Refused)
    assert "10.77.1.51" in outcome.why
    assert await present(world.addresses, ALL) is False


async def test_no_addresses_are_all_present(world: World) -> None:
    assert isinstance(await world.addresses.add((), timeout_s=PATIENCE_S), Done)
    assert await present(world.addresses, ()) is True


async def test_what_somebody_removes_is_told_and_named_until_it_is_added_again(
    world: World,
) -> None:
    told = asyncio.Event()
    assert isinstance(await world.addresses.add(ALL, timeout_s=PATIENCE_S), Done)
    assert await trouble(world.addresses, ALL) == ""
    world.addresses.on_change(told.set)
    for one in (ALL[0], ALL[2]):
        told.clear()
        world.vanish(one)
        async with asyncio.timeout(PATIENCE_S):
            await told.wait()
        assert f"{one.address.ip} is on no card" in await trouble(world.addresses, ALL)
        assert await present(world.addresses, ALL) is None
    assert isinstance(await world.addresses.add(ALL, timeout_s=PATIENCE_S), Done)
    assert await present(world.addresses, ALL) is True
    assert await trouble(world.addresses, ALL) == ""
