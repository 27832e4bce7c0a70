"""Cores that make too much of what another version says, or too little."""

from typing import Final

from hapair.core.words.events import Event, NotUnderstood, PeerState, Tick
from hapair.core.words.protocol import Speaks
from hapair.core.words.state import NodeState
from tests.checkers.rules import BrokenRuleError
from tests.sim import tunnel
from tests.sim.distortions import Broken
from tests.sim.machine import Core
from tests.sim.mutants import Mutant
from tests.sim.stage import WITH_FENCING, WITH_WITNESS, Stage
from tests.sim.versions import Versions, not_understood


def takes_it_for_silence(_state: NodeState, event: Event) -> Event:
    return Tick(event.at_s) if isinstance(event, NotUnderstood) else event


def a_healthy_node_stays_on(core: Core) -> None:
    stage = Stage(WITH_FENCING, core=core).begin()
    not_understood(stage.world)
    stage.run_for(200.0)
    if not all(machine.powered for machine in stage.world.machines.values()):
        raise BrokenRuleError("R8: a healthy node was switched off")


def one_node_is_upgraded(core: Core) -> None:
    stage = Stage(WITH_WITNESS, core=core).begin()
    Versions(stage.world).change("node2", newer=True)
    stage.run_for(20.0)


def everything(said: PeerState, _theirs: Speaks) -> PeerState:
    return said


MUTANTS_OF_VERSIONS: Final = (
    Mutant(
        "an older version is told what it would misread",
        "R8",
        story=one_node_is_upgraded,
        values=((tunnel, "as_known", everything),),
    ),
    Mutant(
        "a node that is not understood is switched off",
        "R8",
        Broken(told=takes_it_for_silence),
        story=a_healthy_node_stays_on,
    ),
)
