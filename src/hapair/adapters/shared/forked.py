"""Run blocking code in a child of this very process, because a hung disk must not hang the daemon.

The child is a fork without exec: it needs no program start. It must not touch the event loop.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from hapair.adapters.shared.children import CRASHED, RESULT_BYTES_MAX, Write, start_child
from hapair.adapters.shared.exits import exit_of


@dataclass(frozen=True, slots=True)
class Ended:
    exit_code: int  # What the function returned; CRASHED when it raised.
    text: str  # What the function wrote.


@dataclass(frozen=True, slots=True)
class StillRuns:
    """It may hang in the kernel, where not even SIGKILL ends it."""

    after_s: float
    text: str = ""  # What the function wrote until then.


class Forked:
    """Runs functions in children; a child that hangs is waited for again, not doubled."""

    def __init__(self) -> None:
        self._turns = WeakValueDictionary[str, asyncio.Lock]()  # As long as anybody uses one.
        self._hanging: dict[str, _Child] = {}

    async def __call__(
        self, key: str, function: Callable[[Write], int], *, timeout_s: float
    ) -> Ended | StillRuns:
        """Run ``function`` in a child and wait at most ``timeout_s`` seconds.

        ``key`` names what is done. While an earlier child with this key runs or hangs no other is
        started: it is waited for, and when it is gone at last the function runs once more. The
        function returns an exit code of 0 to 254.
        """
        until_s = asyncio.get_running_loop().time() + timeout_s
        turn = self._turns.setdefault(key, asyncio.Lock())
        try:
            async with asyncio.timeout_at(until_s):
                await turn.acquire()
        except TimeoutError:
            return StillRuns(timeout_s)
        try:
            return await self._in_turn(key, function, until_s, timeout_s)
        finally:
            turn.release()

    async def _in_turn(
        self, key: str, function: Callable[[Write], int], until_s: float, timeout_s: float
    ) -> Ended | StillRuns:
        if (hanging := self._hanging.get(key)) is not None:
            if not await hanging.ends(until_s):
                return StillRuns(timeout_s)
            # First: where no further child can be started, nobody closes its pipe a second time.
            del self._hanging[key]
            hanging.ended()
        child = self._hanging[key] = _Child.start(function)
        try:
            if not await child.ends(until_s):
                return StillRuns(timeout_s, child.wrote())
            del self._hanging[key]
            return child.ended()
        finally:
            child.kill()


@dataclass(frozen=True, slots=True)
class _Child:
    pid: int
    exited: asyncio.Future[int]
    output: int  # The reading end of a pipe.

    @staticmethod
    def start(function: Callable[[Write], int]) -> "_Child":
        pid, output = start_child(lambda write: function(_bounded(write)))
        return _Child(pid, exit_of(pid), output)

    def kill(self) -> None:
        if not self.exited.done():
            os.kill(self.pid, signal.SIGKILL)

    async def ends(self, until_s: float) -> bool:
        """Wait until then; tell whether it ended."""
        left_s = max(0.0, until_s - asyncio.get_running_loop().time())
        await asyncio.wait({self.exited}, timeout=left_s)
        return self.exited.done()

    def wrote(self) -> str:
        """Return what it wrote since the last look; empty when nothing is there yet."""
        os.set_blocking(self.output, False)
        with contextlib.suppress(BlockingIOError):
            return os.read(self.output, RESULT_BYTES_MAX).decode("utf-8", "replace")
        return ""

    def ended(self) -> Ended:
        text = self.wrote()
        os.close(self.output)
        code = self.exited.result()
        return Ended(code if code >= 0 else CRASHED, text)


def _bounded(write: Write) -> Write:
    """In all the child writes no more than its pipe holds: nobody may read before it ends."""
    room = RESULT_BYTES_MAX

    def bounded(text: str) -> None:
        nonlocal room
        data = text.encode(errors="replace")[:room]
        room -= len(data)
        write(data.decode(errors="ignore"))

    return bounded
