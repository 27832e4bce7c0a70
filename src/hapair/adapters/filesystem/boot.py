"""What else a machine does with a volume at a boot, beside its own lines of /etc/fstab.

Only a person can say what is to become of it: each is named, with what to do instead, and refused.
What waits for somebody to type it (``noauto``) is no work of a boot.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.adapters.filesystem import services
from hapair.adapters.filesystem.unit_files import ETC, UNIT_FOLDERS, UnitFiles, text_of
from hapair.adapters.shared.mounts import plain, words_of
from hapair.model.text import shown

AUTOMOUNT: Final = "x-systemd.automount"  # systemd then holds the mount point itself.
_NOAUTO: Final = "noauto"
_UNITS: Final = ("*.mount", "*.automount", "*.swap", "*.mount.d/*.conf", "*.automount.d/*.conf")
_UNIT_LINE: Final = re.compile(r"^\s*(What|Where|SourcePath)\s*=\s*(.*?)\s*$", re.MULTILINE)
_AUTOFS: Final = ("auto.*", "auto.master.d/*", "autofs/auto.*")
_EXPORTS: Final = ("exports", "exports.d/*.exports")
_MAPPED: Final = ("crypttab", "integritytab", "veritytab")
_PAM: Final = "security/pam_mount.conf.xml"
_PAM_PLACE: Final = re.compile(r"""\b(?:path|mountpoint)\s*=\s*["']([^"']*)["']""")
_DEVICE: Final = re.compile(r"/dev/|[A-Z]+=")
_LAYERS: Final = ("lowerdir=", "upperdir=", "workdir=")
_REQUIRES: Final = "x-systemd.requires="
_SWAP: Final = "swap"
_WHAT, _WHERE, _KIND, _OPTIONS = range(4)

IsMeant = Callable[[str, str], bool]  # Tells whether a device and a mount point are the volume's.


@dataclass(frozen=True, slots=True)
class BootUse:
    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class Boot:
    fstab: Path
    unit_folders: tuple[Path, ...] = UNIT_FOLDERS
    etc: Path = ETC

    def uses(
        self,
        fields: Iterable[list[str]],
        mount_point: str,
        is_meant: IsMeant,
        is_beside: IsMeant,
        program: str | None,
    ) -> Iterator[BootUse]:
        """Name what mounts the volume, or uses what lies in it, before the application runs.

        ``is_beside`` tells of the application's other volumes, which may lie inside this one;
        ``program`` is the unit that the application itself starts, None where that is not known.
        """
        yield from self._of_fstab(fields, mount_point, is_meant, is_beside)
        yield from self._units(mount_point, is_meant)
        if program is not None:
            yield from self._services(mount_point, is_meant, program)
        yield from self._mapped(mount_point, is_meant)
        yield from self._autofs(mount_point, is_meant)
        yield from self._exports(mount_point)
        yield from self._pam(mount_point, is_meant)

    @property
    def _unit_files(self) -> UnitFiles:
        return UnitFiles(self.unit_folders, self.etc)

    def _of_fstab(
        self,
        lines: Iterable[list[str]],
        mount_point: str,
        is_meant: IsMeant,
        is_beside: IsMeant,
    ) -> Iterator[BootUse]:
        for fields in lines:
            what, where, options = fields[_WHAT], fields[_WHERE], fields[_OPTIONS].split(",")
            line = f"the line of {self.fstab} for {shown(where)}"
            if is_meant(what, where):
                if AUTOMOUNT in options:
                    yield BootUse(f"{line} with {AUTOMOUNT}", f"write it without {AUTOMOUNT}")
            elif waits_for_a_person(options):
                continue
            elif any(is_in(place, mount_point) for place in (what, *_layers(options))):
                yield BootUse(f"{line}, which uses what lies in it", _by_hand(fields))
            elif is_in(where, mount_point) and not is_beside(what, where):
                mend = _by_hand(fields)
                if is_device(what):
                    mend = f"if it shall be replicated, mount it now; else {mend}"
                yield BootUse(f"{line}, which lies inside it", mend)
            elif any(
                straight(word.removeprefix(_REQUIRES)) == mount_point
                for word in options
                if word.startswith(f"{_REQUIRES}/")
            ):
                yield BootUse(f"{line}, which waits for it", f"write it without {_REQUIRES}")

    def has_unit_at(self, place: str) -> bool:
        """Tell whether a unit, and no line of fstab, mounts something at ``place``."""
        return any(straight(where) == place for _, _, where in self._every_unit() if where)

    def _units(self, mount_point: str, is_meant: IsMeant) -> Iterator[BootUse]:
        for file, what, where in self._every_unit():
            if is_meant(what, where) or is_in(what, mount_point):
                yield BootUse(str(file), self._unit_files.taken_away(file))

    def _every_unit(self) -> Iterator[tuple[Path, str, str]]:
        """Yield the units' files with what they mount, and where."""
        for file in self._unit_files.named(*_UNITS):
            says = dict(_UNIT_LINE.findall(text_of(file)))
            if says.get("SourcePath") != str(self.fstab):  # Else it goes with the line.
                yield file, says.get("What", ""), says.get("Where", "")

    def _services(self, mount_point: str, is_meant: IsMeant, program: str) -> Iterator[BootUse]:
        def is_of_it(path: str) -> bool:
            return is_meant(path, path) or is_in(path, mount_point)

        for name, line, no_more in services.wanted(self._unit_files, is_of_it, program):
            instead = f"make it the application's program, or what starts that start {name}"
            yield BootUse(f"{name} ({line})", f"{no_more}; {instead}")

    def _mapped(self, mount_point: str, is_meant: IsMeant) -> Iterator[BootUse]:
        """Look for what is set up over a device, or with a key or a header that lies in it."""
        for file in self._files(_MAPPED):
            for name, *words in _lines(file):
                options = words[-1].split(",") if words else []
                values = (each.partition("=")[2] for each in options)
                places = tuple(map(plain, (*words, *values)))
                if not waits_for_a_person(options) and any(
                    is_meant(place, place) or is_in(place, mount_point) for place in places
                ):
                    mend = f"take it out, or write {_NOAUTO} into its options"
                    yield BootUse(f"the line of {file} for {shown(name)}", mend)

    def _autofs(self, mount_point: str, is_meant: IsMeant) -> Iterator[BootUse]:
        for file in self._files(_AUTOFS):
            words = (plain(word).removeprefix(":") for line in _lines(file) for word in line)
            if any(is_meant(word, word) or is_in(word, mount_point) for word in words):
                yield BootUse(str(file), "take it out of there; systemctl reload autofs")

    def _exports(self, mount_point: str) -> Iterator[BootUse]:
        for file in self._files(_EXPORTS):
            for line in _lines(file):
                if is_in(place := plain(line[0]).strip('"'), mount_point):
                    what = f"the line of {file} that exports {shown(place)}"
                    place = shlex.quote(shown(place))
                    mend = f"exportfs -o OPTIONS CLIENT:{place}, and what stops it: exportfs -u ..."
                    yield BootUse(
                        what, f"take it out; what starts the application then types: {mend}"
                    )

    def _pam(self, mount_point: str, is_meant: IsMeant) -> Iterator[BootUse]:
        file = self.etc / _PAM
        places = _PAM_PLACE.findall(text_of(file))
        if any(is_meant(place, place) or is_in(place, mount_point) for place in places):
            yield BootUse(str(file), "take it out of there")

    def _files(self, patterns: tuple[str, ...]) -> list[Path]:
        return sorted(each for pattern in patterns for each in self.etc.glob(pattern))


def is_device(what: str) -> bool:
    """Tell whether a line of fstab means a block device: no folder, no file and no server."""
    return _DEVICE.match(what) is not None


def waits_for_a_person(options: Iterable[str]) -> bool:
    """Tell whether a line with these options is followed by no boot."""
    return _NOAUTO in options and AUTOMOUNT not in options


def straight(path: str) -> str:
    return os.path.normpath("/" + path.lstrip("/"))


def is_in(place: str, mount_point: str) -> bool:
    """Tell whether a path is the mount point, or leads into it, however it is written."""
    return place.startswith("/") and f"{straight(place)}/".startswith(f"{mount_point}/")


def _by_hand(fields: list[str]) -> str:
    """Say how what a line of fstab does comes and goes with the application."""
    if fields[_KIND] == _SWAP:
        file = shlex.quote(shown(fields[_WHAT]))
        return f"swapoff {file}, take the line out, and make swap on a volume of its own"
    place = shlex.quote(shown(fields[_WHERE]))
    instead = f" instead of {AUTOMOUNT}" * (AUTOMOUNT in fields[_OPTIONS])
    return (
        f"write {_NOAUTO} into it{instead}; what starts the application then types: mount {place},"
        f" and what stops it: umount {place}"
    )


def _layers(options: list[str]) -> Iterator[str]:
    for word in options:
        for name in _LAYERS:
            if word.startswith(name):
                yield from word.removeprefix(name).split(":")


def _lines(file: Path) -> Iterator[list[str]]:
    """Return the words of each line that is neither empty nor a comment."""
    for line in text_of(file).split("\n"):
        words = words_of(line)
        if words and not words[0].startswith("#"):
            yield words
