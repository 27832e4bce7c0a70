"""Policies as tables: the first matching row wins, the last row always matches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Situation = TypeVar("Situation")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Rule(Generic[Situation, Answer]):
    name: str  # A stable word for logs, tests and runbooks.
    applies: Callable[[Situation], bool]
    answer: Answer
    because: str  # What the log and ``clstat --why`` show.


def first_match(
    rules: Sequence[Rule[Situation, Answer]], situation: Situation
) -> Rule[Situation, Answer]:
    """Return the first row that applies. The last row of every table always does.

    Raises: LookupError when none does.
    """
    for rule in rules:
        if rule.applies(situation):
            return rule
    raise LookupError("no row of the table applies")
