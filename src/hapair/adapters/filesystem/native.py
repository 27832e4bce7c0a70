"""File systems before they are under DRBD: mounted straight from their logical volume.

Only clbuildapp uses this; nothing here is on the path of a failover.
"""

import os
from pathlib import Path
from typing import Final

from hapair.adapters.filesystem import superblock, uses
from hapair.adapters.filesystem.fstab import FSTAB, Fstab
from hapair.adapters.filesystem.holders import holders
from hapair.adapters.filesystem.options import in_force
from hapair.adapters.shared.mounts import Mount, mount_info, mounts_with_options
from hapair.model.application import Volume
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.storage import GroupStorage, NativeMount
from hapair.ports import CommandRunner, TimedOut

LIMIT_S: Final = 120.0
AUTOFS: Final = "autofs"


class NativeFileSystems:
    def __init__(self, run: CommandRunner, fstab: Path = FSTAB) -> None:
        self._run = run
        self._fstab = Fstab(fstab)

    def mounts(self, group: GroupStorage) -> tuple[NativeMount, ...]:
        """Return what is mounted straight from volumes of the group, each volume once."""
        numbers = {_number(f"/dev/{group.name}/{v.name}"): v.name for v in group.volumes}
        numbers.pop(None, None)
        found: dict[str, NativeMount] = {}
        all_mounts = tuple(mounts_with_options(mount_info()))
        automounts = {mount.mount_point for mount, _, _ in all_mounts if mount.kind == AUTOFS}
        for mount, options, of_the_whole in all_mounts:
            name = numbers.get(mount.device)
            if name is not None and name not in found:
                device = f"/dev/{group.name}/{name}"
                kept, lost = in_force(mount.kind, options, of_the_whole)
                found[name] = NativeMount(
                    logical_volume=name,
                    mount_point=mount.mount_point,
                    file_system=mount.kind,
                    options=",".join(kept),
                    journal=superblock.has_journal(device),
                    holders=_who_holds(mount),
                    elsewhere=superblock.parts_elsewhere(device),
                    lost_options=lost,
                    other_mounters=self._others(device, mount, automounts),
                )
        return tuple(found.values())

    def _others(self, device: str, mount: Mount, automounts: set[str]) -> tuple[str, ...]:
        found = self._fstab.others(device, mount.mount_point)
        waits = mount.mount_point in automounts and not found
        return (*found, *(("an automount",) if waits else ()))

    async def mount(self, volume: Volume) -> Outcome:
        """Mount the backing device where it was; Done also when it already is."""
        if self._is_mounted(volume):
            return Done("it already is mounted")
        options = ("-o", volume.mount_options) if volume.mount_options else ()
        what = (*options, volume.backing_device, volume.mount_point)
        return await self._change(("mount", "-t", volume.file_system.value, *what))

    async def unmount(self, volume: Volume) -> Outcome:
        """Unmount the backing device; Done also when it is not mounted."""
        if not self._is_mounted(volume):
            return Done("it is not mounted")
        return await self._change(("umount", volume.mount_point))

    def leave_fstab(self, volume: Volume) -> Outcome:
        """Comment the volume's lines out, so that no boot mounts the bare volume."""
        return self._fstab.leave(volume)

    def restore_fstab(self, volume: Volume) -> Outcome:
        """Take our comment away again; Done also when there is none."""
        return self._fstab.restore(volume)

    def holds(self, volume: Volume) -> bool:
        """Tell whether this node mounts the bare volume, or did before we left it out of fstab."""
        return self._is_mounted(volume) or self._fstab.left_out(volume)

    def make_mount_point(self, volume: Volume) -> Outcome:
        """Make the folder; Refused when something that is no folder is in the way."""
        try:
            Path(volume.mount_point).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return Refused(f"{volume.mount_point}: {error.strerror}")
        return Done()

    def _is_mounted(self, volume: Volume) -> bool:
        number = _number(volume.backing_device)
        return any(
            mount.device == number and mount.mount_point == volume.mount_point
            for mount, _, _ in mounts_with_options(mount_info())
        )

    async def _change(self, argv: tuple[str, ...]) -> Outcome:
        ended = await self._run(argv, timeout_s=LIMIT_S)
        if isinstance(ended, TimedOut):
            return Unknown(f"{argv[0]} gave no answer within {LIMIT_S:.0f} s")
        if ended.exit_code == 0:
            return Done()
        return Refused(f"{' '.join(argv)}: {' '.join(ended.stderr.split())}")


def _who_holds(mount: Mount) -> tuple[str, ...]:
    """Return what would keep the volume open when it is unmounted there."""
    held = (*uses.mounted(mount), *uses.in_kernel(mount))
    return (*map(str, holders(mount, frozenset({os.getpid()}))), *(each.what for each in held))


def _number(path: str) -> tuple[int, int] | None:
    try:
        number = Path(path).stat().st_rdev
    except OSError:
        return None
    return os.major(number), os.minor(number)
