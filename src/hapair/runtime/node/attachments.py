"""Give a volume to DRBD and take it back, so that what others write to it meanwhile is found out.

What a volume looks like is remembered before DRBD is given it and after DRBD has let it go, or was
seen to have lost it. In between the kernel keeps away who claims it; afterwards it refuses writes
as long as nobody insists.
"""

import asyncio
from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

from hapair.core.copies.backing import Found, judge, without_drbd
from hapair.core.copies.replication import ATTACHED
from hapair.core.words.effects import Do
from hapair.core.words.events import DataChanged, Event
from hapair.model.application import Volume
from hapair.model.backing import Backing, LastSeen
from hapair.model.built import Built
from hapair.model.data import Disk
from hapair.model.outcome import Done, Foreign, Outcome
from hapair.ports.data import BackingVolumes, Replication

LOOK_S: Final = 2.0
MEMORY_S: Final = 10.0  # Of what is remembered; the disk below it may be busy, or hang.
AGAIN_S: Final = 30.0  # After a disk did not answer, or not everything.


class Attachments:
    def __init__(
        self, replication: Replication, backing: BackingVolumes, *, again_s: float = AGAIN_S
    ) -> None:
        self._again_s = again_s
        self._replication = replication
        self._backing = backing
        self._changed = asyncio.Event()  # The kernel has said something new.
        self._heard = False  # Before, that nothing is attached means nothing.
        self._apart: set[str] = set()  # What DRBD does not have, and that is guarded.
        self._unsure: set[str] = set()  # What could not be looked at.
        self._given: set[str] = set()  # What is remembered says that DRBD has it.
        self._locks = WeakValueDictionary[str, asyncio.Lock]()  # As long as anybody uses one.

    async def bring_up(self, do: Do, volume: Volume, timeout_s: float) -> Outcome:
        """Attach and connect; Foreign when somebody wrote to the volume since DRBD had it.

        What is attached already is only connected.
        """
        if self._has_disk(volume):
            return await self._attach(do, volume, timeout_s)
        async with self._lock(volume):
            before = await self._backing.last_seen(volume.resource)
            now = await self._backing.look(volume, timeout_s=timeout_s)
            if not isinstance(now, Backing):
                return now
            before = without_drbd(before, now)
            if do is Do.BRING_UP and (why := await self._foreign(volume, before, now)):
                return Foreign(why)
            stored = await self._backing.remember(volume.resource, LastSeen(now, attached=True))
            if not isinstance(stored, Done):
                return stored
            self._given.add(volume.resource)
            outcome = await self._attach(do, volume, timeout_s)
            if not isinstance(outcome, Done) and not self._has_disk(volume):
                await self._backing.remember(volume.resource, before)
                self._given.discard(volume.resource)
            return outcome

    async def _attach(self, do: Do, volume: Volume, timeout_s: float) -> Outcome:
        match do:
            case Do.BRING_UP_ANEW:
                return await self._replication.bring_up_anew(volume, timeout_s=timeout_s)
            case Do.BRING_UP_AS_IT_IS:
                return await self._replication.bring_up_as_it_is(volume, timeout_s=timeout_s)
            case _:
                return await self._replication.bring_up(volume, timeout_s=timeout_s)

    async def _foreign(self, volume: Volume, before: LastSeen | None, now: Backing) -> str:
        """Return what is known of whoever wrote to it; empty: nobody did."""
        rule = judge(before, now)
        if rule.answer is Found.NOTHING:
            return ""
        device = f"{volume.volume_group}/{volume.logical_volume}"
        writers = await self._backing.writers(volume)
        return "; ".join(part for part in (f"{device}: {rule.because}", writers) if part)

    async def take_down(self, volume: Volume, timeout_s: float) -> Outcome:
        """Disconnect and detach; then see to it that others leave the volume alone."""
        async with self._lock(volume):
            whole = self._has_whole_disk(volume)
            outcome = await self._replication.take_down(volume, timeout_s=timeout_s)
            if isinstance(outcome, Done) and whole:
                # Of a disk that was given up, writes may still be under way.
                await self._let_go(volume)
            return outcome

    async def _let_go(self, volume: Volume) -> None:
        await self._backing.guard(volume)
        now = await self._backing.look(volume, timeout_s=LOOK_S)
        if isinstance(now, Backing):
            await self._backing.remember(volume.resource, LastSeen(now, attached=False))
            self._given.discard(volume.resource)
            self._apart.add(volume.resource)

    # --- What others attach, or take away ------------------------------------------------------

    def feed(self, offer: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return ``offer`` with ``run`` listening to the facts that pass by."""

        def both(event: Event) -> None:
            if isinstance(event, DataChanged):
                self._heard = True
                self._changed.set()
            offer(event)

        return both

    def look_again(self) -> None:
        """Look at everything soon: what is built has changed."""
        if self._heard:
            self._changed.set()

    async def run(self, built: Callable[[], Built]) -> None:
        """See what others attach or take away, for ever.

        At the start of the daemon what is not attached is guarded: a boot forgets the guard.
        """
        while True:
            try:
                async with asyncio.timeout(self._again_s if self._unsure else None):
                    await self._changed.wait()
            except TimeoutError:
                self._unsure.clear()
            self._changed.clear()
            volumes = built().volumes()
            self._given &= {volume.resource for volume in volumes}  # A build took others back.
            for volume in volumes:
                async with self._lock(volume):
                    await self._see(volume)

    async def _see(self, volume: Volume) -> None:
        name = volume.resource
        if self._has_disk(volume):
            self._apart.discard(name)
            self._unsure.discard(name)
            seen = not self._has_whole_disk(volume) or await self._see_attached(volume)
        elif name in self._apart | self._unsure:  # A disk that fails is not asked all the time.
            return
        elif seen := await self._see_apart(volume):
            self._given.discard(name)
            self._apart.add(name)
        if not seen:
            self._unsure.add(name)

    async def _see_attached(self, volume: Volume) -> bool:
        """From now on DRBD writes to it. Return False when that cannot be remembered yet."""
        if volume.resource in self._given:
            return True
        now = await self._backing.look(volume, timeout_s=LOOK_S)
        if not isinstance(now, Backing):
            return False
        if not await self._remembered(volume, LastSeen(now, attached=True)):
            return False
        self._given.add(volume.resource)
        return True

    async def _see_apart(self, volume: Volume) -> bool:
        """From now on nobody writes to it: DRBD lost it, or somebody took it from DRBD.

        Return False when that cannot be remembered yet.
        """
        try:
            async with asyncio.timeout(MEMORY_S):
                before = await self._backing.last_seen(volume.resource)
        except OSError:
            return False
        if before is not None:
            await self._backing.guard(volume)
        if before is not None and before.attached:
            now = await self._backing.look(volume, timeout_s=LOOK_S)
            if not isinstance(now, Backing) or now.under_way:
                return False
            return await self._remembered(volume, without_drbd(before, now))
        return True

    async def _remembered(self, volume: Volume, seen: LastSeen | None) -> bool:
        """Tell whether it is on the disk; one that hangs keeps the other volumes waiting else."""
        try:
            async with asyncio.timeout(MEMORY_S):
                return isinstance(await self._backing.remember(volume.resource, seen), Done)
        except TimeoutError:
            return False

    def _lock(self, volume: Volume) -> asyncio.Lock:
        return self._locks.setdefault(volume.resource, asyncio.Lock())

    def _has_disk(self, volume: Volume) -> bool:
        facts = self._replication.facts(volume.resource)
        return facts is not None and facts.disk is not Disk.DISKLESS

    def _has_whole_disk(self, volume: Volume) -> bool:
        facts = self._replication.facts(volume.resource)
        return facts is not None and facts.disk in ATTACHED
