"""The time limit of a scenario is its own: waiting for other programs' labs is no part of it."""

from pathlib import Path
from typing import Final

from tests.unit.times.projects import Project

PROJECT: Final = """
import contextlib
import threading
import time
from types import SimpleNamespace

import pytest

from hapair_lab import snapshots
from hapair_lab.turns import EMULATED, Turn
from tests import labs

pytestmark = [pytest.mark.lab(seconds=1), pytest.mark.timeout(5)]

class FakeLab(contextlib.nullcontext):
    description = SimpleNamespace(acceleration=SimpleNamespace(can_freeze=False))

@pytest.fixture(autouse=True)
def no_guests(monkeypatch):
    monkeypatch.setattr(snapshots, "lab_from", lambda step, kind: FakeLab())
    monkeypatch.setattr(labs, "_keep_evidence", lambda item, lab: None)

@pytest.fixture(scope="module")
def shared(request):
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(labs.lab_for(request, None))

@pytest.mark.parametrize("for_whom", ["lab_from", "shared"])
def test_that_waits(request, for_whom):
    make = request.getfixturevalue(for_whom)
    others = Turn(EMULATED.name, EMULATED.places)
    others.take()
    threading.Timer(7, others.give).start()
    begun_s = time.monotonic()
    make() if for_whom == "shared" else make(None)
    assert time.monotonic() - begun_s > 6

def test_that_hangs(lab_from):
    lab_from(None)
    time.sleep(600)
"""


def test_the_limit_of_a_scenario_begins_with_its_turn(tmp_path: Path) -> None:
    done = Project(tmp_path, PROJECT).run(kind="qemu")
    assert "1 failed, 2 passed" in done.stdout, done.stdout
    assert "FAILED test_it.py::test_that_hangs - Failed: Timeout" in done.stdout
