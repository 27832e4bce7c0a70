"""This node's side of a split brain: what it knows of its copies, and what it does to them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from hapair.core.copies.split_brain import may_lose_writes
from hapair.core.explain import report
from hapair.model.application import Volume
from hapair.model.data import Role, VolumeFacts
from hapair.model.divergence import ChangedFile, Generations
from hapair.model.outcome import Done, Outcome, Refused
from hapair.model.status import Phase
from hapair.ports.machine import Clock
from hapair.rpc.messages import ExitCode, RpcError
from hapair.runtime.guardians.snapshots import (
    SPLIT,
    RepairTools,
    drop_snapshot,
    kept_snapshots,
    look_name,
    make_brief_snapshot,
    make_snapshot,
    split_name,
)
from hapair.runtime.node.node import Node

LIMIT_S: Final = 30.0
FILES_MAX: Final = 50
DISCARD_TRIES: Final = 3
IN_USE: Final = (Phase.STARTING, Phase.RUNNING, Phase.STOPPING, Phase.STUCK)


class SplitWork(StrEnum):
    SNAPSHOT = "snapshot"
    DISCONNECT = "disconnect"
    DISCARD = "discard"
    CONNECT = "connect"


@dataclass(frozen=True, slots=True)
class SideVolume:
    resource: str
    facts: VolumeFacts | None = None
    generations: Generations | None = None
    mounted: bool = False
    apart_since_wall_s: float | None = None  # By this node's clock.
    kept: tuple[str, ...] = ()  # Snapshots of earlier resolutions or resyncs.


@dataclass(frozen=True, slots=True)
class SplitSide:
    """All that one node says about its side."""

    node: str
    standing: str
    holds_right: bool
    owner: str
    phase: str
    wall_s: float
    volumes: tuple[SideVolume, ...]

    @property
    def uses(self) -> bool:
        """Tell whether anything here makes it the side that runs."""
        primary = any(v.facts is not None and v.facts.role is Role.PRIMARY for v in self.volumes)
        return primary or any(v.mounted for v in self.volumes) or self.phase in IN_USE

    def volume(self, resource: str) -> SideVolume:
        found = (volume for volume in self.volumes if volume.resource == resource)
        return next(found, SideVolume(resource))


class LocalSide:
    def __init__(
        self, node: Callable[[], Node], tools: RepairTools, clock: Clock, folder: Path
    ) -> None:
        self._node = node
        self._tools = tools
        self._clock = clock
        self._folder = folder  # Where snapshots are mounted to be looked at.

    async def describe(self, application: str) -> SplitSide:
        node = self._node()
        told = report(node.state, self._clock.boot_s())
        found = next((each for each in told.applications if each.name == application), None)
        if found is None:
            raise RpcError(
                f"there is no application {application} on {told.node}",
                "list them with: clstat",
                exit_code=ExitCode.USAGE,
            )
        volumes = node.built.application(application).volumes
        return SplitSide(
            node=told.node,
            standing=told.standing,
            holds_right=told.holds_right,
            owner=found.owner,
            phase=found.phase,
            wall_s=self._clock.wall_s(),
            volumes=tuple([await self._describe(node, volume) for volume in volumes]),
        )

    async def _describe(self, node: Node, volume: Volume) -> SideVolume:
        facts = node.hands.replication.facts(volume.resource)
        kept = await kept_snapshots(self._tools.volumes, volume)
        generations = None
        if facts is not None:
            generations = await self._tools.connections.generations(volume, timeout_s=LIMIT_S)
        return SideVolume(
            resource=volume.resource,
            facts=facts,
            generations=generations,
            mounted=node.hands.file_systems.mounted(volume) is not False,
            apart_since_wall_s=node.remembered().copy(volume.resource).apart_since_wall_s,
            kept=tuple(f"{each.volume_group}/{each.name}" for each in kept),
        )

    async def files(self, resource: str, since_wall_s: float) -> tuple[ChangedFile, ...] | str:
        """Return the newest files changed since then, or why that cannot be found out."""
        node, volume = self._node(), self._volume(resource)
        looks = self._tools.looks
        found: tuple[ChangedFile, ...] | str | None
        if node.hands.file_systems.mounted(volume):
            found = await looks.changed_since(volume.mount_point, since_wall_s, limit=FILES_MAX)
        else:
            name = look_name(volume)
            made = await make_brief_snapshot(self._tools.volumes, volume, name)
            if not isinstance(made, Done):
                return made.why
            try:
                found = await self._files_of(volume, name, since_wall_s)
            finally:
                await drop_snapshot(self._tools.volumes, volume, name)
        if found is None:
            return "the files could not be listed in time"
        return found

    async def _files_of(
        self, volume: Volume, name: str, since_wall_s: float
    ) -> tuple[ChangedFile, ...] | str | None:
        looks, folder = self._tools.looks, str(self._folder / volume.resource)
        opened = await looks.open(volume, name, folder)
        if not isinstance(opened, Done):
            return f"the copy cannot be looked at: {opened.why}"
        try:
            return await looks.changed_since(folder, since_wall_s, limit=FILES_MAX)
        finally:
            await looks.close(folder)

    async def do(self, work: SplitWork, resource: str, overwritten_bytes: int) -> Outcome:
        volume, connections = self._volume(resource), self._tools.connections
        match work:
            case SplitWork.SNAPSHOT:
                return await self._snapshot(volume, overwritten_bytes)
            case SplitWork.DISCONNECT:
                return await connections.disconnect(volume, timeout_s=LIMIT_S)
            case SplitWork.CONNECT:
                return await connections.connect(volume, timeout_s=LIMIT_S)
            case SplitWork.DISCARD:
                return await self._discard(volume)

    async def _discard(self, volume: Volume) -> Outcome:
        """Connect and give up; the daemon may have begun to connect in between, as it was."""
        connections = self._tools.connections
        outcome: Outcome = Refused("it was not tried")
        for _ in range(DISCARD_TRIES):
            if why := self._must_keep(volume):
                return Refused(why)
            outcome = await connections.connect(volume, timeout_s=LIMIT_S, discard_own=True)
            if not isinstance(outcome, Refused):
                break
            await connections.disconnect(volume, timeout_s=LIMIT_S)
        return outcome

    def _must_keep(self, volume: Volume) -> str:
        hands = self._node().hands
        facts = hands.replication.facts(volume.resource)
        return may_lose_writes(facts, mounted=hands.file_systems.mounted(volume) is not False)

    async def _snapshot(self, volume: Volume, overwritten_bytes: int) -> Outcome:
        """Keep the victim's content; one made since the copies went apart serves as well."""
        if why := self._must_keep(volume):
            return Refused(why)
        apart_wall_s = self._node().remembered().copy(volume.resource).apart_since_wall_s
        for kept in await kept_snapshots(self._tools.volumes, volume):
            if kept.made_wall_s is None or apart_wall_s is None or SPLIT not in kept.name:
                continue
            if kept.made_wall_s >= apart_wall_s:
                return Done(f"{kept.volume_group}/{kept.name}")
        name = split_name(volume, self._clock.wall_s())
        made = await make_snapshot(self._tools.volumes, volume, name, overwritten_bytes, whole=True)
        return Done(f"{volume.volume_group}/{name}") if isinstance(made, Done) else made

    def _volume(self, resource: str) -> Volume:
        for built in self._node().built.applications:
            for volume in built.volumes:
                if volume.resource == resource:
                    return volume
        raise RpcError(f"there is no volume {resource} on this node", "see: clstat")
