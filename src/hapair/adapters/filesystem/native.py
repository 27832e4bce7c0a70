"""File systems before they are under DRBD: mounted straight from their logical volume.

Only clbuildapp uses this; nothing here is on the path of a failover.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hapair.adapters.filesystem import uses
from hapair.adapters.filesystem.holders import holders
from hapair.adapters.shared.mounts import Mount, mount_info, mounts_with_options
from hapair.model.application import Volume
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.storage import GroupStorage, NativeMount
from hapair.ports import CommandRunner, TimedOut

LIMIT_S: Final = 120.0
FSTAB: Final = Path("/etc/fstab")
MARK: Final = "# hapair mounts this over DRBD: "
# What mountinfo shows although nobody asked for it.
DEFAULTS: Final = frozenset({"rw", "relatime", "defaults"})
_SUPERBLOCK: Final = 1024
_FEATURES_OFFSET: Final = 0x5C
_HAS_JOURNAL: Final = 0x4


class NativeFileSystems:
    def __init__(self, run: CommandRunner, fstab: Path = FSTAB) -> None:
        self._run = run
        self._fstab = fstab

    def mounts(self, group: GroupStorage) -> tuple[NativeMount, ...]:
        """Return what is mounted straight from volumes of the group, each volume once."""
        numbers = {_number(f"/dev/{group.name}/{v.name}"): v.name for v in group.volumes}
        numbers.pop(None, None)
        found: dict[str, NativeMount] = {}
        for mount, options in mounts_with_options(mount_info()):
            name = numbers.get(mount.device)
            if name is not None and name not in found:
                device = f"/dev/{group.name}/{name}"
                found[name] = NativeMount(
                    logical_volume=name,
                    mount_point=mount.mount_point,
                    file_system=mount.kind,
                    options=",".join(o for o in options.split(",") if o not in DEFAULTS),
                    journal=_has_journal(device, mount.kind),
                    in_fstab=self._fstab_line(mount.mount_point) is not None,
                    holders=_who_holds(mount),
                )
        return tuple(found.values())

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
        """Comment the mount point's line out, so that no boot mounts the bare volume."""
        return self._rewrite(
            lambda line: MARK + line if _mount_point_of(line) == volume.mount_point else line
        )

    def restore_fstab(self, volume: Volume) -> Outcome:
        """Take our comment away again; Done also when there is none."""

        def restored(line: str) -> str:
            former = line.removeprefix(MARK)
            return former if _mount_point_of(former) == volume.mount_point else line

        return self._rewrite(restored)

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
            for mount, _ in mounts_with_options(mount_info())
        )

    async def _change(self, argv: tuple[str, ...]) -> Outcome:
        ended = await self._run(argv, timeout_s=LIMIT_S)
        if isinstance(ended, TimedOut):
            return Unknown(f"{argv[0]} gave no answer within {LIMIT_S:.0f} s")
        if ended.exit_code == 0:
            return Done()
        return Refused(f"{' '.join(argv)}: {' '.join(ended.stderr.split())}")

    def _fstab_line(self, mount_point: str) -> str | None:
        try:
            lines = _text(self._fstab).splitlines()
        except OSError:
            return None
        return next((line for line in lines if _mount_point_of(line) == mount_point), None)

    def _rewrite(self, change: Callable[[str], str]) -> Outcome:
        """Replace fstab by its changed lines, whole or not at all; its mode stays."""
        try:
            before = _text(self._fstab)
        except FileNotFoundError:
            return Done("there is no fstab")
        after = "".join(change(line) for line in before.splitlines(keepends=True))
        if after == before:
            return Done()
        beside = self._fstab.with_name(".fstab.hapair")
        try:
            beside.write_bytes(after.encode("utf-8", "surrogateescape"))
            beside.chmod(self._fstab.stat().st_mode & 0o7777)
            beside.replace(self._fstab)
        except OSError as error:
            beside.unlink(missing_ok=True)
            return Refused(f"{self._fstab}: {error.strerror}")
        return Done()


def _who_holds(mount: Mount) -> tuple[str, ...]:
    """Return what would keep the volume open when it is unmounted there."""
    held = (*uses.mounted(mount), *uses.in_kernel(mount))
    return (*map(str, holders(mount, frozenset({os.getpid()}))), *(each.what for each in held))


def _text(place: Path) -> str:
    """Return a file as text that can be written back to the same bytes, whatever they are."""
    return place.read_bytes().decode("utf-8", "surrogateescape")


def _mount_point_of(line: str) -> str | None:
    """Return the second field of an fstab line; None for comments and empty lines."""
    fields = line.split()
    if len(fields) < 3 or fields[0].startswith("#"):  # noqa: PLR2004 - device, where, what
        return None
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), fields[1])


def _number(path: str) -> tuple[int, int] | None:
    try:
        number = Path(path).stat().st_rdev
    except OSError:
        return None
    return os.major(number), os.minor(number)


def _has_journal(device: str, kind: str) -> bool:
    """Look into the superblock of the ext family; XFS always has a journal."""
    if kind == "xfs":
        return True
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        block = os.pread(descriptor, _SUPERBLOCK, _SUPERBLOCK)
    finally:
        os.close(descriptor)
    features = int.from_bytes(block[_FEATURES_OFFSET : _FEATURES_OFFSET + 4], "little")
    return bool(features & _HAS_JOURNAL)
