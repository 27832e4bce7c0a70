"""The port ``FileSystems``: the replicated file systems of applications."""

import asyncio
import os
from collections.abc import Callable, Sequence
from functools import partial

from hapair.adapters.filesystem import presence
from hapair.adapters.filesystem.changes import MountChanges
from hapair.adapters.filesystem.fstab import Fstab
from hapair.adapters.filesystem.mounter import Mounter, Target
from hapair.adapters.filesystem.uses import Use
from hapair.adapters.shared.apart import apart
from hapair.adapters.shared.mounts import MountTable, mount_info, mount_table, number_of
from hapair.adapters.shared.readings import Readings
from hapair.adapters.shared.spaces import UNIT_OF_APPLICATIONS
from hapair.model.application import Unit, Volume
from hapair.model.built import BuiltApplication
from hapair.model.holders import Holders
from hapair.model.outcome import Outcome
from hapair.model.presence import Presence


class MountedFileSystems:
    def __init__(self, fstab: Fstab | None = None) -> None:
        self._fstab = fstab or Fstab()
        self._mounter = Mounter()
        self._changes = MountChanges()
        self._tables = Readings(mount_info, MountTable.of)

    def close(self) -> None:
        self._changes.close()

    def on_change(self, callback: Callable[[], None]) -> None:
        self._changes.listen(callback)

    def mounted(self, volume: Volume) -> bool | None:
        return self._mounter.mounted(_target(volume), mount_table())

    async def mounted_each(self, volumes: Sequence[Volume]) -> tuple[Presence, ...]:
        table = await self._tables.now()
        return tuple(self.presence(volume, table) for volume in volumes)

    def presence(self, volume: Volume, table: MountTable) -> Presence:
        """Tell how a volume is mounted, as the table has it."""
        target = _target(volume)
        mounted = self._mounter.mounted(target, table)
        if mounted is False:
            return Presence(mounted)
        ours = table.seen_at(target.mount_point)
        if not mounted or ours is None:
            return Presence(None, presence.misplaced(target.device, target.mount_point, table))
        return Presence(mounted, presence.read_only(ours, table, target.options))

    async def full(self, volume: Volume, *, timeout_s: float) -> bool:
        if not self.mounted(volume):
            return False  # What is full below the mount point is not the application's.
        place = volume.mount_point
        try:
            async with asyncio.timeout(timeout_s):
                return await apart(place, partial(_is_full, place))
        except (TimeoutError, OSError):
            return False

    async def mount(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._mounter.mount(_target(volume), timeout_s=timeout_s)

    async def unmount(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._mounter.unmount(_target(volume), timeout_s=timeout_s)

    async def end_holders(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._mounter.end_holders(_target(volume), timeout_s=timeout_s)

    async def held(
        self, volume: Volume, own: BuiltApplication | None, *, timeout_s: float
    ) -> Holders:
        spared = _ends_with(own, self._fstab)
        return await self._mounter.held(_target(volume), spared, timeout_s=timeout_s)


def _ends_with(own: BuiltApplication | None, fstab: Fstab) -> Callable[[Use], bool]:
    """Return what tells whether a stop of the application ends what holds its device."""
    if own is None:
        return lambda _: False
    volumes = [number_of(volume.device) for volume in own.volumes]
    program = own.application.program
    unit = program.name if isinstance(program, Unit) else None
    group = f"/{unit or f'{UNIT_OF_APPLICATIONS}/{own.application.name}'}/"

    def ends(use: Use) -> bool:
        if use.inside is not None and use.inside in volumes:
            return True
        if program is None:
            return False
        if use.place and fstab.left_to_a_person(use.place):
            return True  # A line with noauto: what starts the application mounts it by that.
        # An export is made by a start script, and no process of it shows that.
        return use.export or (bool(use.by) and all(group in f"{each.unit}/" for each in use.by))

    return ends


def _is_full(place: str) -> bool:
    told = os.statvfs(place)
    return told.f_bavail == 0 or (told.f_files > 0 and told.f_favail == 0)


def _target(volume: Volume) -> Target:
    return Target(volume.device, volume.mount_point, volume.file_system, volume.mount_options)
