"""The file systems of the application: mounted, from their devices, writable, not full."""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hapair.lems.answers import Answer, Said, failed, good, warning
from hapair.lems.files import NOT_NOW
from hapair.lems.loop import boot_s
from hapair.model.monitor import FileSystemProbe, Trouble

# The kernel answers all other questions from memory, also when the disk has gone.
WRITE_INTERVAL_S: Final = 10.0
# After so long the next look goes on: several that are slow are not one that hangs.
WRITING_S: Final = 1.0
WRITTEN: Final = b"hapair" * 64
# What travels with the data.
_OF_THE_DATA: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EUCLEAN})


@dataclass(frozen=True, slots=True)
class Mounted:
    device: str
    mount_point: str


@dataclass(slots=True)
class FileSystems:
    probe: FileSystemProbe
    mounts: tuple[Mounted, ...]
    trouble: Trouble = Trouble.STORAGE
    _at: str = ""
    _written_s: dict[str, float] = field(default_factory=dict)

    def ask(self) -> Said:
        return self.look

    def asked(self) -> str:
        return self._at

    def close(self) -> None:
        """Keep nothing open: it would keep a file system from being unmounted."""

    def look(self) -> Answer:
        """Look at each; what another node may mend counts before what travels with the data."""
        full: Answer | None = None
        warnings: list[Answer] = []
        perf: dict[str, str] = {}
        for mount in self.mounts:
            self._at = mount.mount_point
            answer = self._one(mount)
            if answer.state == "failed" and answer.trouble is not Trouble.DATA:
                return answer
            if answer.state == "failed":
                full = full or answer
            perf |= answer.perf
            if answer.state == "warning":
                warnings.append(answer)
        failure = self._write_in_turn()
        if failure is not None and failure.trouble is not Trouble.DATA:
            return failure
        full = full or failure
        if full is not None:
            return full
        if warnings:
            return Answer("warning", "; ".join(each.text for each in warnings), perf=perf)
        return good(f"{len(self.mounts)} mounted and writable", perf)

    def _one(self, mount: Mounted) -> Answer:
        place = mount.mount_point
        try:
            if Path(place).stat().st_dev != Path(mount.device).stat().st_rdev:
                return failed(
                    f"{place} is not mounted from {mount.device}", Trouble.STORAGE, certain=True
                )
            told = os.statvfs(place)
            if told.f_flag & os.ST_RDONLY:
                return failed(f"{place} is read-only", Trouble.STORAGE, certain=True)
        except OSError as error:
            return _failed(place, error)
        return self._room(place, told)

    def _write_in_turn(self) -> Answer | None:
        """Write to those whose turn it is; return the failure that counts, if there is one."""
        full: Answer | None = None
        begun_s = boot_s()
        places = dict.fromkeys(each.mount_point for each in self.mounts)
        for place in sorted(places, key=self._last_written_s):
            if boot_s() - self._last_written_s(place) < WRITE_INTERVAL_S:
                break
            self._at = place
            try:
                _write(place)
            except OSError as error:
                answer = _failed(place, error)
                if answer.trouble is not Trouble.DATA:
                    return answer
                full = full or answer
            else:
                self._written_s[place] = boot_s()
            if boot_s() - begun_s >= WRITING_S:
                break
        return full

    def _last_written_s(self, place: str) -> float:
        return self._written_s.get(place, -WRITE_INTERVAL_S)

    def _room(self, place: str, told: os.statvfs_result) -> Answer:
        space = percent(told.f_blocks - told.f_bfree, told.f_bavail)
        inodes = percent(told.f_files - told.f_ffree, told.f_favail)
        if told.f_bavail == 0:
            return failed(f"{place} is full", Trouble.DATA, certain=True)
        if told.f_files and told.f_favail == 0:
            return failed(f"{place} has no inode left", Trouble.DATA, certain=True)
        perf: Mapping[str, str] = {place: f"{space}%"}
        if space >= self.probe.space_warn_percent:
            return Answer("warning", f"{place} is {space} % full", perf=perf)
        if inodes >= self.probe.inodes_warn_percent:
            return warning(f"{inodes} % of the inodes of {place} are in use")
        return good("", perf)


def percent(used: int, free: int) -> int:
    """Return the share that is in use, as ``df`` rounds it: up."""
    return -(-100 * used // (used + free)) if used + free else 0


def _failed(place: str, error: OSError) -> Answer:
    """Return whose trouble it is; what says nothing of the file system is raised again."""
    if error.errno in NOT_NOW:
        raise error
    trouble = Trouble.DATA if error.errno in _OF_THE_DATA else Trouble.STORAGE
    return failed(f"{error.filename or place}: {error.strerror}", trouble, certain=True)


def _write(place: str) -> None:
    """Write something through to the disk, in a file without a name, which leaves nothing."""
    opened = os.open(place, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.write(opened, WRITTEN)
        os.fsync(opened)
    finally:
        os.close(opened)
