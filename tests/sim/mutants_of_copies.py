"""Cores that are broken on purpose in what they know of copies, and in what lets writes go."""

from typing import Final

from hapair.core.words.events import Form, Halt, Leave
from tests.sim.distortions import (
    Broken,
    agrees_at_once,
    all_current,
    believes_the_loser,
    goes_on_without_a_disk,
    hears_nothing_of_lone_writes,
    lets_frozen_writes_go,
    no_doubts,
    trusts_what_was_away,
)
from tests.sim.faults import BreakDisk, Cut, LoseWitness, Partition, PowerOff, Typed
from tests.sim.machine import Core
from tests.sim.mutants import Mutant, in_time, plan
from tests.sim.settings import NODES, PRIVATE, PUBLIC, Shape, application
from tests.sim.stage import (
    ASK_OPERATOR,
    LONG_S,
    ONE_APPLICATION,
    ORDERS,
    WITH_WITNESS,
    WITNESS,
    Stage,
    with_kind,
)


def writes_go_on_without_the_link(core: Core) -> None:
    """Frozen writes go on once the peer has stored that its copy is behind, and said so."""
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    stage.waits_for(lambda: stage.copy("node1").suspended, 3.0)
    before = stage.acknowledged()
    in_time(stage, 5.0, "frozen writes", lambda: stage.acknowledged() > before)


def the_winner_may_reboot(core: Core) -> None:
    """The winner heard the loser, whose writes were still frozen: its own copy is still good."""
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.loses_witness("node1")
    stage.suffers(Cut(PRIVATE, NODES, LONG_S), Cut(PUBLIC, NODES, 4.0))
    stage.waits_for(lambda: stage.served_by() == "node2", 10.0)
    stage.run_for(10.0)
    stage.dies("node1")
    stage.run_for(10.0)
    stage.dies("node2")
    stage.run_for(5.0)
    stage.world.power_on("node2")
    in_time(stage, 90.0, "the winner", lambda: stage.served_by() == "node2")


RETURNS_DURING_RESYNC: Final = plan(
    ONE_APPLICATION,
    (0.0, PowerOff("node2", 20.0)),
    (22.0, PowerOff("node1", 60.0)),
)
LINK_THEN_NODE: Final = plan(
    ONE_APPLICATION,
    (0.0, Cut(PRIVATE, NODES, 100.0)),
    (15.0, PowerOff("node1", 60.0)),
    (40.0, Typed("node2", Halt(ORDERS))),
)
INHERITS_OUT_OF_SIGHT: Final = plan(
    ASK_OPERATOR,
    (0.0, Partition(NODES, 9.0)),
    (4.0, Typed("node1", Leave(handover=True))),
    (30.0, Typed("node2", Halt(ORDERS))),
)
PARTITION: Final = Partition(NODES, 60.0)
NODE1_REACHES_NO_WITNESS: Final = LoseWitness(0, ("node1",), 90.0)
# Changes nothing, but lengthens the run, so that the faults can have their effect.
LATER: Final = Typed("node1", Form())
LINK_AND_NODE_AT_ONCE: Final = plan(
    WITH_WITNESS,
    (0.0, Cut(PRIVATE, NODES, 100.0)),
    (0.0, Cut(PUBLIC, ("node2",), 100.0)),
    (2.2, PowerOff("node1", 100.0)),
    (30.0, LATER),
)
LOSER: Final = plan(WITH_WITNESS, (0.0, NODE1_REACHES_NO_WITNESS), (0.0, PARTITION), (30.0, LATER))
ONE_DISK_OF_TWO: Final = plan(
    with_kind(WITNESS, Shape(applications=(application(ORDERS, volumes=2),))),
    (0.0, BreakDisk("node1", "orders.data1", 40.0)),
    (10.0, PowerOff("node2", 5.0)),
)

MUTANTS_OF_COPIES: Final = (
    Mutant(
        "old copies are promoted",
        "R2",
        Broken(told=all_current, remembered=no_doubts),
        (LINK_THEN_NODE, RETURNS_DURING_RESYNC),
    ),
    Mutant(
        "a copy that was away is trusted",
        "R",
        Broken(remembered=trusts_what_was_away),
        (INHERITS_OUT_OF_SIGHT,),
    ),
    Mutant(
        "lone writes of the peer are forgotten",
        "R8",
        Broken(told=hears_nothing_of_lone_writes),
        story=writes_go_on_without_the_link,
    ),
    Mutant(
        "writes go on before the peer has stored anything",
        "R2",
        Broken(added=agrees_at_once),
        (LINK_AND_NODE_AT_ONCE,),
    ),
    Mutant(
        "the loser lets its frozen writes go",
        "R1",
        Broken(asked=lets_frozen_writes_go),
        (LOSER,),
    ),
    Mutant(
        "a handler is told to go on whose disk was given up",
        "R7",
        Broken(asked=goes_on_without_a_disk),
        (ONE_DISK_OF_TWO,),
    ),
    Mutant(
        "the winner believes the loser",
        "R8",
        Broken(remembered=believes_the_loser),
        story=the_winner_may_reboot,
    ),
)
