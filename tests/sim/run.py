"""One seed, one run: form, let everything fail, heal, demand progress."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Final

from hapair.core import node as real_core
from hapair.core.applications.ladder import is_stuck
from hapair.core.invariants import BrokenInvariantError
from hapair.core.words.events import ConfirmCopy, Form, Introduce
from hapair.core.words.state import NodeState
from hapair.model.data import Disk
from hapair.model.status import Standing, Wanted
from hapair.ports.peer import TooLongError
from tests.checkers.rules import BrokenRuleError
from tests.sim.faults import Faults
from tests.sim.hardships import Reconfigure
from tests.sim.machine import Core
from tests.sim.progress import Progress
from tests.sim.promise import Promise
from tests.sim.schedule import (
    Timed,
    random_schedule,
    with_builds,
    with_clock_jumps,
    with_deeds_by_hand,
    with_filters,
    with_foreign_writes,
    with_hardships,
    with_late_holders,
    with_lost_mounts,
    with_removed_addresses,
    with_second_holders,
    with_sickness,
    with_taken_addresses,
)
from tests.sim.settings import (
    NODES,
    Shape,
    other,
    random_shape,
    with_clocks,
    with_demands,
    with_others,
    with_resets,
)
from tests.sim.sides import FULL_SYNC, SPLIT_BRAIN, compare
from tests.sim.unattended import ends_by_itself, nobody_types
from tests.sim.versions import with_versions
from tests.sim.watch import Watch
from tests.sim.world import Trace, World

STARTS_WITHIN_S: Final = 40.0
HEALS_WITHIN_S: Final = 240.0
STAYS_WELL_S: Final = 4.0
OPERATOR_LOOKS_EVERY_S: Final = 5.0
OPERATOR_CHOOSES_EVERY_S: Final = 40.0
CORE: Final[Core] = real_core
BROKEN: Final = (BrokenRuleError, BrokenInvariantError, TooLongError)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything about a run that is decided before it begins."""

    seed: str
    shape: Shape
    schedule: tuple[Timed, ...]
    attended: bool = True  # An operator types commands, and mends everything in the end.


@dataclass(frozen=True, slots=True)
class Failure:
    plan: Plan
    at_s: float
    what: str


def plan_of(seed: str) -> Plan:
    """Return what the seed says: also clocks that differ, foreign writes, resources of others."""
    plan = plan_with_true_clocks(seed)
    chance = Random(f"{seed}/clocks")
    schedule = with_clock_jumps(plan.schedule, chance)
    schedule = with_removed_addresses(schedule, plan.shape, Random(f"{seed}/addresses"))
    schedule = with_second_holders(schedule, Random(f"{seed}/holders"), plan.shape)
    schedule = with_foreign_writes(schedule, Random(f"{seed}/foreign"), plan.shape)
    schedule = with_filters(schedule, Random(f"{seed}/filters"))
    schedule = with_taken_addresses(schedule, plan.shape, Random(f"{seed}/taken"))
    schedule = with_deeds_by_hand(schedule, plan.shape, Random(f"{seed}/by-hand"))
    schedule = with_lost_mounts(schedule, plan.shape, Random(f"{seed}/mounts"))
    schedule = with_hardships(schedule, plan.shape, Random(f"{seed}/hardships"))
    schedule = with_late_holders(schedule, Random(f"{seed}/late holders"), plan.shape)
    schedule = with_builds(schedule, plan.shape, Random(f"{seed}/builds"))
    schedule = with_sickness(schedule, plan.shape, Random(f"{seed}/sickness"))
    plan = replace(plan, shape=with_demands(plan.shape, Random(f"{seed}/demands")))
    shape = with_others(with_clocks(plan.shape, chance), Random(f"{seed}/strangers"))
    return Plan(seed, shape, schedule)


def plan_without_operator(seed: str) -> Plan:
    """Return the same faults, but nobody mends anything."""
    plan = plan_of(seed)
    return replace(plan, schedule=nobody_types(plan.schedule), attended=False)


def plan_with_true_clocks(seed: str) -> Plan:
    chance = Random(f"{seed}/plan")
    shape = with_resets(random_shape(chance), Random(f"{seed}/resets"))
    return Plan(seed, shape, random_schedule(chance, shape))


def play(plan: Plan, core: Core = CORE, trace: Trace | None = None) -> Failure | None:
    """Play the plan to its end; return what was broken, or None when every rule held."""
    world = World(plan.shape, core, plan.seed, trace)
    watch = Watch(world)
    with_versions(world, plan.seed)
    try:
        formed(world, watch)
        faults = _faults(world, plan.schedule)
        faults.attended = plan.attended
        progress = Progress(world, watch, faults)
        _let_it_fail(world, plan.schedule, faults)
        if plan.attended:
            heal(world, watch)
        else:
            ends_by_itself(world, watch, faults, progress)
    except BROKEN as error:
        world.say("broken", error)
        return Failure(plan, world.clockwork.now_s, f"{type(error).__name__}: {error}")
    return None


def formed(world: World, watch: Watch) -> None:
    """Boot both nodes, form the cluster, introduce the applications, wait until all run."""
    for node in NODES:
        world.power_on(node, form=False)
    world.clients.begin(world.built)
    world.run_for(1.0)
    for node in NODES:
        world.command(node, Form())
    _until(world, STARTS_WITHIN_S, lambda: _together(world), "the cluster to form")
    for entry in world.built.applications:
        world.command(NODES[0], Introduce(entry.application.name, Wanted.UP))
    _until(world, STARTS_WITHIN_S, lambda: not watch.missing(), "the applications to start")


def _together(world: World) -> bool:
    states = [world.state(node) for node in NODES]
    return all(state is not None and state.standing is Standing.TOGETHER for state in states)


def _until(world: World, limit_s: float, reached: Callable[[], bool], what: str) -> None:
    end_s = world.clockwork.now_s + limit_s
    while not reached():
        if world.clockwork.now_s >= end_s:
            raise BrokenRuleError(f"R8: waited {limit_s:.0f} s in vain for {what}")
        world.run_for(0.5)


def _faults(world: World, schedule: Sequence[Timed]) -> Faults:
    changed = {t.fault.shape.arbitration for t in schedule if isinstance(t.fault, Reconfigure)}
    kinds = frozenset({world.shape.arbitration, *changed})
    faults = Faults(world, Promise(world, kinds).allows)
    world.faults_end = faults.end_all
    return faults


def _let_it_fail(world: World, schedule: Sequence[Timed], faults: Faults) -> None:
    begin_s = world.clockwork.now_s

    def happen(timed: Timed) -> None:
        if faults.allows(timed.fault):
            faults.inflict(timed.fault)
        else:
            world.say("fault", f"left out, nobody promised to bear it now: {timed.fault}")

    for timed in schedule:
        world.clockwork.after(timed.at_s, partial(happen, timed))
    last_s = schedule[-1].at_s if schedule else 0.0
    # The last faults get the time to do their harm before everything is mended.
    world.run_for(begin_s + last_s + 6.0 - world.clockwork.now_s)


def heal(world: World, watch: Watch) -> None:
    """Mend everything, let an operator do what the alarms ask for, and demand progress (R8)."""
    world.say("operator", "mends everything")
    world.faults_end()
    for node in NODES:
        world.power_on(node)
    end_s = world.clockwork.now_s + HEALS_WITHIN_S
    well_since_s: float | None = None
    looks_at_s = world.clockwork.now_s + OPERATOR_LOOKS_EVERY_S
    chooses_at_s = world.clockwork.now_s + OPERATOR_CHOOSES_EVERY_S
    while True:
        world.run_for(1.0)
        now_s = world.clockwork.now_s
        if now_s >= looks_at_s:
            looks_at_s = now_s + OPERATOR_LOOKS_EVERY_S
            _operator_looks(world)
        if now_s >= chooses_at_s:
            chooses_at_s = now_s + OPERATOR_CHOOSES_EVERY_S
            for entry in world.built.applications:
                _choose_copy(world, entry.application.name)
        missing = watch.missing()
        if missing:
            well_since_s = None
            if now_s >= end_s:
                raise BrokenRuleError(f"R8: {HEALS_WITHIN_S:.0f} s after the heal, {missing}")
        elif well_since_s is None:
            well_since_s = now_s
        elif now_s - well_since_s >= STAYS_WELL_S:
            return


def _operator_looks(world: World) -> None:
    """Form a halted node again, and free what keeps a node stuck.

    What keeps a node stuck is ended where a person is waited for: the other node runs it, and only
    the redundancy is missing; the node was told to leave; or it gave its disk up, so that it cannot
    go on, and the other one cannot begin.
    """
    world.attach_disks()
    for node in NODES:
        state = world.state(node)
        if state is None:
            continue
        if state.standing is Standing.HALTED:
            world.command(node, Form())
        for record in state.stored.records:
            gave_up = any(each.spent for each in state.items_of(record.application).values())
            gave_up = gave_up or bool(state.stored.behind)
            waits = record.owner != node or state.standing is Standing.LEAVING or gave_up
            if waits and is_stuck(state, record.application):
                world.machines[node].second.clear()


def _is_doubted(state: NodeState, resource: str) -> bool:
    facts = state.facts.get(resource)
    whole = facts is not None and facts.disk is Disk.UP_TO_DATE
    return not whole or resource in state.stored.doubtful


def _wrote_alone(world: World, application: str, node: str) -> bool:
    """Tell whether DRBD wrote to a volume here without the other node's copy."""
    return any(
        compare(resource.side(node), resource.side(other(node))) in (1, FULL_SYNC)
        for name, resource in world.resources.items()
        if name.startswith(f"{application}.")
    )


def _choose_copy(world: World, application: str) -> None:
    """Say of one copy that it is good, if no other one will ever replace it.

    A person takes the one that is used, or that nobody wrote to, and none that misses writes. The
    word is about all volumes: one that DRBD wrote on the other node alone would be a split brain.
    """
    states = [state for node in NODES if (state := world.state(node)) is not None]
    serving = world.clients.serving(application)
    for name, resource in world.resources.items():
        written = [state.me for state in states if name in state.stored.foreign_to]
        lacking = [state.me for state in states if name in state.stored.behind]
        doubted = all(_is_doubted(state, name) for state in states)
        together = all(state.standing is Standing.TOGETHER for state in states)
        # A person gave writes to one of them away, and then the chosen one was started anew.
        apart = world.confirmed and compare(*map(resource.side, NODES)) == SPLIT_BRAIN
        chooses = (written and doubted) or (apart and not serving)
        if not (name.startswith(f"{application}.") and chooses and together):
            continue
        for node in sorted(
            NODES,
            key=lambda each: (
                each not in serving,
                _wrote_alone(world, application, other(each)),
                not resource.side(each).meta.was_up_to_date,
                each in written,
            ),
        ):
            side = resource.side(node)
            whole = world.clients.acknowledged[name] <= side.data and side.meta.consistent
            if whole and node not in lacking and (not serving or node in serving):
                world.command(node, ConfirmCopy(application))
                return
