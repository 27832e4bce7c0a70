"""Disks that take nothing for a while, beside whatever else goes wrong."""

from collections.abc import Sequence
from math import inf
from random import Random
from typing import Final

from tests.sim.faults import SlowStore
from tests.sim.schedule import Timed
from tests.sim.settings import NODES

SHARE: Final = 0.25
LASTS_S: Final = (1.0, 40.0)


def with_full_disks(schedule: Sequence[Timed], chance: Random) -> tuple[Timed, ...]:
    """Return the schedule, in some seeds with one node or both that cannot store for a while."""
    if not schedule or chance.random() >= SHARE:
        return tuple(schedule)
    last_s = schedule[-1].at_s
    full = [
        Timed(chance.uniform(0.0, last_s), SlowStore(node, inf, chance.uniform(*LASTS_S)))
        for node in chance.sample(NODES, chance.choice((1, 1, 2)))
    ]
    return tuple(sorted((*schedule, *full), key=lambda timed: timed.at_s))
