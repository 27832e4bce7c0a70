"""What every ``Programs`` promises; the real one in control groups of this machine."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hapair.adapters.programs.adapter import ApplicationPrograms
from hapair.adapters.programs.groups import root_of_applications
from hapair.adapters.shared.process import ProcessRunner
from hapair.model.application import Script
from hapair.model.outcome import Done, Refused, Unknown
from hapair.ports.programs import Programs
from tests.adapters.namespaces import need_root
from tests.fakes.hands import FakePrograms
from tests.processes import PATIENCE_S

GOOD = 'case $1 in start) sleep 1000 & echo $! >"$0.pid" ;; stop) kill $(cat "$0.pid") ;; esac'
FAILING = "exit 3"
LINGERING = '[ "$1" = stop ] || sleep 1000 &'


@dataclass(frozen=True, slots=True)
class World:
    programs: Programs
    script: Callable[[str], Script]  # By one of the three texts above.


def empty(root: Path) -> None:
    """Kill what the test left and remove its groups."""
    (root / "cgroup.kill").write_text("1")
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError):
            for folder in (*root.glob("*/"), root):
                folder.rmdir()
            return
        time.sleep(0.01)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.native)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "fake":
        yield World(FakePrograms(failing={FAILING}, lingering={LINGERING}), Script)
        return
    need_root()

    def script(text: str) -> Script:
        path = tmp_path / "run"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return Script(str(path))

    root = root_of_applications().parents[1] / f"hapair-contract-{os.getpid()}"
    root.mkdir()
    try:
        real = ApplicationPrograms(
            ProcessRunner(),
            "node1",
            root=root,
            notes=tmp_path / "notes",
            log_folder=tmp_path,
        )
        yield World(real, script)
    finally:
        empty(root)


async def test_a_program_runs_from_its_start_to_its_stop(world: World) -> None:
    script = world.script(GOOD)
    assert await world.programs.running("orders", script) is False
    assert isinstance(await world.programs.start("orders", script, timeout_s=PATIENCE_S), Done)
    assert await world.programs.running("orders", script) is True
    assert isinstance(await world.programs.stop("orders", script, timeout_s=PATIENCE_S), Done)
    assert await world.programs.running("orders", script) is False


async def test_a_start_that_fails_and_leaves_nothing_is_refused(world: World) -> None:
    script = world.script(FAILING)
    outcome = await world.programs.start("orders", script, timeout_s=PATIENCE_S)
    assert isinstance(outcome, Refused)
    assert "3" in outcome.why
    assert await world.programs.running("orders", script) is False


async def test_a_stop_that_leaves_something_is_unknown_until_it_is_killed(world: World) -> None:
    script = world.script(LINGERING)
    await world.programs.start("orders", script, timeout_s=PATIENCE_S)
    assert isinstance(await world.programs.stop("orders", script, timeout_s=PATIENCE_S), Unknown)
    assert await world.programs.running("orders", script) is None
    assert isinstance(await world.programs.kill("orders", script, timeout_s=10), Done)
    assert await world.programs.running("orders", script) is False


async def test_applications_do_not_touch_one_another(world: World) -> None:
    script = world.script(LINGERING)
    await world.programs.start("orders", script, timeout_s=PATIENCE_S)
    await world.programs.start("stock", script, timeout_s=PATIENCE_S)
    await world.programs.kill("orders", script, timeout_s=10)
    assert await world.programs.running("stock", script) is True


async def test_killing_what_does_not_run_is_done(world: World) -> None:
    script = world.script(GOOD)
    assert isinstance(await world.programs.kill("orders", script, timeout_s=10), Done)
