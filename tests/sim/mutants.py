"""Cores that are broken on purpose. The simulator must catch each of them.

A mutant stands between the world and the real core: it changes what the core is told, what it
remembers or what it asks for.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from hapair.core.words.effects import Do
from hapair.core.words.events import (
    ConfirmPeerDown,
    Form,
    Halt,
    Leave,
    Move,
)
from hapair.core.words.stored import Stored
from hapair.model.witness import Answer
from tests.checkers.rules import BrokenRuleError
from tests.sim.distortions import (
    Broken,
    agrees_at_once,
    all_current,
    asks_for_the_next,
    believes_an_old_waiver,
    believes_every_agent,
    believes_every_stop,
    believes_the_loser,
    confirms_by_itself,
    does_not_look_at_the_kernel,
    falls_back_unasked,
    finds_nothing_running,
    forgets_its_promise,
    goes_on_without_a_disk,
    hears_granted_for,
    hears_nothing_of_lone_writes,
    keeps_the_right_on_disk,
    lets_frozen_writes_go,
    looks_at_nothing_again,
    may_reset_any_node,
    no_doubts,
    one_witness_is_enough,
    puts_back_without_asking,
    resets_no_node,
    stores,
    stores_last,
    trusts_what_was_away,
    waits_for_ever,
    waives_by_itself,
)
from tests.sim.faults import (
    BreakDisk,
    CrashAtEffect,
    Cut,
    DeadStrip,
    FailActions,
    Fault,
    HangDaemon,
    KillDaemon,
    LoseWitness,
    Partition,
    PowerOff,
    RemoveAddresses,
    SlowWitness,
    Typed,
)
from tests.sim.machine import Core, Trouble
from tests.sim.run import Plan, play
from tests.sim.schedule import Timed
from tests.sim.settings import NODES, PRIVATE, PUBLIC, Shape, application
from tests.sim.stage import (
    ASK_OPERATOR,
    LONG_S,
    ONE_APPLICATION,
    ORDERS,
    WEB,
    WEB_TOO,
    WITH_FENCING,
    WITH_WITNESS,
    WITNESS,
    Stage,
    with_kind,
)

# --- What brings it to light -------------------------------------------------------------------


def plan(shape: Shape, *timed: tuple[float, Fault]) -> Plan:
    return Plan("mutant", shape, tuple(Timed(at_s, fault) for at_s, fault in timed))


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    rule: str  # Which check catches it.
    broken: Broken
    plans: tuple[Plan, ...] = field(default=(), repr=False)
    # For mutants that endanger no data, only progress: a story in which somebody waits in vain.
    story: Callable[[Core], None] | None = None

    def core(self) -> Core:
        return self.broken


def broken_by(mutant: Mutant, core: Core) -> tuple[str, ...]:
    """Return what goes wrong with this core in everything that brings the mutant to light."""
    failures = [failure.what for plan in mutant.plans if (failure := play(plan, core))]
    if mutant.story is not None:
        try:
            mutant.story(core)
        except BrokenRuleError as error:
            failures.append(str(error))
    return tuple(failures)


def in_time(stage: Stage, within_s: float, what: str, reached: Callable[[], bool]) -> None:
    try:
        stage.waits_for(reached, within_s)
    except AssertionError as error:
        raise BrokenRuleError(f"R8: {what}: {error}") from error


def writes_go_on_without_the_link(core: Core) -> None:
    """Frozen writes go on once the peer has stored that its copy is behind, and said so."""
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    stage.waits_for(lambda: stage.copy("node1").suspended, 3.0)
    before = stage.acknowledged()
    in_time(stage, 5.0, "frozen writes", lambda: stage.acknowledged() > before)


def a_silent_daemon_stops_nothing(core: Core) -> None:
    """A node whose daemon hangs keeps its application: its kernel answers all the time."""
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(HangDaemon("node1", 4.5))
    stage.run_for(20.0)
    if stage.acts or stage.served_by() != "node1":
        raise BrokenRuleError(f"R7: a silent daemon caused {stage.acts}")


def a_lost_grant_blocks_nobody(core: Core) -> None:
    """node1 is recorded, and never hears of it; the nodes meet, and then node1 dies."""
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(SlowWitness(0, 20.0), LoseWitness(0, ("node2",), 20.0))
    stage.cuts_off(for_s=3.5)
    stage.run_for(30.0)
    assert stage.holders() == {1: {"node1"}}
    stage.dies("node1")
    in_time(stage, 15.0, "the standby", lambda: stage.served_by() == "node2")


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


def cannot_be_unmounted(core: Core, *, resets_node: bool) -> Stage:
    """node2 waits for what was moved, and node1 cannot let go of it."""
    shape = replace(WITH_WITNESS, applications=(application(ORDERS, resets_node=resets_node),))
    stage = Stage(shape, core=core).begin()
    stage.suffers(FailActions("node1", Do.UNMOUNT, ORDERS, Trouble.REFUSED, LONG_S))
    stage.world.command("node1", Move(ORDERS))
    return stage


def a_reset_lets_the_peer_go_on(core: Core) -> None:
    stage = cannot_be_unmounted(core, resets_node=True)
    in_time(stage, 400.0, "node2", lambda: stage.served_by() == "node2")


def nothing_is_reset_unless_a_file_allows_it(core: Core) -> None:
    stage = cannot_be_unmounted(core, resets_node=False)
    stage.run_for(400.0)
    if stage.world.machines["node1"].boots != 1:
        raise BrokenRuleError("R7: a node was reset, and no file allows it")


REMOVED: Final = RemoveAddresses(ORDERS, LONG_S, 1.0)
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
LINK_AND_NODE_AT_ONCE: Final = plan(
    WITH_WITNESS,
    (0.0, Cut(PRIVATE, NODES, 100.0)),
    (0.0, Cut(PUBLIC, ("node2",), 100.0)),
    (2.2, PowerOff("node1", 100.0)),
    (30.0, LATER),
)
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
LOSER: Final = plan(WITH_WITNESS, (0.0, NODE1_REACHES_NO_WITNESS), (0.0, PARTITION), (30.0, LATER))
ONE_DISK_OF_TWO: Final = plan(
    with_kind(WITNESS, Shape(applications=(application(ORDERS, volumes=2),))),
    (0.0, BreakDisk("node1", "orders.data1", 40.0)),
    (10.0, PowerOff("node2", 5.0)),
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

MUTANTS: Final = (
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
        "a silent daemon is taken for a dead node",
        "R7",
        Broken(remembered=does_not_look_at_the_kernel),
        story=a_silent_daemon_stops_nothing,
    ),
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
        "a restarted daemon does not look at what runs",
        "R",
        Broken(told=finds_nothing_running),
        (
            plan(
                ONE_APPLICATION,
                (0.0, KillDaemon("node1", 0.5)),
                (5.0, Typed("node1", Move(ORDERS))),
            ),
        ),
    ),
    Mutant(
        "a stop that failed counts as done",
        "R1",
        Broken(told=believes_every_stop),
        (
            plan(
                WEB_TOO,
                (0.0, FailActions("node1", Do.STOP_PROGRAM, WEB, Trouble.HANGS, 60.0)),
                (0.1, Typed("node1", Move(WEB))),
                (30.0, Typed("node1", Form())),
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
        "actions are not bounded",
        "R5",
        Broken(asked=waits_for_ever),
        (plan(ONE_APPLICATION),),
    ),
    Mutant(
        "it falls back unasked",
        "R6",
        Broken(configured=falls_back_unasked),
        (plan(ONE_APPLICATION, (0.0, PowerOff("node1", 5.0)), (30.0, Typed("node1", Form()))),),
    ),
    Mutant(
        "writes go on before the peer has stored anything",
        "R2",
        Broken(added=agrees_at_once),
        (LINK_AND_NODE_AT_ONCE,),
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
    ),
    Mutant(
        "what was asked for is not remembered",
        "R8",
        Broken(remembered=lambda state: stores(state, asked=0)),
        story=a_lost_grant_blocks_nobody,
    ),
    Mutant(
        "the winner believes the loser",
        "R8",
        Broken(remembered=believes_the_loser),
        story=the_winner_may_reboot,
    ),
    Mutant(
        "nobody looks again at what runs",
        "R8",
        Broken(told=looks_at_nothing_again),
        (plan(ONE_APPLICATION, (1.0, REMOVED)),),
    ),
    Mutant(
        "addresses are put back without the right",
        "R1",
        Broken(added=puts_back_without_asking),
        (plan(ASK_OPERATOR, (0.0, Partition(NODES, 9.0)), (5.0, REMOVED)),),
    ),
    Mutant(
        "the last rung is not climbed",
        "R8",
        Broken(asked=resets_no_node),
        story=a_reset_lets_the_peer_go_on,
    ),
    Mutant(
        "a node is reset unasked",
        "R7",
        Broken(configured=may_reset_any_node),
        story=nothing_is_reset_unless_a_file_allows_it,
    ),
)
