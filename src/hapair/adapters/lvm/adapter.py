"""Speak to LVM through its own tools."""

from dataclasses import replace
from typing import Final

from hapair.adapters.lvm.listing import Listing
from hapair.adapters.lvm.parse import TAG
from hapair.adapters.shared.passing import LVM_LOCKED, refused
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.storage import GroupStorage, LogicalVolume
from hapair.ports.programs import CommandRunner, Finished, TimedOut

LIMIT_S: Final = 60.0
NO_SIGNATURE: Final = 2  # The exit codes of blkid when nothing is recognised,
AMBIVALENT: Final = 8  # and when several things are.
SAME: Final = 0  # Exit codes of cmp.
DIFFERENT: Final = 1
PLACES: Final = 9
PLACE_BYTES: Final = 2**20
WHOLE_LIMIT_S: Final = 120.0
UNREADABLE: Final = "something that cannot be read"
SEVERAL: Final = "the marks of several things (see: wipefs)"


class LvmAdapter:
    def __init__(self, run: CommandRunner) -> None:
        self._run = run
        self._listing = Listing(run)

    async def group(self, name: str) -> GroupStorage:
        """Return what lies in a group; LvmReportError when LVM's answer makes no sense."""
        return await self._listing.group(name)

    async def look(
        self, group: str, volume: LogicalVolume, *, whole: bool = False
    ) -> LogicalVolume:
        """Look at a volume; whatever is not plainly empty holds something.

        The tools' "found nothing" counts only for a device that is there: for a missing one blkid
        ends in the same way.
        """
        if volume.inactive:
            return volume
        path = f"/dev/{group}/{volume.name}"
        match await self._run(("blkid", "-p", "-o", "export", path), timeout_s=LIMIT_S):
            case Finished(exit_code=0, stdout=text):
                return replace(volume, content=_named(text))
            case Finished(exit_code=code) if code == NO_SIGNATURE:
                if volume.in_use:  # It is not free, whatever it holds: DRBD's meta-data, for one.
                    return replace(volume, content="")
                return await (self._whole if whole else self._in_places)(volume, path)
            case Finished(exit_code=code) if code == AMBIVALENT:
                return replace(volume, content=SEVERAL)
            case _:
                return replace(volume, content=UNREADABLE)

    async def _in_places(self, volume: LogicalVolume, path: str) -> LogicalVolume:
        """Look for data that no tool has a name for, in places from the first to the last byte."""
        size_bytes = min(PLACE_BYTES, volume.size_bytes)
        for place in range(PLACES):
            start_bytes = (volume.size_bytes - size_bytes) * place // (PLACES - 1)
            seen = await self._zeros(path, start_bytes, size_bytes, LIMIT_S)
            if seen != SAME:
                return _not_zero(volume, seen)
        return replace(volume, content="")

    async def _whole(self, volume: LogicalVolume, path: str) -> LogicalVolume:
        seen = await self._zeros(path, 0, volume.size_bytes, WHOLE_LIMIT_S)
        if seen is None:
            told = f"too much to be read within {WHOLE_LIMIT_S:.0f} s"
            return replace(volume, content=told)
        return replace(volume, content="") if seen == SAME else _not_zero(volume, seen)

    async def _zeros(
        self, path: str, start_bytes: int, size_bytes: int, limit_s: float
    ) -> int | None:
        """Compare a part of a device with zeros; return the exit code of cmp, None: no answer."""
        argv = (
            "cmp", "--quiet", f"--bytes={size_bytes}", f"--ignore-initial={start_bytes}:0",
            path, "/dev/zero",
        )  # fmt: skip
        seen = await self._run(argv, timeout_s=limit_s)
        return None if isinstance(seen, TimedOut) else seen.exit_code

    async def create(self, group: str, name: str, size_bytes: int) -> Outcome:
        """Make a linear volume, its first sectors wiped so that no old signature remains."""
        return await self._change(
            (
                "lvcreate", "--yes", "--wipesignatures", "y", "--zero", "y",
                "--addtag", TAG, "--size", f"{size_bytes}b", "--name", name, group,
            )
        )  # fmt: skip

    async def guard(self, group: str, name: str) -> Outcome:
        return await self._change(("blockdev", "--setro", f"/dev/{group}/{name}"))

    async def disown(self, group: str, name: str) -> Outcome:
        """Take our tag and our guard from a volume; Done also without them, or without it."""
        found = (await self.group(group)).volume(name)
        if found is None:
            return Done()
        if not found.inactive and not found.in_use:
            await self._change(("blockdev", "--setrw", f"/dev/{group}/{name}"))
        if not found.ours:
            return Done()
        return await self._change(("lvchange", "--deltag", TAG, f"{group}/{name}"))

    async def remove(self, group: str, name: str) -> Outcome:
        """Remove a volume of ours; Done also when there is none.

        LVM removes its snapshots with it, without a question, and may be told a name that is
        another's by then: so it is told the volume's UUID as well.
        """
        listed = await self.group(group)
        found = listed.volume(name)
        if found is None:
            return Done()
        if not found.ours:
            return Refused(f"{group}/{name} is none that hapair made")
        for each in listed.snapshots(name):
            if not each.ours:
                return Refused(f"{group}/{each.name} is a snapshot of it that somebody else made")
        return await self._remove(group, found)

    async def snapshot(self, group: str, origin: str, name: str, size_bytes: int) -> Outcome:
        """Make a snapshot; it becomes useless when more than that is overwritten."""
        return await self._change(
            (
                "lvcreate", "--yes", "--snapshot", "--addtag", TAG, "--size", f"{size_bytes}b",
                "--name", name, f"{group}/{origin}",
            )
        )  # fmt: skip

    async def remove_snapshots(self, group: str, *names: str) -> Outcome:
        """Remove snapshots of ours, and never anything else; Done also when there are none."""
        listed = await self.group(group)
        found = [volume for name in names if (volume := listed.volume(name)) is not None]
        for volume in found:
            if not (volume.origin and volume.ours):
                return Refused(f"{group}/{volume.name} is no snapshot with the tag {TAG}")
        return await self._remove(group, *found) if found else Done()

    async def _remove(self, group: str, *found: LogicalVolume) -> Outcome:
        selection = " || ".join(f"lv_uuid={volume.identity}" for volume in found)
        paths = (f"{group}/{volume.name}" for volume in found)
        return await self._change(("lvremove", "--yes", "--select", selection, *paths))

    async def _change(self, argv: tuple[str, ...]) -> Outcome:
        match await self._run(argv, timeout_s=LIMIT_S):
            case TimedOut(after_s):
                return Unknown(f"{argv[0]} gave no answer within {after_s:.0f} s")
            case Finished(exit_code=0):
                return Done()
            case finished:
                said = " ".join((finished.stderr or finished.stdout).split())
                why = f"{argv[0]} ended with {finished.exit_code}: {said}"
                return refused(why, finished, LVM_LOCKED)


def _not_zero(volume: LogicalVolume, seen: int | None) -> LogicalVolume:
    if seen == DIFFERENT:
        return replace(volume, content="", nameless=True)
    return replace(volume, content=UNREADABLE)


def _named(text: str) -> str:
    """Read what blkid found, e.g. "ext4", or "dos" for a partition table."""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return found.get("TYPE") or found.get("PTTYPE") or "something that blkid does not name"
