"""Who else would mount a volume at a boot: lines of /etc/fstab, units of systemd.

A line is known by what it means, not by how it is spelt: by its mount point, however that is
written, or by its device under any of its names.
"""

import contextlib
import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from hapair.adapters.filesystem import superblock
from hapair.adapters.filesystem.boot import (
    AUTOMOUNT,
    Boot,
    BootUse,
    is_device,
    straight,
    waits_for_a_person,
)
from hapair.adapters.filesystem.unit_files import ETC, UNIT_FOLDERS
from hapair.adapters.shared.mounts import (
    mount_info,
    plain,
    real_path,
    remote_places,
    words_of,
)
from hapair.durable import replace_durably
from hapair.model.application import Volume, map_name
from hapair.model.outcome import Done, Outcome, Refused
from hapair.model.storage import Place
from hapair.model.text import shown

FSTAB: Final = Path("/etc/fstab")
MARK: Final = "# hapair mounts this over DRBD: "
RETIRED: Final = "# hapair left a former copy here, the data is on the other node: "
# With each of these a boot goes on without it.
LATE: Final = frozenset({"noauto", "nofail", "_netdev", AUTOMOUNT})
# Names that are made of what lies on a device.
BY_CONTENT: Final = {"UUID": "/dev/disk/by-uuid/", "LABEL": "/dev/disk/by-label/"}
UDEV_ESCAPE: Final = re.compile(r"\\x([0-9a-f]{2})")
FIELDS_MIN: Final = 3  # Device, where, what.
OPTIONS_FIELD: Final = 3
OF_CONTENT: Final = ("security.ima", "security.evm")  # Attributes that the kernel makes anew.
IMMUTABLE: Final = errno.EPERM  # To root the kernel says so of nothing else here.


class Fstab:
    def __init__(
        self,
        place: Path = FSTAB,
        unit_folders: tuple[Path, ...] = UNIT_FOLDERS,
        etc: Path = ETC,
    ) -> None:
        self._place = place
        self._boot = Boot(place, unit_folders, etc)

    def leave(self, volume: Volume) -> Outcome:
        """Comment the volume's lines out, so that no boot mounts the bare volume."""
        return self._rewrite(lambda line: MARK + line if _means(line, volume) else line)

    def restore(self, volume: Volume) -> Outcome:
        """Take our comment away again; Done also when there is none."""
        return self._mark_anew(volume, "")

    def retire(self, volume: Volume) -> Outcome:
        """Say in our comment that a former copy is left; no boot mounts that by surprise."""
        return self._mark_anew(volume, RETIRED)

    def _mark_anew(self, volume: Volume, mark: str) -> Outcome:
        def marked(line: str) -> str:
            former = line.removeprefix(MARK)
            return mark + former if former != line and _means(former, volume) else line

        return self._rewrite(marked)

    def mentions(self, volume: Volume) -> bool:
        """Tell whether a line means the volume, whether it is commented out by us or not."""
        return any(_means(line.removeprefix(MARK), volume) for line in self._lines())

    def left_out(self, volume: Volume) -> bool:
        """Tell whether a line of the volume is commented out by us."""
        lines = (line for line in self._lines() if line.startswith(MARK))
        return any(_means(line.removeprefix(MARK), volume) for line in lines)

    def called(self, mount_point: str) -> tuple[str, ...]:
        """Return by which other names lines mean a mount point: symbolic links lead there."""
        places = (straight(found[1]) for line in self._lines() if (found := _fields(line)))
        return tuple(
            each for each in places if each != mount_point and _is_place(each, mount_point)
        )

    def others(
        self, place: Place, beside: tuple[Place, ...] | None = None, program: str | None = None
    ) -> tuple[BootUse, ...]:
        """Name what uses it at a boot beside plain lines of fstab: only a person changes that.

        ``beside``: the application's other volumes; ``program``: the unit that it starts itself.
        None where that is not known: then no line of a device counts for lying inside, and no
        service.
        """

        def is_meant(what: str, where: str) -> bool:
            return _is_it(what, where, place.device, place.mount_point)

        def is_beside(what: str, where: str) -> bool:
            if beside is None:
                return is_device(what)
            return any(_is_it(what, where, each.device, each.mount_point) for each in beside)

        every = [fields for line in self._lines() if (fields := _fields(line))]
        uses = self._boot.uses(every, place.mount_point, is_meant, is_beside, program)
        return (*uses, *self._named_alike(every, place.names, (place, *(beside or ()))))

    def _named_alike(
        self, every: list[list[str]], names: tuple[str, ...], ours: tuple[Place, ...]
    ) -> Iterator[BootUse]:
        """Name lines that mean another device than ``ours`` now, and would mean the copy too."""
        for what, where, _, options, *_ in every:
            meant = any(_is_it(what, where, each.device, each.mount_point) for each in ours)
            alike = not meant and "=".join(_name_of(what)) in names
            if alike and not waits_for_a_person(options.split(",")):
                line = f"the line of {self._place} for {shown(where)}"
                mend = "write the path of its device there; or e2label, xfs_admin -L on one of them"
                yield BootUse(f"{line}, as {shown(what)} will be the copy, too", mend)

    def left_to_a_person(self, place: str) -> bool:
        """Tell whether a line about a mount point, or a file, waits until somebody types it.

        Links are not followed: another line's place may lie on a file server that is gone.
        """
        every = (fields for line in self._lines() if (fields := _fields(line)))
        return any(
            waits_for_a_person(fields[OPTIONS_FIELD].split(","))
            and place in (straight(fields[0]), straight(fields[1]))
            for fields in every
        )

    def mounts_early(self, place: str) -> bool:
        """Tell whether a boot mounts something at ``place`` before it goes on to services."""
        lines = (_fields(line) for line in self._lines())
        options = (f[OPTIONS_FIELD].split(",") for f in lines if f and _is_place(f[1], place))
        return any(not LATE & set(each) for each in options) or self._boot.has_unit_at(place)

    def _lines(self) -> list[str]:
        try:
            return _text(self._place).split("\n")
        except OSError:
            return []

    def _rewrite(self, change: Callable[[str], str]) -> Outcome:
        """Replace fstab by its changed lines; after a power cut, too, it is the old or the new one.

        Owner, mode, access list, SELinux label and other attributes stay. Where the name is a link,
        the file behind it changes.
        """
        try:
            before = _text(self._place)
        except FileNotFoundError:
            return Done("there is no fstab")
        # Only a line feed ends a line: other characters that look like an end may be part of one.
        after = "\n".join(change(line) for line in before.split("\n"))
        if after == before:
            return Done()
        try:
            _replace(self._place.resolve(), after.encode("utf-8", "surrogateescape"))
        except OSError as error:
            mend = f" (is it immutable? chattr -i {self._place})" * (error.errno == IMMUTABLE)
            return Refused(f"{self._place}: {error.strerror}{mend}")
        return Done()


def _replace(file: Path, content: bytes) -> None:
    was, names = file.stat(), list[str]()
    with contextlib.suppress(OSError):  # Its file system knows no attributes.
        names = os.listxattr(file)
    attributes = {name: os.getxattr(file, name) for name in names if name not in OF_CONTENT}

    def as_before(new: int) -> None:
        os.fchown(new, was.st_uid, was.st_gid)
        os.fchmod(new, was.st_mode & 0o7777)
        for name, value in attributes.items():
            os.setxattr(new, name, value)

    replace_durably(file, content, file.with_name(f".{file.name}.hapair"), as_before)


def _text(place: Path) -> str:
    """Return a file as text that can be written back to the same bytes, whatever they are."""
    return place.read_bytes().decode("utf-8", "surrogateescape")


def _fields(line: str) -> list[str]:
    """Return the fields of a line of fstab, four at least; none of comments and empty lines."""
    found = [plain(field) for field in words_of(line)]
    if len(found) < FIELDS_MIN or found[0].startswith("#"):
        return []
    return [*found, ""]


def _means(line: str, volume: Volume) -> bool:
    return _is_meant(line, volume.backing_device, volume.mount_point)


def _is_meant(line: str, device: str, mount_point: str) -> bool:
    fields = _fields(line)
    return bool(fields) and _is_it(fields[0], fields[1], device, mount_point)


def _is_it(what: str, where: str, device: str, mount_point: str) -> bool:
    """Tell whether something that mounts ``what`` at ``where`` means this volume."""
    return _is_place(where, mount_point) or _is_device(what, device)


def _is_place(where: str, place: str) -> bool:
    if not where.startswith("/"):
        return False
    return place == straight(where) or place == real_path(where, _remote(int(time.monotonic())))


@lru_cache(maxsize=1)
def _remote(_second: int) -> tuple[str, ...]:
    """Return where file servers are mounted; one look asks it for each line and each volume."""
    return remote_places(mount_info())


def _is_device(what: str, device: str) -> bool:
    """Compare a name of a device, or of the file system on it, with the volume's own.

    Links below /dev/disk may be missing, or point to DRBD's device: the file system is asked.
    """
    kind, name = _name_of(what)
    if kind in BY_CONTENT:
        return f"{kind}={name}" in superblock.identity(device).names
    if kind in ("PARTUUID", "PARTLABEL", "ID"):
        what = f"/dev/disk/by-{kind.lower()}/{name}"
    if not what.startswith("/dev/"):
        return False
    number = _number(device)
    return straight(what) in _names(device) if number is None else _number(what) == number


def _name_of(what: str) -> tuple[str, str]:
    """Split what fstab calls a device, e.g. LABEL and data, or UUID and what that is."""
    kind, _, value = what.partition("=")
    name = value.strip("\"'")
    for tag, folder in BY_CONTENT.items():
        if what.startswith(folder):
            kind, name = tag, UDEV_ESCAPE.sub(lambda m: chr(int(m[1], 16)), what[len(folder) :])
    return kind, name.lower() if kind == "UUID" else name


def _names(device: str) -> tuple[str, ...]:
    """Return what a logical volume that is yet to be made will be called."""
    name = map_name(*device.split("/")[-2:])
    return (device, f"/dev/mapper/{name}", f"/dev/disk/by-id/dm-name-{name}")


def _number(path: str) -> int | None:
    try:
        return Path(path).stat().st_rdev or None
    except OSError:
        return None
