"""Blocking code in a child: its result comes back, and its hanging hangs nobody else."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from hapair.adapters.shared.forked import CRASHED, Ended, Forked, StillRuns, Write
from tests.processes import PATIENCE_S


async def test_returns_what_the_function_returned_and_wrote() -> None:
    def work(write: Write) -> int:
        write("held by ")
        write("nobody")
        return 17

    assert await Forked()("key", work, timeout_s=PATIENCE_S) == Ended(17, "held by nobody")


async def test_a_function_that_raises_is_a_crash() -> None:
    def work(_write: Write) -> int:
        raise OSError

    ended = await Forked()("key", work, timeout_s=PATIENCE_S)
    assert ended == Ended(CRASHED, "")


async def test_the_child_keeps_no_descriptor_of_the_daemon(tmp_path: Path) -> None:
    with (tmp_path / "socket").open("w"):

        def work(write: Write) -> int:
            write(" ".join(sorted(os.listdir("/proc/self/fd"))))  # noqa: PTH208
            return 0

        ended = await Forked()("key", work, timeout_s=PATIENCE_S)
    assert isinstance(ended, Ended)
    assert set(ended.text.split()) <= {"0", "1", "2", "3", "4"}  # 4 lists the folder itself.


async def test_a_hanging_child_is_given_up_in_time_and_not_doubled() -> None:
    """SIGSTOP before SIGKILL would still end it, so the child here is one that takes its time."""
    forked = Forked()
    started_s = asyncio.get_running_loop().time()

    def hang(_write: Write) -> int:
        signal.pause()
        return 0

    assert await forked("key", hang, timeout_s=0.05) == StillRuns(0.05)
    assert asyncio.get_running_loop().time() - started_s < PATIENCE_S
    # The next one finds the first one gone and runs.
    assert await forked("key", lambda _write: 3, timeout_s=PATIENCE_S) == Ended(3, "")


async def test_a_cancelled_caller_ends_its_child() -> None:
    forked = Forked()

    def hang(_write: Write) -> int:
        signal.pause()
        return 0

    task = asyncio.ensure_future(forked("key", hang, timeout_s=PATIENCE_S))
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await forked("key", lambda _write: 0, timeout_s=PATIENCE_S) == Ended(0, "")


async def test_callers_of_one_key_take_turns_and_each_gets_its_own_answer() -> None:
    forked = Forked()

    def saying(word: str) -> Callable[[Write], int]:
        def work(write: Write) -> int:
            write(word)
            return 0

        return work

    words = ("one", "two", "three")
    answers = await asyncio.gather(
        *(forked("key", saying(each), timeout_s=PATIENCE_S) for each in words)
    )
    assert answers == [Ended(0, each) for each in words]


async def test_who_waits_for_a_turn_waits_no_longer_than_his_own_limit() -> None:
    forked = Forked()

    def hang(_write: Write) -> int:
        signal.pause()
        return 0

    first = asyncio.ensure_future(forked("key", hang, timeout_s=PATIENCE_S))
    await asyncio.sleep(0)
    assert await forked("key", lambda _write: 0, timeout_s=0.05) == StillRuns(0.05)
    first.cancel()
    await asyncio.wait([first])
    assert await forked("key", lambda _write: 0, timeout_s=PATIENCE_S) == Ended(0, "")
