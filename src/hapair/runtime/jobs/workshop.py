"""Do one step of a job on this node."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from hapair.core.plan.application import meta_data_bytes
from hapair.core.plan.steps import Work
from hapair.model import timing
from hapair.model.application import Volume
from hapair.model.built import Built
from hapair.model.data import Role
from hapair.model.nesting import lies_inside
from hapair.model.node_facts import Lvm
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.storage import Folder
from hapair.ports.data import FileSystems, Replication
from hapair.ports.storage import LogicalVolumes, NativeMounts, ReplicationFiles
from hapair.runtime.guardians.snapshots import before_resync_name, drop_snapshot

LIMIT_S: Final = timing.REPLICATION_S


@dataclass(frozen=True, slots=True)
class Workshop:
    """The tools for building on this node. Every work is idempotent."""

    volumes: LogicalVolumes
    natives: NativeMounts
    scan: Callable[[], Awaitable[Lvm]]  # What the physical volumes lie on.
    files: ReplicationFiles
    replication: Replication
    file_systems: FileSystems

    async def do(
        self, work: Work, volume: Volume, built: Built, folders: tuple[Folder, ...] = ()
    ) -> Outcome:
        """Do ``work`` on ``volume``; ``built`` is the configuration that the job leads to.

        ``folders``: what those of a mount point that is made are to be like.

        Unknown also when a tool or a file says what makes no sense, so that the job can still take
        itself back. What writes to the disk does so in a thread: heartbeats go on.
        """
        try:
            if work is Work.MAKE_MOUNT_POINT:
                return await asyncio.to_thread(self.natives.make_mount_point, volume, folders)
            if work is Work.REMOVE_MOUNT_POINT:
                return await asyncio.to_thread(self.natives.remove_mount_point, folders)
            return await self._do(work, volume, built)
        except (OSError, ValueError) as error:
            return Unknown(str(error))

    async def _do(self, work: Work, volume: Volume, built: Built) -> Outcome:
        if work is Work.WRITE_RESOURCE:
            return await asyncio.to_thread(self.files.write, built, volume)
        if work is Work.REMOVE_RESOURCE:
            return await asyncio.to_thread(self.files.remove, volume)
        if work is Work.MOUNT_NATIVE:
            return await self._mount_native(volume, built)
        in_time: dict[Work, Callable[[Volume], Awaitable[Outcome]]] = {
            Work.SEE_EMPTY: self._see_empty,
            Work.CREATE_DATA_VOLUME: self._create_data,
            Work.LEAVE_DATA_VOLUME: self._leave_data,
            Work.REMOVE_DATA_VOLUME: self._remove_data,
            Work.CREATE_META_VOLUME: self._create_meta,
            Work.REMOVE_META_VOLUME: self._remove_meta,
            Work.WRITE_META_DATA: self._write_meta_data,
            Work.LEAVE_FSTAB: self.natives.leave_fstab,
            Work.RESTORE_FSTAB: self.natives.restore_fstab,
            Work.RETIRE_FSTAB: self.natives.retire,
            Work.UNMOUNT_NATIVE: self.natives.unmount,
            Work.BRING_UP: self._bring_up,
            Work.TAKE_DOWN: self._take_down,
            Work.MAKE_SOURCE: self._make_source,
            Work.DEMOTE: self._demote,
            Work.MOUNT: self._mount,
            Work.UNMOUNT: self._unmount,
        }
        return await in_time[work](volume)

    async def _see_empty(self, volume: Volume) -> Outcome:
        """Look at every byte: what is overwritten by the first resync cannot be had again.

        Nobody can begin to write while it is looked at; who began before has it open.
        """
        path = f"{volume.volume_group}/{volume.logical_volume}"
        guarded = await self.volumes.guard(volume.volume_group, volume.logical_volume)
        if not isinstance(guarded, Done):
            return guarded
        group = await self.volumes.group(volume.volume_group)
        found = group.volume(volume.logical_volume)
        if found is None:
            return Refused(f"{path} is not there any more")
        for each in group.snapshots(found.name):
            return Refused(f"{path} has a snapshot, {each.name}: lvremove it if nobody needs it")
        seen = await self.volumes.look(volume.volume_group, found, whole=True)
        if why := seen.why_not_free:
            return Refused(f"{path} {why}. If nobody needs it: lvremove {path}; a new one is made")
        return Done()

    async def _create_data(self, volume: Volume) -> Outcome:
        return await self.volumes.create(
            volume.volume_group, volume.logical_volume, volume.size_bytes
        )

    async def _leave_data(self, volume: Volume) -> Outcome:
        return await self.volumes.disown(volume.volume_group, volume.logical_volume)

    async def _remove_data(self, volume: Volume) -> Outcome:
        return await self._remove(volume.volume_group, volume.logical_volume)

    async def _create_meta(self, volume: Volume) -> Outcome:
        size_bytes = meta_data_bytes(volume.size_bytes)
        return await self.volumes.create(volume.volume_group, volume.meta_volume, size_bytes)

    async def _write_meta_data(self, volume: Volume) -> Outcome:
        """Overwrite what a job made, and never what somebody made under that name meanwhile."""
        found = (await self.volumes.group(volume.volume_group)).volume(volume.meta_volume)
        if found is None or not found.ours:
            what = f"{volume.volume_group}/{volume.meta_volume}"
            return Refused(f"{what} is not there any more, or none that hapair made")
        return await self.files.make_meta_data(volume)

    async def _remove_meta(self, volume: Volume) -> Outcome:
        return await self._remove(volume.volume_group, volume.meta_volume)

    async def _remove(self, group: str, name: str) -> Outcome:
        """Remove what a job made, and never what somebody made under that name meanwhile."""
        found = (await self.volumes.group(group)).volume(name)
        if found is None or not found.ours:
            return Done()
        return await self.volumes.remove(group, name)

    async def _mount_native(self, volume: Volume, built: Built) -> Outcome:
        """Mount it where it was; nobody could see it there before what it lies in is mounted."""
        for outer in built.volumes():
            if lies_inside(volume.mount_point, outer.mount_point) and not self._is_here(outer):
                return Done(f"{outer.mount_point}, in which it was mounted, is not mounted here")
        return await self.natives.mount(volume)

    def _is_here(self, volume: Volume) -> bool:
        return self.file_systems.mounted(volume) is True or self.natives.mounted(volume)

    async def _bring_up(self, volume: Volume) -> Outcome:
        return await self.replication.bring_up(volume, timeout_s=LIMIT_S)

    async def _take_down(self, volume: Volume) -> Outcome:
        """Afterwards nobody looks whether a complete copy still has a snapshot of before."""
        facts = self.replication.facts(volume.resource)
        if facts is not None and facts.current:
            dropped = await drop_snapshot(self.volumes, volume, before_resync_name(volume))
            if isinstance(dropped, Unknown):
                return dropped
        return await self.replication.take_down(volume, timeout_s=LIMIT_S)

    async def _make_source(self, volume: Volume) -> Outcome:
        return await self.replication.promote(volume, timeout_s=LIMIT_S, force=True)

    async def _demote(self, volume: Volume) -> Outcome:
        if self.replication.facts(volume.resource) is None:
            return Done()
        thawed = await self._thaw(volume)
        if not isinstance(thawed, Done):
            return thawed
        return await self.replication.demote(volume, timeout_s=LIMIT_S)

    async def _mount(self, volume: Volume) -> Outcome:
        return await self.file_systems.mount(volume, timeout_s=timing.MOUNT_S)

    async def _unmount(self, volume: Volume) -> Outcome:
        if self.file_systems.mounted(volume) is False:
            return Done("it is not mounted over DRBD; what else lies there is none of ours")
        thawed = await self._thaw(volume)
        if not isinstance(thawed, Done):
            return thawed
        return await self.file_systems.unmount(volume, timeout_s=timing.MOUNT_S)

    async def _thaw(self, volume: Volume) -> Outcome:
        """Let writes go on that the kernel froze when it lost the peer.

        Nobody else says so of a resource that is not built; the copy here is the only valid one,
        because the other one was never more than its target.
        """
        facts = self.replication.facts(volume.resource)
        if facts is None or facts.role is not Role.PRIMARY:
            return Done()
        return await self.replication.resume(volume, timeout_s=LIMIT_S)
