"""The port ``FileLooks``: which files changed, found by other programs that may be killed.

A file system may hang, so nothing of it is touched by the daemon itself.
"""

from typing import Final

from hapair.model.application import FileSystem, Volume
from hapair.model.divergence import ChangedFile
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.ports.programs import CommandRunner, Finished, TimedOut

MOUNT_LIMIT_S: Final = 30.0
FIND_LIMIT_S: Final = 30.0
# Nothing is written, not even by replaying a journal.
OPTIONS: Final = {
    FileSystem.EXT4: "ro,noload,nosuid,nodev,noexec",
    FileSystem.XFS: "ro,norecovery,nouuid,nosuid,nodev,noexec",
}
NOTHING_THERE: Final = ("not mounted", "no mount point specified")  # In umount's words.
VANISHED: Final = "No such file or directory"  # A file that went while find was on its way.
FIELDS: Final = 3


class MountedLooks:
    def __init__(self, run: CommandRunner) -> None:
        self._run = run

    async def open(self, volume: Volume, snapshot: str, folder: str) -> Outcome:
        made = await self._change(("mkdir", "-p", folder))
        if not isinstance(made, Done):
            return made
        kind = volume.file_system
        device = f"/dev/{volume.volume_group}/{snapshot}"
        return await self._change(("mount", "-t", kind.value, "-o", OPTIONS[kind], device, folder))

    async def close(self, folder: str) -> Outcome:
        match await self._run(("umount", folder), timeout_s=MOUNT_LIMIT_S):
            case TimedOut(after_s):
                return Unknown(f"umount {folder} gave no answer within {after_s:g} s")
            case finished if _is_gone(finished):
                await self._run(("rmdir", folder), timeout_s=MOUNT_LIMIT_S)
                return Done()
            case finished:
                return Refused(f"umount {folder}: {' '.join(finished.stderr.split())}")

    async def changed_since(
        self, folder: str, wall_s: float, *, limit: int
    ) -> tuple[ChangedFile, ...] | None:
        argv = (
            "find", folder, "-xdev", "-type", "f", "-newermt", f"@{wall_s:.3f}",
            "-printf", r"%T@\t%s\t%P\0",
        )  # fmt: skip
        answer = await self._run(argv, timeout_s=FIND_LIMIT_S)
        if isinstance(answer, TimedOut) or not _saw_all(answer):
            return None
        found = [each for part in answer.stdout.split("\0") if (each := _file(part)) is not None]
        found.sort(key=lambda each: (-each.changed_wall_s, each.path))
        return tuple(found[:limit])

    async def _change(self, argv: tuple[str, ...]) -> Outcome:
        match await self._run(argv, timeout_s=MOUNT_LIMIT_S):
            case TimedOut(after_s):
                return Unknown(f"{argv[0]} gave no answer within {after_s:g} s")
            case Finished(exit_code=0):
                return Done()
            case finished:
                return Refused(f"{' '.join(argv)}: {' '.join(finished.stderr.split())}")


def _is_gone(unmount: Finished) -> bool:
    """Tell whether nothing is mounted any more; the exit code is the same for what is busy."""
    return unmount.exit_code == 0 or any(word in unmount.stderr for word in NOTHING_THERE)


def _saw_all(find: Finished) -> bool:
    """Tell whether the list is whole: a part of it would be taken for all that differs."""
    if find.exit_code == 0:
        return True
    troubles = find.stderr.splitlines()
    return bool(find.stdout and troubles) and all(VANISHED in trouble for trouble in troubles)


def _file(part: str) -> ChangedFile | None:
    """Read one record; the last one may have been cut off where the output became too long."""
    fields = part.split("\t", FIELDS - 1)
    if len(fields) != FIELDS:
        return None
    try:
        return ChangedFile(fields[2], int(fields[1]), float(fields[0]))
    except ValueError:
        return None
