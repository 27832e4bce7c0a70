"""What somebody types on a node beside the cluster: DRBD's commands, or a start of the program."""

from dataclasses import dataclass
from enum import StrEnum

from hapair.model.data import Role
from tests.sim.world import World


class Deed(StrEnum):
    DISCONNECT = "drbdadm disconnect"
    DOWN = "drbdadm down"
    START = "systemctl start"


@dataclass(frozen=True, slots=True)
class ByHand:
    node: str
    resource: str  # The program is that of its application.
    deed: Deed


def inflict(world: World, fault: ByHand) -> None:
    """Do it where the kernel lets it be done."""
    machine, resource = world.machines[fault.node], world.resources[fault.resource]
    side = resource.side(fault.node)
    built = machine.built.by_resource.get(fault.resource)
    if not machine.runs or not side.configured or built is None:
        return
    application = built.application.name
    match fault.deed:
        case Deed.DISCONNECT:
            resource.disconnect(fault.node)
        case Deed.DOWN if side.role is Role.SECONDARY:
            resource.take_down(fault.node)
        case Deed.START if side.role is Role.SECONDARY and machine.program(application) is False:
            machine.programs[application] = True
            machine.strays.add(application)
            world.troubled = True  # It runs without its data.
        case _:
            pass
    world.replication.check()
