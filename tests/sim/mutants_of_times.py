"""Broken on purpose: how long something is waited for, how often it is tried, what bounds it."""

from dataclasses import replace
from math import inf
from typing import Final

from hapair.core.applications import endings, failures, upkeep
from hapair.core.applications.placement import View
from hapair.core.members import membership
from hapair.core.right import arbitration, fencing, holding, witness
from hapair.core.words.effects import Do
from hapair.core.words.events import Halt, Run
from hapair.core.words.turn import Turn
from hapair.model import timing
from tests.checkers.rules import BrokenRuleError
from tests.sim import watchdog
from tests.sim.faults import (
    Cut,
    DeadStrip,
    FailActions,
    HangDaemon,
    KillDaemon,
    LoseWitness,
    Partition,
    RemoveAddresses,
    SlowStore,
    Typed,
)
from tests.sim.hardships import LoseStream
from tests.sim.machine import Core, Daemon, Trouble
from tests.sim.mutants import Mutant, in_time, plan
from tests.sim.mutants_of_rights import LOSER_WITHOUT_DATA
from tests.sim.mutants_of_starts import FAILS_EVERYWHERE, LATER
from tests.sim.settings import NODES, PRIVATE
from tests.sim.stage import (
    LONG_S,
    ONE_APPLICATION,
    ORDERS,
    WITH_FENCING,
    WITH_WITNESS,
    WITNESS,
    Stage,
)
from tests.sim.test_stories_of_addresses import AHEAD_S, back_after_the_lease
from tests.sim.test_stories_of_leases import (
    TENTHS,
    cut_off_and_told_nothing,
    goes_on_beside_its_successor,
)

FROZEN_MAX_S: Final = 5.0  # As in test_stories_of_partitions.
AN_HOUR_S: Final = 3600.0
OFTEN: Final = 10**6


def feeds_at_once(_daemon: Daemon, *, waits_rightly: bool) -> bool:  # noqa: ARG001
    return True


def the_other_one_takes_over(stage: Stage) -> None:
    stage.dies("node1")
    in_time(stage, 60.0, "node2", lambda: stage.served_by() == "node2")


def the_witness_is_back_soon(core: Core) -> None:
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(LoseWitness(0, (), 20.0))
    the_other_one_takes_over(stage)


def the_strip_is_back_soon(core: Core) -> None:
    stage = Stage(WITH_FENCING, core=core).begin()
    stage.suffers(DeadStrip(20.0))
    the_other_one_takes_over(stage)


def the_link_fails_without_a_stream(core: Core) -> None:
    """It is chance whether the handler asks before the loss is read."""
    for seed in "abcdef":
        stage = Stage(WITH_WITNESS, seed, core).begin()
        stage.suffers(LoseStream("node1", 20.0), Cut(PRIVATE, NODES, LONG_S))
        stage.run_for(12.0)
        if stage.outage_s() > FROZEN_MAX_S:
            raise BrokenRuleError(f"R8: writes were frozen for {stage.outage_s():.1f} s")


def a_daemon_hangs_for_a_moment(core: Core) -> None:
    stage = Stage(replace(WITH_FENCING, watchdog=False), core=core).begin()
    stage.suffers(HangDaemon("node1", 20.0))
    stage.run_for(40.0)
    if not stage.world.machines["node1"].powered:
        raise BrokenRuleError("R7: a node was switched off whose daemon hung for a while")


def daemons_are_killed_on_a_full_disk(core: Core) -> None:
    """node1 is cut off, and its core waits for its disk: only a reset ends what it runs."""
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(SlowStore("node1", inf, LONG_S))
    stage.run_for(20.0)
    stage.suffers(Partition(NODES, LONG_S, arp=True))
    stage.run_for(5.5)
    for _ in range(3):
        stage.suffers(KillDaemon("node1", 0.5))
        stage.run_for(4.0)
    stage.run_for(30.0)


REMOVED_AGAIN_AND_AGAIN: Final = plan(
    ONE_APPLICATION, (0.0, RemoveAddresses(ORDERS, 0.2, 10.0)), (90.0, LATER)
)
CANNOT_MOUNT: Final = plan(
    WITH_WITNESS,
    (0.0, FailActions("node1", Do.MOUNT, ORDERS, Trouble.REFUSED, 150.0)),
    (1.0, Typed("node1", Halt(ORDERS))),
    (10.0, Typed("node1", Run(ORDERS))),
    (130.0, LATER),
)


def is_heard_as_ever(turn: Turn, at_s: float) -> None:
    turn.change_peer(alive_at_s=at_s)


def a_peer_is_back_after_its_lease(core: Core) -> None:
    for ahead_s in AHEAD_S:
        back_after_the_lease(WITNESS, ahead_s, core)


def a_peer_goes_on(core: Core) -> None:
    for tenths in TENTHS:
        goes_on_beside_its_successor(tenths, core)


def is_told_nothing(core: Core) -> None:
    cut_off_and_told_nothing(core)


LISTENS_FOR_EVER: Final = {
    kind: tuple(row for row in rows if row is not arbitration.UNTOLD)
    for kind, rows in arbitration.TABLES.items()
}

MUTANTS_OF_TIMES: Final = (
    Mutant(
        "a new daemon feeds the watchdog at once",
        "R1",
        story=daemons_are_killed_on_a_full_disk,
        values=((watchdog, "may_go_on", feeds_at_once),),
    ),
    Mutant(
        "what failed is tried again after an hour",
        "R8",
        plans=(FAILS_EVERYWHERE,),
        values=((failures, "PAUSE_S", AN_HOUR_S),),
    ),
    Mutant(
        "a mount that fails is tried here for ever",
        "R8",
        plans=(CANNOT_MOUNT,),
        values=((endings, "START_TRIES_MAX", OFTEN),),
    ),
    Mutant(
        "the witness is asked again after an hour",
        "R8",
        story=the_witness_is_back_soon,
        values=((witness, "ASK_AGAIN_S", AN_HOUR_S),),
    ),
    Mutant(
        "the agent is asked again after an hour",
        "R8",
        story=the_strip_is_back_soon,
        values=((fencing, "RETRY_S", AN_HOUR_S),),
    ),
    Mutant(
        "a silent daemon is a hung one at once",
        "R7",
        story=a_daemon_hangs_for_a_moment,
        values=((fencing, "HUNG_S", 0.0),),
    ),
    Mutant(
        "the lease of the peer takes no time",
        "R1",
        plans=(LOSER_WITHOUT_DATA,),
        values=((holding, "_peer_lease_s", lambda _state: 0.0),),
    ),
    Mutant(
        "a peer that stood still has no time to remove its addresses",
        "R1",
        story=a_peer_is_back_after_its_lease,
        values=((membership, "_lives", is_heard_as_ever),),
    ),
    Mutant(
        "a peer that is heard again has no time to end a program",
        "R1",
        story=a_peer_goes_on,
        values=((View, "may_double", False),),
    ),
    Mutant(
        "a lease waits until the kernel has told something",
        "R1",
        story=is_told_nothing,
        values=((arbitration, "TABLES", LISTENS_FOR_EVER),),
    ),
    Mutant(
        "after a fight the addresses stay away for an hour",
        "R8",
        plans=(REMOVED_AGAIN_AND_AGAIN,),
        values=((upkeep, "PAUSE_S", AN_HOUR_S),),
    ),
    Mutant(
        "a handler that asks before the loss is known is denied at once",
        "R8",
        story=the_link_fails_without_a_stream,
        values=((timing, "TOLD_S", 0.0),),
    ),
)
