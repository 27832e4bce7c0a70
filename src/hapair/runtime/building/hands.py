"""What clbuild and clrestore need of the world: this machine, and a way to the other one."""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from hapair.runtime.places import Places

if TYPE_CHECKING:
    from hapair.runtime.building.seats import Seat
    from hapair.runtime.building.witness_work import WitnessAccess


class UnreachableError(Exception):
    """No address of the peer let us in; ``tries`` holds each address with the reason."""

    def __init__(self, node: str, tries: tuple[tuple[str, str], ...]) -> None:
        super().__init__(f"{node} cannot be reached")
        self.node = node
        self.tries = tries


class Hands(Protocol):
    def host_name(self) -> str: ...

    async def local_addresses(self) -> tuple[str, ...]:
        """Return this machine's addresses, without prefix lengths."""
        ...

    def local_seat(self, node: str, places: Places) -> "Seat": ...

    def witnesses(self, cluster: str, node: str, places: Places) -> "WitnessAccess":
        """Return who asks witnesses in the name of ``node``; to be closed by the caller."""
        ...

    def peer_seat(
        self, node: str, addresses: tuple[str, ...]
    ) -> "AbstractAsyncContextManager[Seat]":
        """Connect to the first of the peer's addresses that lets us in, or UnreachableError."""
        ...
