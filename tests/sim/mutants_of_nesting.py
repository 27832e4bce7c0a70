"""Cores that are broken on purpose in the order of mounts that lie inside one another."""

from typing import Final

from hapair.core.applications import nesting
from hapair.core.words.events import Halt, Move
from tests.sim.machine import Core
from tests.sim.mutants import Mutant, in_time
from tests.sim.settings import Shape, application
from tests.sim.stage import DATA, ORDERS, Stage

INNER: Final = "orders.data1"
NESTED: Final = Shape(applications=(application(ORDERS, volumes=4),))


def moves_and_halts(core: Core) -> None:
    stage = Stage(NESTED, core=core).begin()
    stage.world.command("node1", Move(ORDERS))
    in_time(stage, 20.0, "the move", lambda: stage.served_by() == "node2")
    stage.world.command("node2", Halt(ORDERS))
    mounted = stage.world.machines["node2"].mounted
    in_time(stage, 20.0, "the stop", lambda: not set(mounted))


def finds_an_inner_mount_alone(core: Core) -> None:
    """The outer one is not there: mounted now, it would hide the inner one."""
    stage = Stage(NESTED, core=core).begin()
    node1 = stage.world.machines["node1"]
    stage.world.kill_daemon("node1", 0.5)
    node1.programs[ORDERS] = False
    node1.mounted.forget(DATA)
    stage.run_for(1.0)
    in_time(stage, 20.0, "the start", lambda: stage.served_by() == "node1")


MUTANTS_OF_NESTING: Final = (
    Mutant(
        "mounts inside one another are mounted at once",
        "order",
        story=moves_and_halts,
        values=((nesting, "to_start", lambda _state, waiting: waiting),),
    ),
    Mutant(
        "mounts inside one another are unmounted at once",
        "order",
        story=moves_and_halts,
        values=((nesting, "to_stop", lambda _state, waiting: waiting),),
    ),
    Mutant(
        "a mount is made over one that lies inside it",
        "order",
        story=finds_an_inner_mount_alone,
        values=((nesting, "is_out_of_order", lambda _state, _application: False),),
    ),
)
