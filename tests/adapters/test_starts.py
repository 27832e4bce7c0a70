"""The start of a program from a disk that hangs: nobody waits but who wants it, and it never runs.

A child that hangs while the kernel loads its program is played by one that reads from a pipe before
it asks the kernel to; on a machine where root runs the tests the kernel itself hangs once.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest

from hapair.adapters.shared.process import ProcessRunner, follow, run_apart
from hapair.adapters.shared.starts import STARTING_MAX
from hapair.ports.programs import Finished, TimedOut
from tests.adapters.namespaces import need_root, own_mounts
from tests.processes import PATIENCE_S, Started
from tests.runtime.conftest import eventually

run = ProcessRunner()
HANGS = "touch"  # Its start does, and it leaves a file when it runs all the same.


class Disk:
    """Holds what is started from it back until it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran = folder / "ran"
        self.argv = (HANGS, str(self.ran))
        self._reading, self._writing = os.pipe()
        self._load = os.execvpe

    def exec(self, file: str, argv: list[str], environment: dict[str, str]) -> None:
        if file == HANGS:
            (self.folder / f"{os.getpid()}.pid").touch()
            (self.folder / "answers").read_text()  # A fifo.
        self._load(file, argv, environment)

    def hanging(self) -> list[int]:
        return [int(each.stem) for each in self.folder.glob("*.pid")]

    def alive(self) -> list[int]:
        return [pid for pid in self.hanging() if Path(f"/proc/{pid}").exists()]

    def answer(self) -> None:
        """Let all that hang go on; whoever was killed is gone."""
        os.close(os.open(self.folder / "answers", os.O_RDWR))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(tmp_path)
    os.mkfifo(tmp_path / "answers")
    monkeypatch.setattr(os, "execvpe", made.exec)
    return made


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def apart(argv: tuple[str, ...], timeout_s: float) -> int | TimedOut:
    environment = {"PATH": "/usr/bin:/bin"}
    return await run_apart(argv, environment=environment, output=2, timeout_s=timeout_s)


async def to_its_end(argv: tuple[str, ...], timeout_s: float) -> Finished | TimedOut:
    return await run(argv, timeout_s=timeout_s)


async def followed(argv: tuple[str, ...], timeout_s: float) -> list[tuple[str, ...]]:
    return [batch async for batch in follow(argv, idle_s=lambda: timeout_s)]


@pytest.mark.parametrize("how", [to_its_end, apart])
async def test_a_start_that_hangs_is_given_up_in_time_and_never_runs(
    how: Callable[..., Coroutine[None, None, object]], disk: Disk
) -> None:
    before = descriptors()
    assert await how(disk.argv, 0.3) == TimedOut(0.3)
    await eventually(lambda: not disk.alive())
    disk.answer()
    assert await how(("true",), PATIENCE_S) in (0, Finished(0, "", ""))
    assert not disk.ran.exists()
    assert descriptors() == before


@pytest.mark.parametrize("how", [to_its_end, apart, followed])
async def test_a_start_that_hangs_ends_with_who_wanted_it(
    how: Callable[..., Coroutine[None, None, object]], disk: Disk
) -> None:
    before = descriptors()
    wanted = asyncio.ensure_future(how(disk.argv, PATIENCE_S))
    await eventually(lambda: bool(disk.hanging()))
    wanted.cancel()
    await asyncio.wait({wanted})
    assert wanted.cancelled()
    await eventually(lambda: not disk.alive())
    disk.answer()
    await eventually(lambda: descriptors() == before)
    assert not disk.ran.exists()


async def test_while_the_start_of_what_is_followed_hangs_idle_times_are_told(disk: Disk) -> None:
    lines = follow(disk.argv, idle_s=lambda: 0.05)
    assert [await anext(lines) for _ in range(2)] == [(), ()]
    await eventually(lambda: bool(disk.alive()))
    await lines.aclose()
    await eventually(lambda: not disk.alive())
    assert not disk.ran.exists()


async def test_a_start_that_takes_long_is_waited_for(disk: Disk) -> None:
    wanted = asyncio.ensure_future(to_its_end(disk.argv, PATIENCE_S))
    await eventually(lambda: bool(disk.hanging()))
    disk.answer()
    assert await wanted == Finished(0, "", "")
    assert disk.ran.exists()


async def test_no_more_hang_at_once_than_there_is_room_for_and_others_start(disk: Disk) -> None:
    """FAIL: each new try leaves one more copy of the daemon, or one program's disk stops all."""
    many = [
        asyncio.ensure_future(to_its_end(disk.argv, PATIENCE_S)) for _ in range(STARTING_MAX + 3)
    ]
    await eventually(lambda: len(disk.hanging()) == STARTING_MAX)
    assert await to_its_end(disk.argv, 0.2) == TimedOut(0.2)
    assert await to_its_end(("true",), PATIENCE_S) == Finished(0, "", "")
    assert len(disk.hanging()) == STARTING_MAX
    many[0].cancel()  # Who is given up makes room as soon as it is gone.
    await eventually(lambda: len(disk.hanging()) == STARTING_MAX + 1)
    for each in many:
        each.cancel()
    await asyncio.wait(many)
    await eventually(lambda: not disk.alive())
    assert not disk.ran.exists()
    assert await to_its_end(("true",), PATIENCE_S) == Finished(0, "", "")


HANG_S = 10
# A file system whose names are brought by a process that never answers: whoever looks one up hangs
# in the kernel. After a while those that do are killed, so that a test that fails ends.
HANGING = f"""
sleep {HANG_S}
for child in $(cat /proc/$PPID/task/*/children); do [ $child = $$ ] || kill -KILL $child; done
"""


@pytest.fixture
def hanging_folder(tmp_path: Path) -> Iterator[Path]:
    need_root()
    reading, writing = os.pipe()
    words = f"fd={writing},pgrp={os.getpgrp()},minproto=5,maxproto=5,indirect"
    with own_mounts():
        subprocess.run(
            ("mount", "-i", "-t", "autofs", "-o", words, "hangs", str(tmp_path)),
            check=True,
            pass_fds=(writing,),
        )
        os.close(writing)
        try:
            yield tmp_path
        finally:
            subprocess.run(("umount", "--lazy", str(tmp_path)), check=True)
            os.close(reading)


@pytest.mark.native
@pytest.mark.parametrize("how", [to_its_end, apart])
async def test_a_program_that_the_kernel_cannot_load_stops_nobody_else(
    how: Callable[..., Coroutine[None, None, object]], hanging_folder: Path
) -> None:
    """FAIL: the loop stands still until the program is loaded, as with vfork."""
    with Started(("/bin/sh", "-c", HANGING)) as hang:
        answer = await how((str(hanging_folder / "drbdsetup"),), 0.3)
        hung = hang.poll() is None
        hang.kill()
    assert hung
    assert answer == TimedOut(0.3)


def printed(script: str) -> tuple[str, str]:
    """Return what a Python process of its own says, and its errors."""
    argv, pipe = (sys.executable, "-c", script), subprocess.PIPE
    with Started(argv, stdout=pipe, stderr=pipe, text=True) as process:
        return process.ended()


def test_a_caller_without_standard_streams_starts_programs_all_the_same() -> None:
    assert printed(_WITHOUT_STREAMS) == (
        "Finished(exit_code=3, stdout='given', stderr='said\\n')",
        "",
    )


_WITHOUT_STREAMS = """
import asyncio, os
from hapair.adapters.shared.process import ProcessRunner

shown = os.dup(1)
os.closerange(0, 3)
argv = ("sh", "-c", "cat; echo said >&2; exit 3")
answer = asyncio.run(ProcessRunner()(argv, timeout_s=60, stdin=b"given"))
os.write(shown, str(answer).encode())
"""


def test_a_caller_that_ignores_the_end_of_children_learns_how_programs_ended() -> None:
    """FAIL: the kernel reaps them; the number that is killed in the end may be another's."""
    assert printed(_IGNORING_CHILDREN) == ("Finished(exit_code=3, stdout='0\\n', stderr='')\n", "")


_IGNORING_CHILDREN = """
import asyncio, signal
from hapair.adapters.shared.process import ProcessRunner

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
argv = ("sh", "-c", "sh -c 'exit 0'; echo $?; exit 3")
print(asyncio.run(ProcessRunner()(argv, timeout_s=60)))
"""


async def test_a_program_has_no_descriptor_but_its_own(tmp_path: Path) -> None:
    with (tmp_path / "socket").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)  # noqa: FBT003
        answer = await run(("ls", "/proc/self/fd"), timeout_s=PATIENCE_S)
    assert answer == Finished(0, "0\n1\n2\n3\n", "")  # The last one lists the folder itself.
