"""Feeds the watchdog device: a daemon that no longer decides gets its node reset."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from hapair.core.words.effects import Severity
from hapair.model.cluster import Watchdog
from hapair.model.outcome import Done
from hapair.ports.machine import Clock, WatchdogDevice
from hapair.runtime.history.journal_log import Journal


@dataclass(slots=True)
class Guard:
    """Open from the start of the daemon until the core knows that nothing runs here."""

    device: WatchdogDevice
    watchdog: Watchdog | None
    clock: Clock
    journal: Journal
    decided_at_s: Callable[[], float]  # When the core last looked at the time.
    open: bool = False

    def set(self, on: bool) -> None:  # noqa: FBT001 - the effect's own words
        """Begin to feed, or release the device in the way that resets nothing."""
        if self.watchdog is None or on is self.open:
            return
        if not on:
            self.device.release()
            self.open = False
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
        """Feed as long as the core decides, for ever."""
        while True:
            interval_s = 1.0 if self.watchdog is None else self.watchdog.timeout_s / 5
            if self.open and self.clock.boot_s() - self.decided_at_s() < 2 * interval_s:
                self.device.feed()
            await asyncio.sleep(interval_s)
