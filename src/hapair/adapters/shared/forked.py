"""Run blocking code in a child of this very process, because a hung disk must not hang the daemon.

The child is a fork without exec: it needs no program start. It must not touch the event loop.
"""

import asyncio
import fcntl
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn
from weakref import WeakValueDictionary

from hapair.adapters.shared.exits import exit_of

RESULT_BYTES_MAX: Final = 1 << 16
_OWN_DESCRIPTOR: Final = 3
CRASHED: Final = 255


@dataclass(frozen=True, slots=True)
class Ended:
    exit_code: int  # What the function returned; CRASHED when it raised.
    text: str  # What the function wrote.


@dataclass(frozen=True, slots=True)
class StillRuns:
    """It may hang in the kernel, where not even SIGKILL ends it."""

    after_s: float


Write = Callable[[str], None]


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
            hanging.ended()
        child = self._hanging[key] = _Child.start(function)
        try:
            if not await child.ends(until_s):
                return StillRuns(timeout_s)
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
        pid, output = start_child(function)
        return _Child(pid, exit_of(pid), output)

    def kill(self) -> None:
        if not self.exited.done():
            os.kill(self.pid, signal.SIGKILL)

    async def ends(self, until_s: float) -> bool:
        """Wait until then; tell whether it ended."""
        left_s = max(0.0, until_s - asyncio.get_running_loop().time())
        await asyncio.wait({self.exited}, timeout=left_s)
        return self.exited.done()

    def ended(self) -> Ended:
        text = os.read(self.output, RESULT_BYTES_MAX).decode("utf-8", "replace")
        os.close(self.output)
        code = self.exited.result()
        return Ended(code if code >= 0 else CRASHED, text)


def start_child(
    function: Callable[[Write], int], streams: Sequence[int | None] = ()
) -> tuple[int, int]:
    """Run the function in a child; return its number and the reading end of what it writes.

    ``streams`` become the child's first descriptors, where None is an empty device; it has no
    others of ours. A child that lacks descriptors for that writes why: its errno.

    Raises:
        OSError: there is no child.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        # So whoever started us may have it: nobody would learn how a child ended.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    if pid == 0:
        _run_as_child(function, writing, streams)
    os.close(writing)
    return pid, reading


def _run_as_child(
    function: Callable[[Write], int], writing: int, streams: Sequence[int | None]
) -> NoReturn:
    """Run the function and exit: no other code of the parent may run in the child."""
    code = CRASHED
    try:
        try:
            _keep_only(writing, streams)
        except OSError as error:
            os.write(writing, str(error.errno).encode())
            raise
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

        def write(text: str) -> None:
            os.write(_OWN_DESCRIPTOR, text.encode(errors="replace")[:RESULT_BYTES_MAX])

        code = function(write)
    finally:
        os._exit(code)


def _keep_only(writing: int, streams: Sequence[int | None]) -> None:
    """A child that hangs must not keep the daemon's sockets open after the daemon ended."""
    # Out of the way first: where the daemon has no standard streams, pipes have their numbers.
    writing, *given = (
        fcntl.fcntl(
            os.open(os.devnull, os.O_RDWR) if each is None else each,
            fcntl.F_DUPFD_CLOEXEC,
            _OWN_DESCRIPTOR + 1,
        )
        for each in (writing, *streams)
    )
    for number, each in enumerate(given):
        os.dup2(each, number)
    os.dup2(writing, _OWN_DESCRIPTOR, inheritable=False)
    os.closerange(_OWN_DESCRIPTOR + 1, os.sysconf("SC_OPEN_MAX"))
