"""systemd units, started and stopped unchanged."""

import contextlib
from typing import Final

from hapair.adapters.programs import commands
from hapair.adapters.programs.unit_words import why_failed
from hapair.model.application import Unit
from hapair.model.outcome import Done, NotNow, Outcome, Refused, Unknown
from hapair.model.unit import UNIT_RUNS
from hapair.ports.programs import CommandRunner, Finished, NotStarted, TimedOut

LOOK_S: Final = 10.0


class Units:
    def __init__(self, run: CommandRunner) -> None:
        self._run = run

    async def start(self, program: Unit, *, timeout_s: float) -> Outcome:
        """Refused: the unit is down afterwards.

        It is started anew where it runs: whoever started it did so before its data was mounted.
        """
        outcome = await self._act(commands.unit("restart", program), timeout_s)
        if isinstance(outcome, NotNow):
            return outcome
        if isinstance(outcome, Unknown):
            with contextlib.suppress(OSError):
                if await self.running(program) is False:
                    said = await why_failed(self._run, program.name)
                    told = f": {said}" if said else ""
                    return Refused(f"{outcome.why}; see journalctl -u {program.name}{told}")
        return outcome

    async def stop(self, program: Unit, *, timeout_s: float) -> Outcome:
        return await self._act(commands.unit("stop", program), timeout_s)

    async def kill(self, program: Unit, *, timeout_s: float) -> Outcome:
        """KILL its processes, then stop it, so that systemd does not start it again."""
        killed = await self._act(commands.unit_killed(program), timeout_s / 2)
        stopped = await self._act(commands.unit("stop", program), timeout_s / 2)
        return stopped if isinstance(stopped, Done) else killed

    async def running(self, program: Unit) -> bool | None:
        match await self._run(commands.unit_state(program), timeout_s=LOOK_S):
            case TimedOut(after_s):
                raise TimeoutError(f"systemd gave no answer about {program.name} in {after_s:g} s")
            case Finished(exit_code=0, stdout=text):
                return state(text)
            case finished:
                raise OSError(f"systemd did not tell of {program.name}: {finished.stderr.strip()}")

    async def _act(self, argv: commands.Argv, timeout_s: float) -> Outcome:
        match await self._run(argv, timeout_s=timeout_s):
            case TimedOut(after_s):
                return Unknown(f"{' '.join(argv)} was not ready after {after_s} s")
            case Finished(exit_code=0):
                return Done()
            case finished:
                said = " ".join(finished.stderr.split())
                why = f"{' '.join(argv)} ended with {finished.exit_code}: {said}"
                return NotNow(why) if isinstance(finished, NotStarted) else Unknown(why)


def state(text: str) -> bool | None:
    """Read the properties that ``systemctl show`` printed; None while the unit is in between."""
    match dict(line.split("=", 1) for line in text.splitlines() if "=" in line).get("ActiveState"):
        case runs if runs in UNIT_RUNS:
            return True
        case "inactive" | "failed":
            return False
        case _:
            return None
