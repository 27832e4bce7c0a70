"""Feeds the watchdog device: a daemon that no longer decides gets its node reset."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hapair.core.words.effects import Severity
from hapair.core.words.stored import Stored
from hapair.model.cluster import ArbitrationKind, Cluster, Watchdog
from hapair.model.outcome import Done
from hapair.ports.machine import Clock, WatchdogDevice
from hapair.runtime.history.journal_log import Journal

# A node without a right must have stopped what it runs, or be reset, when its lease is over. With
# the other kinds the peer begins nothing before this node is off.
BOUND: Final = (ArbitrationKind.WITNESS, ArbitrationKind.PATHS)
HEARTBEATS: Final = 2  # Who was echoed so few of them ago is not silent.


def may_wait(cluster: Cluster, stored: Stored, silent_s: float) -> bool:
    """Tell whether a node may go on that waits for its disk, and is not echoed for so long.

    A reset would mend no disk. ``stored`` is what is on the disk: a right that is not there yet is
    none. The device bites in its time-out after the last feed, and a kill of the daemon is one more
    (its file is closed): so the last one is due that time before the end of the lease.
    """
    if stored.holds_right or cluster.arbitration not in BOUND:
        return True
    timeout_s = cluster.watchdog.timeout_s if cluster.watchdog is not None else 0.0
    return silent_s < max(cluster.lease_s - timeout_s, HEARTBEATS * cluster.timing.heartbeat_s)


@dataclass(slots=True)
class Guard:
    """Open from the start of the daemon until the core knows that nothing runs here.

    After a boot nothing runs here yet: it is not opened before the disk has taken something, or a
    node whose disk is full would be reset again and again. A device that an earlier daemon left
    running may be about to bite, rightly: it is left alone until it is known that this node may go
    on.
    """

    device: WatchdogDevice
    watchdog: Watchdog | None
    clock: Clock
    journal: Journal
    decided_at_s: Callable[[], float]  # When the core last looked at the time.
    waits: Callable[[], bool] = lambda: False  # The core waits for a disk.
    may_wait: Callable[[], bool] = lambda: False  # Nobody takes over meanwhile.
    may_go_on: Callable[[], bool] = lambda: True  # No reset is due from before this daemon.
    open: bool = False
    left_alone: bool = False  # It is to be fed, but was left running.

    def set(self, on: bool) -> None:  # noqa: FBT001 - the effect's own words
        """Begin to feed, or release the device in the way that resets nothing."""
        if self.watchdog is None or (on is self.open and not self.left_alone):
            return
        if not on:
            if self.left_alone:
                self.device.open(self.watchdog)  # Only who has it open can stop it.
            self.device.release()
            self.open = self.left_alone = False
            return
        self.left_alone = self.device.runs(self.watchdog) and not self.may_go_on()
        if self.left_alone:
            return
        outcome = self.device.open(self.watchdog)
        self.open = isinstance(outcome, Done)
        if not isinstance(outcome, Done):
            text = f"no watchdog guards this node: {outcome.why}"
            self.journal.add("watchdog", text, severity=Severity.ALARM)

    def use(self, watchdog: Watchdog | None, *, needed: bool) -> None:
        """Take a new configuration over; the old device is released first."""
        if watchdog != self.watchdog:
            self.set(on=False)
            self.watchdog = watchdog
            self.set(needed)

    async def run(self) -> None:
        """Feed as long as the core decides, or rightly waits for a disk, for ever."""
        while True:
            interval_s = 1.0 if self.watchdog is None else self.watchdog.timeout_s / 5
            decides = self.clock.boot_s() - self.decided_at_s() < 2 * interval_s
            if self.left_alone:
                self.set(on=True)
            if self.open and (self.may_wait() if self.waits() else decides):
                self.device.feed()
            await asyncio.sleep(interval_s)
