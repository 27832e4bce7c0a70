"""The port ``Connections``: DRBD's connections by hand, through drbdadm and drbdsetup."""

import re
import shlex
from pathlib import Path
from typing import Final

from hapair.adapters.drbd.argv import SETUP_OF_8_4, Argv
from hapair.adapters.drbd.said import said
from hapair.adapters.drbd.settling import SettlingRunner
from hapair.model.application import Volume
from hapair.model.divergence import Generations
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.ports.programs import CommandRunner, Finished, TimedOut

# drbdadm's own words for a connection that already is as it was asked for.
ALREADY: Final = ("Invalid configuration request", "already in use")
REFUSED_CODES: Final = frozenset({1, 5, 10, 11, 16, 17, 126, 127})
ROLE_BIT: Final = 1
# What changes options of what is there; all else that ``adjust`` would do attaches or connects.
OF_CONNECTION: Final = "net-options"
NEW: Final = "new-resource"
OPTIONS: Final = ("resource-options", "disk-options", OF_CONNECTION, "peer-device-options")
_IDENTIFIERS: Final = re.compile(
    r"^([0-9A-F]{16}):([0-9A-F]{16})((?::[0-9A-F]{16})*)", re.IGNORECASE | re.MULTILINE
)


class DrbdConnections:
    """Does as it is told: whether a copy may give writes up is for the caller to decide."""

    def __init__(self, run: CommandRunner) -> None:
        self._run = SettlingRunner(run)

    async def disconnect(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._change(("drbdadm", "disconnect", volume.resource), timeout_s)

    async def connect(
        self, volume: Volume, *, timeout_s: float, discard_own: bool = False
    ) -> Outcome:
        if not discard_own:
            return await self._change(("drbdadm", "connect", volume.resource), timeout_s)
        # One that is connecting already gives nothing up: it has to be stopped first.
        argv = ("drbdadm", "connect", "--discard-my-data", volume.resource)
        return await self._change(argv, timeout_s, already=())

    async def resync_after(
        self, volume: Volume, after: Volume | None, *, timeout_s: float
    ) -> Outcome:
        minor = -1 if after is None else after.minor
        argv = ("drbdsetup", "disk-options", str(volume.minor), f"--resync-after={minor}")
        return await self._change(argv, timeout_s)

    async def follow_file(self, volume: Volume, *, connection: bool, timeout_s: float) -> Outcome:
        argv = ("drbdadm", "--dry-run", "adjust", volume.resource)
        match await self._run(argv, timeout_s=timeout_s):
            case TimedOut(after_s):
                return Unknown(f"{' '.join(argv)} gave no answer within {after_s:g} s")
            case Finished(exit_code=0, stdout=stdout) if makes_anew(stdout):
                return Refused(f"drbdadm does not see that {volume.resource} is up")
            case Finished(exit_code=0, stdout=stdout):
                found = option_commands(stdout)
                wanted = [each for each in found if connection or each[1] != OF_CONNECTION]
            case finished:
                return Refused(
                    f"{' '.join(argv)} ended with {finished.exit_code}: {said(finished)}"
                )
        for command in wanted:
            shown = f"drbdsetup {command[1]} of {volume.resource}"
            match await self._run(command, timeout_s=timeout_s):
                case TimedOut(after_s):
                    return Unknown(f"{shown} gave no answer within {after_s:g} s")
                case Finished(exit_code=0):
                    continue
                case finished:
                    return Refused(f"{shown} ended with {finished.exit_code}: {said(finished)}")
        if len(wanted) < len(found):
            # Made anew, it takes those of its file; with the former ones nobody might be met.
            for change in (self.disconnect, self.connect):
                outcome = await change(volume, timeout_s=timeout_s)
                if not isinstance(outcome, Done):
                    return outcome
        return Done(", ".join(command[1] for command in found))

    async def _change(
        self, argv: Argv, timeout_s: float, *, already: tuple[str, ...] = ALREADY
    ) -> Outcome:
        match await self._run(argv, timeout_s=timeout_s):
            case TimedOut(after_s):
                return Unknown(f"{' '.join(argv)} gave no answer within {after_s:g} s")
            case Finished(exit_code=0):
                return Done()
            case finished if any(word in finished.stderr for word in already):
                return Done("it already is so")
            case finished:
                text = f"{' '.join(argv)} ended with {finished.exit_code}: {said(finished)}"
                refused = finished.exit_code in REFUSED_CODES
                return Refused(text) if refused else Unknown(text)

    async def generations(self, volume: Volume, *, timeout_s: float) -> Generations | None:
        answer = await self._run(("drbdadm", "get-gi", volume.resource), timeout_s=timeout_s)
        if isinstance(answer, TimedOut) or answer.exit_code != 0:
            return None
        return read_generations(answer.stdout)


def makes_anew(text: str) -> bool:
    """Tell whether a dry ``adjust`` takes the resource for one that is not there at all."""
    return any(words[1:2] == [NEW] for words in map(str.split, text.splitlines()))


def option_commands(text: str) -> tuple[Argv, ...]:
    """Return the commands of a dry ``adjust`` that only set options, to be run as they are.

    They do nothing to a resource that is being taken down or given up at the same moment.
    """
    found = []
    for line in text.splitlines():
        try:
            program, *arguments = shlex.split(line)
        except ValueError:
            continue
        if Path(program).name.startswith("drbdsetup") and arguments[:1] and (
            arguments[0] in OPTIONS
        ):  # fmt: skip
            old = Path(program).name == Path(SETUP_OF_8_4).name
            found.append((SETUP_OF_8_4 if old else program, *arguments))
    return tuple(found)


def read_generations(text: str) -> Generations | None:
    """Read the identifiers of one volume; None when the text has none."""
    found = _IDENTIFIERS.search(text)
    if found is None:
        return None
    current, bitmap = _number(found[1]), _number(found[2])
    if not current:
        return None
    history = (_number(word) for word in found[3].split(":") if word)
    return Generations(current, bitmap, tuple(number for number in history if number))


def _number(word: str) -> int:
    return int(word, 16) & ~ROLE_BIT
