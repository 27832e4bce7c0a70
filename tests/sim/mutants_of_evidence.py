"""Broken on purpose: what is old, or was never seen, is taken for evidence."""

from dataclasses import replace
from typing import Final

from hapair.core.members import membership
from tests.sim.faults import Cut, HangDaemon
from tests.sim.machine import Core
from tests.sim.mutants import Mutant, in_time
from tests.sim.settings import NODES, PRIVATE, PUBLIC
from tests.sim.stage import LONG_S, WITH_WITNESS, Stage


def the_right_outlives_an_old_word(core: Core) -> None:
    """node2 decides nothing, and is heard again after node1 went on; then the witness is lost."""
    stage = Stage(replace(WITH_WITNESS, watchdog=False), core=core).begin()
    stage.suffers(HangDaemon("node2", LONG_S, beats=True))
    stage.run_for(0.5)
    stage.suffers(Cut(PRIVATE, NODES, LONG_S), Cut(PUBLIC, NODES, 5.0))
    stage.run_for(4.0)
    stage.loses_witness()
    stage.run_for(60.0)
    in_time(stage, 1.0, "node1 goes on", lambda: stage.served_by() == "node1")


MUTANTS_OF_EVIDENCE: Final = (
    Mutant(
        "the right is given up for an old word",
        "R8",
        story=the_right_outlives_an_old_word,
        values=((membership, "is_said_since", lambda _state, _theirs: True),),
    ),
)
