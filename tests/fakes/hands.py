"""Stand-ins for the adapters that act on a machine: the same promises, all in memory.

They pass the contract suite in tests/contract together with the real ones.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from hapair.model.application import (
    OcfAgent,
    Program,
    Script,
    ServiceAddress,
    Unit,
    Volume,
)
from hapair.model.built import BuiltApplication
from hapair.model.cluster import Cluster
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.holders import Held, Holders
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.presence import Presence


@dataclass
class FakeAddresses:
    """``foreign`` are addresses that another machine on the network has."""

    here: set[ServiceAddress] = field(default_factory=set)
    foreign: set[ServiceAddress] = field(default_factory=set)
    unanswered: bool = False  # Every action ends as Unknown, although it happens.
    callbacks: list[Callable[[], None]] = field(default_factory=list)

    def use(self, cluster: Cluster) -> None:
        del cluster

    async def add(
        self,
        addresses: tuple[ServiceAddress, ...],
        *,
        timeout_s: float,
        despite_peer: bool = False,
    ) -> Outcome:
        del timeout_s, despite_peer
        if taken := self.foreign & set(addresses) - self.here:
            return Refused(f"{min(str(one.address.ip) for one in taken)} already answers")
        self.here |= set(addresses)
        return _ended(self.unanswered)

    async def remove(self, addresses: tuple[ServiceAddress, ...], *, timeout_s: float) -> Outcome:
        del timeout_s
        self.here -= set(addresses)
        return _ended(self.unanswered)

    async def announce(self, addresses: tuple[ServiceAddress, ...], *, timeout_s: float) -> Outcome:
        del addresses, timeout_s
        return _ended(self.unanswered)

    async def present_each(
        self, wanted: Sequence[tuple[ServiceAddress, ...]]
    ) -> tuple[Presence, ...]:
        return tuple(self._presence(addresses) for addresses in wanted)

    def _presence(self, addresses: tuple[ServiceAddress, ...]) -> Presence:
        gone = [str(one.address.ip) for one in addresses if one not in self.here]
        some = len(gone) < len(addresses)
        up = (None if some else False) if gone else True
        return Presence(up, ", ".join(f"{address} is on no card" for address in gone))

    def on_change(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def vanish(self, address: ServiceAddress) -> None:
        """Let somebody remove it."""
        self.here.discard(address)
        for callback in self.callbacks:
            callback()


@dataclass
class FakeFileSystems:
    mounts: set[str] = field(default_factory=set)  # Resources that are mounted.
    held_by: dict[str, str] = field(default_factory=dict)  # Resource -> name of its holder.
    missing: set[str] = field(default_factory=set)  # Resources without a device.
    no_room: set[str] = field(default_factory=set)  # Resources that are full.
    seconds: dict[str, tuple[str, ...]] = field(default_factory=dict)  # Its other mounts.
    unanswered: bool = False
    callbacks: list[Callable[[], None]] = field(default_factory=list)

    async def mount(self, volume: Volume, *, timeout_s: float) -> Outcome:
        del timeout_s
        if volume.resource in self.missing:
            return Refused(f"{volume.device} cannot be mounted at {volume.mount_point}")
        self.mounts.add(volume.resource)
        return _ended(self.unanswered)

    async def unmount(self, volume: Volume, *, timeout_s: float) -> Outcome:
        del timeout_s
        if volume.resource in self.mounts and (holder := self.held_by.get(volume.resource)):
            return Refused(f"{volume.mount_point} is held by {holder}")
        self.mounts.discard(volume.resource)
        return _ended(self.unanswered)

    def mounted(self, volume: Volume) -> bool | None:
        return volume.resource in self.mounts

    async def full(self, volume: Volume, *, timeout_s: float) -> bool:
        del timeout_s
        return volume.resource in self.mounts & self.no_room

    async def mounted_each(self, volumes: Sequence[Volume]) -> tuple[Presence, ...]:
        return tuple(Presence(self.mounted(volume)) for volume in volumes)

    def on_change(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def vanish(self, volume: Volume) -> None:
        """Let somebody unmount it."""
        self.mounts.discard(volume.resource)
        for callback in self.callbacks:
            callback()

    async def held(
        self, volume: Volume, own: BuiltApplication | None, *, timeout_s: float
    ) -> Holders:
        del own, timeout_s
        found = self.seconds.get(volume.resource, ())
        return Holders(tuple(Held(each, f"umount {each}") for each in found))

    async def end_holders(self, volume: Volume, *, timeout_s: float) -> Outcome:
        del timeout_s
        holder = self.held_by.pop(volume.resource, "")
        self.seconds.pop(volume.resource, None)
        return Done(f"SIGTERM to {holder}" if holder else "")


@dataclass
class FakePrograms:
    """Programs named in ``failing`` end their start with an error and leave nothing."""

    up: dict[str, bool | None] = field(default_factory=dict)  # Application -> running.
    failing: set[str] = field(default_factory=set)
    lingering: set[str] = field(default_factory=set)  # Their stop leaves processes behind.
    unanswered: bool = False
    deeds: list[str] = field(default_factory=list)

    async def start(self, application: str, program: Program, *, timeout_s: float) -> Outcome:
        del timeout_s
        self.deeds.append(f"start {application}")
        if program_name(program) in self.failing:
            self.up[application] = False
            return Refused(f"{program_name(program)} start ended with 3")
        self.up[application] = True
        return _ended(self.unanswered)

    async def stop(self, application: str, program: Program, *, timeout_s: float) -> Outcome:
        del timeout_s
        self.deeds.append(f"stop {application}")
        if program_name(program) in self.lingering:
            self.up[application] = None
            return Unknown(f"the stop of {application} left sleep (4711)")
        self.up[application] = False
        return _ended(self.unanswered)

    async def kill(self, application: str, program: Program, *, timeout_s: float) -> Outcome:
        del program, timeout_s
        self.deeds.append(f"kill {application}")
        self.up[application] = False
        return _ended(self.unanswered)

    async def running(self, application: str, program: Program) -> bool | None:
        del program
        return self.up.get(application, False)


@dataclass
class FakePaths:
    links: dict[str, bool] = field(default_factory=dict)
    answering: set[str] = field(default_factory=set)
    callbacks: list[Callable[[str, bool], None]] = field(default_factory=list)

    def use(self, cluster: Cluster) -> None:
        for network in cluster.networks:
            self.links.setdefault(network.name, True)

    async def reference_answers(self, network: str, *, timeout_s: float) -> bool:
        del timeout_s
        return network in self.answering and self.link_up(network)

    def link_up(self, network: str) -> bool:
        return self.links.get(network, False)

    def on_link_change(self, callback: Callable[[str, bool], None]) -> None:
        self.callbacks.append(callback)

    def set_link(self, network: str, *, up: bool) -> None:
        """Pull or plug the cable."""
        if self.links.get(network) != up:
            self.links[network] = up
            for callback in self.callbacks:
                callback(network, up)


@dataclass
class FakeReplication:
    """One node's DRBD whose peer is what a test says it is."""

    known: dict[str, VolumeFacts] = field(default_factory=dict)
    peer: dict[str, VolumeFacts] = field(default_factory=dict)  # What a bring-up finds.
    held: set[str] = field(default_factory=set)  # Resources whose device is open.
    unanswered: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def use_peer(self, cluster: Cluster, me: str) -> None:
        """All connections here lead to the one peer."""

    async def watch(self) -> AsyncIterator[tuple[VolumeFacts, ...]]:
        while True:
            self._changed.clear()
            yield tuple(self.known[name] for name in sorted(self.known))
            await self._changed.wait()

    def facts(self, resource: str) -> VolumeFacts | None:
        return self.known.get(resource)

    def set(self, facts: VolumeFacts) -> None:
        """Let the kernel say this from now on."""
        self.known[facts.resource] = facts
        self._changed.set()

    async def bring_up(self, volume: Volume, *, timeout_s: float) -> Outcome:
        del timeout_s
        if volume.resource not in self.known:
            self.set(self.peer.get(volume.resource, _connected(volume.resource)))
        return _ended(self.unanswered)

    async def bring_up_anew(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self.bring_up(volume, timeout_s=timeout_s)

    async def bring_up_as_it_is(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self.bring_up(volume, timeout_s=timeout_s)

    async def take_down(self, volume: Volume, *, timeout_s: float) -> Outcome:
        del timeout_s
        if volume.resource in self.held:
            return Refused("Device is held open by someone")
        self.known.pop(volume.resource, None)
        self._changed.set()
        return _ended(self.unanswered)

    async def promote(self, volume: Volume, *, timeout_s: float, force: bool = False) -> Outcome:
        del timeout_s
        facts = self.known.get(volume.resource)
        if facts is None:
            return Refused("Device minor not allocated")
        if facts.peer_role is Role.PRIMARY:
            return Refused("Multiple primaries not allowed by config")
        if facts.disk is not Disk.UP_TO_DATE and not force:
            return Refused("Need access to UpToDate data")
        self.set(replace(facts, role=Role.PRIMARY, disk=Disk.UP_TO_DATE))
        return _ended(self.unanswered)

    async def demote(self, volume: Volume, *, timeout_s: float) -> Outcome:
        del timeout_s
        facts = self.known.get(volume.resource)
        if facts is None:
            return Refused("Device minor not allocated")
        if volume.resource in self.held:
            return Refused("Device is held open by someone")
        self.set(replace(facts, role=Role.SECONDARY))
        return _ended(self.unanswered)

    async def detach_by_force(self, volume: Volume, *, timeout_s: float) -> Outcome:
        del timeout_s
        if facts := self.known.get(volume.resource):
            self.set(replace(facts, disk=Disk.DISKLESS, suspended=False))
        return _ended(self.unanswered)

    async def resume(self, volume: Volume, *, timeout_s: float) -> Outcome:
        del timeout_s
        facts = self.known.get(volume.resource)
        if facts and facts.suspended:
            if facts.disk is not Disk.UP_TO_DATE:
                return Refused(f"the copy here is {facts.disk}")
            self.set(replace(facts, suspended=False))
        return _ended(self.unanswered)


def program_name(program: Program) -> str:
    match program:
        case Script(path):
            return path
        case Unit(name):
            return name
        case OcfAgent(provider, kind):
            return f"{provider}:{kind}"


def _connected(resource: str) -> VolumeFacts:
    return VolumeFacts(
        resource,
        Role.SECONDARY,
        Role.SECONDARY,
        Disk.UP_TO_DATE,
        Disk.UP_TO_DATE,
        Connection.CONNECTED,
    )


def _ended(unanswered: bool) -> Outcome:  # noqa: FBT001 - The one thing it decides by.
    return Unknown("no answer") if unanswered else Done()
