"""Read /proc/PID/mountinfo."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MOUNT_INFO: Final = Path("/proc/self/mountinfo")
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_FIELDS_BEFORE_OPTIONAL: Final = 6
_OVERLAY: Final = "overlay"
_LAYER: Final = re.compile(r"(?:^|,)(?:lowerdir\+?|datadir\+|upperdir)=([^,]*)")
_FIELDS_BEFORE_OPTIONS: Final = 2  # Of the file system: its kind and its source.


@dataclass(frozen=True, slots=True)
class Mount:
    device: tuple[int, int]  # Major and minor number.
    mount_point: str
    source: str
    kind: str
    root: str = "/"  # The folder of the file system that is seen there.
    number: int = 0
    parent: int = 0  # The number of the mount that it is mounted on.
    shared: int = 0  # The peer group that it belongs to; 0: none.
    master: int = 0  # The peer group that it follows.
    layers: tuple[str, ...] = ()  # Of an overlay: folders that it keeps in use below it.


def mount_info(place: Path = MOUNT_INFO) -> str:
    """Return the kernel's list; bytes of names that are no text are kept."""
    return place.read_bytes().decode("utf-8", "surrogateescape")


def mounts_with_options(text: str) -> Iterator[tuple[Mount, str, str]]:
    """Return the mounts, their options, and those of the file system, in the order of mounting.

    Only a line feed ends a line: other characters that look like an end may be part of a name.
    """
    for line in text.split("\n"):
        before, dash, after = line.partition(" - ")
        fields, tail = before.split(" "), after.split(" ")
        if not dash or len(fields) < _FIELDS_BEFORE_OPTIONAL:
            continue
        major, _, minor = fields[2].partition(":")
        device = (int(major), int(minor))
        numbers = int(fields[0]), int(fields[1])
        groups = _group("shared:", fields[6:]), _group("master:", fields[6:])
        point, source, root = plain(fields[4]), plain(tail[1]), plain(fields[3])
        of_the_whole = tail[2] if len(tail) > _FIELDS_BEFORE_OPTIONS else ""
        layers = _layers(of_the_whole) if tail[0] == _OVERLAY else ()
        mount = Mount(device, point, source, tail[0], root, *numbers, *groups, layers)
        yield mount, fields[5], of_the_whole


def _layers(options: str) -> tuple[str, ...]:
    named = (each for found in _LAYER.findall(options) for each in found.split(":"))
    return tuple(plain(each) for each in named if each)


def mounts(text: str) -> Iterator[Mount]:
    return (mount for mount, _, _ in mounts_with_options(text))


@dataclass(frozen=True, slots=True)
class MountTable:
    """What was mounted at one moment, for many questions."""

    at: dict[str, Mount]  # The uppermost mount of each mount point.
    devices: frozenset[tuple[int, int]]
    sources: frozenset[str]
    every: tuple[Mount, ...] = ()
    options: dict[int, str] = field(default_factory=dict)  # By number, those of the whole, too.

    @staticmethod
    def of(text: str) -> "MountTable":
        with_options = tuple(mounts_with_options(text))
        found = tuple(mount for mount, _, _ in with_options)
        return MountTable(
            {mount.mount_point: mount for mount in found},
            frozenset(mount.device for mount in found),
            frozenset(mount.source for mount in found),
            found,
            {mount.number: f"{own},{whole}" for mount, own, whole in with_options},
        )


def mount_at(mount_point: str) -> Mount | None:
    """Return what is mounted at ``mount_point``; of several the uppermost."""
    found = None
    for mount in mounts(mount_info()):
        if mount.mount_point == mount_point:
            found = mount
    return found


def is_on_top(mount: Mount, beside: Sequence[Mount]) -> bool:
    """Tell whether an unmount of its mount point would hit this very mount."""
    there = [each for each in beside if each.mount_point == mount.mount_point]
    return there[-1:] == [mount]


def mounts_below(mount_point: str) -> tuple[str, ...]:
    """Return the mount points inside ``mount_point``."""
    prefix = mount_point.rstrip("/") + "/"
    found = mounts(mount_info())
    return tuple(one.mount_point for one in found if one.mount_point.startswith(prefix))


def number_of(device: str) -> tuple[int, int] | None:
    """Return its number, as mounts have it; None when nothing is there."""
    try:
        number = Path(device).stat().st_rdev
    except OSError:
        return None
    return os.major(number), os.minor(number)


def _group(word: str, optional: list[str]) -> int:
    return next((int(each[len(word) :]) for each in optional if each.startswith(word)), 0)


def plain(text: str) -> str:
    """Undo the octal notation in which the kernel, and fstab, write blanks and the like."""
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), text)
