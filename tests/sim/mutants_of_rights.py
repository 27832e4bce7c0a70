"""Cores that are broken on purpose in how they get, keep and lose the right to act alone."""

from dataclasses import replace
from typing import Final

from hapair.core.members import formation
from hapair.core.words.events import ConfirmPeerDown, Form, Leave
from hapair.core.words.stored import Stored
from hapair.model.witness import Answer
from tests.sim.distortions import (
    Broken,
    asks_for_the_next,
    believes_an_old_waiver,
    believes_every_agent,
    confirms_by_itself,
    forgets_its_promise,
    hears_granted_for,
    keeps_the_right_on_disk,
    one_witness_is_enough,
    stores,
    stores_last,
    waives_by_itself,
)
from tests.sim.faults import (
    CrashAtEffect,
    Cut,
    DeadStrip,
    KillDaemon,
    LoseWitness,
    Partition,
    PowerOff,
    SlowWitness,
    Typed,
)
from tests.sim.machine import Core
from tests.sim.mutants import Mutant, in_time, plan
from tests.sim.settings import NODES, PRIVATE, PUBLIC
from tests.sim.stage import (
    ASK_OPERATOR,
    ONE_APPLICATION,
    WEB_TOO,
    WITH_FENCING,
    WITH_WITNESS,
    WITNESS,
    Stage,
    with_kind,
)


def a_lost_grant_blocks_nobody(core: Core) -> None:
    """node1 is recorded, and never hears of it; the nodes meet, and then node1 dies."""
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(SlowWitness(0, 20.0), LoseWitness(0, ("node2",), 20.0))
    stage.cuts_off(for_s=3.5)
    stage.run_for(30.0)
    assert stage.holders() == {1: {"node1"}}
    stage.dies("node1")
    in_time(stage, 15.0, "the standby", lambda: stage.served_by() == "node2")


LOSER_RETURNS_FIRST: Final = plan(
    ONE_APPLICATION,
    (0.0, PowerOff("node2", 5.0)),
    (16.0, PowerOff("node1", 20.0)),
    (28.0, PowerOff("node2", 200.0)),
    (150.0, Typed("node1", Form())),
)
CRASHES_WHILE_IT_ACCEPTS: Final = tuple(
    plan(
        ONE_APPLICATION,
        (0.0, PowerOff("node2", 5.0)),
        (5.5, CrashAtEffect("node1", step, 20.0)),
        (15.0, Typed("node2", Form())),
    )
    for step in range(1, 16)
)
PARTITION: Final = Partition(NODES, 60.0)
WITNESS_IS_DOWN: Final = LoseWitness(0, (), 60.0)
NODE1_REACHES_NO_WITNESS: Final = LoseWitness(0, ("node1",), 90.0)
# Changes nothing, but lengthens the run, so that the faults can have their effect.
LATER: Final = Typed("node1", Form())
PLAIN_PARTITION: Final = plan(WITH_WITNESS, (0.0, PARTITION), (20.0, LATER))
NOBODY_TO_ASK: Final = plan(WITH_WITNESS, (0.0, PARTITION), (0.0, WITNESS_IS_DOWN), (20.0, LATER))
SPLIT_VOTE: Final = plan(
    replace(WITH_WITNESS, witnesses=3),
    (0.0, LoseWitness(0, ("node2",), 60.0)),
    (0.0, LoseWitness(1, (), 60.0)),
    (0.0, LoseWitness(2, ("node1",), 60.0)),
    (0.1, PARTITION),
    (20.0, LATER),
)
DEAD_STRIP: Final = plan(WITH_FENCING, (0.0, DeadStrip(60.0)), (0.0, PARTITION), (20.0, LATER))
BACK_FOR_THE_PASSIVE_ONE: Final = plan(
    WITH_WITNESS,
    (0.0, LoseWitness(0, (), 30.0)),
    (0.0, NODE1_REACHES_NO_WITNESS),
    (15.0, PARTITION),
    (50.0, LATER),
)
LOST_THEN_PARTITION: Final = plan(
    WITH_WITNESS, (0.0, WITNESS_IS_DOWN), (15.0, PARTITION), (40.0, LATER)
)
RELEASED_BY_A_PERSON: Final = plan(
    WITH_WITNESS,
    (0.0, LoseWitness(0, (), 60.0)),
    (25.0, PowerOff("node1", 40.0)),
    (45.0, Typed("node2", ConfirmPeerDown())),
    (64.0, Partition(NODES, 150.0)),
    (170.0, LATER),
)
LOSER_WITHOUT_DATA: Final = plan(
    with_kind(WITNESS, WEB_TOO), (0.0, NODE1_REACHES_NO_WITNESS), (0.0, PARTITION), (20.0, LATER)
)
LEFT_IN_ORDER: Final = plan(
    WITH_WITNESS,
    (0.0, LoseWitness(0, (), 30.0)),
    (0.2, Typed("node2", Leave(handover=True))),
    (20.0, PowerOff("node1", 100.0)),
    (35.0, Typed("node2", Form(timeout_s=5.0))),
    (60.0, LATER),
)

# A peer that was heard to act alone is known of by its records as well.
WITHOUT_RECORDS: Final = tuple(r for r in formation.FORMATION if r.name != "peer-ahead")

MUTANTS_OF_RIGHTS: Final = (
    Mutant(
        "the grant is not awaited",
        "R1",
        Broken(remembered=confirms_by_itself),
        (
            plan(
                ASK_OPERATOR,
                (0.0, Cut(PUBLIC, NODES, 30.0)),
                (0.0, Cut(PRIVATE, NODES, 30.0)),
                (28.0, Typed("node2", Form())),
            ),
        ),
    ),
    Mutant(
        "the right that was given up stays on the disk",
        "R1",
        Broken(asked=keeps_the_right_on_disk),
        (LOSER_RETURNS_FIRST,),
    ),
    Mutant(
        "the peer is told before it is stored",
        "R1",
        Broken(asked=stores_last),
        CRASHES_WHILE_IT_ACCEPTS,
    ),
    Mutant(
        "what was stored is not read",
        "R",
        Broken(loaded=lambda _stored: Stored()),
        (plan(ONE_APPLICATION, (0.0, KillDaemon("node1", 0.5))),),
    ),
    Mutant(
        "a denial counts as a grant",
        "R1",
        Broken(told=hears_granted_for(Answer.DENIED)),
        (PLAIN_PARTITION,),
    ),
    Mutant(
        "silence of the witness counts as a grant",
        "R1",
        Broken(told=hears_granted_for(Answer.UNREACHABLE)),
        (NOBODY_TO_ASK,),
    ),
    Mutant(
        "one witness of three is enough",
        "R1",
        Broken(remembered=one_witness_is_enough),
        (SPLIT_VOTE,),
    ),
    Mutant(
        "an agent that could not tell counts as proof",
        "R1",
        Broken(told=believes_every_agent),
        (DEAD_STRIP,),
    ),
    Mutant(
        "the promise is forgotten",
        "R1",
        Broken(remembered=forgets_its_promise),
        (BACK_FOR_THE_PASSIVE_ONE,),
    ),
    Mutant(
        "a waiver from before the start counts",
        "R1",
        Broken(remembered=believes_an_old_waiver),
        (RELEASED_BY_A_PERSON,),
    ),
    Mutant(
        "the waiver is taken without a promise",
        "R1",
        Broken(remembered=waives_by_itself),
        (LOST_THEN_PARTITION,),
    ),
    Mutant(
        "the lease of the peer is not waited for",
        "R1",
        Broken(remembered=lambda state: replace(state, leased=())),
        (LOSER_WITHOUT_DATA,),
    ),
    Mutant(
        "a denied node asks for the next epoch",
        "R1",
        Broken(remembered=asks_for_the_next),
        (PLAIN_PARTITION,),
    ),
    Mutant(
        "a node forgets that it left in order",
        "R1",
        Broken(
            remembered=lambda state: stores(state, ceded=False),
            loaded=lambda stored: replace(stored, ceded=False),
        ),
        (LEFT_IN_ORDER,),
        values=((formation, "FORMATION", WITHOUT_RECORDS),),
    ),
    Mutant(
        "what was asked for is not remembered",
        "R8",
        Broken(remembered=lambda state: stores(state, asked=0)),
        story=a_lost_grant_blocks_nobody,
    ),
)
