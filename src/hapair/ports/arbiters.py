"""Who decides between two nodes that cannot hear one another."""

from typing import Protocol

from hapair.model.cluster import FenceMethod, Witness
from hapair.model.outcome import Outcome
from hapair.model.witness import WitnessAnswer


class Witnesses(Protocol):
    """Third places that record one holder for each epoch of this cluster."""

    async def grant(self, witness: Witness, epoch: int, *, timeout_s: float) -> WitnessAnswer:
        """Ask one witness to record this node as the holder of ``epoch``.

        GRANTED when no epoch as high was recorded, or this node holds exactly this one: asking
        again is harmless. Never raises; what fails is UNREACHABLE.
        """
        ...

    async def look(self, witness: Witness, *, timeout_s: float) -> WitnessAnswer:
        """Read what it has recorded; SEEN or UNREACHABLE. Records nothing."""
        ...


class Fencing(Protocol):
    """Agents of the fence-agents package."""

    async def switch_off(self, method: FenceMethod) -> Outcome:
        """Switch ``method.node`` off. Done: the agent confirmed that it is off."""
        ...
