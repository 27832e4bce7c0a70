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
    at_s: float  # When it came, in seconds of the boot clock.


@dataclass(frozen=True, slots=True)
class Saying:
    """What the heartbeats say, in one datagram or in several that take turns."""

    incarnation: int
    bodies: tuple[bytes, ...]
    deaf: tuple[bytes, ...]  # The same, while nothing came from the peer for the detection time.


# Of the body of a heartbeat. With header and tag a datagram then has 1,400 bytes, which fit into
# one packet everywhere; what is longer no version takes in.
HEARTBEAT_BYTES_MAX: Final = 1356


class TooLongError(Exception):
    """A bug: a body was to be sent that its receiver would drop, as if nothing had been said."""


# So long after the last decision heartbeats go on: longer than a daemon may be busy, or wait for a
# disk that hangs for a while, and shorter than systemd waits before it ends such a daemon.
UNDECIDED_MAX_S: Final = 15.0


class Heartbeats(Protocol):
    """Small authenticated datagrams on every network. Loss is normal; nothing here waits.

    They are sent and received while the daemon does something else, or hangs. They prove that it
    has decided not longer ago than ``UNDECIDED_MAX_S``, and that it did not stand still since. Who
    falls silent for one of these reasons hears nothing either, until the next decision.
    """

    def open(self, heard: Callable[[HeardDatagram], None], told: Callable[[str], None]) -> None:
        """Listen on all networks; an address that is not there yet is retried at each interval.

        ``told`` gets a sentence for people when something is wrong with it.
        """
        ...

    def say(self, saying: Saying, at_s: float) -> None:
        """Say this from now on, and at once; it was decided at ``at_s``, on the boot clock.

        TooLongError for a body beyond ``HEARTBEAT_BYTES_MAX``.
        """
        ...

    def decided(self, at_s: float) -> None:
        """Tell when the daemon decided for the last time; say so at each interval."""
        ...

    def drain(self) -> None:
        """Hand over all that came until now, so that silence is real silence."""
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
