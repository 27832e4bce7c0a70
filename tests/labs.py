"""Labs for tests: most get guests of their own, which continue from a snapshot.

A test that fails leaves consoles, journals, DRBD's states and the timeline in one folder.
"""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

import pytest

from hapair_lab import cluster, evidence, snapshots
from hapair_lab.guests import Guests
from hapair_lab.lab import Lab
from hapair_lab.packages import installed_step, package_file
from hapair_lab.progress import say
from hapair_lab.turns import EMULATED, LIGHT
from tests.guests import kind_for

FAILURES: Final = Path(__file__).parents[1] / "build" / "lab-failures"
THAW_S: Final = 3.0  # A silence is noticed after two.
PLAYED: Final = pytest.StashKey[pytest.Item]()
FAILURE: Final = pytest.StashKey[str]()
LIMIT: Final = pytest.StashKey[object]()

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
        lab = lab_for(request, step)
        if not _goes_on(lab):
            say("a busy host let the guests stand still while they continued: once more")
            lab.close()
            lab = lab_for(request, step)
        labs.append(lab)
        return lab

    yield make
    for lab in labs:
        with lab:
            _keep_evidence(request.node, lab)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool | None, bool | None]:
    """Know whose time limit it is when a fixture of a whole module makes a lab."""
    item.config.stash[PLAYED] = item
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(
    item: pytest.Item, settings: object
) -> Generator[None, bool | None, bool | None]:
    """Remember the limit that a test was given, to give it once more when it has its turn."""
    item.stash[LIMIT] = settings
    return (yield)


def lab_for(request: pytest.FixtureRequest, step: snapshots.Step) -> Lab:
    """Return a lab for the test that is played, whose time limit begins when it has its turn.

    Another program's labs, a soak for one, may take longer than any test is given.
    """
    kind = kind_for(request.node)
    turn = LIGHT if kind is Guests.UML else EMULATED
    item = request.config.stash[PLAYED]
    item.ihook.pytest_timeout_cancel_timer(item=item)
    with turn:
        if LIMIT in item.stash:
            item.ihook.pytest_timeout_set_timer(item=item, settings=item.stash[LIMIT])
        return snapshots.lab_from(step, kind)


def _goes_on(lab: Lab) -> bool:
    """Tell whether a formed cluster that was frozen still is as it was a little after it thawed.

    Guests that get no time then lose sight of each other, and their application moves, rightly.
    """
    frozen = lab.description.acceleration.can_freeze
    if not (frozen and lab.description.origin.startswith(cluster.FORMED)):
        return True
    time.sleep(THAW_S)
    return cluster.is_redundant(lab) and cluster.serves(lab.node1)


def _keep_evidence(item: pytest.Item, lab: Lab) -> bool:
    """Keep what a failed test leaves; tell whether it failed."""
    why = item.stash.get(FAILURE, "")
    if why:
        replay = f".venv/bin/python -m pytest '{item.nodeid}'"
        kept = evidence.keep(lab, FAILURES / item.name, why=why, replay=replay)
        say(f"evidence: {kept}; replay: {replay}")
    return bool(why)


@pytest.fixture(scope="module")
def shared_labs() -> Iterator[list[Lab]]:
    """Hold the lab that the tests of a module share, if there is one at the moment."""
    labs: list[Lab] = []
    yield labs
    for lab in labs:
        lab.close()


def shared(
    request: pytest.FixtureRequest,
    labs: list[Lab],
    step: snapshots.Step,
    prepare: Callable[[Lab], None] = lambda _: None,
) -> Iterator[Lab]:
    """Yield the lab in ``labs``, made from a link and prepared when none is there.

    After a test that failed, the next one gets another.
    """
    if not labs:
        with contextlib.ExitStack() as unless_prepared:
            made = unless_prepared.enter_context(lab_for(request, step))
            prepare(made)
            unless_prepared.pop_all()
        labs.append(made)
    lab = labs[0]
    for machine in lab.machines:
        if not machine.is_on():
            machine.power_on()
    yield lab
    if _keep_evidence(request.node, lab):
        labs.clear()
        lab.close()


@pytest.fixture
def shared_lab(request: pytest.FixtureRequest, shared_labs: list[Lab]) -> Iterator[Lab]:
    """Three booted guests, for tests that leave them as they found them (power may be off)."""
    yield from shared(request, shared_labs, snapshots.OS_BOOTED)


@pytest.fixture
def booted_lab(lab_from: LabFrom) -> Lab:
    """Three guests that have just booted; nothing of ours is installed in them."""
    return lab_from(snapshots.OS_BOOTED)


@pytest.fixture
def installed_lab(lab_from: LabFrom) -> Lab:
    """Three guests, with our package installed on both nodes and nothing configured."""
    return lab_from(installed_step(package_file()))
