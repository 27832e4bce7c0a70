"""Rules of docs/internals/safety.md as checks of what was seen in the simulator or the lab."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


class BrokenRuleError(AssertionError):
    """A rule of docs/internals/safety.md was broken; the message says which one and how."""


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """What one node really does at one moment, as its kernel tells it."""

    node: str
    primary: tuple[str, ...]  # Resources of which it is Primary.
    mounted: tuple[str, ...]  # Resources whose file system is mounted for writing.
    programs: tuple[str, ...]  # Applications of which anything runs.


def one_writer(seen: Sequence[NodeSeen]) -> None:
    """R1: data is writable, and a program runs, on at most one node.

    Raises:
        BrokenRuleError: with the nodes and what both have.
    """
    for index, one in enumerate(seen):
        for other in seen[index + 1 :]:
            pairs = (
                ("are Primary of", one.primary, other.primary),
                ("have mounted", one.mounted, other.mounted),
                ("run", one.programs, other.programs),
            )
            for what, here, there in pairs:
                both = sorted(set(here) & set(there))
                if both:
                    text = f"{one.node} and {other.node} {what} {', '.join(both)}"
                    raise BrokenRuleError(f"R1: {text}")


def nothing_lost(acknowledged: Collection[int], present: Collection[int], where: str) -> None:
    """R2: every acknowledged write is in the data that is served.

    Raises:
        BrokenRuleError: with the first writes that are missing.
    """
    if isinstance(acknowledged, set) and isinstance(present, set) and acknowledged <= present:
        return
    missing = sorted(set(acknowledged) - set(present))
    if missing:
        shown = ", ".join(str(number) for number in missing[:5])
        text = f"{len(missing)} acknowledged writes are not in the data of {where}"
        raise BrokenRuleError(f"R2: {text}: {shown}")


def longest_gap_s(acknowledged_at_s: Iterable[float]) -> float:
    """Return the longest time between two acknowledgements in a row; 0.0 with fewer than two."""
    times = sorted(acknowledged_at_s)
    return max((after - before for before, after in pairwise(times)), default=0.0)
