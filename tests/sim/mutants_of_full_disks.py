"""Broken on purpose: what is made of a node whose disk takes nothing."""

from math import inf
from typing import Final

from hapair.core.members import membership
from tests.sim.faults import Cut, SlowStore
from tests.sim.machine import Core
from tests.sim.mutants import Mutant, in_time
from tests.sim.settings import NODES, PRIVATE
from tests.sim.stage import LONG_S, WITH_WITNESS, Stage


def the_stand_by_cannot_store(core: Core) -> None:
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(SlowStore("node2", inf, LONG_S))
    stage.run_for(20.0)
    before = stage.acknowledged() + 20  # Some were under way.
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    in_time(stage, 30.0, "writes go on", lambda: stage.acknowledged() > before)


MUTANTS_OF_FULL_DISKS: Final = (
    Mutant(
        "a peer that cannot store is waited for",
        "R8",
        story=the_stand_by_cannot_store,
        values=((membership, "passes_over", lambda _state: False),),
    ),
)
