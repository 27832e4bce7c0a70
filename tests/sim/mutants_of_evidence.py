"""Broken on purpose: what is old, or was never seen, is taken for evidence."""

from dataclasses import replace
from typing import Final

from hapair.core.applications import unseen
from hapair.core.copies import missed
from hapair.core.members import membership
from hapair.core.words.effects import Do
from hapair.core.words.events import Halt, Run
from tests.sim.faults import Cut, FailActions, HangDaemon
from tests.sim.hardships import FailLooks
from tests.sim.machine import Core, Trouble
from tests.sim.mutants import Mutant, in_time
from tests.sim.settings import NODES, PRIVATE, PUBLIC
from tests.sim.stage import LONG_S, WEB, WEB_TOO, WITH_WITNESS, WITNESS, Stage, with_kind
from tests.sim.test_stories_of_dead_disks import lost_its_disk_unseen


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


def what_stopped_unseen_is_started(core: Core) -> None:
    """A stop ends with its time-out while looks fail; the start that follows finds it up."""
    stage = Stage(with_kind(WITNESS, WEB_TOO), core=core).begin()
    hangs = FailActions("node1", Do.STOP_PROGRAM, WEB, Trouble.HAPPENS_LATE, 30.0)
    stage.suffers(FailLooks("node1", 30.0), hangs)
    stage.world.command("node1", Halt(WEB))
    stage.run_for(5.0)
    stage.world.command("node1", Run(WEB))
    in_time(stage, 100.0, "node1 serves", lambda: stage.served_by(WEB) == "node1")


def a_copy_that_lacked_its_disk_is_not_used(core: Core) -> None:
    """No daemon of node1 saw it, both lost their power, and only the private network is lost."""
    stage = lost_its_disk_unseen(WITH_WITNESS, core)
    stage.suffers(Cut(PRIVATE, NODES, 150.0))
    for node in NODES:
        stage.world.power_on(node)
    stage.run_for(90.0)


MUTANTS_OF_EVIDENCE: Final = (
    Mutant(
        "the right is given up for an old word",
        "R8",
        story=the_right_outlives_an_old_word,
        values=((membership, "is_said_since", lambda _state, _theirs: True),),
    ),
    Mutant(
        "what could not be looked at is never looked at again",
        "R8",
        story=what_stopped_unseen_is_started,
        values=((unseen, "settle", lambda _turn: None),),
    ),
    Mutant(
        "nobody tells what the peer's copy misses",
        "R2",
        story=a_copy_that_lacked_its_disk_is_not_used,
        values=((missed, "settle", lambda _turn: None),),
    ),
)
