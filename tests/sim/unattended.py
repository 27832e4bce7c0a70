"""Schedules without an operator: what ends by itself ends, and what needs a person stays.

Nobody types anything but moves and starts, nobody replaces a disk, frees what is stuck, forms a
node that gave up, or says which copy is good. All the time what can be served must be served
(``progress``), and in the end everything must be well, unless it needs a person.
"""

from dataclasses import replace
from typing import Final

from hapair.core.words.events import Maintain, Move, Run
from hapair.model.data import Connection
from hapair.model.status import Standing
from tests.checkers.rules import BrokenRuleError
from tests.sim.faults import Faults, Typed
from tests.sim.progress import SERVES_WITHIN_S, Progress
from tests.sim.schedule import Timed
from tests.sim.watch import Watch
from tests.sim.world import World

LOOKS_EVERY_S: Final = 1.0
STAYS_WELL_S: Final = 4.0
MENDS_ITSELF_WITHIN_S: Final = 240.0
FAULTS_LAST_S: Final = 3600.0  # Far longer than any does.


def nobody_types(schedule: tuple[Timed, ...]) -> tuple[Timed, ...]:
    """Leave out what only an operator does; a move or a start may be wanted at any time."""

    def is_left(timed: Timed) -> bool:
        typed = timed.fault
        return not isinstance(typed, Typed) or isinstance(typed.command, Move | Run | Maintain)

    return tuple(replace(timed) for timed in schedule if is_left(timed))


def ends_by_itself(world: World, watch: Watch, faults: Faults, progress: Progress) -> None:
    """Wait until every fault is over, and demand what can be had without a person (R8)."""
    end_s = world.clockwork.now_s + FAULTS_LAST_S
    while faults.standing and world.clockwork.now_s < end_s:
        world.run_for(LOOKS_EVERY_S)
    over_s = world.clockwork.now_s
    well_s = 0.0
    while well_s < STAYS_WELL_S:
        world.run_for(LOOKS_EVERY_S)
        missing = watch.missing()
        well_s = 0.0 if missing else well_s + LOOKS_EVERY_S
        waited_s = world.clockwork.now_s - over_s
        person = needs_person(world)
        if person and waited_s > SERVES_WITHIN_S and not progress.could_s:
            world.say("operator", f"would be needed: {person}")
            return
        if missing and not person and waited_s >= MENDS_ITSELF_WITHIN_S:
            text = f"R8: {waited_s:.0f} s after the last fault, and nobody is needed: {missing}"
            raise BrokenRuleError(text)


def needs_person(world: World) -> str:
    """Return what no program mends; empty when everything can come back by itself."""
    for node, machine in world.machines.items():
        state = world.state(node)
        if machine.held or machine.second:
            return f"something on {node} holds what is to be stopped"
        if state is not None and state.standing is Standing.HALTED:
            return f"{node} is halted"
    for name, resource in world.resources.items():
        for node, side in resource.sides.items():
            state = world.state(node)
            if side.broken or side.given_up:
                return f"{name} on {node} has no disk"
            if side.foreign or (state is not None and name in state.stored.foreign_to):
                return f"{name} on {node} was written behind DRBD"
            if side.connection is Connection.STAND_ALONE:
                return f"{name} on {node} stands alone"
    return ""
