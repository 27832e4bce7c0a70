"""Read /proc/PID/mountinfo."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from hapair.model.nesting import lies_inside, parts

MOUNT_INFO: Final = Path("/proc/self/mountinfo")
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")
_BLANKS: Final = re.compile(r"[ \t]+")
_FIELDS_BEFORE_OPTIONAL: Final = 6
# File systems of other machines. What is mounted from those comes late at a boot, if at all.
OF_NETWORKS: Final = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "ncpfs", "nfs", "nfs4", "smb3"}
)
_OVERLAY: Final = "overlay"
_LAYER: Final = re.compile(r"(?:^|,)(?:lowerdir\+?|datadir\+|upperdir)=([^,]*)")
NOWHERE: Final = -1  # Below the mounts that lie on none of the list.
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
    """Return one of the kernel's lists; bytes of names that are no text are kept."""
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

    every: tuple[Mount, ...]
    on: dict[tuple[int, str], Mount]  # By the number of the mount below it, and its mount point.
    devices: frozenset[tuple[int, int]]
    sources: frozenset[str]
    options: dict[int, str] = field(default_factory=dict)  # By number, those of the whole, too.

    @staticmethod
    def of(text: str) -> "MountTable":
        with_options = tuple(mounts_with_options(text))
        found = tuple(mount for mount, _, _ in with_options)
        below = {mount.number for mount in found}
        return MountTable(
            found,
            {(m.parent if m.parent in below else NOWHERE, m.mount_point): m for m in found},
            frozenset(mount.device for mount in found),
            frozenset(mount.source for mount in found),
            {mount.number: f"{own},{whole}" for mount, own, whole in with_options},
        )

    def reached(self, place: str) -> Mount | None:
        """Return the mount that whoever goes to ``place`` comes to; None: none is known there."""
        found, number = None, NOWHERE
        for folder in (*reversed(PurePosixPath(place).parents), PurePosixPath(place)):
            while (above := self.on.get((number, str(folder)))) not in (None, found):
                found, number = above, above.number
        return found

    def seen_at(self, place: str) -> Mount | None:
        """Return what is mounted at ``place``; one that is hidden by another mount is not."""
        found = self.reached(place)
        return found if found is not None and found.mount_point == place else None

    def below(self, mount: Mount) -> Mount | None:
        """Return the mount that it is mounted on; None: it is not in the list."""
        return next(
            (each for each in self.every if each.number == mount.parent != mount.number), None
        )

    def seen_inside(self, place: str) -> tuple[Mount, ...]:
        """Return the mounts that are seen below ``place``."""
        inside = (mount for mount in self.every if lies_inside(mount.mount_point, place))
        return tuple(mount for mount in inside if self.seen_at(mount.mount_point) == mount)


def mount_table() -> MountTable:
    return MountTable.of(mount_info())


def remote_places(text: str) -> tuple[str, ...]:
    """Return the mount points of file systems of other machines."""
    return tuple(mount.mount_point for mount in mounts(text) if mount.kind in OF_NETWORKS)


def real_path(place: str, remote: tuple[str, ...]) -> str:
    """Follow symbolic links, but for a place that lies on another machine: that may be gone."""
    is_remote = any(parts(each) == parts(place) or lies_inside(place, each) for each in remote)
    return place if is_remote else os.path.realpath(place)


def mount_at(mount_point: str) -> Mount | None:
    """Return what is seen mounted at ``mount_point``; of several the uppermost."""
    return mount_table().seen_at(mount_point)


def lies_on(mount: Mount, lower: Mount, by_number: Mapping[int, Mount]) -> bool:
    """Tell whether it is mounted on ``lower``, or on something that is."""
    below: Mount | None = mount
    while below is not None and below.parent not in (lower.number, below.number):
        below = by_number.get(below.parent)
    return below is not None and below.parent == lower.number


def is_on_top(mount: Mount, beside: Sequence[Mount]) -> bool:
    """Tell whether an unmount of its mount point would hit this very mount."""
    there = [each for each in beside if each.mount_point == mount.mount_point]
    return there[-1:] == [mount]


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
    """Undo the octal notation in which the kernel, and fstab, write blanks and any other byte."""
    if "\\" not in text:
        return text
    written = text.encode("utf-8", "surrogateescape")
    meant = _ESCAPED.sub(lambda match: bytes((int(match[1], 8) & 0xFF,)), written)
    return meant.decode("utf-8", "surrogateescape")


def words_of(line: str) -> list[str]:
    """Return the words of a line of fstab and its like: every other blank belongs to a name."""
    return [word for word in _BLANKS.split(line.rstrip("\r")) if word]
