"""The newest facts, from one long-lived ``drbdsetup events2``.

DRBD 8.4 does not say there where a connection leads: that is asked once for each new connection.
Until it is known the connection proves nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from hapair.adapters.drbd.argv import Argv
from hapair.adapters.drbd.parse import (
    Picture,
    ProcDevice,
    Resource,
    agrees,
    events_line,
    proc_devices,
    tells_devices,
    tells_loss,
)
from hapair.model.data import SYNCING, Role, VolumeFacts

RESTART_FIRST_S: Final = 0.1
RESTART_MAX_S: Final = 5.0
SETTLE_S: Final = 0.005  # One change of the kernel is several lines; they come within this time.
SETTLE_MAX_S: Final = 0.05  # A kernel that never pauses is listened to this long at a time.
PROGRESS_S: Final = 1.0  # While a resync runs its progress is read this often.
CROSS_CHECK_S: Final = 10.0
ACTIVE_S: Final = 2.0  # Where something is written, so that monitors do not see first who waits.
AWAITED_S: Final = 1.0  # While a write waits for the peer it is looked so often how it goes on.
OVERDUE_S: Final = 2.0  # Nothing goes on for so long: the peer is overdue.
WITHOUT_STREAM_S: Final = 1.0  # While there is no stream, /proc/drbd is read this often.
DUMP_S: Final = 60.0  # A program that has not told everything by then is started anew.
DOUBT_S: Final = 0.5  # A second look, before the stream is called wrong.

Lines = AsyncGenerator[tuple[str, ...]]
Facts = tuple[VolumeFacts, ...]


class Events:
    """Follows the kernel; restarts the program with back-off when it dies or lost events."""

    def __init__(
        self,
        *,
        follow: Callable[[Argv, Callable[[], float]], Lines],
        argv: Callable[[], Argv],
        proc_text: Callable[[], str],
        loaded: Callable[[], bool],
        addresses: Callable[[], Awaitable[Mapping[str, str]]],
        dump_s: float = DUMP_S,
    ) -> None:
        """``addresses`` looks where the connections of the kernel's resources lead, by resource."""
        self.peer = ""  # Whose connections are told; empty: anybody's.
        self.names: dict[int, str] = {}  # Of resources by minor, for what no stream told of yet.
        self._follow = follow
        self._argv = argv
        self._proc_text = proc_text
        self._loaded = loaded
        self._addresses = addresses
        self._dump_s = dump_s
        self._picture = Picture()
        self._facts: dict[str, VolumeFacts] = {}
        self._led: Mapping[str, str] = {}  # Where connections led, by resource.
        self._devices: Mapping[int, ProcDevice] = {}  # As they were at the last look.
        self._still_s: dict[int, float] = {}  # Since when no write goes on, by minor.

    def facts(self, resource: str) -> VolumeFacts | None:
        return self._facts.get(resource)

    def holder(self, minor: int) -> str:
        """Return which resource of the kernel has the device; empty: none that is known."""
        return self._picture.holder(minor)

    def confirm(self, resource: str, role: Role | None) -> None:
        """Believe what a command's success proved, before its event comes; None: it is gone.

        The event may need a while on a busy machine, and nobody may read the old role meanwhile.
        """
        if role is None:
            self._facts.pop(resource, None)
            self.names = {minor: name for minor, name in self.names.items() if name != resource}
            self._picture = self._picture.having(resource, None)
            return
        if facts := self._facts.get(resource):
            self._facts[resource] = replace(facts, role=role)
        if old := self._picture.resources.get(resource):
            self._picture = self._picture.having(resource, replace(old, role=role.value))

    def _remember(self, facts: Facts) -> None:
        self._facts = {fact.resource: fact for fact in facts}

    async def watch(self) -> AsyncGenerator[Facts]:
        """Yield all facts, first at once, then whenever one of them changed. Never ends.

        Until the program has been restarted and has told everything once, the resources that are
        known are followed in /proc/drbd, which needs no program; where that tells nothing (DRBD 9)
        the last facts stay. Without the kernel module no resource exists.
        """
        pause_s = RESTART_FIRST_S
        while True:
            if not self._loaded():
                self._picture = Picture(complete=True)
                self._remember(())
                yield ()
            async with aclosing(self._one_run()) as run:
                async for facts in run:
                    pause_s = RESTART_FIRST_S
                    yield facts
            async with aclosing(self._meanwhile(pause_s)) as meanwhile:
                async for facts in meanwhile:
                    yield facts
            pause_s = min(2 * pause_s, RESTART_MAX_S)

    async def _meanwhile(self, pause_s: float) -> AsyncGenerator[Facts]:
        """Yield for so long what /proc/drbd says of the resources whose names are known."""
        now_s = asyncio.get_running_loop().time
        until_s = now_s() + pause_s
        while (left_s := until_s - now_s()) > 0:
            await asyncio.sleep(min(left_s, WITHOUT_STREAM_S))
            if (facts := self._news()) is not None:
                yield facts

    def _news(self) -> Facts | None:
        """Return what /proc/drbd says of what was known, if that is new; before, it tells nothing.

        It has no names: one who knows of no resource yet would take those for all.
        """
        text = self._proc_text()
        if not self._picture.complete or not tells_devices(text):
            return None
        self._picture = self._picture.told_by(text, self.names)
        facts = self._picture.facts(self.peer)
        if {each.resource: each for each in facts} == self._facts:
            return None
        self._remember(facts)
        return facts

    async def _one_run(self) -> AsyncGenerator[Facts]:
        """Yield facts until the program ends, lost events, or contradicts /proc/drbd twice.

        One that hangs, e.g. behind a change that the kernel does not end, tells nothing at all.
        """
        dump = Picture()
        known: Facts | None = None
        doubted: frozenset[str] = frozenset()
        idle_s = WITHOUT_STREAM_S
        dirty_since_s: float | None = None
        now_s = asyncio.get_running_loop().time
        until_s = now_s() + self._dump_s
        async with aclosing(self._follow(self._argv(), lambda: idle_s)) as lines:
            async for batch in lines:
                if any(tells_loss(text) for text in batch):
                    return
                if dump.complete:
                    self._picture = _after(self._picture, batch)
                elif (dump := _after(dump, batch)).complete:
                    self._picture = dump
                if batch:
                    dirty_since_s = now_s() if dirty_since_s is None else dirty_since_s
                    idle_s = SETTLE_S
                if not dump.complete:
                    if now_s() > until_s:
                        return
                    idle_s = WITHOUT_STREAM_S
                    if not batch and (facts := self._news()) is not None:
                        yield facts
                    continue
                if dirty_since_s is not None and batch and now_s() - dirty_since_s < SETTLE_MAX_S:
                    continue
                dirty_since_s = None
                self._picture, disagreeing = self._compared(self._picture)
                told = self._picture.resources
                self.names = {m: name for m, name in self.names.items() if name not in told}
                if disagreeing & doubted:
                    return
                doubted = disagreeing
                if self.peer:
                    await self._look_where_connections_lead()
                if (facts := self._picture.facts(self.peer)) != known:
                    known = facts
                    self._remember(facts)
                    yield facts
                in_doubt = bool(doubted or (self.peer and self._picture.unknown()))
                idle_s = _patience_s(facts, in_doubt=in_doubt, waits=self._awaits_peer())

    async def _look_where_connections_lead(self) -> None:
        """Ask for those that are new; after a restart of the program the last answer counts."""
        if self._picture.unknown():
            self._picture = self._picture.leading({**self._led, **await self._addresses()})
        self._led = self._picture.known()

    def _compared(self, picture: Picture) -> tuple[Picture, frozenset[str]]:
        """Return the picture with the progress of resyncs and writes, and those that disagree.

        Both come from /proc/drbd and so from DRBD 8.4 only; elsewhere nothing disagrees.
        """
        former, devices = self._devices, proc_devices(self._proc_text())
        self._devices = devices
        resources: dict[str, Resource] = {}
        disagreeing: list[str] = []
        for name, resource in picture.resources.items():
            resources[name] = resource
            device = devices.get(resource.minor) if resource.minor is not None else None
            if device is None:
                continue
            resources[name] = replace(
                resource,
                out_of_sync_bytes=device.out_of_sync_bytes,
                sync_done=device.sync_done,
                overdue=self._is_overdue(device, former.get(device.minor)),
            )
            if not agrees(resource, device):
                disagreeing.append(name)
        return replace(picture, resources=resources), frozenset(disagreeing)

    def _is_overdue(self, device: ProcDevice, before: ProcDevice | None) -> bool:
        now_s = asyncio.get_running_loop().time()
        if before is None or not device.stands(before):
            self._still_s.pop(device.minor, None)
            return False
        return now_s - self._still_s.setdefault(device.minor, now_s) >= OVERDUE_S

    def _awaits_peer(self) -> bool:
        return any(device.awaits_peer for device in self._devices.values())


def _after(picture: Picture, batch: tuple[str, ...]) -> Picture:
    for text in batch:
        if line := events_line(text):
            picture = picture.after(line)
    return picture


def _patience_s(facts: Facts, *, in_doubt: bool, waits: bool) -> float:
    if in_doubt:
        return DOUBT_S
    if waits:
        return AWAITED_S
    if any(fact.connection in SYNCING for fact in facts):
        return PROGRESS_S
    if any(fact.role is Role.PRIMARY and fact.kernel_answers for fact in facts):
        return ACTIVE_S
    return CROSS_CHECK_S
