"""Start programs so that a disk that hangs keeps nobody waiting but who wants the program.

The kernel loads a program in the middle of its start. With vfork, which asyncio, subprocess and
posix_spawn use, the parent stands still until that is done, holds the interpreter's lock, and does
not know the number of the child that it would have to kill. A fork returns at once, with it.
Programs that are pinned ask no disk, so the cheaper vfork does for them.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from hapair.adapters.shared.children import Write, start_child
from hapair.adapters.shared.exits import exit_of
from hapair.adapters.shared.limited import Limited
from hapair.adapters.shared.pinned import is_pinned, unpin

# Of one program, at the same time. Each holds memory of the daemon until it has begun; starts of
# other programs do not wait for these.
STARTING_MAX: Final = 8
ERROR_BYTES: Final = 16
# What Python ignores, and its children would inherit.
_AS_USUAL: Final = (signal.SIGPIPE, signal.SIGXFSZ)

_starting: Final = Limited(STARTING_MAX)

Streams = tuple[int | None, int | None, int | None]  # Input, output and errors; None: nothing.


@dataclass(frozen=True, slots=True)
class Started:
    """A child that leads a session of its own, in which it becomes a program."""

    pid: int
    exited: asyncio.Future[int]
    begun: asyncio.Future[int]  # 0 when the program runs or is gone, else why it does not: errno.

    def kill(self) -> None:
        """Kill it with its group, unless it was reaped: its number may be another's by now."""
        if not self.exited.done():
            os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):  # It leads none yet.
                os.killpg(self.pid, signal.SIGKILL)


async def start(
    argv: Sequence[str], environment: Mapping[str, str], streams: Streams, *, timeout_s: float
) -> Started:
    """Start ``argv`` and return when the program runs; it is found by the PATH it is given.

    Raises:
        TimeoutError: that took longer, and it never will run: SIGKILL waits for what the disk has
            not brought yet, before it executes anything. So it is when the caller is cancelled.
        OSError: it cannot be run.
    """
    if is_pinned(argv[0]) and all(each is None or each >= len(streams) for each in streams):
        return _begin_pinned(argv, environment, streams)
    turn = _starting.turn(argv[0])
    async with asyncio.timeout(timeout_s):
        await turn.acquire()
        try:
            started = begin(argv, environment, streams)
        except OSError:
            turn.release()
            raise
        started.begun.add_done_callback(lambda _: turn.release())
        try:
            await asyncio.wait({started.begun})
        except asyncio.CancelledError:
            started.kill()
            raise
    if error := started.begun.result():
        raise OSError(error, os.strerror(error))
    return started


def _begin_pinned(argv: Sequence[str], environment: Mapping[str, str], streams: Streams) -> Started:
    """Start it and return when it runs. ``streams`` are none of the numbers they shall have."""
    given: list[tuple[object, ...]] = [
        (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0)
        if each is None
        else (os.POSIX_SPAWN_DUP2, each, number)
        for number, each in enumerate(streams)
    ]
    given += [(os.POSIX_SPAWN_CLOSE, each) for each in _inheritable() if each >= len(streams)]
    try:
        pid = os.posix_spawn(
            argv[0], list(argv), environment, file_actions=given, setsid=True, setsigdef=_AS_USUAL
        )
    except FileNotFoundError:  # An upgrade took it away since it was looked at.
        unpin(Path(argv[0]))
        raise
    begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    begun.set_result(0)
    return Started(pid, exit_of(pid), begun)


def _inheritable() -> Iterator[int]:
    """Return the descriptors that the caller of this very program left us."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers
        with contextlib.suppress(OSError):  # Of the listing itself.
            if os.get_inheritable(int(name)):
                yield int(name)


def begin(argv: Sequence[str], environment: Mapping[str, str], streams: Streams) -> Started:
    """Begin to start ``argv``; OSError: there is no child."""
    pid, telling = start_child(partial(_become, argv, environment), streams)
    loop = asyncio.get_running_loop()
    begun: asyncio.Future[int] = loop.create_future()
    started = Started(pid, exit_of(pid), begun)

    def listen() -> None:
        loop.remove_reader(telling)
        error = int(os.read(telling, ERROR_BYTES) or 0)
        os.close(telling)
        begun.set_result(error)

    try:
        loop.add_reader(telling, listen)
    except OSError:  # The kernel has no memory to watch one more.
        started.kill()
        os.close(telling)
        raise
    return started


def _become(argv: Sequence[str], environment: Mapping[str, str], write: Write) -> int:
    try:
        os.setsid()
        for number in _AS_USUAL:
            signal.signal(number, signal.SIG_DFL)
        # When this succeeds it closes the descriptor that is written to.
        os.execvpe(argv[0], list(argv), environment)  # noqa: S606 - no shell is wanted
    except OSError as error:
        write(str(error.errno))
    return 0
