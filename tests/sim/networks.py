"""Networks between two nodes: cables, one-way cuts, noise, the reference address, the clients."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from hapair.model.cluster import Network


@dataclass(frozen=True, slots=True)
class Noise:
    """What happens to datagrams. Streams only get slower."""

    loss: float = 0.0  # Share of datagrams that vanish.
    duplicates: float = 0.0
    delay_max_s: float = 0.005  # Drawn anew for each datagram, so they overtake one another.


QUIET = Noise()


@dataclass(slots=True)
class Wire:
    """One network. Faults are counted, so that two of a kind may overlap."""

    network: Network
    nodes: tuple[str, str]
    powered: Callable[[str], bool]
    pulled: Counter[str] = field(default_factory=Counter)  # Cable out, at this node.
    deaf: Counter[str] = field(default_factory=Counter)  # No packet of the peer arrives here.
    # Nor does its word about who has an address; a filter of packets lets that pass.
    unresolved: Counter[str] = field(default_factory=Counter)
    strangers: set[str] = field(default_factory=set)  # Applications whose address others have.
    reference_lost: Counter[str] = field(default_factory=Counter)  # Not reached from this node.
    noise: Noise = QUIET

    @property
    def name(self) -> str:
        return self.network.name

    def other(self, node: str) -> str:
        first, second = self.nodes
        return second if node == first else first

    def link_up(self, node: str) -> bool:
        """Tell what the card of ``node`` says: is there a carrier?"""
        if self.pulled[node]:
            return False
        peer = self.other(node)
        return not self.network.crossover or (not self.pulled[peer] and self.powered(peer))

    def carries(self, sender: str) -> bool:
        """Tell whether a frame of ``sender`` reaches the other node."""
        receiver = self.other(sender)
        return not (self.pulled[sender] or self.pulled[receiver] or self.deaf[receiver])

    @property
    def two_way(self) -> bool:
        first, second = self.nodes
        return self.carries(first) and self.carries(second)

    @property
    def resolves(self) -> bool:
        """Tell whether one node's question who has an address (ARP) reaches the other, and back."""
        return not any(self.pulled[node] or self.unresolved[node] for node in self.nodes)

    def reference_answers(self, node: str) -> bool:
        if self.network.reference is None or self.pulled[node]:
            return False
        return not self.reference_lost[node]

    def clients_reach(self, node: str) -> bool:
        """Tell whether clients reach the node; they sit beside the reference address."""
        return not self.pulled[node]
