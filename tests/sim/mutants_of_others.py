"""Cores that take what the kernel says of the resources of others for a word about the peer."""

from dataclasses import replace
from typing import Final

from hapair.core.words.state import NodeState
from tests.checkers.rules import BrokenRuleError
from tests.sim.distortions import Broken
from tests.sim.machine import Core
from tests.sim.mutants import Mutant
from tests.sim.settings import NODES
from tests.sim.stage import WEB_TOO, WITNESS, Stage, with_kind


def counts_every_resource(state: NodeState) -> NodeState:
    return replace(state, facts={each.resource: each for each in state.kernel})


def the_loser_stops_beside_a_resource_of_others(core: Core) -> None:
    """node1 is cut off, and has a resource that is replicated to a third machine."""
    stage = Stage(replace(with_kind(WITNESS, WEB_TOO), others=NODES[:1]), core=core)
    stage.world.others.steady = True
    stage.begin().cuts_off()
    stage.run_for(30.0)


def the_winner_starts_beside_a_resource_of_others(core: Core) -> None:
    """The same resource on the node that is left when the other one has lost its power."""
    stage = Stage(replace(with_kind(WITNESS, WEB_TOO), others=NODES[1:]), core=core)
    stage.world.others.steady = True
    stage.begin().dies("node1")
    try:
        stage.takes_over("node2", 60.0)
    except AssertionError as error:
        raise BrokenRuleError(f"R8: nobody takes over: {error}") from error


MUTANTS_OF_OTHERS: Final = (
    Mutant(
        "a resource of others proves that the peer lives, beside the loser",
        "R1",
        Broken(remembered=counts_every_resource),
        story=the_loser_stops_beside_a_resource_of_others,
    ),
    Mutant(
        "a resource of others proves that the peer lives, beside the winner",
        "R8",
        Broken(remembered=counts_every_resource),
        story=the_winner_starts_beside_a_resource_of_others,
    ),
)
