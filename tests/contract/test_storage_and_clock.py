"""What every storage and every clock promises."""

from pathlib import Path

import pytest

from hapair.adapters.clock import SystemClock
from hapair.adapters.files import FileStorage
from hapair.ports.machine import Clock, Storage
from tests.fakes.small import FakeClock, FakeStorage


@pytest.fixture(params=["fake", "real"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return FakeStorage() if request.param == "fake" else FileStorage(tmp_path)


@pytest.fixture(params=["fake", "real"])
def clock(request: pytest.FixtureRequest) -> Clock:
    return FakeClock() if request.param == "fake" else SystemClock()


def test_what_was_never_stored_is_nothing(storage: Storage) -> None:
    assert storage.load("state.json") is None


def test_the_last_content_is_what_is_loaded(storage: Storage) -> None:
    storage.store("state.json", b"first, and longer")
    storage.store("state.json", b"second")
    assert storage.load("state.json") == b"second"


def test_what_was_forgotten_is_nothing(storage: Storage) -> None:
    storage.store("one", b"content")
    storage.forget("one")
    storage.forget("one")
    assert storage.load("one") is None


def test_names_do_not_touch_one_another(storage: Storage) -> None:
    storage.store("one", b"1")
    storage.store("two", b"")
    assert storage.load("one") == b"1"
    assert storage.load("two") == b""


def test_time_never_runs_backwards(clock: Clock) -> None:
    before = clock.monotonic_s(), clock.boot_s()
    after = clock.monotonic_s(), clock.boot_s()
    assert after[0] >= before[0]
    assert after[1] >= before[1]


def test_the_boot_clock_counts_at_least_what_the_monotonic_clock_counts(clock: Clock) -> None:
    monotonic_s = clock.monotonic_s()
    assert clock.boot_s() >= monotonic_s


def test_the_wall_clock_tells_this_century(clock: Clock) -> None:
    assert clock.wall_s() > 1.5e9
