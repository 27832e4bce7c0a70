"""What is known of one monitor: when its failures count, since when it is as it is. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hapair.lems.answers import FAILED, HALTED, UNKNOWN, WAITING, WARNING, Answer
from hapair.model.monitor import Finding, Monitor


@dataclass(slots=True)
class Record:
    monitor: Monitor
    counts_from_s: float  # The boot clock; failures before do not count.
    halted: bool = False
    state: str = WAITING
    text: str = ""
    since_s: float = 0.0  # Seconds since 1970: for people.
    checks: int = 0
    failures: int = 0
    last_s: float = 0.0  # How long the last check took.
    perf: Mapping[str, str] = field(default_factory=dict)
    finding: Finding | None = None
    answered: bool = False  # At least once so that it counts, or it is halted.
    well: bool = False  # It was good at least once, perhaps with a warning.
    _in_a_row: int = 0

    def halt(self, *, halted: bool, wall_s: float) -> None:
        """A monitor that is halted finds nothing; one that is resumed begins anew."""
        if halted == self.halted:
            return
        self.halted = halted
        self.finding, self._in_a_row, self.answered, self.well = None, 0, halted, False
        self._be(HALTED if halted else WAITING, "", wall_s)

    def take(self, answer: Answer, lasted_s: float, now_s: float, wall_s: float) -> None:
        """Take in an answer, however it came about."""
        if self.halted:
            return
        self.checks += 1
        self.last_s, self.perf = lasted_s, answer.perf
        if answer.state == UNKNOWN:
            self.answered = True
            # What could not be asked is neither better nor worse than it was.
            self._be(WARNING if self.finding is None else FAILED, answer.text, wall_s)
            return
        if answer.state != FAILED:
            self.answered = self.well = True
            self.finding, self._in_a_row = None, 0
            self._be(answer.state, answer.text, wall_s)
            return
        self.failures += 1
        if now_s < self.counts_from_s:
            self._be(WAITING, answer.text, wall_s)
            return
        self._in_a_row += 1
        if self._in_a_row < self.monitor.failures:
            told = f"failure {self._in_a_row} of {self.monitor.failures}: {answer.text}"
            self._be(WARNING, told, wall_s)
            return
        self.answered = True
        self._be(FAILED, answer.text, wall_s)
        found = Finding(self.monitor.name, answer.trouble, answer.text, answer.certain)
        if self.finding is None or replace(found, text=self.finding.text) != self.finding:
            self.finding = found

    def _be(self, state: str, text: str, wall_s: float) -> None:
        if state != self.state or not self.since_s:
            self.since_s = wall_s
        self.state, self.text = state, text

    def shown(self) -> dict[str, object]:
        return {
            "name": self.monitor.name,
            "state": self.state,
            "text": self.text,
            "since_s": round(self.since_s, 3),
            "checks": self.checks,
            "failures": self.failures,
            "last_s": round(self.last_s, 4),
            "perf": dict(self.perf),
        }
