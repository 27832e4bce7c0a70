"""Watches over resyncs: their order, a snapshot before one, its pace, one help when it stalls.

Nothing here is on the path of a decision, and nothing ever gives up data.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from hapair.core.copies.resync import RELEASE_S, STALLS, Cure, Standstill, goes_first
from hapair.core.words.effects import Severity
from hapair.core.words.rules import first_match
from hapair.model.application import Volume
from hapair.model.data import SYNCING, Connection, VolumeFacts
from hapair.model.divergence import KeptSnapshot
from hapair.model.outcome import Done
from hapair.ports.machine import Clock
from hapair.rpc.messages import JsonObject, RpcError
from hapair.runtime.guardians.keeping import Keeper
from hapair.runtime.guardians.resync_order import ResyncOrder
from hapair.runtime.guardians.snapshots import (
    RepairTools,
    before_resync_name,
    drop_snapshots,
    foreign_name,
    kept_snapshots,
)
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.history.replication_memory import Pace
from hapair.runtime.node.node import Node
from hapair.runtime.verbs import Call, Verb, Verbs

LOOK_S: Final = 5.0
REFRESH_S: Final = 600.0  # How often LVM is asked what is still there.
NEVER_S: Final = float("-inf")
LIMIT_S: Final = 30.0
SNAPSHOT_LIMIT_S: Final = 60.0


@dataclass(slots=True)
class _Course:
    """One resync as it was seen so far."""

    begun_s: float
    begun_bytes: int
    least_bytes: int
    progress_s: float  # When the missing bytes last fell to a new minimum.
    reconnected: bool = False
    alarmed: bool = False


@dataclass(slots=True)
class ResyncGuardian:
    node: Callable[[], Node]
    tools: RepairTools
    journal: Journal
    clock: Clock
    order: ResyncOrder = field(init=False)
    _courses: dict[str, _Course] = field(default_factory=dict)
    _kept: dict[str, tuple[KeptSnapshot, ...]] = field(default_factory=dict)
    _refreshed_s: float = NEVER_S
    _keeper: Keeper = field(init=False)

    def __post_init__(self) -> None:
        self._keeper = Keeper(self.tools.volumes)
        self.order = ResyncOrder(self.node, self.tools, self.journal)

    def verbs(self) -> Verbs:
        """Return what DRBD's handlers, see packaging/helpers, ask for."""
        return {
            "resync-begins": Verb(self.begins, cancellable=True, by_kernel=True),
            "resync-ended": Verb(self.ended, by_kernel=True),
        }

    async def begins(self, call: Call) -> JsonObject:
        """Keep what is here now. The resync waits for the answer, and begins whatever it is."""
        volume = self._volume(call.text("resource"))
        if not self.node().built.cluster.resync.snapshot:
            return {"text": "no snapshot is wanted"}
        facts = self.node().hands.replication.facts(volume.resource)
        size_bytes = facts.out_of_sync_bytes if facts is not None else 0
        # What somebody wrote behind DRBD is on no other copy: it is kept until a person removes it.
        foreign = volume.resource in self.node().state.stored.foreign_to
        name = before_resync_name(volume)
        if foreign:
            name = foreign_name(volume, self.clock.wall_s())
        try:
            async with asyncio.timeout(SNAPSHOT_LIMIT_S):
                outcome = await self._keeper.keep(volume, name, size_bytes, whole=foreign)
        except TimeoutError:
            return self._tell(volume, "LVM gave no answer: the resync begins without a snapshot")
        except asyncio.CancelledError:
            self._tell(volume, "LVM was too slow for DRBD: the resync begins without a snapshot")
            raise
        self._refreshed_s = NEVER_S
        if isinstance(outcome, Done):
            text = f"{volume.volume_group}/{name} keeps the copy as it was"
            if foreign:
                text += ", with what was written behind DRBD; remove it with lvremove"
            return self._tell(volume, text)
        return self._tell(volume, f"the resync begins without a snapshot: {outcome.why}")

    def _tell(self, volume: Volume, text: str) -> JsonObject:
        self.journal.add("resync", f"{volume.resource}: {text}")
        return {"text": text}

    async def ended(self, call: Call) -> JsonObject:
        """The snapshot goes as soon as the copy is UpToDate, which the next look finds out."""
        return self._tell(self._volume(call.text("resource")), "the resync ended")

    def kept(self) -> tuple[KeptSnapshot, ...]:
        return tuple(each for name in sorted(self._kept) for each in self._kept[name])

    def paces(self) -> tuple[Pace, ...]:
        now_s = self.clock.monotonic_s()
        return tuple(
            Pace(name, _speed(course, now_s), stalled=course.alarmed)
            for name, course in sorted(self._courses.items())
        )

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """See what each resync did, help the one that stands still, drop what served its time."""
        now_s = self.clock.monotonic_s()
        await self.order.look(self._stuck(now_s))
        if now_s - self._refreshed_s >= REFRESH_S:
            self._refreshed_s = now_s
            await self._look_at(self._volumes())
        await self._drop_needless()
        for volume in self._volumes():
            facts = self.node().hands.replication.facts(volume.resource)
            await self._follow(volume, facts, now_s)

    def _stuck(self, now_s: float) -> frozenset[str]:
        """Return the resources whose resync is not worth waiting for any more."""
        courses = self._courses.items()
        return frozenset(name for name, each in courses if now_s - each.progress_s >= RELEASE_S)

    async def _look_at(self, volumes: Sequence[Volume]) -> None:
        """All of them ask LVM at the same time, and so do it once."""
        found = await asyncio.gather(*(kept_snapshots(self.tools.volumes, one) for one in volumes))
        for volume, kept in zip(volumes, found, strict=True):
            self._kept[volume.resource] = kept

    async def _drop_needless(self) -> None:
        """Drop the snapshots from before a resync of those whose copy here is complete."""
        needless: dict[str, list[Volume]] = {}
        for volume in filter(self._is_needless, self._volumes()):
            needless.setdefault(volume.volume_group, []).append(volume)
        for group, volumes in needless.items():
            await self._drop(group, volumes)

    def _is_needless(self, volume: Volume) -> bool:
        facts = self.node().hands.replication.facts(volume.resource)
        if facts is None or not facts.current or facts.connection is not Connection.CONNECTED:
            return False
        name = before_resync_name(volume)
        return any(each.name == name for each in self._kept.get(volume.resource, ()))

    async def _drop(self, group: str, volumes: Sequence[Volume]) -> None:
        """Drop them together; where that fails, each by itself."""
        names = [before_resync_name(volume) for volume in volumes]
        dropped = await drop_snapshots(self.tools.volumes, group, *names)
        if isinstance(dropped, Done):
            for volume, name in zip(volumes, names, strict=True):
                self._tell(volume, f"the copy is UpToDate; {group}/{name} is removed")
            await self._look_at(volumes)
        elif len(volumes) > 1:
            for volume in volumes:
                await self._drop(group, (volume,))

    async def _follow(self, volume: Volume, facts: VolumeFacts | None, now_s: float) -> None:
        if facts is None or facts.connection not in SYNCING:
            if facts is not None and not facts.kernel_answers and self._helped(volume, now_s):
                return  # It is being connected again: its course goes on.
            self._courses.pop(volume.resource, None)
            return
        missing = facts.out_of_sync_bytes
        waits = bool(self._goes_first(facts))
        if waits:
            self._courses.pop(volume.resource, None)  # Its course begins when its turn comes.
        course = self._courses.setdefault(
            volume.resource, _Course(now_s, missing, missing, progress_s=now_s)
        )
        if missing < course.least_bytes:
            course.least_bytes, course.progress_s, course.alarmed = missing, now_s, False
        target = facts.connection is Connection.SYNC_TARGET
        seen = Standstill(target, now_s - course.progress_s, waits, course.reconnected)
        rule = first_match(STALLS, seen)
        match rule.answer:
            case Cure.NOTHING:
                return
            case Cure.RECONNECT:
                course.reconnected, course.progress_s = True, now_s
                self.journal.add("resync-" + rule.name, f"{volume.resource}: {rule.because}",
                                 severity=Severity.WARNING)  # fmt: skip
                await self._reconnect(volume)
            case Cure.ALARM if not course.alarmed:
                course.alarmed = True
                self.journal.add("resync-" + rule.name, f"{volume.resource}: {rule.because}",
                                 severity=Severity.ALARM)  # fmt: skip
            case Cure.ALARM:
                return

    def _goes_first(self, facts: VolumeFacts) -> str:
        node = self.node()
        before = node.built.resynced_before(facts.resource)
        known = (node.hands.replication.facts(volume.resource) for volume in before)
        return goes_first(facts, tuple(known))

    def _helped(self, volume: Volume, now_s: float) -> bool:
        course = self._courses.get(volume.resource)
        return course is not None and course.reconnected and now_s - course.progress_s < LIMIT_S

    async def _reconnect(self, volume: Volume) -> None:
        """Break the connection and make it anew; the second is tried even if the first failed."""
        connections = self.tools.connections
        await connections.disconnect(volume, timeout_s=LIMIT_S)
        outcome = await connections.connect(volume, timeout_s=LIMIT_S)
        if not isinstance(outcome, Done):
            self.journal.add("resync-not-connected", f"{volume.resource}: {outcome.why}",
                             severity=Severity.ALARM)  # fmt: skip

    def _volumes(self) -> tuple[Volume, ...]:
        try:
            return self.node().built.volumes()
        except RpcError:
            return ()

    def _volume(self, resource: str) -> Volume:
        for volume in self._volumes():
            if volume.resource == resource:
                return volume
        raise RpcError(f"there is no volume {resource} on this node", "see: clstat")


def _speed(course: _Course, now_s: float) -> float:
    """Return bytes per second since it began to be watched; 0 when nothing was done yet."""
    passed_s = now_s - course.begun_s
    return (course.begun_bytes - course.least_bytes) / passed_s if passed_s > 0 else 0.0
