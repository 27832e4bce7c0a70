"""What the kernel of a machine would tell: about who can write, and to its daemon."""

from collections.abc import Iterable

from hapair.model.built import Built
from hapair.model.data import VolumeFacts
from tests.checkers.rules import NodeSeen
from tests.sim.drbd import Resource
from tests.sim.machine import Machine
from tests.sim.others import Others
from tests.sim.replication import Replication


def kernel_seen(replication: Replication, built: Built, machine: Machine) -> NodeSeen:
    """Return what could write here just now; nothing does without power."""
    if not machine.powered:
        return NodeSeen(machine.name, (), (), ())
    writable = replication.writable(machine.name)
    mounted = tuple(sorted(set(writable) & set(machine.mounted)))
    programs = tuple(
        name
        for name, runs in machine.programs.items()
        if runs is not False and _writes(built, name, writable)
    )
    return NodeSeen(machine.name, writable, mounted, programs)


def _writes(built: Built, application: str, writable: tuple[str, ...]) -> bool:
    """Tell whether a program can change anything; one with frozen data alone cannot.

    What was released, and was started by hand just before, is nobody's application.
    """
    if application not in built.by_name:
        return False
    volumes = built.application(application).volumes
    return not volumes or any(volume.resource in writable for volume in volumes)


def facts_told(
    machine: Machine, resources: Iterable[Resource], others: Others
) -> tuple[VolumeFacts, ...]:
    """Return what a daemon can read of the kernel."""
    every = (*(each.facts(machine.name) for each in resources), *others.facts(machine.name))
    return tuple(each for each in every if each is not None)
