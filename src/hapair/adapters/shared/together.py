"""Run blocking code in one child for all who ask in the same moment, each in a thread of it.

A fork of the daemon costs more than most of what is done in it, above all where there are many.
"""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from hapair.adapters.shared.children import CRASHED, RESULT_BYTES_MAX, Write, start_child
from hapair.adapters.shared.exits import exit_of
from hapair.adapters.shared.forked import Ended, StillRuns

THREADS_MAX: Final = 64  # Of one child.
NICENESS: Final = -10  # Who waits for it goes before what others do about the same devices.


@dataclass(slots=True, eq=False)
class _Job:
    function: Callable[[Write], int]
    answer: "asyncio.Future[Ended]"
    child: "_Child | None" = None
    given_up: bool = False


class Together:
    """As ``Forked``: what hangs hangs nobody else, and is waited for again, not doubled."""

    def __init__(self) -> None:
        self._coming: list[_Job] = []
        self._newest: dict[str, _Job] = {}

    async def __call__(
        self, key: str, function: Callable[[Write], int], *, timeout_s: float
    ) -> Ended | StillRuns:
        """Run ``function`` and wait at most ``timeout_s`` seconds; OSError when it cannot be begun.

        ``key`` names what is done. While an earlier one of this key runs or hangs no other is
        begun: it is waited for. The function returns an exit code of 0 to 254.
        """
        until_s = asyncio.get_running_loop().time() + timeout_s
        while (earlier := self._newest.get(key)) is not None and not earlier.answer.done():
            if not await _ends(earlier, until_s):
                return StillRuns(timeout_s)
        job = self._newest[key] = self._begin(function)
        try:
            if await _ends(job, until_s):
                return job.answer.result()
            return StillRuns(timeout_s)
        finally:
            job.given_up = True
            if job.child is not None:
                job.child.end_if_given_up()
            if job.answer.done() and self._newest.get(key) is job:
                del self._newest[key]

    def _begin(self, function: Callable[[Write], int]) -> _Job:
        loop = asyncio.get_running_loop()
        job = _Job(function, loop.create_future())
        if not self._coming:
            loop.call_soon(self._start)
        self._coming.append(job)
        return job

    def _start(self) -> None:
        jobs, self._coming = self._coming, []
        for first in range(0, len(jobs), THREADS_MAX):
            some = jobs[first : first + THREADS_MAX]
            try:
                _Child.start(some)
            except OSError as error:
                for job in some:
                    job.answer.set_exception(error)
                    job.answer.exception()  # Whoever waited may have been cancelled.


async def _ends(job: _Job, until_s: float) -> bool:
    left_s = max(0.0, until_s - asyncio.get_running_loop().time())
    await asyncio.wait({job.answer}, timeout=left_s)
    return job.answer.done()


@dataclass(slots=True, eq=False)
class _Child:
    jobs: Sequence[_Job]
    pid: int
    exited: "asyncio.Future[int]"
    output: int  # The reading end of a pipe; a line of it is how one of the jobs ended.
    heard: bytes = field(default=b"")

    @staticmethod
    def start(jobs: Sequence[_Job]) -> None:
        pid, output = start_child(lambda write: _run_all(jobs, write))
        child = _Child(jobs, pid, exit_of(pid), output)
        for job in jobs:
            job.child = child
        try:
            asyncio.get_running_loop().add_reader(output, child.listen)
        except OSError:  # The kernel has no memory to watch one more; what has begun may happen.
            os.kill(pid, signal.SIGKILL)
            os.close(output)
            child.exited.add_done_callback(lambda _: child.crashed())

    def listen(self) -> None:
        content = os.read(self.output, RESULT_BYTES_MAX)
        *lines, self.heard = (self.heard + content).split(b"\n")
        for line in lines:
            number, code, text = json.loads(line)
            self.jobs[number].answer.set_result(Ended(code, text))
        if not content:
            asyncio.get_running_loop().remove_reader(self.output)
            os.close(self.output)
            self.crashed()

    def crashed(self) -> None:
        for job in self._open():
            job.answer.set_result(Ended(CRASHED, ""))

    def end_if_given_up(self) -> None:
        """Kill it when nobody waits for what it still does."""
        if all(job.given_up for job in self._open()) and not self.exited.done():
            os.kill(self.pid, signal.SIGKILL)

    def _open(self) -> list[_Job]:
        return [job for job in self.jobs if not job.answer.done()]


def _run_all(jobs: Sequence[_Job], write: Write) -> int:
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    turn = threading.Lock()
    threading.excepthook = lambda _: None  # That one crashed is told by its exit code.

    def run(number: int, job: _Job) -> None:
        parts: list[str] = []
        code = CRASHED
        try:
            code = job.function(parts.append)
        finally:
            text = "".join(parts)[: RESULT_BYTES_MAX // 8]  # Signs become up to six bytes.
            with turn:
                write(f"{json.dumps([number, code, text])}\n")

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0
