"""Broken on purpose: parts of the core that are left out, or believe too much, one at a time."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from hapair.core.applications import brake, endings, items, ladder, layers, reconnect
from hapair.core.copies import diskless, doubts, replication
from hapair.core.members import commands, membership
from hapair.core.right import arbitration, hearing
from hapair.core.words.effects import Do
from hapair.core.words.events import Form, Halt, Leave, Move
from hapair.core.words.state import NodeState
from hapair.model import timing
from hapair.model.application import TimeLimits
from hapair.model.data import Disk, Role
from tests.checkers.rules import BrokenRuleError
from tests.sim import world
from tests.sim.builds import BuildApplication
from tests.sim.faults import (
    Cut,
    FailActions,
    HangDaemon,
    KillDaemon,
    LoseReference,
    LoseWitness,
    Partition,
    PowerOff,
    Reboot,
    WriteBehind,
)
from tests.sim.hardships import BACK_OFF_MAX_S, LoseStream
from tests.sim.holders import HoldDevice
from tests.sim.machine import Core, Trouble
from tests.sim.mutants import Mutant, in_time, plan
from tests.sim.mutants_of_messages import the_only_copy_is_used_after_a_boot
from tests.sim.mutants_of_starts import LATER
from tests.sim.settings import NODES, PRIVATE, application
from tests.sim.stage import (
    ASK_OPERATOR,
    DATA,
    LONG_S,
    ONE_APPLICATION,
    ORDERS,
    WEB,
    WITH_WITNESS,
    Stage,
)
from tests.sim.test_stories_of_copies import cut_right_after_a_resync

AN_HOUR_S: Final = 3600.0


def left_out(*_: object, **__: object) -> None:
    """Stand where a part of the core was."""


def stored_it_at_any_time(state: NodeState, resource: str) -> bool:
    theirs = state.peer.state
    return theirs is not None and hearing.agreed(state) and resource in theirs.behind


def the_copies_are_one_again(core: Core) -> None:
    """The loser is still Primary when the networks come back, so DRBD gives the peer up."""
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(FailActions("node1", Do.UNMOUNT, ORDERS, Trouble.REFUSED, 25.0))
    stage.loses_witness("node1")
    stage.cuts_off(for_s=12.0)
    stage.run_for(14.0)
    in_time(stage, 90.0, "both copies", stage.is_redundant)


def the_next_daemon_attaches_the_disk(core: Core) -> None:
    """The daemon dies right after it gave up the disk of the loser, and nobody helps."""
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.loses_witness("node1")
    stage.cuts_off(for_s=60.0)
    side = stage.copy("node1")
    while not (side.disk is Disk.DISKLESS and side.role is Role.SECONDARY):
        stage.run_for(0.002)
    stage.suffers(KillDaemon("node1", 0.5))
    stage.run_for(60.0)
    in_time(stage, 60.0, "both copies", stage.is_redundant)


def the_loser_lets_go_of_its_mount(core: Core) -> None:
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.loses_witness("node1")
    stage.cuts_off()
    in_time(stage, 60.0, "the loser", lambda: not set(stage.world.machines["node1"].mounted))


def what_cannot_be_moved_comes_up_again(core: Core) -> None:
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(HoldDevice("node1", DATA, ends=False, for_s=None))
    request = stage.world.command("node1", Move(ORDERS))
    in_time(stage, 60.0, "an answer", lambda: request in stage.world.replies)
    in_time(stage, 90.0, "node1", lambda: stage.served_by() == "node1")


def what_cannot_be_left_comes_up_again(core: Core) -> None:
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(HoldDevice("node1", DATA, ends=False, for_s=None))
    stage.world.command("node1", Leave(handover=True))
    stage.run_for(5.0)
    in_time(stage, 60.0, "node1", lambda: stage.served_by() == "node1")


def what_was_held_ends_soon_after_its_holder(core: Core) -> None:
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(HoldDevice("node1", DATA, ends=False, for_s=20.0))
    stage.world.command("node1", Halt(ORDERS))
    stage.run_for(20.0)
    in_time(stage, 60.0, "a halt", lambda: stage.copy("node1").role is Role.SECONDARY)


def a_move_right_after_a_start_is_answered(core: Core) -> None:
    """The copies are equal, but the new daemon cannot prove it yet: the move is held back."""
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(KillDaemon("node1", 0.2))
    stage.waits_for(stage.is_together, 10.0)
    request = stage.world.command("node1", Move(ORDERS))
    in_time(stage, 90.0, "an answer", lambda: request in stage.world.replies)


def writes_go_on_for_which_no_handler_asks(core: Core) -> None:
    """The daemon hung for so long that the handler gave up."""
    stage = Stage(ASK_OPERATOR, core=core).begin()
    stage.suffers(Cut(PRIVATE, NODES, LONG_S), HangDaemon("node1", 80.0))
    stage.run_for(90.0)
    before = stage.acknowledged()
    in_time(stage, 30.0, "frozen writes", lambda: stage.acknowledged() > before + 5)


def a_reference_that_misses_one_question_stops_nothing(core: Core) -> None:
    stage = Stage(ONE_APPLICATION, core=core).begin()
    stage.suffers(PowerOff("node2", LONG_S), LoseReference(("node1",), 2.5))
    stage.run_for(20.0)
    stops = [do for _, do in stage.acts if do in (Do.STOP_PROGRAM, Do.KILL_PROGRAM)]
    if stops:
        raise BrokenRuleError(f"R7: one lost answer caused {stops}")


def a_slow_stop_ends_with_the_lease(core: Core) -> None:
    limits = TimeLimits(start_s=20.0, stop_s=60.0)
    web = application(WEB, volumes=0, limits=limits)
    shape = replace(WITH_WITNESS, applications=(application(ORDERS), web))
    stage = Stage(shape, core=core).begin()
    stage.suffers(FailActions("node1", Do.STOP_PROGRAM, WEB, Trouble.HANGS, LONG_S))
    stage.world.command("node1", Leave(handover=True))
    stage.run_for(0.3)
    stage.loses_witness("node1")
    stage.cuts_off()
    stage.run_for(40.0)


def a_copy_that_was_written_is_made_anew(core: Core) -> None:
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.types("node2", Leave(handover=True))
    stage.suffers(WriteBehind("node2", DATA))
    stage.world.command("node2", Form())
    in_time(stage, 60.0, "both copies", stage.is_redundant)


def everything_is_cut_right_after_a_resync(core: Core) -> None:
    stage = cut_right_after_a_resync(core)
    stage.loses_witness("node1")
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    stage.run_for(30.0)


def an_application_grows(core: Core) -> None:
    """The resync is over before the configuration comes: the kernel has nothing more to say."""
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.world.replication.resync_takes_s = (0.05, 0.1)
    stage.suffers(BuildApplication(ORDERS, 1, 1.0, "node1"))
    stage.run_for(20.0)
    stage.dies("node1")
    in_time(stage, 30.0, "node2", lambda: stage.served_by() == "node2")


READS_LATE_S: Final = (3.0, 4.0)
TOLD_LATE: Final = plan(
    WITH_WITNESS,
    (0.0, LoseStream("node1", BACK_OFF_MAX_S)),
    (0.1, BuildApplication(ORDERS, 1, 0.5, "node1")),
    (10.0, LATER),
)
WRITTEN_WHILE_THE_OTHER_WAS_AWAY: Final = plan(
    ONE_APPLICATION,
    (0.0, PowerOff("node2", 13.7)),
    (6.1, Reboot("node1")),
    (8.9, WriteBehind("node1", DATA)),
)
LOSER_WITHOUT_LEASE: Final = plan(
    replace(WITH_WITNESS, applications=(application(ORDERS), application(WEB, volumes=0))),
    (0.0, LoseWitness(0, NODES[:1], 60.0)),
    (0.0, Partition(NODES, 60.0)),
    (30.0, LATER),
)


def without(
    name: str, rule: str, part: tuple[object, str], story: Callable[[Core], None]
) -> Mutant:
    return Mutant(name, rule, story=story, values=((*part, left_out),))


MUTANTS_OF_PARTS: Final = (
    without(
        "copies that gave each other up stay apart",
        "R8",
        (reconnect, "settle"),
        the_copies_are_one_again,
    ),
    without(
        "a disk that a former daemon gave up is not found",
        "R8",
        (items, "find_given_up"),
        the_next_daemon_attaches_the_disk,
    ),
    without(
        "frozen writes are not made to fail",
        "R8",
        (ladder, "_give_up_frozen"),
        the_loser_lets_go_of_its_mount,
    ),
    without(
        "how far a stop had come is not forgotten",
        "R8",
        (layers, "_leave_ladder"),
        what_cannot_be_moved_comes_up_again,
    ),
    without(
        "who wrote nothing does not remember it",
        "R8",
        (diskless, "settle"),
        the_only_copy_is_used_after_a_boot,
    ),
    without(
        "what was held back is not done, nor refused",
        "R8",
        (commands, "ask_again"),
        a_move_right_after_a_start_is_answered,
    ),
    without(
        "a copy that was written behind DRBD is not remembered",
        "R8",
        (doubts, "find_foreign"),
        a_copy_that_was_written_is_made_anew,
    ),
    without(
        "who leaves slowly does not mind its lease",
        "R",
        (membership, "_mind_the_lease"),
        a_slow_stop_ends_with_the_lease,
    ),
    without(
        "what the kernel said last is not seen with new eyes",
        "R",
        (replication, "absorb_built"),
        an_application_grows,
    ),
    Mutant(
        "what the kernel has not told of yet is not there",
        "R7",
        plans=(TOLD_LATE,),
        values=((timing, "UNTOLD_S", 0.0), (world, "READS_ITSELF_S", READS_LATE_S)),
    ),
    Mutant(
        "no copy is ever doubted",
        "R2",
        plans=(WRITTEN_WHILE_THE_OTHER_WAS_AWAY,),
        values=((doubts, "distrust", left_out),),
    ),
    Mutant(
        "a lease has no end",
        "R1",
        plans=(LOSER_WITHOUT_LEASE,),
        values=((hearing, "_lease_over", lambda _state: False),),
    ),
    Mutant(
        "a leave that cannot be ended is not taken back",
        "R8",
        story=what_cannot_be_left_comes_up_again,
        values=((membership, "_held", lambda _state: ()),),
    ),
    Mutant(
        "what is stuck is tried again after an hour",
        "R8",
        story=what_was_held_ends_soon_after_its_holder,
        values=((endings, "STUCK_RETRY_S", AN_HOUR_S),),
    ),
    Mutant(
        "frozen writes go on for a handler only",
        "R8",
        story=writes_go_on_for_which_no_handler_asks,
        values=((brake, "_resume", lambda turn, _resource: turn.state.now_s + AN_HOUR_S),),
    ),
    Mutant(
        "one reference that does not answer once is enough",
        "R7",
        story=a_reference_that_misses_one_question_stops_nothing,
        values=((arbitration, "UNANSWERED_MAX", 1),),
    ),
    Mutant(
        "what the peer stored of an earlier loss counts",
        "R",
        story=everything_is_cut_right_after_a_resync,
        values=((hearing, "peer_stored_it", stored_it_at_any_time),),
    ),
)
