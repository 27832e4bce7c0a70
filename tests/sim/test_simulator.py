"""The simulator itself: the same seed tells the same story, and a failure can be shrunk."""

import hashlib
import io
import os
import subprocess
import sys

import pytest

from tests.sim.__main__ import main
from tests.sim.every_mutant import mutant_named
from tests.sim.faults import PowerOff
from tests.sim.run import Failure, Plan, plan_of, play
from tests.sim.schedule import Timed
from tests.sim.shrink import shrunk
from tests.sim.stage import ONE_APPLICATION
from tests.sim.trace import printer

TRACE_ONE_SEED = (
    "import hashlib, io; from tests.sim.run import plan_of, play; "
    "from tests.sim.trace import printer; stream = io.StringIO(); "
    "play(plan_of('7'), trace=printer(stream)); "
    "print(hashlib.sha256(stream.getvalue().encode()).hexdigest())"
)


def traced(seed: str) -> str:
    stream = io.StringIO()
    play(plan_of(seed), trace=printer(stream))
    return stream.getvalue()


def test_the_same_seed_tells_the_same_story_in_every_process() -> None:
    expected = hashlib.sha256(traced("7").encode()).hexdigest()
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    told = subprocess.run(
        (sys.executable, "-c", TRACE_ONE_SEED),
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert told.stdout.strip() == expected


def test_different_seeds_tell_different_stories() -> None:
    assert traced("7") != traced("8")


def test_a_trace_can_be_read() -> None:
    text = traced("7")
    assert "store: epoch" in text
    assert "peer says" in text
    assert "operator mends everything" in text


def test_a_failure_is_shrunk_to_what_it_needs() -> None:
    """A core that keeps its right on the disk fails as soon as both nodes had it."""
    mutant = mutant_named("the right that was given up stays on the disk")
    failure: Failure | None = None
    for seed in range(500):
        failure = play(plan_of(str(seed)), mutant.core())
        if failure is not None and len(failure.plan.schedule) > 3:
            break
    assert failure is not None
    small = shrunk(failure, mutant.core())
    assert len(small.plan.schedule) < len(failure.plan.schedule)
    assert play(small.plan, mutant.core()) == small


def test_a_plan_is_data_that_can_be_played_again() -> None:
    plan = Plan("mine", ONE_APPLICATION, (Timed(1.0, PowerOff("node1", 10.0)),))
    assert play(plan) is None
    assert play(plan) is None


def test_the_command_prints_how_fast_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "3", "--from", "5"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("3 seeds, 0 failed")
    assert "seeds/s" in said


def test_the_command_plays_one_seed_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "3", "--trace"]) == 0
    assert "power on" in capsys.readouterr().out
