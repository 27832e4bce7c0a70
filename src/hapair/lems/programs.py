"""Run a program in a session of its own: a fork, so that a disk that hangs holds up only the child.

What vfork does (subprocess, posix_spawn) would keep all other probes waiting until the disk has
given the program.
"""

import os
import pwd
import signal
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Final, NoReturn

from hapair.lems.answers import Command, Finished
from hapair.lems.files import read
from hapair.lems.loop import Loop

OUTPUT_BYTES_MAX: Final = 1 << 14  # What a program prints beyond this is read and forgotten.
CHUNK_BYTES: Final = 1 << 16
NOT_RUN: Final = 127
_STREAMS: Final = 3
_NOT_RUN_SIGN: Final = b"\0"  # No program says this first, and ends so.
_AS_USUAL: Final = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


class Program:
    """One run; ``done`` is called in the loop when it has ended, also after ``kill``."""

    def __init__(self, loop: Loop, command: Command) -> None:
        self._loop = loop
        self._printed = bytearray()
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        try:
            self.pid = os.fork()
        except OSError:
            os.close(self._reading)
            os.close(writing)
            raise
        if self.pid == 0:
            _become(command, writing)
        os.close(writing)
        try:
            self._exit = os.pidfd_open(self.pid)
        except OSError:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self._reading)
            raise
        self.finished: Finished | None = None

    def follow(self, done: Callable[[Finished], object]) -> None:
        self._loop.watch(self._reading, self._read)
        self._loop.watch(self._exit, lambda: self._ended(done))

    def kill(self) -> None:
        """Kill it with its group; one that hangs in the kernel does not even end by this."""
        signal.pidfd_send_signal(self._exit, signal.SIGKILL)
        self._kill_group()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _read(self) -> None:
        try:
            content = os.read(self._reading, CHUNK_BYTES)
        except BlockingIOError:
            return
        self._printed += content[: OUTPUT_BYTES_MAX - len(self._printed)]
        if not content:
            self._loop.unwatch(self._reading)
            os.close(self._reading)
            self._reading = -1

    def _ended(self, done: Callable[[Finished], object]) -> None:
        self._kill_group()  # What it left behind, as long as nobody else can have its number.
        _, status = os.waitpid(self.pid, 0)
        self._loop.unwatch(self._exit)
        os.close(self._exit)
        if self._reading >= 0:
            self._read()
        if self._reading >= 0:  # Somebody who left its group may still print.
            self._loop.unwatch(self._reading)
            os.close(self._reading)
        said = bytes(self._printed)
        code = os.waitstatus_to_exitcode(status)
        text, why = said.decode("utf-8", "replace"), ""
        if code == NOT_RUN and said.startswith(_NOT_RUN_SIGN):
            why = text[1:]
        self.finished = Finished(code, text, why)
        done(self.finished)


class Strays:
    """What programs left behind, also what left their groups.

    This process is their subreaper: they are its children, but no programs of its own.
    """

    def __init__(self) -> None:
        self._beside: dict[int, frozenset[int]] = {}  # By stray: what ran when it was first seen.

    def end(self, programs: Collection[int], running: frozenset[int]) -> None:
        """End those that belong to none that runs; ``programs`` are all that have not ended."""
        try:
            children = read(f"/proc/self/task/{os.getpid()}/children").split()
        except OSError:  # The next look will do.
            return
        strays = [pid for pid in map(int, children) if pid not in programs]
        self._beside = {pid: self._beside.get(pid, running) for pid in strays}
        for pid, beside in self._beside.items():
            if not beside & running:
                os.kill(pid, signal.SIGKILL)  # Nobody has buried it, so it is nobody else.
                os.waitpid(pid, os.WNOHANG)  # Who is not dead yet is buried at the next look.


def _become(command: Command, writing: int) -> NoReturn:
    """Become the program; no other code of the parent may run in the child."""
    try:
        os.setsid()
        for each in _AS_USUAL:
            signal.signal(each, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, stream in enumerate((nothing, writing, writing)):
            os.dup2(stream, number)
        os.closerange(_STREAMS, os.sysconf("SC_OPEN_MAX"))
        _leave_privileges_of_ours()
        environment: Mapping[str, str] = command.environment
        if command.user:
            environment = {**environment, **_become_user(command.user)}
        place = _place(command.argv[0], environment)
        os.execve(place, command.argv, dict(environment))  # noqa: S606 - no shell is wanted
    except KeyError:
        os.write(1, _NOT_RUN_SIGN + f"there is no account {command.user}".encode())
    except OSError as error:
        os.write(1, _NOT_RUN_SIGN + f"{command.argv[0]}: {error.strerror}".encode())
    finally:
        os._exit(NOT_RUN)


def _leave_privileges_of_ours() -> None:
    """Take off what a Lems has for itself, so that what is run is as if an operator ran it."""
    os.umask(0o022)
    os.chdir("/")
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    with suppress(OSError):
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, b"0")


def _become_user(name: str) -> dict[str, str]:
    account = pwd.getpwnam(name)
    os.initgroups(name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    return {"HOME": account.pw_dir, "USER": name, "LOGNAME": name}


def _place(program: str, environment: Mapping[str, str]) -> str:
    if "/" in program:
        return program
    for folder in environment["PATH"].split(":"):
        if os.access(place := f"{folder}/{program}", os.X_OK):
            return place
    return program
