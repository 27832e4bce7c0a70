"""The machine that the daemon runs on."""

from typing import Protocol

from hapair.model.cluster import Watchdog
from hapair.model.outcome import Outcome


class Storage(Protocol):
    """Small files that must survive: written beside, fsynced, renamed, directory fsynced."""

    def load(self, name: str) -> bytes | None: ...
    def store(self, name: str, content: bytes) -> None: ...
    def forget(self, name: str) -> None:
        """Remove it for good; nothing happens when there is none."""
        ...


class Clock(Protocol):
    def monotonic_s(self) -> float: ...
    def boot_s(self) -> float: ...
    def wall_s(self) -> float: ...


class WatchdogDevice(Protocol):
    def runs(self, watchdog: Watchdog) -> bool:
        """Tell whether it counts although it is not open here: an earlier daemon left it so.

        False when that cannot be known.
        """
        ...

    def open(self, watchdog: Watchdog) -> Outcome:
        """Open the device and set its time-out; from now on it must be fed. Done if it is open."""
        ...

    def feed(self) -> None: ...
    def release(self) -> None:
        """Close it in the way that does not reset the node; does nothing when it is not open."""
        ...


class Supervisor(Protocol):
    """The service manager that started the daemon."""

    def notify(self, *lines: str) -> None:
        """Tell it e.g. READY=1. Never waits; does nothing when nobody listens."""
        ...

    def watchdog_s(self) -> float | None:
        """Return how often it wants to hear WATCHDOG=1, at least; None: it does not care."""
        ...
