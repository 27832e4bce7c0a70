"""Broken on purpose: nobody can say of a copy that it is good while its halted peer lives."""

from typing import Final

from hapair.core.right import hearing
from hapair.core.words.events import ConfirmCopy
from tests.sim.machine import Core
from tests.sim.mutants import Mutant, in_time
from tests.sim.stage import ORDERS
from tests.sim.test_stories_of_halted_peers import halted_while_cut_off


def a_person_decides(core: Core) -> None:
    stage = halted_while_cut_off(core, unreached=True)
    stage.types("node2", ConfirmCopy(ORDERS))
    in_time(stage, 30.0, "it is served", lambda: stage.served_by() == "node2")


MUTANTS_OF_HALTED_PEERS: Final = (
    Mutant(
        "a halted peer is waited for, whatever a person says",
        "R8",
        story=a_person_decides,
        values=((hearing, "peer_left", lambda _state: False),),
    ),
)
