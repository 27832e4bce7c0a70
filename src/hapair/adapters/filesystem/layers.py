"""What has a logical volume from which no file system is mounted straight.

Blocking code: it reads what the kernel tells, and looks at every process when that says nothing.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.adapters.filesystem import calls
from hapair.adapters.filesystem.uses import SYS, Number, loops_over, swaps
from hapair.adapters.shared.mounts import mount_info, mounts_with_options, number_of, plain
from hapair.adapters.shared.spaces import (
    PROC,
    Space,
    name_in,
    other_spaces,
    own_mounts,
    pids,
    process_of,
)
from hapair.model.storage import GroupStorage, UseKind, VolumeUse
from hapair.model.text import shown

# How the kernel's identifier of a map begins, by who made it.
_MAPS: Final = (
    (re.compile(r"CRYPT-LUKS"), UseKind.LUKS),
    (re.compile(r"CRYPT-INTEGRITY"), UseKind.INTEGRITY),
    (re.compile(r"CRYPT-VERITY"), UseKind.VERITY),
    (re.compile(r"CRYPT-"), UseKind.CRYPT),
    (re.compile(r"part\d+-"), UseKind.PARTITION),
    (re.compile(r"LVM-"), UseKind.PHYSICAL_VOLUME),
)
_DEVICES: Final = (
    (re.compile(r"bcache\d"), UseKind.BCACHE),
    (re.compile(r"md\d|md_"), UseKind.MD),
    (re.compile(r"drbd\d"), UseKind.DRBD),
)
# Options that name another device of the same file system.
_PARTS: Final = ("logdev=", "rtdev=", "journal_path=")
# Files of the kernel's own servers that say which device one of their disks is.
_EXPORTS: Final = (
    "kernel/config/target/core/*/*/udev_path",
    "kernel/config/nvmet/subsystems/*/namespaces/*/device_path",
)
_WRITES: Final = os.O_WRONLY | os.O_RDWR
Points = dict[Number, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Mounted:
    """Where each device is mounted, by its number."""

    straight: Points
    over_several: Points  # Of file systems for which the kernel makes a number up.
    kinds: dict[Number, str]  # Of those.
    as_parts: Points  # Of file systems to which it belongs besides their own device.
    spaces: tuple[Space, ...]
    swaps: frozenset[Number]


def uses_of(group: GroupStorage, proc: Path = PROC, sys: Path = SYS) -> tuple[VolumeUse, ...]:
    """Return who has the volumes of the group that are open; nothing where it is not found out."""
    mounted = {mount.device for mount in own_mounts(proc)}
    opened = {
        volume.name: number
        for volume in group.volumes
        if volume.in_use and (number := number_of(f"/dev/{group.name}/{volume.name}"))
        if number not in mounted
    }
    if not opened:
        return ()
    seen = _look(proc, sys)
    found = tuple(
        use for name, number in opened.items() for use in _uses(name, number, seen, proc, sys)
    )
    explained = {use.logical_volume for use in found}
    left = {number: name for name, number in opened.items() if name not in explained}
    return (*found, *(_processes(left, proc) if left else ()))


def _look(proc: Path, sys: Path) -> _Mounted:
    seen = _Mounted({}, {}, {}, {}, tuple(other_spaces(proc)), _swaps(proc))
    pools = tuple(_btrfs_pools(sys))
    for mount, _, options in mounts_with_options(mount_info(proc / "self/mountinfo")):
        point = shown(mount.mount_point)
        _add(seen.straight, mount.device, point)
        for option in options.split(","):
            if option.startswith(_PARTS):
                _add(seen.as_parts, _number_of(plain(option.partition("=")[2])), point)
        if not mount.device[0] and mount.source.startswith("/dev/"):
            numbers = {_number_of(each) for each in mount.source.split(":")} - {None}
            for number in numbers.union(*(pool for pool in pools if pool & numbers)):
                _add(seen.over_several, number, point)
                if number is not None:
                    seen.kinds[number] = mount.kind
    return seen


def _add(found: Points, number: Number | None, point: str) -> None:
    if number is not None:
        found[number] = (*found.get(number, ()), point)


def _number_of(place: str) -> Number | None:
    """Return the number of a device, without asking a file server for another place."""
    return number_of(place) if place.startswith("/dev/") else None


def _btrfs_pools(sys: Path) -> Iterator[set[Number | None]]:
    for folder in sys.glob("fs/btrfs/*/devices"):
        yield {_number_in(each) for each in folder.glob("*/dev")} - {None}


def _number_in(file: Path) -> Number | None:
    try:
        major, _, minor = file.read_text().strip().partition(":")
        return int(major), int(minor)
    except (OSError, ValueError):
        return None


def _swaps(proc: Path) -> frozenset[Number]:
    places: list[str] = []
    with contextlib.suppress(OSError):
        places = swaps(proc)
    found = map(_number_of, places)
    return frozenset(number for number in found if number is not None)


def _uses(name: str, number: Number, seen: _Mounted, proc: Path, sys: Path) -> Iterator[VolumeUse]:
    for kind, called, above in _above(number, sys):
        stack = (above, *_all_above(above, sys))
        points = tuple(point for each in stack for point in seen.straight.get(each, ()))
        swapped = not points and bool(seen.swaps & set(stack))
        yield VolumeUse(name, UseKind.SWAP if swapped else kind, called, points)
    if number in seen.swaps:
        yield VolumeUse(name, UseKind.SWAP, "")
    if number in seen.over_several:
        points = seen.over_several[number]
        yield VolumeUse(name, UseKind.FILE_SYSTEM, seen.kinds[number], points)
    if number in seen.as_parts:
        yield VolumeUse(name, UseKind.PART, "", seen.as_parts[number])
    for file in (file for pattern in _EXPORTS for file in sorted(sys.glob(pattern))):
        with contextlib.suppress(OSError):
            if _number_of(name_in(file)) == number:
                yield VolumeUse(name, UseKind.EXPORT, file.parent.name)
    for space in seen.spaces:
        inside = tuple(shown(m.mount_point) for m in space.mounts if m.device == number)
        if inside:
            yield VolumeUse(name, UseKind.SPACE, str(process_of(space.pids[0], proc)), inside)


def _above(number: Number, sys: Path) -> Iterator[tuple[UseKind, str, Number]]:
    """Return the devices that lie straight on a device."""
    folder = sys / "dev/block" / f"{number[0]}:{number[1]}" / "holders"
    for holder in sorted(folder.glob("*")):
        above = _number_in(holder / "dev")
        if above is not None:
            yield *_kind_of(holder), above
    for loop in loops_over(number, sys):
        yield UseKind.LOOP, str(loop.node), loop.number


def _all_above(number: Number, sys: Path) -> Iterator[Number]:
    for _, _, above in _above(number, sys):
        yield above
        yield from _all_above(above, sys)


def _kind_of(holder: Path) -> tuple[UseKind, str]:
    try:
        name = name_in(holder / "dm/name")
        maker = name_in(holder / "dm/uuid")
    except OSError:
        return _first(_DEVICES, holder.name, UseKind.OTHER), holder.name
    return _first(_MAPS, maker, UseKind.MAP), name


def _first(
    known: tuple[tuple[re.Pattern[str], UseKind], ...], text: str, otherwise: UseKind
) -> UseKind:
    return next((kind for pattern, kind in known if pattern.match(text)), otherwise)


def _processes(wanted: dict[Number, str], proc: Path) -> Iterator[VolumeUse]:
    """Return who has one of the devices open for writing: whoever only reads is gone soon."""
    for pid in pids(proc):
        with contextlib.suppress(OSError):
            for number in _written(proc / str(pid)) & wanted.keys():
                yield VolumeUse(wanted[number], UseKind.PROCESS, str(process_of(pid, proc)))


def _written(process: Path) -> set[Number]:
    """Return the devices that a process has open for writing."""
    with os.scandir(process / "fd") as links:
        found = {link.name: _device_at(link.path) for link in links}
    return {
        number
        for name, number in found.items()
        if number is not None and _may_write(process / "fdinfo" / name)
    }


def _device_at(link: str) -> Number | None:
    with contextlib.suppress(OSError):
        return calls.target(link).is_device
    return None


def _may_write(fdinfo: Path) -> bool:
    flags = next(
        (line for line in fdinfo.read_text().splitlines() if line.startswith("flags:")), "flags:\t0"
    )
    return bool(int(flags.split()[1], 8) & _WRITES)
