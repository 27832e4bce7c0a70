"""What a run took: one record per test, summed in the ways that the tables need."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import pytest

from tests.times.kinds import DECLARED, GUESTS, KIND, Kind

# A declaration is wrong when it is so far off, by factor and by seconds.
OFF_FACTOR: Final = 1.5
OFF_S: Final = 5.0
# With groups xdist writes the group behind the name; what follows parameters is no parameter.
GROUP: Final = re.compile(r"@[^\]]*$")


@dataclass(frozen=True, slots=True)
class Spent:
    """One test, from the first line of its fixtures to the last."""

    name: str
    kind: Kind
    declared_s: float | None = None
    taken_s: float = 0.0
    failed: bool = False
    guests: str = ""  # Which kind it was played on, if any.

    @property
    def file(self) -> str:
        return self.name.partition("::")[0]

    @property
    def off(self) -> bool:
        """Tell whether the declaration should be written anew."""
        if self.declared_s is None:
            return False
        less, more = sorted((self.declared_s, self.taken_s))
        return more > less * OFF_FACTOR and more - less > OFF_S


@dataclass(frozen=True, slots=True)
class Sum:
    """Some tests together."""

    what: str
    tests: int
    failed: int
    declared_s: float
    taken_s: float

    @property
    def passed(self) -> int:
        return self.tests - self.failed


class Ledger:
    """Gathers the reports of a run, whichever worker they come from."""

    def __init__(self) -> None:
        self._spent: dict[str, Spent] = {}

    def take(self, report: pytest.TestReport) -> None:
        """Add one of the three reports of a test: its fixtures, itself, its fixtures again."""
        name = GROUP.sub("", report.nodeid)
        before = self._spent.get(name) or _unspent(name, dict(report.user_properties))
        self._spent[name] = replace(
            before,
            taken_s=before.taken_s + report.duration,
            failed=before.failed or report.failed,
        )

    def spent(self) -> tuple[Spent, ...]:
        """Return all tests, the slowest first."""
        return tuple(sorted(self._spent.values(), key=lambda each: -each.taken_s))


def _unspent(name: str, told: dict[str, object]) -> Spent:
    declared = told.get(DECLARED)
    return Spent(
        name,
        Kind(str(told.get(KIND, Kind.PURE))),
        float(declared) if isinstance(declared, int | float) else None,
        guests=str(told.get(GUESTS, "")),
    )


def sums(spent: Iterable[Spent], what: Callable[[Spent], str]) -> list[Sum]:
    """Sum the tests by what a function says of each; what took most comes first."""
    groups: dict[str, list[Spent]] = {}
    for each in spent:
        groups.setdefault(what(each), []).append(each)
    made = [summed(name, group) for name, group in groups.items()]
    return sorted(made, key=lambda each: -each.taken_s)


def summed(what: str, spent: Iterable[Spent]) -> Sum:
    group = tuple(spent)
    return Sum(
        what,
        len(group),
        sum(each.failed for each in group),
        sum(each.declared_s or 0.0 for each in group),
        sum(each.taken_s for each in group),
    )
