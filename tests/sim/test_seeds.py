"""Random schedules: every seed forms, suffers, heals; no rule is ever broken."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sim.run import (
    Failure,
    Plan,
    plan_of,
    plan_with_true_clocks,
    plan_without_operator,
    play,
)
from tests.sim.shrink import shrunk
from tests.sim.trace import printer

SEEDS_PER_TEST = 100  # Each test is a process that has to import everything first.
# Seeds that found a bug, and what must hold; they are played whatever range is asked for.
FOUND = {
    32: "of two copies that were written and may miss writes a person chooses one",
    98: "what runs from a copy that may miss writes is called good, and the written one replaced",
    351: "a copy that is only Outdated can be the newest one that is left",
    1065: "what a daemon that died left frozen is let go by the next one",
    1838: "no program is started while the holders of its mount are still being ended",
    4099: "a disk that was given up under a Primary is attached again by the next daemon",
    4565: "a new daemon does not trust a copy whose disk was lost before it looked",
    9429: "the peer acts alone and then leaves: what it runs is not started here",
    14468: "who promised to yield stops what it runs when its lease is over",
    15476: "a daemon that is started anew attaches no disk that was given up under a Primary",
    15559: "who promised to yield stops what it runs when its lease is over",
    20495: "a peer that does not hear this node is not heard",
    46128: "the lease of a node that is cut off goes on while it stands still",
    687862: "nothing falls back to a node that died a moment ago",
    692760: "no disk is given up whose handler hears late that it may go on",
    722615: "what a daemon could not store is not forgotten by the next one",
}
TRACE_LINES_MAX = 400


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, option in (("first_seed", "--seeds"), ("first_unattended", "--unattended")):
        if name in metafunc.fixturenames:
            seeds = metafunc.config.getoption(option)
            metafunc.parametrize(name, range(0, seeds, SEEDS_PER_TEST))


def story(failure: Failure) -> str:
    """Return the end of the trace of the shortest schedule that still breaks the rule."""
    small = shrunk(failure)
    stream = io.StringIO()
    play(small.plan, trace=printer(stream))
    faults = [f"  {timed.at_s:8.3f} {timed.fault}" for timed in small.plan.schedule]
    unattended = "" if small.plan.attended else " --unattended"
    replay = f"replay: python -m tests.sim --seed {small.plan.seed}{unattended} --shrink --trace"
    lines = stream.getvalue().splitlines()[-TRACE_LINES_MAX:]
    return "\n".join([*lines, small.what, *faults, replay])


def all_hold(root: Path, seeds: range, *words: str) -> bool:
    """Play the seeds in a process of its own: measuring coverage makes them four times slower."""
    which = ("--from", str(seeds.start), "--seeds", str(len(seeds)), *words)
    command = (sys.executable, "-m", "tests.sim", *which)
    done = subprocess.run(command, cwd=root, stdout=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def must_hold(
    request: pytest.FixtureRequest, option: str, first: int, plan_for: Callable[[str], Plan]
) -> None:
    end: int = request.config.getoption(option)
    seeds = range(first, min(first + SEEDS_PER_TEST, end))
    words = () if option == "--seeds" else (option,)
    if all_hold(request.config.rootpath, seeds, *words):
        return
    for seed in seeds:  # Here again, to tell what went wrong.
        failure = play(plan_for(str(seed)))
        assert failure is None, story(failure)
    pytest.fail(f"only in a process of its own: python -m tests.sim --from {seeds.start} {words}")


@pytest.mark.sim
@pytest.mark.parametrize("seed", FOUND)
def test_what_random_schedules_found_stays_mended(seed: int) -> None:
    """Play each with true clocks too: some were found before seeds made clocks differ."""
    for plan in (plan_with_true_clocks(str(seed)), plan_of(str(seed))):
        failure = play(plan)
        assert failure is None, f"{FOUND[seed]}\n{story(failure)}"


@pytest.mark.sim
@pytest.mark.timeout(900)
def test_no_schedule_breaks_a_rule(first_seed: int, request: pytest.FixtureRequest) -> None:
    must_hold(request, "--seeds", first_seed, plan_of)


@pytest.mark.sim
@pytest.mark.timeout(900)
def test_no_schedule_without_an_operator_breaks_a_rule(
    first_unattended: int, request: pytest.FixtureRequest
) -> None:
    must_hold(request, "--unattended", first_unattended, plan_without_operator)
