"""The port ``Programs``."""

from pathlib import Path

from hapair.adapters.programs.commands import OWN_COMMANDS
from hapair.adapters.programs.grouped import GroupedPrograms
from hapair.adapters.programs.units import Units
from hapair.model.application import OcfAgent, Program, Script, Unit
from hapair.model.outcome import Outcome
from hapair.ports.programs import CommandRunner


class ApplicationPrograms:
    def __init__(
        self,
        run: CommandRunner,
        node: str,
        *,
        root: Path,
        notes: Path,
        log_folder: Path | None = None,
        own_commands: str = OWN_COMMANDS,
    ) -> None:
        """Make control groups below ``root`` and notes of successful starts in ``notes``.

        ``notes`` must not survive a reboot. Output goes to the journal unless ``log_folder``
        is given. ``own_commands`` is a folder that programs search for commands before all others.
        """
        self._units = Units(run)
        self._grouped = GroupedPrograms(node, root, notes, log_folder, own_commands)

    async def start(self, application: str, program: Program, *, timeout_s: float) -> Outcome:
        match program:
            case Unit():
                return await self._units.start(program, timeout_s=timeout_s)
            case Script() | OcfAgent():
                return await self._grouped.start(application, program, timeout_s=timeout_s)

    async def stop(self, application: str, program: Program, *, timeout_s: float) -> Outcome:
        match program:
            case Unit():
                return await self._units.stop(program, timeout_s=timeout_s)
            case Script() | OcfAgent():
                return await self._grouped.stop(application, program, timeout_s=timeout_s)

    async def kill(self, application: str, program: Program, *, timeout_s: float) -> Outcome:
        match program:
            case Unit():
                return await self._units.kill(program, timeout_s=timeout_s)
            case Script() | OcfAgent():
                return await self._grouped.kill(application, program, timeout_s=timeout_s)

    async def running(self, application: str, program: Program) -> bool | None:
        match program:
            case Unit():
                return await self._units.running(program)
            case Script() | OcfAgent():
                return await self._grouped.running(application, program)
