"""Scripts and OCF agents: everything that they start lives in the application's control group."""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final

from hapair.adapters.programs import commands
from hapair.adapters.programs.groups import LOOK_INTERVAL_S, Group
from hapair.adapters.programs.journal import identifier, output
from hapair.adapters.shared.apart import apart
from hapair.adapters.shared.passing import passes
from hapair.adapters.shared.process import (
    COMMAND_NOT_EXECUTABLE,
    COMMAND_NOT_FOUND,
    plain_environment,
    run_apart,
)
from hapair.model import ocf, timing
from hapair.model.application import OcfAgent, Script
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.ports.programs import TimedOut

LEAVE_S: Final = 2.0  # After a stop the last processes may need a moment to be gone.
TERM_SHARE: Final = 0.5  # Of the time limit of kill; then SIGKILL.
STARTED: Final = "started"  # The start succeeded; nothing lived in the group afterwards.
LIVES: Final = "lives"  # The start succeeded and processes live in the group.
_NOT_ASKED: Final = (
    commands.GROUP_NOT_ENTERED, COMMAND_NOT_FOUND, COMMAND_NOT_EXECUTABLE,
)  # fmt: skip


class GroupedPrograms:
    """Knows a program by its control group and by a note that a successful start leaves."""

    def __init__(
        self,
        node: str,
        root: Path,
        notes: Path,
        log_folder: Path | None = None,
        own_commands: str = commands.OWN_COMMANDS,
    ) -> None:
        self._node = node
        self._root = root
        self._notes = notes
        self._log_folder = log_folder
        self._starts = Counter[str]()  # Those that are under way, before they are in the group too.
        self._plain = plain_environment() | {"PATH": commands.search_path(own_commands)}

    async def start(
        self, application: str, program: Script | OcfAgent, *, timeout_s: float
    ) -> Outcome:
        """Refused: it failed and nothing of it lives. Unknown: something of it may live."""
        self._starts[application] += 1
        try:
            return await self._start(application, program, timeout_s)
        finally:
            self._starts[application] -= 1

    async def _start(
        self, application: str, program: Script | OcfAgent, timeout_s: float
    ) -> Outcome:
        group, note = self._group(application), self._note(application)
        if isinstance(program, Script) and await apart(
            program.path, partial(_is_empty, program.path)
        ):
            return Refused(f"{program.path} is empty: restore it, e.g. from the other node")
        with contextlib.suppress(OSError):  # Where it cannot be, no note can.
            note.parent.mkdir(parents=True, exist_ok=True)
        try:
            note.unlink(missing_ok=True)
            group.make()
        except OSError as error:
            if passes(error):
                raise
            return Refused(f"{error.filename}: {error.strerror}: is hapair-apps.service running?")
        argv = commands.starting(
            str(group.entrance), os.getpid(), str(note), commands.action(program, "start")
        )
        outcome = await self._run(application, program, argv, timeout_s)
        if isinstance(outcome, Done):
            return _noted(note, LIVES if group.populated() else STARTED)
        if not isinstance(outcome, Unknown) or group.populated():
            return outcome
        # What an agent has asked another service to start may come up later.
        elsewhere = isinstance(program, OcfAgent) and await self._lives_elsewhere(
            application, program, unless_told=True
        )
        return outcome if elsewhere else Refused(outcome.why)

    async def stop(
        self, application: str, program: Script | OcfAgent, *, timeout_s: float
    ) -> Outcome:
        """Unknown: it failed, or it succeeded but left processes behind, which are named."""
        group = self._group(application)
        try:
            group.make()
            # From now on it does not count as started, also for a daemon that takes over from
            # one that dies while the stop goes on.
            self._note(application).unlink(missing_ok=True)
        except OSError as error:
            if passes(error):
                raise
            return Unknown(f"{error.filename}: {error.strerror}: is hapair-apps.service running?")
        argv = commands.entering(str(group.entrance), os.getpid(), commands.action(program, "stop"))
        outcome = await self._run(application, program, argv, timeout_s)
        if not isinstance(outcome, Done):
            return Unknown(outcome.why)
        if not await group.emptied(LEAVE_S):
            return Unknown(f"the stop of {application} left {group.named()}")
        group.remove()
        return outcome

    async def kill(
        self, application: str, program: Script | OcfAgent, *, timeout_s: float
    ) -> Outcome:
        """TERM, then KILL. Unknown names what even SIGKILL did not end.

        Unknown also when an agent still finds its program: it had another service start it.
        """
        group = self._group(application)
        was = group.named()
        term_s = timeout_s * TERM_SHARE
        ended = await self._ended(application, group.terminate, term_s)
        if not ended and not await self._ended(application, group.kill, timeout_s - term_s):
            left = group.named() or "a start that has not begun yet"
            return Unknown(f"SIGKILL did not end {left} of {application}")
        if isinstance(program, OcfAgent) and await self._lives_elsewhere(
            application, program, unless_told=False
        ):
            return Unknown(
                f"{ocf.name(program)} says that {application} runs, and nothing of it is in its"
                f" control group: systemd-cgls shows where it lives"
            )
        self._note(application).unlink(missing_ok=True)
        group.remove()
        return Done(f"ended {was}" if was else "nothing lived")

    async def _ended(self, application: str, end: Callable[[], None], timeout_s: float) -> bool:
        """End what lives in the group, also what a start that is under way lets in later."""
        group, until_s = self._group(application), monotonic() + timeout_s
        end()
        starts = self._starts[application]
        while group.populated() or starts:
            if monotonic() >= until_s:
                return False
            await asyncio.sleep(LOOK_INTERVAL_S)
            if starts:  # Also what the start let in just before it ended.
                end()
            starts = self._starts[application]
        return True

    async def running(self, application: str, program: Script | OcfAgent) -> bool | None:
        if isinstance(program, OcfAgent):
            return await self._monitored(application, program)
        try:
            note = self._note(application).read_text().strip()
        except FileNotFoundError:
            return None if self._group(application).populated() else False
        if self._group(application).populated():
            return True
        return note == STARTED if note else None  # It was there, but was not whole.

    async def _lives_elsewhere(
        self, application: str, program: OcfAgent, *, unless_told: bool
    ) -> bool:
        """Ask the agent; ``unless_told`` is the answer where it says nothing in its time."""
        try:
            return await self._monitored(application, program) is True
        except OSError:  # TimeoutError for one.
            return unless_told

    async def _monitored(self, application: str, program: OcfAgent) -> bool | None:
        group = self._group(application)
        group.make()
        argv = commands.entering(
            str(group.entrance), os.getpid(), commands.action(program, "monitor")
        )
        code = await self._exit_code(application, program, argv, timing.MONITOR_S)
        if isinstance(code, TimedOut):
            raise TimeoutError(f"its monitor was not ready after {code.after_s:g} s")
        if code in _NOT_ASKED:
            raise OSError(f"its monitor could not be run (exit code {code})")
        if code in ocf.RUNNING:
            return True
        # Some agents answer so whenever they cannot find their configuration or their commands:
        # what lives in the group belies them. What is not installed may lie on the data.
        absent = code in (ocf.Code.NOT_RUNNING, ocf.Code.NOT_INSTALLED)
        return False if absent and not group.populated() else None

    async def _run(
        self, application: str, program: Script | OcfAgent, argv: commands.Argv, timeout_s: float
    ) -> Outcome:
        deed = " ".join(argv[-2:])
        match await self._exit_code(application, program, argv, timeout_s):
            case 0:
                return Done()
            case TimedOut(after_s):
                return Unknown(f"{deed} was not ready after {after_s} s")
            case commands.GROUP_NOT_ENTERED:
                return Refused(f"{deed}: the control group cannot be entered")
            case code if code in (COMMAND_NOT_FOUND, COMMAND_NOT_EXECUTABLE):
                return Refused(f"{deed}: not found or not executable")
            case code:
                return Unknown(
                    f"{deed} ended with {code}; see journalctl -t {identifier(application)}"
                )

    async def _exit_code(
        self, application: str, program: Script | OcfAgent, argv: commands.Argv, timeout_s: float
    ) -> int | TimedOut:
        environment: Mapping[str, str] = commands.environment(
            self._plain, program, application, self._node
        ) | commands.limit(program, timeout_s)
        if isinstance(program, OcfAgent):
            _make_state_folder()
        with output(application, self._log_folder) as descriptor:
            return await run_apart(
                argv, environment=environment, output=descriptor, timeout_s=timeout_s
            )

    def _group(self, application: str) -> Group:
        return Group(self._root / application)

    def _note(self, application: str) -> Path:
        return self._notes / application


def left_processes(notes: Path, application: str) -> bool:
    """Tell whether the last start of an application, unless stopped, left processes behind."""
    try:
        return (notes / application).read_text() == LIVES
    except OSError:
        return False


def _noted(note: Path, text: str) -> Done:
    """Note that a start succeeded; that it cannot be noted is no failure of the program."""
    try:
        note.write_text(text)
    except OSError as error:
        return Done(f"a new daemon will not know that it runs: {note}: {error.strerror}")
    return Done()


def _make_state_folder() -> None:
    """Make the folder of the agents' own notes, which only a boot makes otherwise."""
    folder = Path(ocf.STATE_FOLDER)
    with contextlib.suppress(OSError):  # The agent says itself what it cannot write.
        folder.mkdir()
        folder.chmod(ocf.STATE_FOLDER_MODE)  # Whatever the umask.


def _is_empty(script: str) -> bool:
    """Tell whether a power loss emptied a new script: the shell would run it with success."""
    try:
        return Path(script).stat().st_size == 0
    except OSError:
        return False
