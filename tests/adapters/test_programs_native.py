"""Scripts and agents in real control groups."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hapair.adapters.programs import grouped
from hapair.adapters.programs.adapter import ApplicationPrograms
from hapair.adapters.programs.groups import root_of_applications
from hapair.adapters.shared.apart import apart
from hapair.adapters.shared.process import ProcessRunner
from hapair.model.application import OcfAgent, Script
from hapair.model.outcome import Done, Refused, Unknown
from tests.adapters.namespaces import need_root, own_mounts
from tests.processes import PATIENCE_S

pytestmark = pytest.mark.native


@dataclass(frozen=True, slots=True)
class Place:
    folder: Path
    root: Path
    programs: ApplicationPrograms

    def script(self, text: str) -> Script:
        path = self.folder / "run"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return Script(str(path))

    def pids(self) -> list[int]:
        return [int(pid) for pid in (self.root / "orders" / "cgroup.procs").read_text().split()]

    async def holds(self, what: Callable[[], bool]) -> None:
        """Wait until it holds, however busy the host is."""
        async with asyncio.timeout(PATIENCE_S):
            while not what():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)

    def log(self) -> str:
        return (self.folder / "orders.log").read_text()

    def anew(self) -> ApplicationPrograms:
        """Return what a restarted daemon has."""
        return ApplicationPrograms(
            ProcessRunner(),
            "node1",
            root=self.root,
            notes=self.folder / "notes",
            log_folder=self.folder,
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    need_root()
    root = root_of_applications().parents[1] / f"hapair-test-{os.getpid()}"
    root.mkdir()
    first = Place(tmp_path, root, None)  # type: ignore[arg-type]
    try:
        yield Place(tmp_path, root, first.anew())
    finally:
        (root / "cgroup.kill").write_text("1")
        for _ in range(200):
            with contextlib.suppress(OSError):
                for folder in (*root.glob("*/"), root):
                    folder.rmdir()
                break
            signal.sigtimedwait([], 0.01)


STARTS = """
echo "$1 $HAPAIR_APPLICATION on $HAPAIR_NODE within $HAPAIR_TIMEOUT s, umask $(umask)"
case $1 in
start) sleep 1000 & echo $! >"$0.pid" ;;
stop) kill "$(cat "$0.pid")" ;;
esac
"""


async def test_a_script_lives_in_a_group_of_its_own_until_it_is_stopped(place: Place) -> None:
    script = place.script(STARTS)
    assert await place.programs.running("orders", script) is False
    assert isinstance(await place.programs.start("orders", script, timeout_s=PATIENCE_S), Done)
    assert await place.programs.running("orders", script) is True
    (pid,) = place.pids()
    assert pid == int((place.folder / "run.pid").read_text())
    assert isinstance(await place.programs.stop("orders", script, timeout_s=PATIENCE_S), Done)
    assert await place.programs.running("orders", script) is False
    assert not (place.root / "orders").exists()
    assert f"start orders on node1 within {PATIENCE_S:g} s, umask 0022" in place.log()


async def test_a_restarted_daemon_finds_what_runs(place: Place) -> None:
    script = place.script(STARTS)
    await place.programs.start("orders", script, timeout_s=PATIENCE_S)
    assert await place.anew().running("orders", script) is True
    notes = place.folder / "notes"
    assert grouped.left_processes(notes, "orders")
    os.kill(place.pids()[0], signal.SIGKILL)
    await place.holds(lambda: not place.pids())
    assert await place.anew().running("orders", script) is False
    assert grouped.left_processes(notes, "orders"), "it is to be found that they ended"
    await place.programs.stop("orders", script, timeout_s=PATIENCE_S)
    assert not grouped.left_processes(notes, "orders")


async def test_a_start_that_ends_after_the_daemon_died_counts(place: Place) -> None:
    goes_on = place.folder / "goes-on"
    waits = f"until [ -e {goes_on} ]; do sleep 0.05; done"
    script = place.script(f'[ "$1" = start ] && {{ sleep 1000 & {waits}; }}')
    task = asyncio.ensure_future(place.programs.start("orders", script, timeout_s=PATIENCE_S))
    await place.holds(lambda: (place.root / "orders").exists() and len(place.pids()) > 1)
    task.cancel()
    await asyncio.wait([task])
    assert await place.anew().running("orders", script) is None
    goes_on.touch()
    await place.holds((place.folder / "notes" / "orders").exists)
    assert await place.anew().running("orders", script) is True


async def test_a_script_that_leaves_nothing_running_is_believed(place: Place) -> None:
    """It may have told another service to start; only the script knows."""
    script = place.script("exit 0")
    assert isinstance(await place.programs.start("orders", script, timeout_s=PATIENCE_S), Done)
    assert await place.anew().running("orders", script) is True
    assert isinstance(await place.programs.stop("orders", script, timeout_s=PATIENCE_S), Done)
    assert await place.anew().running("orders", script) is False


def fill(notes: Path, lacks: str) -> None:
    """Mount a small file system there in which nothing more can be written."""
    subprocess.run(("mount", "-t", "tmpfs", "-o", lacks, "none", notes), check=True)
    if lacks.startswith("size"):
        (notes / "other").write_bytes(bytes(4096))


@pytest.mark.parametrize("lacks", ["nr_inodes=1", "size=4k"])
@pytest.mark.parametrize("text", [STARTS, "exit 0"])
async def test_a_start_that_cannot_be_noted_has_succeeded(
    place: Place, lacks: str, text: str
) -> None:
    """/run is full, of inodes or of bytes."""
    notes = place.folder / "notes"
    notes.mkdir()
    script = place.script(text)
    with own_mounts():
        fill(notes, lacks)
        outcome = await place.programs.start("orders", script, timeout_s=PATIENCE_S)
        assert isinstance(outcome, Done)
        assert "No space left" in outcome.note
        assert await place.anew().running("orders", script) is not True or text is STARTS
        assert isinstance(await place.programs.stop("orders", script, timeout_s=PATIENCE_S), Done)
        assert await place.anew().running("orders", script) is False


async def test_a_monitor_that_cannot_be_run_says_nothing_of_the_program(place: Place) -> None:
    agent = OcfAgent("hapair-test-nobody", "Missing", ())
    with pytest.raises(OSError, match="monitor"):
        await place.programs.running("orders", agent)


async def test_a_failed_start_that_left_nothing_is_refused(place: Place) -> None:
    script = place.script("exit 3")
    outcome = await place.programs.start("orders", script, timeout_s=PATIENCE_S)
    assert isinstance(outcome, Refused)
    assert "ended with 3" in outcome.why
    assert "journalctl -t hapair-orders" in outcome.why
    assert await place.programs.running("orders", script) is False


async def test_a_failed_start_that_left_something_is_unknown(place: Place) -> None:
    script = place.script("sleep 1000 & exit 3")
    assert isinstance(await place.programs.start("orders", script, timeout_s=PATIENCE_S), Unknown)
    assert await place.programs.running("orders", script) is None


@pytest.mark.parametrize("path", ["/no/such/script", "/etc/hostname"])
async def test_a_script_that_cannot_run_is_refused(place: Place, path: str) -> None:
    outcome = await place.programs.start("orders", Script(path), timeout_s=PATIENCE_S)
    assert isinstance(outcome, Refused)
    assert path in outcome.why


async def test_a_script_that_a_power_loss_has_emptied_is_refused(place: Place) -> None:
    script = place.script("exit 0")
    os.truncate(script.path, 0)
    outcome = await place.programs.start("orders", script, timeout_s=PATIENCE_S)
    assert outcome == Refused(f"{script.path} is empty: restore it, e.g. from the other node")
    assert await place.programs.running("orders", script) is False


async def test_a_slow_start_is_unknown_and_its_script_is_ended(place: Place) -> None:
    script = place.script("setsid sleep 1000 & sleep 1001")
    # A busy host takes its time to begin both of them.
    assert isinstance(await place.programs.start("orders", script, timeout_s=5), Unknown)
    assert await place.programs.running("orders", script) is None
    await place.holds(lambda: len(place.pids()) == 1)  # The killed ones need a moment to be gone.


async def test_a_stop_that_leaves_processes_names_them(place: Place) -> None:
    script = place.script('[ "$1" = stop ] || sleep 1000 &')
    await place.programs.start("orders", script, timeout_s=PATIENCE_S)
    outcome = await place.programs.stop("orders", script, timeout_s=PATIENCE_S)
    assert isinstance(outcome, Unknown)
    assert "sleep (" in outcome.why
    killed = await place.programs.kill("orders", script, timeout_s=PATIENCE_S)
    assert isinstance(killed, Done)
    assert "sleep (" in killed.note
    assert await place.programs.running("orders", script) is False


async def test_kill_ends_what_ignores_term_and_nothing_else(place: Place) -> None:
    script = place.script('trap "" TERM; sh -c "while :; do sleep 1; done" &')
    bystander = await asyncio.create_subprocess_exec("sleep", "1000")
    try:
        await place.programs.start("orders", script, timeout_s=PATIENCE_S)
        assert isinstance(await place.programs.kill("orders", script, timeout_s=6), Done)
        assert bystander.returncode is None
        assert await place.programs.running("orders", script) is False
    finally:
        bystander.kill()
        await bystander.wait()


async def test_a_kill_also_ends_a_start_that_is_not_in_its_group_yet(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow machine it begins seconds after it was asked for, and would run on unseen."""

    async def slow(what: str, look: Callable[[], bool]) -> bool:
        await asyncio.sleep(0.5)
        return await apart(what, look)

    monkeypatch.setattr(grouped, "apart", slow)
    script = place.script("sleep 1000 &")
    starting = asyncio.create_task(place.programs.start("orders", script, timeout_s=PATIENCE_S))
    await asyncio.sleep(0.1)
    assert isinstance(await place.programs.kill("orders", script, timeout_s=PATIENCE_S), Done)
    assert await place.programs.running("orders", script) is False
    assert starting.done()
    await starting
    await asyncio.sleep(0.2)
    assert await place.programs.running("orders", script) is False


async def test_killing_what_does_not_live_is_done(place: Place) -> None:
    outcome = await place.programs.kill("orders", Script("/no/such/script"), timeout_s=PATIENCE_S)
    assert isinstance(outcome, Done)


async def test_without_the_delegated_group_a_start_is_refused_with_the_mend(
    tmp_path: Path,
) -> None:
    need_root()
    programs = ApplicationPrograms(
        ProcessRunner(), "node1", root=tmp_path / "missing", notes=tmp_path / "notes"
    )
    outcome = await programs.start("orders", Script("/bin/true"), timeout_s=PATIENCE_S)
    assert isinstance(outcome, Refused)
    assert "hapair-apps.service" in outcome.why
