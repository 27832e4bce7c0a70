"""Programs are run to their end, or killed with everything that they started."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL

import pytest

from hapair.adapters.shared.process import (
    OUTPUT_BYTES_MAX,
    ProcessRunner,
    follow,
    plain_environment,
    run_apart,
)
from hapair.ports.programs import Finished, TimedOut
from tests.processes import PATIENCE_S, Started

run = ProcessRunner()


async def test_returns_exit_code_and_both_outputs() -> None:
    finished = await run(
        ("sh", "-c", "cat; echo said >&2; exit 7"), timeout_s=PATIENCE_S, stdin=b"given"
    )
    assert finished == Finished(7, "given", "said\n")


async def test_no_shell_reads_the_words() -> None:
    finished = await run(("echo", "$HOME; `id`", "*"), timeout_s=PATIENCE_S)
    assert finished == Finished(0, "$HOME; `id` *\n", "")


async def test_programs_speak_english_whatever_the_daemon_was_started_with() -> None:
    finished = await run(("env",), timeout_s=PATIENCE_S)
    assert isinstance(finished, Finished)
    assert dict(line.split("=", 1) for line in finished.stdout.splitlines()) == plain_environment()


@pytest.mark.parametrize(
    ("program", "code"), [("/no/such/program", 127), ("/etc/hostname", 126), ("/etc", 126)]
)
async def test_a_program_that_cannot_start_ends_like_in_a_shell(program: str, code: int) -> None:
    finished = await run((program,), timeout_s=PATIENCE_S)
    assert isinstance(finished, Finished)
    assert finished.exit_code == code
    assert program in finished.stderr


async def test_a_program_may_leave_its_input_unread() -> None:
    finished = await run(("true",), timeout_s=PATIENCE_S, stdin=b"x" * (1 << 20))
    assert finished == Finished(0, "", "")


async def test_endless_output_is_cut_and_does_not_block() -> None:
    size = OUTPUT_BYTES_MAX * 3
    finished = await run(("head", "-c", str(size), "/dev/zero"), timeout_s=PATIENCE_S)
    assert isinstance(finished, Finished)
    assert finished.exit_code == 0
    assert len(finished.stdout) == OUTPUT_BYTES_MAX


async def test_after_the_time_out_the_whole_group_is_dead(tmp_path: Path) -> None:
    script = f"sleep 1000 & echo $! >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; wait"
    limit_s = 1.0
    while not (pid := _read_pid(tmp_path / "pid")):  # On a busy host it may not even begin.
        assert await run(("sh", "-c", script), timeout_s=limit_s) == TimedOut(limit_s)
        limit_s *= 2
    await _dies(pid)


async def test_a_cancelled_caller_takes_the_program_with_it(tmp_path: Path) -> None:
    script = f"echo $$ >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; sleep 1000"
    task = asyncio.ensure_future(run(("sh", "-c", script), timeout_s=PATIENCE_S))
    pid = await _pid(tmp_path / "pid")
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await _dies(pid)


@pytest.mark.parametrize("how", ["run", "follow", "group"])
def test_nothing_waits_for_a_program_that_was_half_started(how: str) -> None:
    """Then asyncio cancels everything, the tasks that connect the program's pipes too."""
    with Started(
        (sys.executable, "-c", _END_WHILE_STARTING, how),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        out, err = process.ended()
    assert out.split() == [str(passes) for passes in range(11)]
    assert err == ""


@pytest.mark.parametrize("passes", range(11))
async def test_a_caller_that_is_cancelled_meanwhile_leaves_no_program(
    passes: int, tmp_path: Path
) -> None:
    script = f"echo $$ >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; exec sleep 1000"
    task = asyncio.ensure_future(run(("sh", "-c", script), timeout_s=PATIENCE_S))
    for _ in range(passes):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    if pid := _read_pid(tmp_path / "pid"):
        await _dies(pid)


async def test_a_daemon_that_the_program_left_behind_is_not_waited_for() -> None:
    started_s = asyncio.get_running_loop().time()
    finished = await run(("sh", "-c", "sleep 1000 & echo $!; exit 0"), timeout_s=500)
    waited_s = asyncio.get_running_loop().time() - started_s
    assert isinstance(finished, Finished)
    os.kill(int(finished.stdout), SIGKILL)
    assert (finished.exit_code, finished.stderr) == (0, "")
    assert waited_s < PATIENCE_S


async def test_lines_are_followed_as_they_come_and_idle_times_are_told() -> None:
    script = "echo one; echo two; printf half; read _; echo"
    batches = [batch async for batch in follow(("sh", "-c", script), idle_s=lambda: 0.05)]
    flat = [line for batch in batches for line in batch]
    assert flat == ["one", "two", "half"]


async def test_half_a_line_is_no_idle_time_and_one_without_an_end_ends_it() -> None:
    """FAIL: the daemon keeps all of it in memory, and reads all of it again with each piece."""
    script = "printf half; sleep 0.1; echo of one; exec cat /dev/zero"
    lines = follow(("sh", "-c", script), idle_s=lambda: PATIENCE_S)
    assert [batch async for batch in lines] == [("halfof one",)]


async def test_following_a_program_that_is_missing_ends_at_once() -> None:
    assert [batch async for batch in follow(("/no/such",), idle_s=lambda: 1)] == []


async def test_a_follower_that_leaves_kills_the_program() -> None:
    lines = follow((sys.executable, "-c", _PRINT_PID), idle_s=lambda: PATIENCE_S)
    batch = await anext(lines)
    await lines.aclose()
    await _dies(int(batch[0]))


async def test_what_runs_apart_writes_where_it_was_told(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        code = await run_apart(
            ("/bin/sh", "-c", "echo $WHO; exit 4"),
            environment={"WHO": "orders", "PATH": "/bin:/usr/bin"},
            output=log.fileno(),
            timeout_s=PATIENCE_S,
        )
    assert code == 4
    assert (tmp_path / "log").read_text() == "orders\n"


# Ends by an error after some passes of the loop, while a program is being started.
_END_WHILE_STARTING = """
import asyncio, sys
from hapair.adapters.shared.process import ProcessRunner, follow

async def followed():
    async for _ in follow(("sleep", "1000"), idle_s=lambda: 1000):
        pass

def ran():
    return ProcessRunner()(("sleep", "1000"), timeout_s=1000)

async def grouped():
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(ran())

async def main(passes):
    task = asyncio.ensure_future({"run": ran, "follow": followed, "group": grouped}[sys.argv[1]]())
    for _ in range(passes):
        await asyncio.sleep(0)
    raise PermissionError

for passes in range(11):
    try:
        asyncio.run(main(passes))
    except PermissionError:
        print(passes)
"""
_PRINT_PID = "import os, time; print(os.getpid(), flush=True); time.sleep(1000)"


async def _pid(file: Path) -> int:
    async with asyncio.timeout(PATIENCE_S):
        while not (pid := _read_pid(file)):  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
    return pid


def _read_pid(file: Path) -> int:
    return int(file.read_text()) if file.exists() else 0


async def _dies(pid: int) -> None:
    """Wait until the process is gone: on a busy host even SIGKILL needs a moment."""
    async with asyncio.timeout(PATIENCE_S):
        while _lives(pid):  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


def _lives(pid: int) -> bool:
    """Tell whether the process runs; a dead one that nobody reaped yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    assert os.getpid() != pid
    return state not in "ZX"
