"""What a fault cost the users: the longest gap in service, and what was lost although acknowledged.

``payload/client.py`` runs on ``outside`` and never stops asking; ``payload/server.py`` is the
application. Two figures come out: ``Record.longest_gap`` and ``missing``, which must be empty.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

from hapair_lab.errors import LabError
from hapair_lab.lab import PATIENCE_S
from hapair_lab.machine import Machine
from hapair_lab.recipe import PAYLOAD

SERVER_PATH: Final = "/usr/local/lib/hapair-lab/server.py"
CLIENT_PATH: Final = "/usr/local/lib/hapair-lab/client.py"
CLIENT: Final = "lab-client"  # The unit, and the name of its log.
CLIENT_LOG: Final = "/var/tmp/{unit}.log"  # noqa: S108 - a path in a guest of ours.
PORT: Final = 7000
POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A line that the server said is on the disk. The time is the client's monotonic clock."""

    number: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without any acknowledgement. ``after`` is the last number before it."""

    seconds: float
    after: int
    from_wall_clock_s: float


@dataclass(frozen=True, slots=True)
class Record:
    """What the client noted from its begin to its end."""

    begun_s: float
    begun_wall_clock_s: float
    ended_s: float
    acknowledged: tuple[Acknowledgement, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """All acknowledged numbers, in their order."""
        return tuple(each.number for each in self.acknowledged)

    @property
    def longest_gap(self) -> Gap:
        """The longest time between two acknowledgements.

        The time from the last one to the client's end counts too: a service that never came back
        is the longest gap of all. The time before the first one does not.
        """
        if not self.acknowledged:
            return Gap(self.ended_s - self.begun_s, 0, self.begun_wall_clock_s)
        ends = [each.at_s for each in self.acknowledged[1:]] + [self.ended_s]
        longest = Gap(0.0, 0, self.begun_wall_clock_s)
        for before, end_s in zip(self.acknowledged, ends, strict=True):
            if end_s - before.at_s > longest.seconds:
                wall_clock_s = self.begun_wall_clock_s + before.at_s - self.begun_s
                longest = Gap(end_s - before.at_s, before.number, wall_clock_s)
        return longest

    def since(self, count: int) -> Record:
        """Return the part from the acknowledgement with this index on, e.g. after a first fault."""
        return replace(self, acknowledged=self.acknowledged[count:])


def parse_record(text: str) -> Record:
    """Read the client's log. That of a killed client has no end: its last line counts as one."""
    begun_s = begun_wall_clock_s = ended_s = 0.0
    acknowledged = []
    for line in text.splitlines():
        match line.split():
            case ["begun", monotonic_s, wall_clock_s]:
                begun_s = ended_s = float(monotonic_s)
                begun_wall_clock_s = float(wall_clock_s)
            case ["ok", number, monotonic_s]:
                ended_s = float(monotonic_s)
                acknowledged.append(Acknowledgement(int(number), ended_s))
            case ["ended", monotonic_s]:
                ended_s = float(monotonic_s)
            case _:
                raise LabError(f"the client's log has a line that nobody wrote: {line!r}")
    return Record(begun_s, begun_wall_clock_s, ended_s, tuple(acknowledged))


def missing(record: Record, lines: str) -> tuple[int, ...]:
    """Return the acknowledged numbers that the server's file does not have: it must be none."""
    there = {int(line.split()[0]) for line in lines.splitlines() if line}
    return tuple(number for number in record.numbers if number not in there)


def install_server(machine: Machine) -> None:
    """Put the server into a node; the caller decides how it is started."""
    machine.put(SERVER_PATH, (PAYLOAD / "server.py").read_bytes(), mode=0o755)


class NeverStoppingClient:
    """The client on ``outside``."""

    def __init__(
        self,
        machine: Machine,
        address: str,
        port: int = PORT,
        speaks: str = "lines",
        unit: str = CLIENT,
    ) -> None:
        """``speaks`` names one of the programs that ``client.py`` can write to.

        Of several on one machine each has a ``unit`` of its own.
        """
        self.log = CLIENT_LOG.format(unit=unit)
        self._unit = unit
        self._machine = machine
        self._address = address
        self._port = port
        self._speaks = speaks

    def start(self, *, pause_s: float = 0.05) -> None:
        """Let it begin to ask, and wait for the first acknowledgement."""
        self._machine.note(f"{self._machine.name}: the client begins to ask {self._address}")
        self._machine.put(CLIENT_PATH, (PAYLOAD / "client.py").read_bytes(), mode=0o755)
        self._machine.check(
            [
                *("systemd-run", f"--unit={self._unit}", "--collect", "--"),
                *("python3", "-I", "-S", CLIENT_PATH, "--log", self.log),
                *("--address", self._address, "--port", str(self._port)),
                *("--speaks", self._speaks, "--pause-s", str(pause_s)),
            ]
        )
        self.wait_for_answers(1)

    def wait_for_answers(self, more: int, timeout_s: float = PATIENCE_S) -> None:
        """Wait until so many more lines are acknowledged than now."""
        wanted = self.answers() + more
        deadline_s = time.monotonic() + timeout_s
        while self.answers() < wanted:
            if time.monotonic() > deadline_s:
                raise LabError(f"{self._address} did not answer within {timeout_s:.0f} s")
            time.sleep(POLL_S)

    def answers(self) -> int:
        """Return how many lines have been acknowledged so far."""
        finished = self._machine.run(["grep", "-c", "^ok", self.log])
        return int(finished.stdout.strip() or 0)

    def record_so_far(self) -> Record:
        """Return what it has noted up to now; it goes on asking."""
        return parse_record(self._machine.get(self.log).decode())

    def stop(self) -> Record:
        """End it and return what it noted."""
        self._machine.check(["systemctl", "stop", self._unit])
        return parse_record(self._machine.get(self.log).decode())
