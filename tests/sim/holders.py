"""What keeps a volume in use besides its application: in the file system, or of its device."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hapair.model.data import Role
from tests.sim.machine import Holder
from tests.sim.world import World


@dataclass(frozen=True, slots=True)
class HoldMount:
    """A stranger's process stands in the file system."""

    node: str
    resource: str


@dataclass(frozen=True, slots=True)
class HoldDevice:
    """Something besides the mount keeps the device open, e.g. the name space of a container."""

    node: str
    resource: str
    ends: bool  # The stop ladder may end it; otherwise it goes away by itself.
    for_s: float | None  # None: only a power loss ends it.


def inflict(
    world: World,
    fault: HoldMount | HoldDevice,
    later: Callable[[float, Callable[[], object]], None],
) -> None:
    machine = world.machines[fault.node]
    if isinstance(fault, HoldMount):
        machine.held |= {fault.resource} & set(machine.mounted)
    elif world.resources[fault.resource].side(fault.node).role is Role.PRIMARY:
        # Nothing else can be opened.
        holder = Holder(fault.ends)
        machine.hold(fault.resource, holder)
        if fault.for_s is not None:
            later(fault.for_s, partial(machine.let_go, fault.resource, lambda h: h is holder))
