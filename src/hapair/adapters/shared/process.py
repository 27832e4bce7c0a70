"""Start other programs; no other module of the daemon does."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from typing import Final, TypeVar

from hapair.adapters.shared.passing import EXIT_CODE, passes, unstarted
from hapair.ports.programs import Finished, TimedOut

OUTPUT_BYTES_MAX: Final = 1 << 20  # What a program prints beyond this is read and forgotten.
STREAM_BYTES: Final = 1 << 16
# Pipes may stay open in a grandchild that the program left behind; nobody waits for that one.
OUTPUT_GRACE_S: Final = 0.5
KILL_GRACE_S: Final = 1.0  # A program in an uninterruptible sleep does not even end by SIGKILL.
COMMAND_NOT_FOUND: Final = 127  # The exit codes that a shell gives.
COMMAND_NOT_EXECUTABLE: Final = EXIT_CODE
REAP_INTERVAL_S: Final = 0.1
SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2

T = TypeVar("T")


def watch_children_by_pidfd() -> None:
    """Let asyncio learn of ended children without a thread for each; later Pythons do so alone."""
    if sys.version_info < (3, 12):
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())


def plain_environment() -> dict[str, str]:
    """Return an environment in which programs speak English and find only system commands."""
    return {"PATH": SEARCH_PATH, "LC_ALL": "C", "LANG": "C", "HOME": "/root", "SHELL": "/bin/sh"}


class ProcessRunner:
    """Runs a program to its end, or kills its whole process group."""

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        """Run ``argv`` without a shell and wait at most ``timeout_s`` seconds.

        A program that cannot be started ends as Finished with a shell's exit code 126 or 127:
        nothing has happened; as NotStarted when it might be started a moment later. After TimedOut
        its process group was sent SIGKILL; what it did until then is not known. When the caller is
        cancelled the group is killed as well.
        """
        try:
            transport, program = await _started(
                asyncio.get_running_loop().subprocess_exec(
                    _Program,
                    *argv,
                    stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                    env=plain_environment(),
                    start_new_session=True,
                ),
                _end_transport,
            )
        except (FileNotFoundError, NotADirectoryError):
            return Finished(COMMAND_NOT_FOUND, "", f"{argv[0]}: command not found")
        except OSError as error:
            return unstarted(argv[0], error)
        try:
            _feed(transport, stdin)
            async with asyncio.timeout(timeout_s):
                await program.exited.wait()
        except TimeoutError:
            await _kill_group(transport.get_pid(), program.exited)
            return TimedOut(timeout_s)
        except asyncio.CancelledError:
            await _undisturbed(_kill_group(transport.get_pid(), program.exited))
            raise
        else:
            await _at_most(OUTPUT_GRACE_S, program.silent)
            return Finished(transport.get_returncode() or 0, *program.texts())
        finally:
            transport.close()


class _Program(asyncio.SubprocessProtocol):
    """Collects what a program prints."""

    def __init__(self) -> None:
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()  # Ended, and nobody can print any more.
        self._printed = {_STDOUT: bytearray(), _STDERR: bytearray()}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        into = self._printed[fd]
        into += data[: OUTPUT_BYTES_MAX - len(into)]

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.silent.set()

    def texts(self) -> tuple[str, str]:
        out, error = (self._printed[fd].decode("utf-8", "replace") for fd in (_STDOUT, _STDERR))
        return out, error


def _feed(transport: asyncio.SubprocessTransport, content: bytes) -> None:
    """Give the program its input; it need not read it to the end."""
    pipe = transport.get_pipe_transport(_STDIN)
    if isinstance(pipe, asyncio.WriteTransport):
        pipe.write(content)
        pipe.write_eof()


async def run_apart(
    argv: Sequence[str], *, environment: Mapping[str, str], output: int, timeout_s: float
) -> int | TimedOut:
    """Run ``argv`` so that it outlives us, and return its exit code.

    ``argv`` begins with a full path. The output goes to the descriptor ``output``, never through
    a pipe of ours. After TimedOut the process group was sent SIGKILL. When the caller is
    cancelled, or the daemon ends, it goes on undisturbed. OSError: it was not started, and might
    be a moment later.
    """
    try:
        pid = spawn_apart(argv, environment, output)
    except OSError as error:
        if passes(error):
            raise
        return COMMAND_NOT_FOUND
    exited = exit_of(pid)
    await asyncio.wait({exited}, timeout=timeout_s)
    if not exited.done():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        await asyncio.wait({exited}, timeout=KILL_GRACE_S)
        return TimedOut(timeout_s)
    return exited.result()


def spawn_apart(argv: Sequence[str], environment: Mapping[str, str], output: int) -> int:
    """Start ``argv`` in a session of its own and return its number; OSError: it was not started."""
    return os.posix_spawn(
        argv[0],
        tuple(argv),
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, _STDIN, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, _STDOUT),
            (os.POSIX_SPAWN_DUP2, output, _STDERR),
        ],
        setsid=True,
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
    )


def exit_of(pid: int) -> asyncio.Future[int]:
    """Return the exit code to be of our own child. It is reaped even when nobody waits for it.

    Wait with ``asyncio.wait``, which does not cancel what it waits for.
    """
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[int] = loop.create_future()
    try:
        handle = os.pidfd_open(pid)
    except OSError:  # No descriptor is left.
        return loop.create_task(_reaped(pid), name=f"wait for process {pid}")

    def reap() -> None:
        loop.remove_reader(handle)
        os.close(handle)
        _, status = os.waitpid(pid, 0)
        if not exited.done():
            exited.set_result(os.waitstatus_to_exitcode(status))

    try:
        loop.add_reader(handle, reap)
    except OSError:  # The kernel has no memory to watch one more.
        os.close(handle)
        return loop.create_task(_reaped(pid), name=f"wait for process {pid}")
    return exited


def _exit_code_now(pid: int) -> int | None:
    reaped, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if reaped else None


async def _reaped(pid: int) -> int:
    while True:
        if (exit_code := _exit_code_now(pid)) is not None:
            return exit_code
        await asyncio.sleep(REAP_INTERVAL_S)


async def follow(
    argv: Sequence[str], *, idle_s: Callable[[], float]
) -> AsyncGenerator[tuple[str, ...]]:
    """Run ``argv`` and yield its lines as they come.

    When nothing came for ``idle_s()`` seconds, asked before each wait, () is yielded.
    Ends when the program ends or cannot be started. Closing the iterator kills the program.
    """
    try:
        process = await _started(
            asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=plain_environment(),
                start_new_session=True,
                limit=STREAM_BYTES,
            ),
            _end_process,
        )
    except OSError:
        return
    rest = ""
    try:
        while (chunk := await _next_chunk(process.stdout, idle_s())) != b"":
            *lines, rest = (rest + (chunk or b"").decode("utf-8", "replace")).split("\n")
            yield tuple(lines)
    finally:
        await _undisturbed(_end_process(process))


async def _next_chunk(stream: asyncio.StreamReader | None, idle_s: float) -> bytes | None:
    """Return what came, ``b""`` at the end, or None when nothing came for ``idle_s``."""
    if stream is None:
        return b""
    try:
        async with asyncio.timeout(idle_s):
            return await stream.read(STREAM_BYTES)
    except TimeoutError:
        return None


async def _started(
    starting: Coroutine[None, None, T], end: Callable[[T], Coroutine[None, None, None]]
) -> T:
    """Wait until a program is started. When cancelled meanwhile, ``end`` it once it is.

    When asyncio ends it cancels its own tasks too, among them the one that connects the pipes; a
    start that is cancelled with it then waits for ever for the end of its program. A second
    cancellation ends that waiting.
    """
    task = asyncio.ensure_future(starting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):  # However often that comes.
                await asyncio.wait({task}, timeout=KILL_GRACE_S)
                task.cancel()
        if not task.cancelled() and task.exception() is None:
            await _undisturbed(end(task.result()))
        raise


async def _undisturbed(work: Coroutine[None, None, None]) -> None:
    """Carry out what is bounded, however often the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})


async def _end_transport(begun: tuple[asyncio.SubprocessTransport, _Program]) -> None:
    transport, program = begun
    await _kill_group(transport.get_pid(), program.exited)
    transport.close()


async def _end_process(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(KILL_GRACE_S):
            await process.wait()


async def _kill_group(pid: int, exited: asyncio.Event) -> None:
    """Kill the group, unless its leader was reaped: its number may be somebody else's by now."""
    if not exited.is_set():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        await _at_most(KILL_GRACE_S, exited)


async def _at_most(seconds: float, event: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
