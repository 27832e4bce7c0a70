"""The history of a node, and what it says about how long each part of a failover took."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

OPENING: Final = "silent"  # The moment at which the peer was heard for the last time.
CLOSING: Final = "together"  # The peer is back: what follows belongs to no failover.
ANSWERS: Final = "answers"  # Its monitors find it well for the first time since its start.
# The parts of a failover in their order; those after "granted" are told per application.
STEPS: Final = (
    OPENING, "detected", "granted", "decided", "promoted", "mounted", "addresses", "started",
    ANSWERS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the history."""

    number: int  # Grows by one with each line, also over restarts of the daemon.
    wall_s: float  # For people.
    at_s: float  # Seconds since the node booted: for differences within one boot.
    node: str
    name: str  # A stable word.
    text: str
    application: str = ""
    severity: str = "info"
    took_s: float | None = None  # Of an action.


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    application: str  # Empty where it concerns the whole node.
    after_s: float  # Since the peer was heard for the last time.
    took_s: float | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """One failover, as the node that took over saw it."""

    node: str
    began_wall_s: float
    steps: tuple[Step, ...]  # In the order in which they were complete.

    @property
    def total_s(self) -> float:
        return max(step.after_s for step in self.steps)


def timelines(history: Iterable[Happening]) -> tuple[Timeline, ...]:
    """Find the failovers in a history, oldest first.

    An application with several volumes is promoted when the last of them is, so of equal steps
    the last one counts.
    """
    found: list[Timeline] = []
    parts: list[Happening] = []
    for happening in sorted(history, key=lambda happening: (happening.node, happening.number)):
        if parts and _ends(parts[0], happening):
            found.append(_timeline(parts))
            parts = []
        if happening.name == OPENING or (parts and _belongs(parts, happening)):
            parts.append(happening)
    if parts:
        found.append(_timeline(parts))
    return tuple(sorted(found, key=lambda timeline: timeline.began_wall_s))


def _ends(opening: Happening, happening: Happening) -> bool:
    elsewhere = happening.node != opening.node or happening.at_s < opening.at_s
    return elsewhere or happening.name in {OPENING, CLOSING}


def _belongs(parts: list[Happening], happening: Happening) -> bool:
    """Tell whether it is a step of this failover; what is started again later is none of it."""
    answers = any(
        part.name == ANSWERS and part.application == happening.application for part in parts
    )
    return happening.name in STEPS and not answers


def _timeline(parts: list[Happening]) -> Timeline:
    opening = parts[0]
    last = {(part.name, part.application): part for part in parts}
    steps = [
        Step(part.name, part.application, part.at_s - opening.at_s, part.took_s)
        for part in sorted(last.values(), key=lambda part: part.number)
    ]
    return Timeline(opening.node, opening.wall_s, tuple(steps))
