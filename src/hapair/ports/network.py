"""Cards and service addresses."""

from collections.abc import Callable, Sequence
from typing import Protocol

from hapair.model.application import ServiceAddress
from hapair.model.cluster import Cluster
from hapair.model.outcome import Outcome
from hapair.model.presence import Presence


class Addresses(Protocol):
    def use(self, cluster: Cluster) -> None:
        """From now on act on the networks and cards of this configuration."""
        ...

    async def add(
        self,
        addresses: tuple[ServiceAddress, ...],
        *,
        timeout_s: float,
        despite_peer: bool = False,
    ) -> Outcome:
        """Probe, add and announce. Refused (nothing added) when another machine answers.

        HeldByPeer when that is a card of the peer's; ``despite_peer`` it is added all the same.
        """
        ...

    async def remove(
        self, addresses: tuple[ServiceAddress, ...], *, timeout_s: float
    ) -> Outcome: ...
    async def announce(self, addresses: tuple[ServiceAddress, ...], *, timeout_s: float) -> Outcome:
        """Tell the neighbours again where those of the addresses are that this machine has."""
        ...

    async def present_each(
        self, wanted: Sequence[tuple[ServiceAddress, ...]]
    ) -> tuple[Presence, ...]:
        """Tell of each group whether its addresses are here, all from one reading.

        The reading began after the call, and may hang as long as the kernel does; OSError when the
        kernel refuses.
        """
        ...

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call ``callback()`` soon after the kernel told of changed cards or addresses.

        Many changes in a short time are told once. What the kernel told may be lost.
        """
        ...


class Paths(Protocol):
    def use(self, cluster: Cluster) -> None:
        """From now on watch the networks of this configuration."""
        ...

    async def reference_answers(self, network: str, *, timeout_s: float) -> bool:
        """Tell whether the network's reference address answers; False when it has none."""
        ...

    def link_up(self, network: str) -> bool:
        """Tell whether the card that holds this node's address on the network has a link."""
        ...

    def on_link_change(self, callback: Callable[[str, bool], None]) -> None:
        """Call ``callback(network, up)`` after every change of a link."""
        ...
