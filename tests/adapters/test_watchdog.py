"""The watchdog is opened only when it can be held, and never let go by accident."""

import errno
from pathlib import Path

import pytest

from hapair.adapters import watchdog
from hapair.adapters.watchdog import FOOD, RELEASE, RUNS_ON, KernelWatchdog
from hapair.model.cluster import Watchdog
from hapair.model.outcome import Done, Refused
from tests.fakes.power import FakeKernel

WATCHDOG = Watchdog(timeout_s=10.0)


def refusal(kernel: FakeKernel, watchdog: Watchdog = WATCHDOG) -> str:
    outcome = KernelWatchdog(kernel).open(watchdog)
    assert isinstance(outcome, Refused)
    return outcome.why


def test_it_runs_with_the_configured_timeout_from_open_to_release() -> None:
    kernel = FakeKernel()
    device = KernelWatchdog(kernel)
    outcome = device.open(WATCHDOG)
    assert isinstance(outcome, Done)
    assert "10 s" in outcome.note
    assert kernel.timeout_s == 10
    device.feed()
    assert kernel.written == [FOOD, FOOD]
    assert kernel.runs
    device.release()
    assert not kernel.runs
    assert kernel.written[-1] == RELEASE


def test_opening_it_again_keeps_the_one_that_is_open() -> None:
    kernel = FakeKernel()
    device = KernelWatchdog(kernel)
    device.open(WATCHDOG)
    assert isinstance(device.open(WATCHDOG), Done)
    assert kernel.opened == 1


def test_nothing_happens_to_a_device_that_is_not_open() -> None:
    kernel = FakeKernel()
    device = KernelWatchdog(kernel)
    device.feed()
    device.release()
    assert kernel.written == []
    assert kernel.closed == 0


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (errno.ENOENT, "modules-load.d"),
        (errno.ENODEV, "modprobe softdog"),
        (errno.EBUSY, "RuntimeWatchdogSec"),
        (errno.EACCES, "root"),
    ],
)
def test_a_device_that_cannot_be_opened_is_refused_with_the_mend(error: int, mend: str) -> None:
    why = refusal(FakeKernel(fails_to_open=error))
    assert "/dev/watchdog" in why
    assert mend in why


@pytest.mark.parametrize("kind", ["file", "terminal"])
def test_nothing_is_written_to_what_is_no_watchdog(kind: str) -> None:
    kernel = FakeKernel(kind=kind)
    assert "is no watchdog" in refusal(kernel)
    assert kernel.written == []
    assert kernel.closed == 1


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        (FakeKernel(longest_s=5), "takes no time-out of 10 s"),
        (FakeKernel(step_s=4), 'timeout="12"'),
        (FakeKernel(flags=0), "a crash of the daemon would stop"),
    ],
    ids=["too long", "rounded", "stops by itself"],
)
def test_a_device_of_no_use_is_stopped_again(kernel: FakeKernel, said: str) -> None:
    assert said in refusal(kernel)
    assert not kernel.runs


def test_a_device_that_nothing_stops_is_not_even_opened() -> None:
    kernel = FakeKernel(nowayout=True)
    assert "nowayout=0" in refusal(kernel)
    assert kernel.opened == 0


@pytest.mark.parametrize("device", ["/dev/watchdog", "/dev/watchdog0"])
def test_whether_a_device_runs_is_read_and_nothing_is_opened(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "DRIVERS", tmp_path)
    left = KernelWatchdog()
    assert not left.runs(Watchdog(device)), "not known"
    (tmp_path / "watchdog0").mkdir()
    for state, runs in (("active", True), ("inactive", False)):
        (tmp_path / "watchdog0" / "state").write_text(f"{state}\n")
        assert left.runs(Watchdog(device)) is runs


def test_a_fraction_of_a_second_never_makes_the_reset_later() -> None:
    kernel = FakeKernel()
    KernelWatchdog(kernel).open(Watchdog(timeout_s=3.9))
    assert kernel.timeout_s == 3


def test_a_device_that_does_not_let_go_stays_open_and_is_fed_on() -> None:
    kernel = FakeKernel(flags=RUNS_ON)
    device = KernelWatchdog(kernel)
    device.open(WATCHDOG)
    kernel.write_fails = True
    device.release()
    device.feed()
    assert kernel.closed == 0
    kernel.write_fails = False
    device.feed()
    assert kernel.written[-1] == FOOD


def test_an_ordinary_file_in_its_place_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "watchdog"
    file.write_text("mine")
    outcome = KernelWatchdog().open(Watchdog(device=str(file)))
    assert isinstance(outcome, Refused)
    assert file.read_text() == "mine"


def test_a_missing_device_of_the_real_kernel_is_refused_with_the_mend(tmp_path: Path) -> None:
    outcome = KernelWatchdog().open(Watchdog(device=str(tmp_path / "watchdog")))
    assert isinstance(outcome, Refused)
    assert "softdog" in outcome.why
