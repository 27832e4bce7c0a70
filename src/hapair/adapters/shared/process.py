"""Run other programs: to their end, apart from us, or line by line."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from hapair.adapters.shared.passing import EXIT_CODE, passes, unstarted
from hapair.adapters.shared.starts import Started, start
from hapair.model.environment import PLAIN
from hapair.ports.programs import Finished, TimedOut

OUTPUT_BYTES_MAX: Final = 1 << 20  # What a program prints beyond this is read and forgotten.
STREAM_BYTES: Final = 1 << 16
# Pipes may stay open in a grandchild that the program left behind; nobody waits for that one.
OUTPUT_GRACE_S: Final = 0.5
KILL_GRACE_S: Final = 1.0  # A program in an uninterruptible sleep does not even end by SIGKILL.
FOLLOWED_START_S: Final = 60.0  # Until a program that is followed has begun.
LINE_SIGNS_MAX: Final = 1 << 16  # A program that is followed and ends no line has gone wrong.
COMMAND_NOT_FOUND: Final = 127  # The exit codes that a shell gives.
COMMAND_NOT_EXECUTABLE: Final = EXIT_CODE


def plain_environment() -> dict[str, str]:
    """Return an environment in which programs speak English and find only system commands."""
    return dict(PLAIN)


class ProcessRunner:
    """Runs a program to its end, or kills its whole process group."""

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        """Run ``argv`` without a shell and wait at most ``timeout_s`` seconds.

        A program that cannot be started ends as Finished with a shell's exit code 126 or 127:
        nothing has happened; as NotStarted when it might be started a moment later. After TimedOut
        its process group was sent SIGKILL; what it did until then is not known: nothing, when the
        disk it lies on hangs. When the caller is cancelled the group is killed as well.
        """
        until_s = asyncio.get_running_loop().time() + timeout_s
        with ExitStack() as ours:
            try:
                with ExitStack() as theirs:
                    out, errors = (_Printed(ours, theirs) for _ in range(2))
                    streams = (_given(stdin, theirs), out.writing, errors.writing)
                    environment = plain_environment()
                    program = await start(argv, environment, streams, timeout_s=timeout_s)
            except TimeoutError:
                return TimedOut(timeout_s)
            except (FileNotFoundError, NotADirectoryError):
                return Finished(COMMAND_NOT_FOUND, "", f"{argv[0]}: command not found")
            except OSError as error:
                return unstarted(argv[0], error)
            if not await _ended(program, until_s):
                return TimedOut(timeout_s)
            await asyncio.wait({out.silent, errors.silent}, timeout=OUTPUT_GRACE_S)
            return Finished(program.exited.result(), out.text(), errors.text())


class _Printed:
    """Collects what a program prints."""

    def __init__(self, ours: ExitStack, theirs: ExitStack) -> None:
        loop = asyncio.get_running_loop()
        self.silent: asyncio.Future[None] = loop.create_future()  # Nobody can print any more.
        self._reading, self.writing = _pipe(ours, theirs)
        self._kept = bytearray()
        loop.add_reader(self._reading, self._read)
        ours.callback(loop.remove_reader, self._reading)

    def _read(self) -> None:
        content = os.read(self._reading, STREAM_BYTES)
        self._kept += content[: OUTPUT_BYTES_MAX - len(self._kept)]
        if not content:
            asyncio.get_running_loop().remove_reader(self._reading)
            self.silent.set_result(None)

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")


def _pipe(ours: ExitStack, theirs: ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    ours.callback(os.close, reading)
    theirs.callback(os.close, writing)
    return reading, writing


def _given(content: bytes, theirs: ExitStack) -> int | None:
    """Lay the input of a program where it can read it, or not, without anybody who feeds it."""
    if not content:
        return None
    given = os.memfd_create("input", os.MFD_CLOEXEC)
    theirs.callback(os.close, given)
    os.pwrite(given, content, 0)
    return given


async def run_apart(
    argv: Sequence[str], *, environment: Mapping[str, str], output: int, timeout_s: float
) -> int | TimedOut:
    """Run ``argv`` so that it outlives us, and return its exit code.

    The output goes to the descriptor ``output``, never through a pipe of ours. After TimedOut the
    process group was sent SIGKILL. Once it has begun it goes on undisturbed when the caller is
    cancelled, or the daemon ends. OSError: it was not started, and might be a moment later.
    """
    until_s = asyncio.get_running_loop().time() + timeout_s
    try:
        program = await start(argv, environment, (None, output, output), timeout_s=timeout_s)
    except TimeoutError:
        return TimedOut(timeout_s)
    except OSError as error:
        if passes(error):
            raise
        return COMMAND_NOT_FOUND
    left_s = max(0.0, until_s - asyncio.get_running_loop().time())
    await asyncio.wait({program.exited}, timeout=left_s)
    if not program.exited.done():
        await _killed(program)
        return TimedOut(timeout_s)
    return program.exited.result()


async def follow(
    argv: Sequence[str], *, idle_s: Callable[[], float]
) -> AsyncGenerator[tuple[str, ...]]:
    """Run ``argv`` and yield its lines as they come.

    When nothing came for ``idle_s()`` seconds, asked before each wait, () is yielded, also while
    it is being started. Ends when the program ends, cannot be started, or prints a line without
    end. Closing the iterator kills the program.
    """
    with ExitStack() as ours:
        try:
            with ExitStack() as theirs:
                reading, writing = _pipe(ours, theirs)
                streams = (None, writing, None)
                environment = plain_environment()
                starting = asyncio.ensure_future(
                    start(argv, environment, streams, timeout_s=FOLLOWED_START_S)
                )
                ours.callback(starting.cancel)
                while not (await asyncio.wait({starting}, timeout=idle_s()))[0]:
                    yield ()
                program = starting.result()
        except OSError:
            return
        rest = ""
        try:
            while (chunk := await _next_chunk(reading, idle_s())) != b"":
                *lines, rest = (rest + (chunk or b"").decode("utf-8", "replace")).split("\n")
                if lines or not chunk:
                    yield tuple(lines)
                if len(rest) > LINE_SIGNS_MAX:
                    return
        finally:
            await _undisturbed(_killed(program))


async def _next_chunk(reading: int, idle_s: float) -> bytes | None:
    """Return what came, ``b""`` at the end, or None when nothing came for ``idle_s``."""
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    try:
        loop.add_reader(reading, came.set)
        async with asyncio.timeout(idle_s):
            await came.wait()
        return os.read(reading, STREAM_BYTES)
    except TimeoutError:
        return None
    except OSError:  # The kernel has no memory to watch it.
        return b""
    finally:
        loop.remove_reader(reading)


async def _ended(program: Started, until_s: float) -> bool:
    """Wait until then for its end, else kill it; tell whether it ended by itself."""
    left_s = max(0.0, until_s - asyncio.get_running_loop().time())
    try:
        await asyncio.wait({program.exited}, timeout=left_s)
    except asyncio.CancelledError:
        await _undisturbed(_killed(program))
        raise
    if program.exited.done():
        return True
    await _killed(program)
    return False


async def _killed(program: Started) -> None:
    program.kill()
    await asyncio.wait({program.exited}, timeout=KILL_GRACE_S)


async def _undisturbed(work: Coroutine[None, None, None]) -> None:
    """Carry out what is bounded, however often the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
