"""File systems before they are under DRBD: mounted straight from their logical volume.

Only clbuildapp uses this; nothing here is on the path of a failover.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hapair.adapters.filesystem import superblock, uses
from hapair.adapters.filesystem.accounts import owners_at
from hapair.adapters.filesystem.boot import BootUse
from hapair.adapters.filesystem.folders import folders_of, make_mount_point, remove_folders
from hapair.adapters.filesystem.fstab import Fstab
from hapair.adapters.filesystem.holders import holders
from hapair.adapters.filesystem.layers import uses_of
from hapair.adapters.filesystem.options import READ_ONLY, in_force, of_quotas
from hapair.adapters.shared.mounts import (
    OF_NETWORKS,
    Mount,
    MountTable,
    mount_info,
    mount_table,
    mounts,
    mounts_with_options,
    number_of,
)
from hapair.model.application import Volume
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.storage import (
    Folder,
    GroupStorage,
    NativeMount,
    Obstacle,
    Place,
    VolumeUse,
)
from hapair.model.text import shown
from hapair.ports.programs import CommandRunner, TimedOut

LIMIT_S: Final = 120.0
SYSTEMD: Final = Path("/run/systemd/system")  # It is there where systemd runs.
AUTOFS: Final = "autofs"


class NativeFileSystems:
    def __init__(
        self, run: CommandRunner, fstab: Fstab | None = None, systemd: Path = SYSTEMD
    ) -> None:
        self._run = run
        self._fstab = fstab or Fstab()
        self._systemd = systemd

    def mounts(self, group: GroupStorage) -> tuple[NativeMount, ...]:
        """Return what is mounted straight from volumes of the group, each volume once."""
        numbers = {number_of(f"/dev/{group.name}/{v.name}"): v.name for v in group.volumes}
        numbers.pop(None, None)
        found: dict[str, NativeMount] = {}
        text = mount_info()
        table, all_mounts = MountTable.of(text), tuple(mounts_with_options(text))
        for mount, options, of_the_whole in all_mounts:
            name = numbers.get(mount.device)
            if name is not None and name not in found:
                device = f"/dev/{group.name}/{name}"
                kept, lost = in_force(mount.kind, options, of_the_whole)
                if (quotas := of_quotas(kept)) and superblock.quotas_in_files(device):
                    named = ",".join(quotas)
                    lost = (*lost, f"{named} (quotas in files; tune2fs -O quota needs no quotaon)")
                held = tuple(_uses_of(mount))
                if mount.root != "/":  # Over DRBD, and when it is put back, all of it is mounted.
                    lost = (*lost, f"its folder {shown(mount.root)} alone (a bind mount)")
                over, within = table.reached(mount.mount_point), table.below(mount)
                found[name] = NativeMount(
                    logical_volume=name,
                    mount_point=mount.mount_point,
                    file_system=mount.kind,
                    options=",".join(kept),
                    journal=superblock.has_journal(device),
                    holders=tuple(each.what for each in held),
                    freeing=tuple(dict.fromkeys(each.mend for each in held)),
                    elsewhere=superblock.parts_elsewhere(device),
                    lost_options=lost,
                    folders=folders_of(mount.mount_point),
                    within=within.mount_point if within is not None else "/",
                    within_late=within is not None and self._comes_late(within),
                    hidden_by="" if over in (mount, None) else over.mount_point,
                    inside=tuple(each.mount_point for each in table.seen_inside(mount.mount_point)),
                    owners=owners_at(mount.mount_point),
                    called=self._fstab.called(mount.mount_point),
                    names=superblock.identity(device).names,
                    features=superblock.features(device),
                )
        return tuple(found.values())

    def uses(self, group: GroupStorage) -> tuple[VolumeUse, ...]:
        """Return what else has volumes of the group that LVM calls open."""
        return uses_of(group)

    def boot_uses(
        self, place: Place, beside: tuple[Place, ...], program: str
    ) -> tuple[Obstacle, ...]:
        found = self._fstab.others(place, beside, program)
        waits = any(
            mount.kind == AUTOFS and mount.mount_point == place.mount_point
            for mount in mount_table().every
        )
        if waits and not found:
            mend = "end what set it up: systemctl list-units --type=automount; automount -m"
            found = (BootUse("an automount", mend),)
        said = "is also used at a boot by"
        return tuple(Obstacle(place.mount_point, f"{said} {use.what}", use.mend) for use in found)

    def in_the_way(self, place: Place, *, elsewhere: bool) -> tuple[Obstacle, ...]:
        found = list(_apart(mount_table(), place.mount_point, is_there=not elsewhere))
        if elsewhere:
            found += self._why_not_at(place.mount_point, place.device)
        return tuple(Obstacle(place.mount_point, f"has no place: {what}", m) for what, m in found)

    def _why_not_at(self, place: str, device: str) -> Iterator[tuple[str, str]]:
        """Say why no mount of ``device`` at ``place`` could be seen by everybody, and the mend."""
        over = mount_table().reached(place)
        if (real := os.path.realpath(place)) != place:
            what = f"{place} is {shown(real)} there, by a symbolic link"
            yield what, "use one path on both nodes"
        elif file := _file_on(place):
            yield f"{shown(file)} is no folder there", "move it to another place"
        elif over is not None and over.mount_point == place:
            if device != over.source and number_of(device) != over.device:
                yield f"{shown(over.source)} is mounted at {place}", "unmount it, and keep it away"
        elif over is not None and self._comes_late(over):
            late = "which a boot may mount after the applications"
            yield (
                f"{place} lies in {shown(over.mount_point)}, {late}",
                "give that a line of /etc/fstab without noauto, nofail and _netdev",
            )

    def _comes_late(self, mount: Mount) -> bool:
        """Tell whether a boot may mount it after the applications that lie in it, or not at all."""
        if mount.mount_point == "/":
            return False
        return mount.kind in OF_NETWORKS or not self._fstab.mounts_early(mount.mount_point)

    async def mount(self, volume: Volume) -> Outcome:
        """Mount the backing device where it was; Done also when it already is.

        A volume that was DRBD's may be guarded against writes, since the boot too: the guard goes,
        and a mount that would then be a read-only one is refused.
        """
        seen = mount_table().seen_at(volume.mount_point)
        if seen is not None and seen.device == number_of(volume.backing_device):
            return Done("it already is mounted")
        options = ("-o", volume.mount_options) if volume.mount_options else ()
        what = ("-t", volume.file_system.value, *options, volume.backing_device, volume.mount_point)
        if READ_ONLY in volume.mount_options.split(","):
            return await self._change(("mount", *what))
        await self._run(("blockdev", "--setrw", volume.backing_device), timeout_s=LIMIT_S)
        return await self._change(("mount", "--rw", *what))

    async def unmount(self, volume: Volume) -> Outcome:
        """Unmount the backing device; Done also when it is not mounted.

        Where a person mounted it besides, or gave a folder above it another name, it is refused.
        """
        found = _places_of(volume)
        if volume.mount_point in found:
            unmounted = await self._change(("umount", volume.mount_point))
            if not isinstance(unmounted, Done):
                return unmounted
            found = _places_of(volume)
        if found:
            where = ", ".join(map(shown, found))
            return Refused(f"{volume.backing_device} is mounted at {where}: unmount it there")
        return Done()

    async def leave_fstab(self, volume: Volume) -> Outcome:
        """Comment the volume's lines out: neither a boot nor systemd mounts the bare volume then.

        systemd keeps what it made of the old lines until it is told: it would mount the volume for
        a unit that needs the place, or when the device comes back.
        """
        left = await asyncio.to_thread(self._fstab.leave, volume)
        if not isinstance(left, Done):
            return left
        place = Place(volume.backing_device, volume.mount_point)
        others = await asyncio.to_thread(self._fstab.others, place)
        if others:
            named = ", ".join(each.what for each in others)
            mend = "; ".join(each.mend for each in others)
            return Refused(f"{place.device} is also used at a boot by {named}: {mend}")
        return await self._reloaded(volume)

    async def restore_fstab(self, volume: Volume) -> Outcome:
        """Take our comment away again; Done also when there is none.

        A systemd that does not answer keeps nothing from being as before: the mount itself is.
        """
        restored = await asyncio.to_thread(self._fstab.restore, volume)
        if isinstance(restored, Done):
            await self._reloaded(volume)
        return restored

    async def retire(self, volume: Volume) -> Outcome:
        """Mark its lines as those of a former copy, and take away the guard that DRBD's side set.

        A volume that is not there needs no guard.
        """
        await self._run(("blockdev", "--setrw", volume.backing_device), timeout_s=LIMIT_S)
        return await asyncio.to_thread(self._fstab.retire, volume)

    async def _reloaded(self, volume: Volume) -> Outcome:
        """Let systemd read fstab again, whoever changed it: a daemon may have died in between."""
        if not self._systemd.is_dir() or not await asyncio.to_thread(self._fstab.mentions, volume):
            return Done()
        return await self._change(("systemctl", "daemon-reload"))

    def left_out(self, volume: Volume) -> bool:
        """Tell whether a line of fstab would mount it here, had we not left it out."""
        return self._fstab.left_out(volume)

    def folders(self, place: str) -> tuple[Folder, ...]:
        return folders_of(place)

    def make_mount_point(self, volume: Volume, like: tuple[Folder, ...] = ()) -> Outcome:
        """Make the folder as ``like`` says; Refused when no mount could ever be seen there."""
        place = volume.mount_point
        if why := next(self._why_not_at(place, volume.device), None):
            return Refused(": ".join(why))
        try:
            make_mount_point(place, like)
        except OSError as error:
            return Refused(f"{place}: {error.strerror}")
        return Done()

    def remove_mount_point(self, made: tuple[Folder, ...]) -> Outcome:
        remove_folders(made)
        return Done()

    def mounted(self, volume: Volume) -> bool:
        """Tell whether the bare volume is mounted, wherever."""
        return bool(_places_of(volume))

    async def _change(self, argv: tuple[str, ...]) -> Outcome:
        ended = await self._run(argv, timeout_s=LIMIT_S)
        if isinstance(ended, TimedOut):
            return Unknown(f"{argv[0]} gave no answer within {LIMIT_S:.0f} s")
        if ended.exit_code == 0:
            return Done()
        return Refused(f"{' '.join(argv)}: {' '.join(ended.stderr.split())}")


def _apart(table: MountTable, place: str, *, is_there: bool) -> Iterator[tuple[str, str]]:
    """Say that a mount at ``place`` would come, and go, in our name space alone.

    Services with a name space of their own then keep its device when it is unmounted. On a machine
    without a shared root that is so of every mount, and meant.
    """
    over, root = table.reached(place), table.seen_at("/")
    below = table.below(over) if is_there and over is not None else over
    if below is not None and root is not None and root.shared and not below.shared:
        where = shown(below.mount_point)
        yield (
            f"{place} lies in {where}, whose mounts no other name space follows (private or slave)",
            f"mount --make-shared {where}, and take what made it so out of its options",
        )


def _file_on(place: str) -> str:
    """Return what keeps a path from being made, at its end or on the way; empty: nothing does."""
    found = next(each for each in (Path(place), *Path(place).parents) if each.exists())
    return "" if found.is_dir() else str(found)


def _places_of(volume: Volume) -> tuple[str, ...]:
    """Return where our name space has the bare volume mounted."""
    number = number_of(volume.backing_device)
    return tuple(m.mount_point for m in mounts(mount_info()) if m.device == number)


def _uses_of(mount: Mount) -> Iterator[uses.Use]:
    """Return what would keep the volume open when it is unmounted there, but for mounts inside."""
    for process in holders(mount, frozenset({os.getpid()})):
        yield uses.Use(str(process), process.end, (process,))
    yield from (each for each in uses.mounted(mount) if each.inside is None)
    yield from uses.in_kernel(mount)
