"""Labs for tests: each test gets guests of its own, restored from a snapshot in about a second.

A test that fails leaves consoles, journals, DRBD's states and the timeline in one folder.
"""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

import pytest

from hapair_lab import evidence, snapshots
from hapair_lab.lab import Lab
from hapair_lab.packages import installed_step, package_file
from hapair_lab.progress import say
from tests.guests import kind_for

FAILURES: Final = Path(__file__).parents[1] / "build" / "lab-failures"
FAILURE: Final = pytest.StashKey[str]()

LabFrom = Callable[[snapshots.Step], Lab]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember why a test failed until its labs are closed."""
    report = yield
    if report.failed and report.when == "call":
        item.stash[FAILURE] = report.longreprtext
    return report


@pytest.fixture
def lab_from(request: pytest.FixtureRequest) -> Iterator[LabFrom]:
    """Yield a function that makes a lab from a link of the snapshot chain, for this test alone."""
    labs: list[Lab] = []

    def make(step: snapshots.Step) -> Lab:
        labs.append(snapshots.lab_from(step, kind_for(request.node)))
        return labs[-1]

    yield make
    for lab in labs:
        with lab:
            why = request.node.stash.get(FAILURE, "")
            if why:
                name = str(request.node.name)
                replay = f".venv/bin/python -m pytest '{request.node.nodeid}'"
                kept = evidence.keep(lab, FAILURES / name, why=why, replay=replay)
                say(f"evidence: {kept}; replay: {replay}")


@pytest.fixture
def booted_lab(lab_from: LabFrom) -> Lab:
    """Three guests that have just booted; nothing of ours is installed in them."""
    return lab_from(snapshots.OS_BOOTED)


@pytest.fixture
def installed_lab(lab_from: LabFrom) -> Lab:
    """Three guests, with our package installed on both nodes and nothing configured."""
    return lab_from(installed_step(package_file()))
