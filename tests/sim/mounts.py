"""What somebody beside us does to the mounts of an application that runs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hapair.runtime.node.survey import MOUNTS_AGAIN_S
from tests.sim import parcels
from tests.sim.hardships import LOOK_SOON_S
from tests.sim.machine import Machine
from tests.sim.world import World


@dataclass(frozen=True, slots=True)
class Unmount:
    """It is unmounted wherever it is, lazily if a program uses it: once, or again and again."""

    resource: str
    every_s: float
    for_s: float
    lost: bool = False  # The kernel's word about it does not reach the daemon.


@dataclass(frozen=True, slots=True)
class MountOver:
    node: str
    resource: str
    for_s: float


def inflict(
    world: World,
    fault: Unmount | MountOver,
    later: Callable[[float, Callable[[], object]], None],
) -> None:
    if isinstance(fault, MountOver):
        machine = world.machines[fault.node]
        if fault.resource in machine.mounted:
            machine.covered.add(fault.resource)
            world.clockwork.after(LOOK_SOON_S, partial(_look_again, world, machine))
            later(fault.for_s, partial(_uncover, world, machine, fault.resource))
        return
    world.troubled = True
    goes_on = [True]

    def unmount() -> None:
        if not goes_on:
            return
        world.clockwork.after(fault.every_s, unmount)
        for machine in world.machines.values():
            if machine.runs and fault.resource in machine.mounted:
                for inner in machine.mounted.keeping(fault.resource):
                    machine.mounted.forget(inner)  # They go with it.
                machine.mounted.discard(fault.resource)
                delay_s = MOUNTS_AGAIN_S if fault.lost else LOOK_SOON_S
                rounds = partial(_look_until_mounted, world, machine, fault.resource)
                world.clockwork.after(delay_s, rounds)

    unmount()
    later(fault.for_s, goes_on.clear)


def _uncover(world: World, machine: Machine, resource: str) -> None:
    machine.covered.discard(resource)
    world.clockwork.after(LOOK_SOON_S, partial(_look_again, world, machine))


def _look_until_mounted(world: World, machine: Machine, resource: str) -> None:
    """Make the regular rounds, too: the first look may tell nothing."""
    _look_again(world, machine)
    application, _, _ = resource.partition(".")
    if resource not in machine.mounted and machine.program(application) is True:
        rounds = partial(_look_until_mounted, world, machine, resource)
        world.clockwork.after(MOUNTS_AGAIN_S, rounds)


def _look_again(world: World, machine: Machine) -> None:
    if machine.daemon is not None:
        world.deliver(machine, machine.daemon, parcels.look_again)
