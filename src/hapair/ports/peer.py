"""Everything that is said to the other node."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class HeardDatagram:
    """An authenticated heartbeat that is no replay."""

    network: str
    incarnation: int
    body: bytes


# Of the body of a heartbeat. With header and tag a datagram then has 1,400 bytes, which fit into
# one packet everywhere; what is longer no version takes in.
HEARTBEAT_BYTES_MAX: Final = 1356


class TooLongError(Exception):
    """A bug: a body was to be sent that its receiver would drop, as if nothing had been said."""


class Heartbeats(Protocol):
    """Small authenticated datagrams on every network. Loss is normal; nothing here waits."""

    def open(self, heard: Callable[[HeardDatagram], None]) -> None:
        """Listen on all networks; an address that is not there yet is retried at each send."""
        ...

    def send(self, incarnation: int, body: bytes) -> None:
        """Send on every network; TooLongError beyond ``HEARTBEAT_BYTES_MAX``."""
        ...

    def drain(self) -> None:
        """Hand over all that the kernel has already received, so that silence is real silence."""
        ...

    def rejected(self) -> int:
        """Count datagrams that were forged, replayed or damaged."""
        ...

    def introduce(self, incarnation: int, highest: int = 0) -> None:
        """Hear this incarnation of the peer, and later ones than all that ever were."""
        ...

    def older(self) -> int:
        """Count those in a row that are the peer's own, but of an incarnation before."""
        ...

    def close(self) -> None: ...


class LinkListener(Protocol):
    """What the one connection to the peer reports."""

    def opened(self, network: str) -> None: ...
    def received(self, message: bytes) -> None: ...
    def closed(self, why: str) -> None: ...


class PeerLink(Protocol):
    """One mutually authenticated connection to the peer, made again whenever it breaks."""

    def open(self, listener: LinkListener) -> None: ...

    def send(self, message: bytes) -> None:
        """Queue a message; it is lost when no connection is open or the connection breaks."""
        ...

    def trouble(self) -> str:
        """Say why the last attempt to connect failed; empty while a connection is open."""
        ...

    async def close(self) -> None: ...
