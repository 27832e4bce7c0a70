"""Cores that are broken on purpose in what they do after a failed start, or without a disk."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hapair.core.words.effects import Act, Do, Effect
from hapair.core.words.events import Ended, Event, Form, PeerStated
from hapair.core.words.state import NodeState
from hapair.model.outcome import NotNow, Refused
from tests.checkers.rules import BrokenRuleError
from tests.sim.distortions import Broken
from tests.sim.faults import BreakDisk, FailActions, LoseWitness, Partition, PowerOff, Typed
from tests.sim.machine import Core, Trouble
from tests.sim.mutants import Mutant, in_time, plan
from tests.sim.settings import NODES
from tests.sim.stage import DATA, LONG_S, ONE_APPLICATION, ORDERS, WITH_WITNESS, Stage


def never_tries_again(state: NodeState) -> NodeState:
    """Take what failed for what failed just now."""
    now = {key: replace(each, at_s=state.now_s) for key, each in state.failures.items()}
    return replace(state, failures=now)


def takes_every_address(effects: Sequence[Effect]) -> Sequence[Effect]:
    return [
        replace(effect, despite_peer=True)
        if isinstance(effect, Act) and effect.do is Do.ADD_ADDRESSES
        else effect
        for effect in effects
    ]


def judges_by_a_lack(_state: NodeState, event: Event) -> Event:
    if isinstance(event, Ended) and isinstance(event.outcome, NotNow):
        return replace(event, outcome=Refused(event.outcome.why))
    return event


def hears_nothing_of_the_diskless(_state: NodeState, event: Event) -> Event:
    if isinstance(event, PeerStated):
        return replace(event, state=replace(event.state, wrote_nothing=()))
    return event


def believes_that_nothing_was_written(_state: NodeState, event: Event) -> Event:
    if isinstance(event, PeerStated):
        return replace(event, state=replace(event.state, wrote_nothing=(DATA,)))
    return event


def a_moment_without_descriptors_moves_nothing(core: Core) -> None:
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(FailActions("node1", Do.START_PROGRAM, ORDERS, Trouble.NOT_NOW, 12.0))
    stage.world.machines["node1"].programs[ORDERS] = False
    stage.dies("node2")
    stage.run_for(1.0)
    stage.world.kill_daemon("node1", 0.5)
    stage.run_for(8.0)
    if any(record.failures for record in stage.stored("node1").records):
        raise BrokenRuleError("R8: a lack of descriptors counts as a failure of the application")


def the_only_copy_is_used_beside_a_dead_disk(core: Core) -> None:
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(BreakDisk("node1", DATA, LONG_S))
    stage.run_for(3.0)
    stage.suffers(PowerOff("node2", 3.0))
    in_time(stage, 120.0, "the only copy", lambda: stage.served_by() == "node2")


def what_was_written_alone_is_missed(core: Core) -> None:
    """node1 wrote alone; it lost its power and its disk before node2 was back."""
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.dies("node2")
    stage.waits_for(lambda: stage.served_by() == "node1", 20.0)
    stage.run_for(15.0)
    stage.dies("node1")
    stage.run_for(3.0)
    stage.copy("node1").broken = True
    for node in NODES:
        stage.world.power_on(node)
    stage.run_for(90.0)
    if stage.served_by():
        raise BrokenRuleError("R2: a copy is used that misses writes")


LATER: Final = Typed("node1", Form())  # It only lengthens the run.
FILTERED: Final = plan(
    WITH_WITNESS,
    (0.0, Partition(NODES, 60.0, arp=True)),
    (0.0, LoseWitness(0, ("node1",), 60.0)),
    (30.0, LATER),
)
FAILS_EVERYWHERE: Final = plan(
    ONE_APPLICATION,
    *((0.0, FailActions(n, Do.START_PROGRAM, ORDERS, Trouble.REFUSED, 80.0)) for n in NODES),
    (0.0, PowerOff("node1", 5.0)),
    (80.0, LATER),
)
MUTANTS_OF_STARTS: Final = (
    Mutant(
        "a failure is for ever",
        "R8",
        Broken(remembered=never_tries_again),
        (FAILS_EVERYWHERE,),
    ),
    Mutant(
        "an address is taken while its owner may have it",
        "R1",
        Broken(asked=takes_every_address),
        (FILTERED,),
    ),
    Mutant(
        "a lack of means is a verdict",
        "R8",
        Broken(told=judges_by_a_lack),
        story=a_moment_without_descriptors_moves_nothing,
    ),
    Mutant(
        "nobody hears who wrote nothing",
        "R8",
        Broken(told=hears_nothing_of_the_diskless),
        story=the_only_copy_is_used_beside_a_dead_disk,
    ),
    Mutant(
        "everybody is believed to have written nothing",
        "R2",
        Broken(told=believes_that_nothing_was_written),
        story=what_was_written_alone_is_missed,
    ),
)
