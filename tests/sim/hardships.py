"""What a machine suffers without failing: its disk is full, its looks and its facts do not come.

And what an administrator does meanwhile: another configuration, which the two nodes take over one
after the other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from random import Random
from typing import Final, TypeAlias

from hapair.model.built import Built
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Wanted
from hapair.runtime.node.survey import LOOK_AGAIN_S
from tests.sim import parcels
from tests.sim.machine import Machine
from tests.sim.settings import NODES, Shape, built_from, other
from tests.sim.world import World

FULL: Final = 0.15  # Share of the schedules in which a disk takes nothing for minutes.
BLIND: Final = 0.2  # In which looks fail.
STREAMLESS: Final = 0.2  # In which the stream of the kernel's words ends, and begins again.
LONG: Final = 0.15  # In which one of these lasts long, on one node or alike on both.
RECONFIGURED: Final = 0.2  # In which the configuration changes.
WITNESSES_MAX: Final = 3
BACK_OFF_MAX_S: Final = 5.0  # Until the stream is followed again.
CATCHES_UP_S: Final = 0.5  # Until a node that was away asks for the newest configuration.
LOOK_SOON_S: Final = 0.05  # Until the daemon was told of a change.


@dataclass(frozen=True, slots=True)
class FullDisk:
    """No store ends: the file system of the state is full, or read-only."""

    node: str
    for_s: float


@dataclass(frozen=True, slots=True)
class FailLooks:
    """A look ends with its time-out, or has no descriptor: nobody can tell what runs."""

    node: str
    for_s: float


@dataclass(frozen=True, slots=True)
class LoseStream:
    """The stream of facts ends; the kernel is read now and then, once it has told something."""

    node: str
    for_s: float


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """Another configuration is built; the second node takes it over a moment later."""

    first: str
    apart_s: float
    for_s: float
    shape: Shape


Hardship: TypeAlias = FullDisk | FailLooks | LoseStream | Reconfigure
Later = Callable[[float, Callable[[], object]], None]


def inflict(world: World, fault: Hardship, later: Later) -> None:
    match fault:
        case FullDisk(node, for_s):
            machine = world.machines[node]
            machine.store_s = inf
            later(for_s, lambda: setattr(machine, "store_s", 0.0))
        case FailLooks(node, for_s):
            machine = world.machines[node]
            machine.blind += 1
            later(for_s, lambda: setattr(machine, "blind", machine.blind - 1))
        case LoseStream(node, for_s):
            machine = world.machines[node]
            machine.streamless += 1
            later(for_s, lambda: setattr(machine, "streamless", machine.streamless - 1))
        case Reconfigure(for_s=for_s):
            before = world.shape
            if _configure(world, fault, fault.shape):
                later(for_s, partial(_configure, world, fault, before))


def _configure(world: World, fault: Reconfigure, shape: Shape) -> bool:
    """Let both nodes take the shape over, as clbuild does: only while both can be spoken to."""
    states = [world.state(node) for node in NODES]
    if world.building or not any(wire.two_way for wire in world.wires.values()):
        return False
    shape = replace(shape, applications=world.shape.applications)
    names = {each.name for each in shape.applications}
    for state in states:
        if state is None:
            return False
        for record in state.stored.records:
            if record.application not in names and record.wanted is not Wanted.DOWN:
                return False
    generation = max(machine.built.generation for machine in world.machines.values()) + 1
    built = built_from(shape, generation)
    world.say("operator", f"builds generation {generation}: {built.cluster.arbitration}")
    _take_over(world, world.machines[fault.first], built)
    later = world.machines[other(fault.first)]
    world.clockwork.after(fault.apart_s, partial(_catch_up, world, later, built))
    return True


def _catch_up(world: World, machine: Machine, built: Built) -> None:
    """Take it over as soon as this node is told: at once, or when it hears the other one again."""
    if machine.runs and any(wire.two_way for wire in world.wires.values()):
        _take_over(world, machine, built)
    else:
        world.clockwork.after(CATCHES_UP_S, partial(_catch_up, world, machine, built))


def _take_over(world: World, machine: Machine, built: Built) -> None:
    if machine.built.generation >= built.generation:
        return
    machine.built = built
    if machine.daemon is not None:
        world.deliver(machine, machine.daemon, partial(parcels.configured, built))


def remove_addresses(
    world: World, application: str, every_s: float, *, lost: bool
) -> Callable[[], None]:
    """Remove them wherever they are, until the returned function is called.

    A word about it that is lost is made up for by the slow look.
    """
    goes_on = [True]

    def look_again(machine: Machine) -> None:
        if machine.daemon is not None:
            world.deliver(machine, machine.daemon, parcels.look_again)

    def remove() -> None:
        if not goes_on:
            return
        world.clockwork.after(every_s, remove)
        for machine in world.machines.values():
            if machine.runs and machine.address(application) is not False:
                machine.addresses[application] = False
                delay_s = LOOK_AGAIN_S if lost else LOOK_SOON_S
                world.clockwork.after(delay_s, partial(look_again, machine))

    remove()
    return goes_on.clear


# --- At random ---------------------------------------------------------------------------------


def random_hardships(chance: Random, shape: Shape, last_s: float) -> list[tuple[float, Hardship]]:
    """Return what is suffered when, besides everything else."""

    def seconds(low: float, high: float) -> float:
        return round(chance.uniform(low, high), 2)

    timed: list[tuple[float, Hardship]] = []
    if chance.random() < FULL:
        full = FullDisk(chance.choice(NODES), seconds(20.0, 180.0))
        timed.append((seconds(0.0, last_s), full))
    if chance.random() < BLIND:
        timed.append((seconds(0.0, last_s), FailLooks(chance.choice(NODES), seconds(1.0, 40.0))))
    if chance.random() < STREAMLESS:
        for _ in range(chance.randint(1, 4)):
            lost = LoseStream(chance.choice(NODES), seconds(0.1, BACK_OFF_MAX_S))
            timed.append((seconds(0.0, last_s), lost))
    if chance.random() < RECONFIGURED:
        another = _another(chance, shape)
        apart_s = seconds(0.05, 4.0)
        change = Reconfigure(chance.choice(NODES), apart_s, seconds(5.0, 40.0), another)
        timed.append((seconds(0.0, last_s), change))
    if chance.random() < LONG:
        at_s, for_s = seconds(0.0, last_s), seconds(BACK_OFF_MAX_S, 90.0)
        kind = chance.choice((FullDisk, FailLooks, LoseStream))
        nodes = chance.choice((NODES, NODES, NODES[:1], NODES[1:]))
        timed += [(at_s, kind(node, for_s)) for node in nodes]
    return timed


def _another(chance: Random, shape: Shape) -> Shape:
    """Let it be slower, of another kind, or have another number of witnesses."""
    slower = replace(shape, detection_s=shape.detection_s + 1.0)
    kinds = [replace(shape, arbitration=kind) for kind in ArbitrationKind]
    numbers = [replace(shape, witnesses=number) for number in range(1, WITNESSES_MAX + 1)]
    if shape.arbitration is not ArbitrationKind.WITNESS:
        numbers.clear()
    return chance.choice([slower, *(each for each in (*kinds, *numbers) if each != shape)])
