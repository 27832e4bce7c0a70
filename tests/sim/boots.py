"""clstartup: asks the daemon once at a boot, and again if that dies before it answers."""

from functools import partial
from typing import TYPE_CHECKING, Final

from hapair.cli.sessions.waiting import ACCEPT_S
from hapair.core.words.events import Form, Start
from tests.sim.machine import Daemon, Machine

if TYPE_CHECKING:
    from tests.sim.world import World

UNIT_AFTER_S: Final = 1.0
LOOKS_AGAIN_S: Final = 1.0


def ask(world: "World", machine: Machine, boot: int) -> None:
    """Form the node, unless it has lost its power since this boot."""
    if not machine.powered or machine.boots != boot:
        return
    if machine.daemon is None or not machine.listens:
        world.clockwork.after(LOOKS_AGAIN_S, partial(ask, world, machine, boot))
        return
    request = world.command(machine.name, Form(start=Start.BY_BOOT))
    waits = partial(_wait, world, machine, boot, machine.daemon, request)
    world.clockwork.after(ACCEPT_S, waits)


def _wait(world: "World", machine: Machine, boot: int, daemon: Daemon, request: int) -> None:
    """Leave the rest to a daemon that lives; the connection of one that died is closed."""
    if machine.daemon is not daemon and request not in world.replies:
        ask(world, machine, boot)
