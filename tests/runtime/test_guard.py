"""The watchdog device is fed while the core decides, and released when nothing runs."""

import asyncio
from contextlib import suppress
from functools import partial

from hapair.model.cluster import Watchdog
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.guard import Guard
from tests.fakes.third_parties import DeviceSeen
from tests.runtime.conftest import names
from tests.runtime.fakes import LoopClock
from tests.runtime.virtual_time import virtually

TEN = Watchdog(timeout_s=10.0)


async def fed_for(guard: Guard, for_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(for_s):
            await guard.run()


@virtually
async def test_it_is_fed_as_long_as_the_core_decides(journal: Journal) -> None:
    clock, device = LoopClock(), DeviceSeen()
    guard = Guard(device, TEN, clock, journal, clock.boot_s)
    guard.set(on=True)
    guard.set(on=True)
    await fed_for(guard, 9.0)
    assert device.done == ["open", "feed", "feed", "feed", "feed", "feed"]
    guard.set(on=False)
    await fed_for(guard, 9.0)
    assert device.done[-1] == "release"
    assert device.done.count("release") == 1


@virtually
async def test_a_core_that_stands_still_is_not_fed(journal: Journal) -> None:
    device = DeviceSeen()
    guard = Guard(device, TEN, LoopClock(), journal, lambda: 0.0)
    guard.set(on=True)
    await fed_for(guard, 40.0)
    assert device.done.count("feed") == 2


@virtually
async def test_a_missing_device_is_an_alarm_and_stops_nothing(journal: Journal) -> None:
    guard = Guard(DeviceSeen(opens=False), TEN, LoopClock(), journal, lambda: 0.0)
    guard.set(on=True)
    assert names(journal) == ["watchdog"]
    assert not guard.open


@virtually
async def test_without_a_configured_device_nothing_is_opened(journal: Journal) -> None:
    device = DeviceSeen()
    guard = Guard(device, None, LoopClock(), journal, lambda: 0.0)
    guard.set(on=True)
    await fed_for(guard, 3.0)
    assert device.done == []


@virtually
async def test_another_device_of_a_new_configuration_is_taken_over(journal: Journal) -> None:
    device = DeviceSeen()
    guard = Guard(device, TEN, LoopClock(), journal, lambda: 0.0)
    guard.set(on=True)
    guard.use(TEN, needed=True)
    guard.use(Watchdog("/dev/watchdog1"), needed=True)
    guard.use(None, needed=True)
    assert device.done == ["open", "release", "open", "release"]


@virtually
async def test_a_device_that_runs_is_left_alone_until_no_reset_is_due(journal: Journal) -> None:
    clock, device, known = LoopClock(), DeviceSeen(left_running=True), list[bool]()
    guard = Guard(device, TEN, clock, journal, clock.boot_s, may_go_on=lambda: bool(known))
    guard.set(on=True)
    await fed_for(guard, 9.0)
    assert device.done == []
    known.append(True)
    await fed_for(guard, 3.0)
    assert device.done == ["open", "feed", "feed"]


@virtually
async def test_a_device_that_runs_is_stopped_when_nothing_runs_here(journal: Journal) -> None:
    device = DeviceSeen(left_running=True)
    guard = Guard(device, TEN, LoopClock(), journal, lambda: 0.0, may_go_on=lambda: False)
    guard.set(on=True)
    guard.set(on=False)
    guard.set(on=False)
    assert device.done == ["open", "release"]
    await fed_for(guard, 9.0)
    assert device.done == ["open", "release"]


@virtually
async def test_a_device_that_does_not_run_is_opened_at_once(journal: Journal) -> None:
    device = DeviceSeen()
    guard = Guard(device, TEN, LoopClock(), journal, lambda: 0.0, may_go_on=lambda: False)
    guard.set(on=True)
    assert device.done == ["open"]


@virtually
async def test_a_core_that_waits_is_fed_only_if_it_may(journal: Journal) -> None:
    """That it decided a moment ago does not count: it can stop nothing any more."""
    for may in (False, True):
        clock, device = LoopClock(), DeviceSeen()
        guard = Guard(device, TEN, clock, journal, clock.boot_s, lambda: True)
        guard.may_wait = partial(bool, may)
        guard.set(on=True)
        await fed_for(guard, 3.0)
        assert ("feed" in device.done) is may
