"""What the kernel of a machine would tell about who can write."""

from hapair.model.built import Built
from tests.checkers.rules import NodeSeen
from tests.sim.machine import Machine
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
    """Tell whether a program can change anything; one with frozen data alone cannot."""
    volumes = built.application(application).volumes
    return not volumes or any(volume.resource in writable for volume in volumes)
