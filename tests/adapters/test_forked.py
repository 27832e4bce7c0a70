"""Blocking code in a child: its result comes back, and its hanging hangs nobody else.

In a child of its own, or together with what others asked for in the same moment: no difference.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hapair.adapters.shared.children import CRASHED, RESULT_BYTES_MAX, Write
from hapair.adapters.shared.forked import Ended, Forked, StillRuns
from hapair.adapters.shared.together import Together
from tests.processes import PATIENCE_S

Child = Forked | Together


@pytest.fixture(params=[Forked, Together])
def forked(request: pytest.FixtureRequest) -> Child:
    made: Child = request.param()
    return made


async def test_returns_what_the_function_returned_and_wrote(forked: Child) -> None:
    def work(write: Write) -> int:
        write("held by ")
        write("nobody")
        return 17

    assert await forked("key", work, timeout_s=PATIENCE_S) == Ended(17, "held by nobody")


async def test_a_function_that_raises_is_a_crash(forked: Child) -> None:
    def work(_write: Write) -> int:
        raise OSError

    ended = await forked("key", work, timeout_s=PATIENCE_S)
    assert ended == Ended(CRASHED, "")


async def test_the_child_keeps_no_descriptor_of_the_daemon(forked: Child, tmp_path: Path) -> None:
    with (tmp_path / "socket").open("w"):

        def work(write: Write) -> int:
            write(" ".join(sorted(os.listdir("/proc/self/fd"))))  # noqa: PTH208
            return 0

        ended = await forked("key", work, timeout_s=PATIENCE_S)
    assert isinstance(ended, Ended)
    assert set(ended.text.split()) <= {"0", "1", "2", "3", "4"}  # 4 lists the folder itself.


async def test_a_hanging_child_is_given_up_in_time_and_not_doubled(forked: Child) -> None:
    """SIGSTOP before SIGKILL would still end it, so the child here is one that takes its time."""
    started_s = asyncio.get_running_loop().time()

    def hang(_write: Write) -> int:
        signal.pause()
        return 0

    assert await forked("key", hang, timeout_s=0.05) == StillRuns(0.05)
    assert asyncio.get_running_loop().time() - started_s < PATIENCE_S
    # The next one finds the first one gone and runs.
    assert await forked("key", lambda _write: 3, timeout_s=PATIENCE_S) == Ended(3, "")


async def test_what_a_child_wrote_before_it_hung_is_not_lost() -> None:
    forked = Forked()

    def hang(write: Write) -> int:
        write("begun; ")
        write("still at it")
        signal.pause()
        return 0

    assert await forked("key", hang, timeout_s=2) == StillRuns(2, "begun; still at it")


async def test_a_child_that_writes_more_than_a_pipe_holds_ends_all_the_same() -> None:
    forked = Forked()

    def work(write: Write) -> int:
        for _ in range(3):
            write("x" * (RESULT_BYTES_MAX - 1))
        return 4

    ended = await forked("key", work, timeout_s=PATIENCE_S)
    assert ended == Ended(4, "x" * RESULT_BYTES_MAX)


async def test_a_cancelled_caller_ends_its_child(forked: Child) -> None:

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


async def test_callers_of_one_key_take_turns_and_each_gets_its_own_answer(forked: Child) -> None:

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


async def test_who_waits_for_a_turn_waits_no_longer_than_his_own_limit(forked: Child) -> None:

    def hang(_write: Write) -> int:
        signal.pause()
        return 0

    first = asyncio.ensure_future(forked("key", hang, timeout_s=PATIENCE_S))
    await asyncio.sleep(0)
    assert await forked("key", lambda _write: 0, timeout_s=0.05) == StillRuns(0.05)
    first.cancel()
    await asyncio.wait([first])
    assert await forked("key", lambda _write: 0, timeout_s=5) == Ended(0, "")


async def test_many_that_begin_together_take_one_fork_and_as_long_as_the_longest() -> None:
    """FAIL: each volume of a take-over costs a fork of the daemon."""
    together = Together()

    def work(number: int) -> Callable[[Write], int]:
        def run(write: Write) -> int:
            time.sleep(0.02)
            write(f"{os.getpid()} {number}")
            return number

        return run

    many = range(50)
    ends = await asyncio.gather(*(together(f"{n}", work(n), timeout_s=60) for n in many))
    told = [each.text.split() for each in ends if isinstance(each, Ended)]
    assert [int(number) for _, number in told] == list(many)
    assert len({pid for pid, _ in told}) == 1
    assert [each.exit_code for each in ends if isinstance(each, Ended)] == list(many)


async def test_one_that_hangs_or_crashes_keeps_no_answer_of_the_others() -> None:
    together = Together()

    def crash(_write: Write) -> int:
        raise OSError

    def hang(_write: Write) -> int:
        time.sleep(PATIENCE_S)
        return 0

    ends = await asyncio.gather(
        together("hangs", hang, timeout_s=0.5),
        together("crashes", crash, timeout_s=60),
        together("works", lambda _: 7, timeout_s=60),
    )
    assert tuple(ends) == (StillRuns(0.5), Ended(CRASHED, ""), Ended(7, ""))
    assert await together("hangs", lambda _: 3, timeout_s=60) == Ended(3, "")


async def test_one_that_hangs_is_not_ended_while_somebody_waits_for_another() -> None:
    together = Together()

    def slow(_write: Write) -> int:
        time.sleep(0.5)
        return 5

    ends = await asyncio.gather(
        together("slow", slow, timeout_s=0.05), together("awaited", slow, timeout_s=60)
    )
    assert tuple(ends) == (StillRuns(0.05), Ended(5, ""))
