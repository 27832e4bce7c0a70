"""Broken on purpose: a right by an arbitration that the peer does not have yet."""

from dataclasses import replace
from typing import Final

from hapair.core.applications import brake
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.cluster import ArbitrationKind
from tests.sim.distortions import Broken, stores
from tests.sim.faults import KillDaemon, Partition
from tests.sim.hardships import Reconfigure
from tests.sim.mutants import Mutant, plan
from tests.sim.mutants_of_rights import LATER
from tests.sim.settings import NODES
from tests.sim.stage import ASK_OPERATOR, LONG_S, WITH_FENCING, WITH_WITNESS


def calls_them_shared(stored: Stored) -> Stored:
    return replace(stored, terms=replace(stored.terms, shared=True))


def _a_person_decides(state: NodeState) -> bool:
    return state.built.cluster.arbitration is ArbitrationKind.OPERATOR


CUT: Final = (0.5, Partition(NODES, 60.0))
BETWEEN: Final = plan(
    WITH_FENCING, (0.0, Reconfigure("node1", 3.0, LONG_S, WITH_WITNESS)), CUT, (20.0, LATER)
)
WITH_A_NEW_DAEMON: Final = plan(
    WITH_FENCING,
    (0.0, Reconfigure("node1", 3.0, LONG_S, WITH_WITNESS)),
    CUT,
    (0.6, KillDaemon("node1", 0.5)),
    (20.0, LATER),
)
TO_A_PERSON: Final = plan(
    WITH_WITNESS, (0.0, Reconfigure("node1", 3.0, LONG_S, ASK_OPERATOR)), CUT, (20.0, LATER)
)

MUTANTS_OF_TERMS: Final = (
    Mutant(
        "new terms count at once",
        "R1",
        Broken(remembered=lambda state: stores(state, terms=calls_them_shared(state.stored).terms)),
        (BETWEEN,),
    ),
    Mutant(
        "a new daemon takes its terms for shared",
        "R",
        Broken(loaded=calls_them_shared),
        (WITH_A_NEW_DAEMON,),
    ),
    Mutant(
        "an owner goes on although the peer does not ask a person yet",
        "R",
        plans=(TO_A_PERSON,),
        values=((brake, "_only_a_person_decides", _a_person_decides),),
    ),
)
