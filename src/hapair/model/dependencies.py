"""What the applications of a cluster demand of each other, worked out once for a configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hapair.model.application import Application

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dependencies:
    """By application; one of which nothing is demanded is in none of the first three."""

    after: Mapping[str, Names]  # What it starts after.
    together: Mapping[str, Names]  # All that run on its node; the one that leads is the first.
    apart: Mapping[str, Names]  # What never runs on its node.
    order: Names  # All of them, in the order in which they have their turns.


def dependencies(applications: Sequence[Application]) -> Dependencies:
    """Work it out. Names that are not built demand nothing; what would wait for itself does not."""
    ranked = sorted(applications, key=lambda each: -each.priority)
    names = tuple(each.name for each in ranked)
    after: dict[str, Names] = {}
    for each in ranked:
        for name in each.after:
            if name in names and each.name not in _before(after, name):
                after[each.name] = (*after.get(each.name, ()), name)
    pairs = {(each.name, name) for each in ranked for name in each.apart_from if name in names}
    apart = {
        name: those
        for name in names
        if (those := tuple(n for n in names if {(name, n), (n, name)} & pairs))
    }
    return Dependencies(after, _groups(ranked), apart, names)


def _before(after: Mapping[str, Names], name: str) -> set[str]:
    """Return the name and all that it starts after, near and far."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        found.add(each := waiting.pop())
        waiting += [n for n in after.get(each, ()) if n not in found]
    return found


def circle(applications: Sequence[Application]) -> Names:
    """Return applications that start after each other in a circle; none when there is none."""
    after = {each.name: each.after for each in applications}
    for name, those in after.items():
        for each in those:
            if name in _before(after, each):
                return (name, each)
    return ()


def _groups(ranked: Sequence[Application]) -> Mapping[str, Names]:
    """Return the groups of the same node; of each the one with the highest priority leads."""
    group = {each.name: {each.name} for each in ranked}
    for each in ranked:
        for name in each.with_:
            if name in group:
                joined = group[each.name] | group[name]
                group |= dict.fromkeys(joined, joined)
    lead = sorted(ranked, key=lambda each: (-each.priority, each.name))
    return {
        name: tuple(each.name for each in lead if each.name in members)
        for name, members in group.items()
        if len(members) > 1
    }
