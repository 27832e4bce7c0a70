"""What the running node tells of itself beside the core's report."""

from dataclasses import dataclass

from hapair.core.words.effects import Do


@dataclass(frozen=True, slots=True)
class LinkView:
    """How the daemons reach each other, as only the runtime knows."""

    connected: bool
    trouble: str = ""  # Why the last attempt to connect failed.
    rejected: int = 0  # Heartbeats that were forged, replayed or damaged.
    older: int = 0  # Those in a row that are the peer's own, of an incarnation before.


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What is being done to an application's program just now."""

    do: Do
    began_s: float  # Seconds since boot.
    limit_s: float
