"""Broken on purpose: what is made of a node whose disk takes nothing."""

from math import inf
from typing import Final

from hapair.core.applications import trials
from hapair.core.copies import doubts, replication
from hapair.core.members import membership
from hapair.core.words.events import Move
from hapair.core.words.turn import Turn
from hapair.model.data import VolumeFacts
from tests.sim.faults import Cut, SlowStore
from tests.sim.machine import Core
from tests.sim.mutants import Mutant, in_time
from tests.sim.settings import NODES, PRIVATE
from tests.sim.stage import LONG_S, ORDERS, WITH_WITNESS, Stage
from tests.sim.test_stories_of_full_disks import (
    waits_with_a_loss,
    waits_with_a_record,
    went_on_alone_meanwhile,
)

ABSORB_KERNEL: Final = replication.absorb_kernel


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


def what_was_told_meanwhile_counts(core: Core) -> None:
    went_on_alone_meanwhile(waits_with_a_record, core).run_for(20.0)


def what_the_kernel_told_before_proves_nothing(core: Core) -> None:
    went_on_alone_meanwhile(waits_with_a_loss, core).run_for(20.0)


def never_late(turn: Turn, kernel: tuple[VolumeFacts, ...], _at_s: float) -> None:
    ABSORB_KERNEL(turn, kernel, turn.state.now_s)


MUTANTS_OF_FULL_DISKS: Final = (
    Mutant(
        "of what was heard together only the newest word counts",
        "R2",
        story=what_was_told_meanwhile_counts,
        values=((doubts, "absorb_told", lambda _turn, _told, _unsure: None),),
    ),
    Mutant(
        "a connection proves a copy at once, however late that is taken in",
        "R2",
        story=what_the_kernel_told_before_proves_nothing,
        values=((replication, "absorb_kernel", never_late),),
    ),
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
