"""Cores that are broken on purpose in what they do with what runs."""

from dataclasses import replace
from typing import Final

from hapair.core.applications import mounts
from hapair.core.words.effects import Do
from hapair.core.words.events import Form, Move
from tests.checkers.rules import BrokenRuleError
from tests.sim.distortions import (
    Broken,
    believes_every_stop,
    does_not_look_at_the_kernel,
    falls_back_unasked,
    finds_nothing_running,
    forgets_lost_mounts,
    looks_at_nothing_again,
    may_reset_any_node,
    puts_back_without_asking,
    resets_no_node,
    waits_for_ever,
)
from tests.sim.faults import (
    FailActions,
    HangDaemon,
    KillDaemon,
    Partition,
    PowerOff,
    RemoveAddresses,
    Typed,
)
from tests.sim.machine import Core, Trouble
from tests.sim.mounts import Unmount
from tests.sim.mutants import Mutant, in_time, plan
from tests.sim.settings import NODES, application
from tests.sim.stage import (
    ASK_OPERATOR,
    DATA,
    LONG_S,
    ONE_APPLICATION,
    ORDERS,
    WEB,
    WEB_TOO,
    WITH_WITNESS,
    Stage,
)
from tests.sim.test_stories_of_mounts import found_mounted_over


def a_silent_daemon_stops_nothing(core: Core) -> None:
    """A node whose daemon hangs keeps its application: its kernel answers all the time."""
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(HangDaemon("node1", 4.5))
    stage.run_for(20.0)
    if stage.acts or stage.served_by() != "node1":
        raise BrokenRuleError(f"R7: a silent daemon caused {stage.acts}")


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


UNMOUNTED: Final = Unmount(DATA, LONG_S, 1.0)
MOUNTS_MAX: Final = 14  # In two minutes, on both nodes.


def what_hides_a_mount_stops_nothing(core: Core) -> None:
    found_mounted_over(60.0, core)


def who_unmounts_for_ever_is_not_played_with(core: Core) -> None:
    stage = Stage(core=core).begin()
    stage.suffers(Unmount(DATA, 3.0, 120.0))
    stage.run_for(120.0)
    if [do for _, do in stage.acts].count(Do.MOUNT) > MOUNTS_MAX:
        raise BrokenRuleError("R5: it is mounted and unmounted for ever")


REMOVED: Final = RemoveAddresses(ORDERS, LONG_S, 1.0)

MUTANTS_OF_RUNNING: Final = (
    Mutant(
        "a silent daemon is taken for a dead node",
        "R7",
        Broken(remembered=does_not_look_at_the_kernel),
        story=a_silent_daemon_stops_nothing,
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
        "nobody looks again at what runs",
        "R8",
        Broken(told=looks_at_nothing_again),
        (plan(ONE_APPLICATION, (1.0, REMOVED)),),
    ),
    Mutant(
        "nobody looks again at a mount",
        "R8",
        Broken(told=looks_at_nothing_again),
        (plan(ONE_APPLICATION, (1.0, UNMOUNTED)),),
    ),
    Mutant(
        "each time that it is unmounted is the first one",
        "R5",
        Broken(remembered=forgets_lost_mounts),
        story=who_unmounts_for_ever_is_not_played_with,
    ),
    Mutant(
        "what hides the mount of what runs makes a start fail",
        "R7",
        story=what_hides_a_mount_stops_nothing,
        values=((mounts, "is_used", lambda _state, _item, _item_state: False),),
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
