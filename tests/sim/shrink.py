"""Leave out faults of a failing plan as long as the same rule is broken."""

from dataclasses import replace

from tests.sim.machine import Core
from tests.sim.run import CORE, Failure, play


def _rule(failure: Failure) -> str:
    return ":".join(failure.what.split(":")[:2])


def shrunk(failure: Failure, core: Core = CORE) -> Failure:
    """Return the failure with the shortest schedule that was found; plans are played again."""
    best = failure
    index = 0
    while index < len(best.plan.schedule):
        schedule = best.plan.schedule[:index] + best.plan.schedule[index + 1 :]
        smaller = play(replace(best.plan, schedule=schedule), core)
        if smaller is not None and _rule(smaller) == _rule(failure):
            best = smaller
            index = 0
        else:
            index += 1
    return best
