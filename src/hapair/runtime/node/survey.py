"""Rounds of looking at all mounts and addresses: one reading of each table of the kernel."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from hapair.core.words.effects import Severity
from hapair.core.words.events import Event, LookAgain, Seen
from hapair.model.built import Built
from hapair.ports.data import FileSystems
from hapair.ports.machine import Clock
from hapair.ports.network import Addresses
from hapair.runtime.history.journal_log import Journal

LOOK_AGAIN_S: Final = 30.0  # What the kernel tells of mounts and addresses may be lost.
MOUNTS_AGAIN_S: Final = 5.0  # It tells nobody that a file system has become read-only.
PAUSE_S: Final = 0.25  # Between two rounds, on a machine where something changes all the time.
READING_LIMIT_S: Final = 10.0

OnChange: TypeAlias = Callable[[Callable[[], None]], None]
Read: TypeAlias = Callable[[], Awaitable[tuple[Seen, ...]]]


@dataclass(slots=True)
class Survey:
    """Tells the core what all mounts and addresses look like; it looks at what differs."""

    addresses: Addresses
    file_systems: FileSystems
    clock: Clock
    journal: Journal
    offer: Callable[[Event], None]
    built: Callable[[], Built]
    _unread: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Make a round after each change that the kernel tells of, and now and then, for ever.

        Each table has rounds of its own: one that hangs keeps the other one from nothing.
        """
        await asyncio.gather(
            self._watch("mounts", MOUNTS_AGAIN_S, self.file_systems.on_change, self._mounts),
            self._watch("addresses", LOOK_AGAIN_S, self.addresses.on_change, self._addresses),
        )

    async def _watch(self, what: str, again_s: float, on_change: OnChange, read: Read) -> None:
        changed = asyncio.Event()
        on_change(changed.set)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(again_s):
                    await changed.wait()
            changed.clear()
            seen = await self._read(what, read)
            self.offer(LookAgain(self.clock.boot_s(), seen))
            await asyncio.sleep(PAUSE_S)

    async def _mounts(self) -> tuple[Seen, ...]:
        volumes = [(a.application.name, v) for a in self.built().applications for v in a.volumes]
        found = await self.file_systems.mounted_each([volume for _, volume in volumes])
        return tuple(
            Seen(name, volume.resource, presence.up, presence.trouble)
            for (name, volume), presence in zip(volumes, found, strict=True)
        )

    async def _addresses(self) -> tuple[Seen, ...]:
        applications = [each.application for each in self.built().applications]
        found = await self.addresses.present_each([each.addresses for each in applications])
        return tuple(
            Seen(each.name, "", presence.up, presence.trouble)
            for each, presence in zip(applications, found, strict=True)
        )

    async def _read(self, what: str, read: Read) -> tuple[Seen, ...]:
        """Return nothing where nothing can be read: that is no sign that anything changed."""
        try:
            async with asyncio.timeout(READING_LIMIT_S):
                seen = await read()
        except (TimeoutError, OSError) as error:
            if what not in self._unread:
                why = str(error) or "no answer in time"
                text = f"the kernel's list of {what} cannot be read: {why}"
                self.journal.add("look failed", text, severity=Severity.WARNING)
            self._unread.add(what)
            return ()
        self._unread.discard(what)
        return seen
