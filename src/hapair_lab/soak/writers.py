"""The clients that never stop through the soak, and what they were promised.

One writes numbered lines (``ledger``), the other one commits to a bank that writes as PostgreSQL
does (``payload/bank.py``), or to PostgreSQL itself. Their logs are followed, not read anew each
time.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from hapair_lab import cluster
from hapair_lab.applications import postgresql
from hapair_lab.errors import LabError
from hapair_lab.ledger import NeverStoppingClient
from hapair_lab.machine import Machine
from hapair_lab.recipe import PAYLOAD
from hapair_lab.rules import longest_gap_s, nothing_lost
from hapair_lab.soak.stage import (
    BANK,
    BANK_ADDRESS,
    BANK_FOLDER,
    BANK_PATH,
    BANK_PORT,
    ORDERS,
    REAL,
)

TELLER_PATH: Final = "/usr/local/lib/hapair-lab/teller.py"
TELLER_LOG: Final = "/var/tmp/hapair-lab-tellers.log"  # noqa: S108 - a path in a guest of ours.
TELLER_UNIT: Final = "lab-tellers"
CLIENT: Final = "client"  # The only writer of an application but the bank.
LINE_PAUSE_S: Final = 0.1
FIRST_COMMIT_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.3
VERIFY_TIMEOUT_S: Final = 60.0


@dataclass(slots=True)
class Acknowledged:
    """What one client was promised, and when (its monotonic clock)."""

    numbers: set[int] = field(default_factory=set)  # Of the client.
    last: dict[str, int] = field(default_factory=dict)  # The last number of each teller.
    at_s: list[float] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)  # What the application itself said to be lost.

    def take(self, line: str) -> None:
        """Take in a line of the log of ``client.py`` or ``teller.py``."""
        match line.split():
            case ["ok", number, at_s]:
                self.numbers.add(int(number))
                self.at_s.append(float(at_s))
            case ["ok", teller, number, at_s]:
                self.last[teller] = int(number)
                self.at_s.append(float(at_s))
            case ["lost", _, first, last, _]:
                self.lost += range(int(first), int(last) + 1)
            case ["begun" | "ended", *_]:
                pass
            case _:
                raise LabError(f"the client's log has a line that nobody wrote: {line!r}")

    @property
    def count(self) -> int:
        """How many writes were acknowledged."""
        return len(self.at_s)

    def promised(self) -> dict[str, Collection[int]]:
        """Return the numbers that were acknowledged, of each writer."""
        tellers = {name: range(1, last + 1) for name, last in self.last.items()}
        return {**tellers, CLIENT: self.numbers}

    def longest_gap_s(self, since: int) -> float:
        """Return the longest time between two acknowledgements from the ``since``-th on."""
        return longest_gap_s(self.at_s[max(since - 1, 0) :])


class FollowedLog:
    """A log in a guest, of which only what is new is read."""

    def __init__(self, machine: Machine, path: str) -> None:
        self._machine = machine
        self._path = path
        self._read_bytes = 0
        self._rest = b""

    def new_lines(self) -> Sequence[str]:
        """Return the lines that came since the last time; one without its end comes later."""
        content = self._machine.get(self._path, self._read_bytes)
        self._read_bytes += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        return [line.decode() for line in lines]


class Writer(ABC):
    """A client on ``outside`` and the application that it writes to."""

    def __init__(self, application: str, outside: Machine, log: str) -> None:
        self.application = application
        self.acknowledged = Acknowledged()
        self.lost = 0  # How many acknowledged writes the last check did not find.
        self._log = FollowedLog(outside, log)

    def look(self) -> Acknowledged:
        """Read what was acknowledged meanwhile."""
        for line in self._log.new_lines():
            self.acknowledged.take(line)
        return self.acknowledged

    def check(self, node: Machine) -> None:
        """Compare what is promised with what is there, on the node where the program runs.

        Raises:
            BrokenRuleError: an acknowledged write is not there.
        """
        promised = self.look().promised()
        present = self.present(node)
        self.lost = len(self.acknowledged.lost) + sum(
            len(set(numbers) - present.get(writer, set())) for writer, numbers in promised.items()
        )
        for writer, numbers in promised.items():
            nothing_lost(numbers, present.get(writer, set()), f"{self.application} {node.name}")
        nothing_lost(self.acknowledged.lost, (), f"{self.application}, as it says itself")

    @abstractmethod
    def present(self, node: Machine) -> dict[str, set[int]]:
        """Return the numbers that are there, of each writer."""


class LineWriter(Writer):
    """Numbered lines, each flushed by itself."""

    def __init__(self, outside: Machine) -> None:
        client = NeverStoppingClient(outside, cluster.SERVICE_ADDRESS)
        super().__init__(ORDERS, outside, client.log)
        client.start(pause_s=LINE_PAUSE_S)

    def present(self, node: Machine) -> dict[str, set[int]]:
        lines = node.get(cluster.LINES_FILE).splitlines()
        return {CLIENT: {int(line.split()[0]) for line in lines if line}}


class RowWriter(Writer):
    """Rows in a table of PostgreSQL, each a transaction."""

    def __init__(self, outside: Machine) -> None:
        client = NeverStoppingClient(outside, REAL.address, REAL.port, REAL.speaks, "lab-rows")
        super().__init__(REAL.name, outside, client.log)
        client.start(pause_s=LINE_PAUSE_S)

    def present(self, node: Machine) -> dict[str, set[int]]:
        return {CLIENT: set(postgresql.numbers(node))}


class BankWriter(Writer):
    """Commits in groups into a write-ahead log."""

    def __init__(self, outside: Machine) -> None:
        super().__init__(BANK, outside, TELLER_LOG)
        outside.note(f"{outside.name}: the tellers begin to ask {BANK_ADDRESS}")
        outside.put(TELLER_PATH, (PAYLOAD / "teller.py").read_bytes(), mode=0o755)
        outside.put(TELLER_LOG, b"")
        outside.check(
            [
                *("systemd-run", f"--unit={TELLER_UNIT}", "--collect", "--"),
                *("python3", "-I", "-S", TELLER_PATH, "--log", TELLER_LOG),
                *("--address", BANK_ADDRESS, "--port", str(BANK_PORT)),
            ]
        )
        deadline_s = time.monotonic() + FIRST_COMMIT_TIMEOUT_S
        while not self.look().count:
            if time.monotonic() > deadline_s:
                raise LabError("the bank committed nothing", hint="cllab ssh node2, then clstat")
            time.sleep(POLL_S)

    def present(self, node: Machine) -> dict[str, set[int]]:
        text = node.check(
            f"python3 -I -S {BANK_PATH} {BANK_FOLDER} --verify", timeout_s=VERIFY_TIMEOUT_S
        )
        tellers = json.loads(text)["tellers"]
        return {str(name): set(range(1, int(last) + 1)) for name, last in tellers.items()}


BESIDE: Final[dict[str, Callable[[Machine], Writer]]] = {BANK: BankWriter, REAL.name: RowWriter}
