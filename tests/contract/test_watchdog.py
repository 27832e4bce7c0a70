"""What every ``WatchdogDevice`` promises; the real one asks a stand-in of the kernel."""

import errno
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hapair.adapters.watchdog import KernelWatchdog
from hapair.model.cluster import Watchdog
from hapair.model.outcome import Done, Refused
from hapair.ports.machine import WatchdogDevice
from tests.fakes.power import FakeKernel, FakeWatchdog


@dataclass(frozen=True, slots=True)
class World:
    device: WatchdogDevice
    missing: WatchdogDevice
    runs: Callable[[], bool]  # Would the node be reset unless somebody feeds it?
    leaves_running: Callable[[], object]  # A daemon has it open, and is killed.


@pytest.fixture(params=["fake", "real"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "fake":
        fake = FakeWatchdog()
        return World(fake, FakeWatchdog(missing=True), lambda: fake.is_open, fake.crash)
    kernel = FakeKernel()
    missing = KernelWatchdog(FakeKernel(fails_to_open=errno.ENOENT))
    return World(KernelWatchdog(kernel), missing, lambda: kernel.runs, kernel.crash)


def test_it_runs_from_open_to_release_only(world: World) -> None:
    assert not world.runs()
    assert isinstance(world.device.open(Watchdog()), Done)
    world.device.feed()
    assert world.runs()
    world.device.release()
    assert not world.runs()


def test_it_may_be_opened_twice_and_once_more_after_its_release(world: World) -> None:
    for _ in range(2):
        assert isinstance(world.device.open(Watchdog()), Done)
    world.device.release()
    assert isinstance(world.device.open(Watchdog()), Done)
    assert world.runs()


def test_what_an_earlier_daemon_left_running_is_known_without_opening_it(world: World) -> None:
    assert not world.device.runs(Watchdog())
    world.leaves_running()
    assert world.device.runs(Watchdog())
    assert isinstance(world.device.open(Watchdog()), Done)
    assert not world.device.runs(Watchdog()), "it is ours"
    world.device.release()
    assert not world.device.runs(Watchdog())
    assert not world.missing.runs(Watchdog())


def test_what_is_not_open_may_be_fed_and_released(world: World) -> None:
    world.device.feed()
    world.device.release()
    assert not world.runs()


def test_a_missing_device_is_refused_with_the_mend(world: World) -> None:
    outcome = world.missing.open(Watchdog())
    assert isinstance(outcome, Refused)
    assert "modprobe softdog" in outcome.why
