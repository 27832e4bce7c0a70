"""Broken on purpose: what is made of a node whose disk takes nothing."""

from math import inf
from typing import Final

from hapair.core.applications import trials
from hapair.core.members import membership
from hapair.core.words.events import Move
from tests.sim.faults import Cut, SlowStore
from tests.sim.machine import Core
from tests.sim.mutants import Mutant, in_time
from tests.sim.settings import NODES, PRIVATE
from tests.sim.stage import LONG_S, ORDERS, WITH_WITNESS, Stage


def the_stand_by_cannot_store(core: Core) -> None:
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(SlowStore("node2", inf, LONG_S))
    stage.run_for(20.0)
    before = stage.acknowledged() + 20  # Some were under way.
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    in_time(stage, 30.0, "writes go on", lambda: stage.acknowledged() > before)


def a_move_to_a_dead_disk_comes_back(core: Core) -> None:
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(SlowStore("node2", inf, LONG_S))
    stage.world.command("node1", Move(ORDERS))
    stage.run_for(2.0)
    in_time(stage, 30.0, "it is served", lambda: stage.served_by() == "node1")


MUTANTS_OF_FULL_DISKS: Final = (
    Mutant(
        "what is given is given without a trial",
        "R8",
        story=a_move_to_a_dead_disk_comes_back,
        values=((trials, "passed", lambda _turn: True),),
    ),
    Mutant(
        "a peer that cannot store is waited for",
        "R8",
        story=the_stand_by_cannot_store,
        values=((membership, "passes_over", lambda _state: False),),
    ),
)
