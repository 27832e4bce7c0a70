"""Options and defaults that every test shares."""

import os
import signal
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, settings

from tests.times.kinds import ONE_AFTER_THE_OTHER

# How fast a machine is that has other things to do is no property of ours.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a shell: the commands that tests interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ("tests.times.plugin", "tests.guests", "tests.labs")

LAB_TIMEOUT_S = 1800  # A fuse: longer than three waits of PATIENCE_S of src/hapair_lab/lab.py.
# With --cov these cover every branch of model, config and core. What is not measured is not slowed
# down: the simulator would need four times as long.
MEASURED = (
    "tests/build/",
    "tests/config/",
    "tests/core/",
    "tests/jobs/",
    "tests/runtime/test_timeline.py",
)
# Of these: they play hundreds of stories, and go where the others have been.
NOT_MEASURED = (
    "tests/jobs/test_abandon.py",
    "tests/jobs/test_every_interruption.py",
    "tests/jobs/test_release.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite",
        action="store_true",
        help="write what happened into the transcripts and generated documents; read the diff",
    )
    parser.addoption(
        "--seeds",
        type=int,
        default=100,
        metavar="N",
        help="how many seeds of the simulator are played (default: 100)",
    )
    parser.addoption(
        "--unattended",
        type=int,
        default=100,
        metavar="N",
        help="how many of them without an operator besides (default: 100)",
    )


# These use what there is one of, the cores for guests or network names, and measure real time.
REAL = ("lab", "native")
NICE = 10  # For all others that run at the same time.


def _is_real(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in REAL)


def _turn(item: pytest.Item) -> int:
    """Guests, then name spaces (their daemons keep real time, and most labs are over by then)."""
    if item.get_closest_marker("lab"):
        return 0
    if item.get_closest_marker("native"):
        return 1
    return 2 if item.get_closest_marker("slow") else 3


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Let a worker measure coverage once.

    There pytest-cov begins when it is loaded and again at the start of the session, and for a test
    that is not to be measured it pauses the second one only: the first went on, and what computes
    took three times as long.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        measuring = session.config.pluginmanager.getplugin("_cov")
        if measuring is not None and measuring.cov_controller is not None:
            measuring.cov_controller.pause()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test by where it stands; -m is looked at when all are collected."""
    if not item.nodeid.startswith(MEASURED) or item.nodeid.startswith(NOT_MEASURED):
        item.add_marker(pytest.mark.no_cover)
    if item.get_closest_marker("native"):
        item.add_marker(pytest.mark.xdist_group(ONE_AFTER_THE_OTHER))
    if item.get_closest_marker("lab") and not item.get_closest_marker("timeout"):
        item.add_marker(pytest.mark.timeout(LAB_TIMEOUT_S))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what runs on real kernels, with the time that emulation takes; then what is slow.

    With ``-n 2 --dist loadgroup --no-loadscope-reorder`` a group is run by one worker, in order.
    Guests leave a third of two cores idle; the other worker computes in it.
    """
    items.sort(key=_turn)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let tests that only compute give way to those in real time, which run beside them."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        with suppress(PermissionError):  # Only root may take it back, for the last tests.
            os.setpriority(os.PRIO_PROCESS, 0, 0 if _is_real(item) else NICE)
