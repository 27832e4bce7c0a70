"""What else a machine does with a volume at a boot, beside its own lines of /etc/fstab.

Only a person can say what is to become of it: each is named, and refused. Lines of other block
devices whose mount points lie inside are not meant: they may be volumes of the same application.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.adapters.shared.mounts import plain
from hapair.model.text import shown

ETC: Final = Path("/etc")
# Where administrators, packages and generators put units.
UNIT_FOLDERS: Final = (
    Path("/etc/systemd/system"),
    Path("/run/systemd/system"),
    Path("/run/systemd/transient"),
    Path("/run/systemd/generator.early"),
    Path("/run/systemd/generator"),
    Path("/run/systemd/generator.late"),
    Path("/usr/local/lib/systemd/system"),
    Path("/usr/lib/systemd/system"),
)
_UNITS: Final = ("*.mount", "*.automount", "*.swap", "*.mount.d/*.conf", "*.automount.d/*.conf")
_UNIT_LINE: Final = re.compile(r"^\s*(What|Where|SourcePath)\s*=\s*(.*?)\s*$", re.MULTILINE)
_AUTOFS: Final = ("auto.*", "auto.master.d/*", "autofs/auto.*")
_EXPORTS: Final = ("exports", "exports.d/*.exports")
_PAM: Final = "security/pam_mount.conf.xml"
_PAM_PLACE: Final = re.compile(r"""\b(?:path|mountpoint)\s*=\s*["']([^"']*)["']""")
_DEVICE: Final = re.compile(r"/dev/|[A-Z]+=")  # What is no folder, no file and no server.
_LAYERS: Final = ("lowerdir=", "upperdir=", "workdir=")
_REQUIRES: Final = "x-systemd.requires="
_WHAT, _WHERE, _OPTIONS = 0, 1, 3

IsMeant = Callable[[str, str], bool]  # Tells whether a device and a mount point are the volume's.


@dataclass(frozen=True, slots=True)
class Boot:
    fstab: Path
    unit_folders: tuple[Path, ...] = UNIT_FOLDERS
    etc: Path = ETC

    def uses(
        self, fields: Iterator[list[str]], mount_point: str, is_meant: IsMeant
    ) -> tuple[str, ...]:
        """Name what mounts the volume, or uses what lies in it, before the application runs."""
        return (
            *self._of_fstab(fields, mount_point, is_meant),
            *self._units(mount_point, is_meant),
            *self._autofs(mount_point, is_meant),
            *self._exports(mount_point),
            *self._pam(mount_point, is_meant),
        )

    def _of_fstab(
        self, lines: Iterator[list[str]], mount_point: str, is_meant: IsMeant
    ) -> Iterator[str]:
        for fields in lines:
            what, where, options = fields[_WHAT], fields[_WHERE], fields[_OPTIONS].split(",")
            if is_meant(what, where):
                continue
            line = f"the line of {self.fstab} for {shown(where)}"
            if any(is_in(place, mount_point) for place in (what, *_layers(options))):
                yield f"{line}, which uses what lies in it"
            elif is_in(where, mount_point) and not _DEVICE.match(what):
                yield f"{line}, which lies inside it"
            elif any(
                straight(word.removeprefix(_REQUIRES)) == mount_point
                for word in options
                if word.startswith(f"{_REQUIRES}/")
            ):
                yield f"{line}, which waits for it"

    def has_unit_at(self, place: str) -> bool:
        """Tell whether a unit, and no line of fstab, mounts something at ``place``."""
        return any(straight(where) == place for _, _, where in self._every_unit() if where)

    def _units(self, mount_point: str, is_meant: IsMeant) -> Iterator[str]:
        for file, what, where in self._every_unit():
            if is_meant(what, where) or is_in(what, mount_point):
                yield str(file)

    def _every_unit(self) -> Iterator[tuple[Path, str, str]]:
        """Yield the units' files with what they mount, and where."""
        for folder in self.unit_folders:
            for file in sorted(each for pattern in _UNITS for each in folder.glob(pattern)):
                says = dict(_UNIT_LINE.findall(_text(file)))
                if says.get("SourcePath") != str(self.fstab):  # Else it goes with the line.
                    yield file, says.get("What", ""), says.get("Where", "")

    def _autofs(self, mount_point: str, is_meant: IsMeant) -> Iterator[str]:
        for file in self._files(_AUTOFS):
            words = (plain(word).removeprefix(":") for line in _lines(file) for word in line)
            if any(is_meant(word, word) or is_in(word, mount_point) for word in words):
                yield str(file)

    def _exports(self, mount_point: str) -> Iterator[str]:
        for file in self._files(_EXPORTS):
            for line in _lines(file):
                if is_in(place := plain(line[0]).strip('"'), mount_point):
                    yield f"the line of {file} that exports {shown(place)}"

    def _pam(self, mount_point: str, is_meant: IsMeant) -> Iterator[str]:
        places = _PAM_PLACE.findall(_text(self.etc / _PAM))
        if any(is_meant(place, place) or is_in(place, mount_point) for place in places):
            yield str(self.etc / _PAM)

    def _files(self, patterns: tuple[str, ...]) -> list[Path]:
        return sorted(each for pattern in patterns for each in self.etc.glob(pattern))


def straight(path: str) -> str:
    return os.path.normpath("/" + path.lstrip("/"))


def is_in(place: str, mount_point: str) -> bool:
    """Tell whether a path is the mount point, or leads into it, however it is written."""
    return place.startswith("/") and f"{straight(place)}/".startswith(f"{mount_point}/")


def _layers(options: list[str]) -> Iterator[str]:
    for word in options:
        for name in _LAYERS:
            if word.startswith(name):
                yield from word.removeprefix(name).split(":")


def _lines(file: Path) -> Iterator[list[str]]:
    """Return the words of each line that is neither empty nor a comment."""
    for line in _text(file).split("\n"):
        words = line.split()
        if words and not words[0].startswith("#"):
            yield words


def _text(file: Path) -> str:
    """Return the text of a file; nothing of one that is not there, or is a folder."""
    with contextlib.suppress(OSError):
        return file.read_bytes().decode("utf-8", "surrogateescape")
    return ""
