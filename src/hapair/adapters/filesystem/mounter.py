"""Mount and unmount ext4 and XFS through the system calls, in a child that may hang."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.adapters.filesystem import calls, superblock
from hapair.adapters.filesystem.holders import end, holders, listed
from hapair.adapters.shared.forked import Ended, Forked, StillRuns, Write
from hapair.adapters.shared.mounts import Mount, mount_at, mounts_below
from hapair.model.application import FileSystem
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.ports import CommandRunner, Finished, TimedOut

# The kernel says so when the file system may need a check first. Of XFS only the first two speak of
# damage: the others are a wrong option, a missing log device, a disk that does not answer.
DAMAGED: Final = frozenset({errno.EUCLEAN, errno.EBADMSG})
NEEDS_CHECK: Final = {
    FileSystem.XFS: DAMAGED,
    FileSystem.EXT4: DAMAGED | {errno.EINVAL, errno.EIO},
}
# Exit codes of fsck: 1 means that it repaired something.
CHECKED: Final = frozenset({0, 1})
SAYS_ERRORS: Final = 254  # The child's own word for "the superblock says errors".
KILL_WAIT_SHARE: Final = 0.3  # Of the time limit; the rest is for TERM.


@dataclass(frozen=True, slots=True)
class Target:
    device: str
    mount_point: str
    file_system: FileSystem
    options: str  # As in fstab.


class Mounter:
    def __init__(self, run: CommandRunner) -> None:
        self._run = run
        self._forked = Forked()

    def mounted(self, target: Target) -> bool:
        """Tell whether the target's own device is mounted at its mount point."""
        return (mount := mount_at(target.mount_point)) is not None and _is_ours(mount, target)

    async def mount(self, target: Target, *, timeout_s: float) -> Outcome:
        """Mount; a file system that is marked damaged, or that refuses, is checked first.

        Refused: the kernel said no, or the check found what only a person may repair.
        """
        if (mount := mount_at(target.mount_point)) is not None:
            if _is_ours(mount, target):
                return Done("it already is mounted")
            return Refused(f"{mount.source} is mounted at {target.mount_point}: unmount it first")
        outcome = await self._try_mount(target, timeout_s, look_first=True)
        needs_check = NEEDS_CHECK[target.file_system] | {SAYS_ERRORS}
        if isinstance(outcome, int) and outcome in needs_check:
            checked = await self._check(target, timeout_s)
            if not isinstance(checked, Done):
                return checked
            outcome = await self._try_mount(target, timeout_s, look_first=False)
        if isinstance(outcome, int):
            return Refused(_why_not_mounted(target, outcome))
        return outcome

    async def unmount(self, target: Target, *, timeout_s: float) -> Outcome:
        """Unmount; Done also when it is not mounted. Refused names who holds it."""
        mount = mount_at(target.mount_point)
        if mount is None:
            return Done("it is not mounted")
        if not _is_ours(mount, target):
            return Refused(f"{mount.source} is mounted at {target.mount_point}, not our device")

        def work(write: Write) -> int:
            code = calls.unmount(target.mount_point)
            if code == errno.EBUSY:
                write(_held_by(mount))
            return code

        match await self._forked(f"unmount {target.mount_point}", work, timeout_s=timeout_s):
            case StillRuns(after_s):
                return Unknown(f"{target.mount_point} is not unmounted after {after_s} s")
            case Ended(exit_code=0) | Ended(exit_code=errno.EINVAL):
                return Done()
            case Ended(exit_code=errno.EBUSY, text=text):
                return Refused(f"{target.mount_point} is held by {text}")
            case Ended(exit_code=code):
                return Unknown(f"unmount of {target.mount_point}: {os.strerror(code)}")

    async def end_holders(self, target: Target, *, timeout_s: float) -> Outcome:
        """End what holds the mount; the text names every process and signal.

        Refused: some of it is still there afterwards.
        """
        mount = mount_at(target.mount_point)
        if mount is None or not _is_ours(mount, target):
            return Done("nothing is mounted")
        daemon = os.getpid()

        def work(write: Write) -> int:
            spared = frozenset({daemon, os.getpid()})
            kill_s = timeout_s * KILL_WAIT_SHARE / 2
            term_s = timeout_s * (1 - KILL_WAIT_SHARE)
            write("; ".join(end(mount, spared, term_s=term_s, kill_s=kill_s)))
            return 1 if holders(mount, spared) else 0

        match await self._forked(f"end holders {mount.mount_point}", work, timeout_s=timeout_s):
            case StillRuns(after_s):
                return Unknown(f"holders of {mount.mount_point} were not ended after {after_s} s")
            case Ended(exit_code=0, text=text):
                return Done(text or "nobody held it")
            case Ended(text=text):
                return Unknown(f"{mount.mount_point} is still held after {text}")

    async def _try_mount(
        self, target: Target, timeout_s: float, *, look_first: bool
    ) -> Done | Unknown | int:
        """Return an errno or SAYS_ERRORS when it was not mounted."""

        def work(_write: Write) -> int:
            if (
                look_first
                and target.file_system is FileSystem.EXT4
                and superblock.says_errors(target.device)
            ):
                return SAYS_ERRORS
            Path(target.mount_point).mkdir(parents=True, exist_ok=True)
            return calls.mount(
                target.device, target.mount_point, target.file_system, target.options
            )

        match await self._forked(f"mount {target.mount_point}", work, timeout_s=timeout_s):
            case StillRuns(after_s):
                return Unknown(f"{target.mount_point} is not mounted after {after_s} s")
            case Ended(exit_code=0):
                return Done()
            case Ended(exit_code=code):
                return code

    async def _check(self, target: Target, timeout_s: float) -> Outcome:
        """Repair what needs no person's decision; XFS repairs itself while it mounts."""
        if target.file_system is FileSystem.XFS:
            return Refused(
                f"{target.device} is damaged and XFS could not mend it while mounting: "
                f"run xfs_repair {target.device} by hand"
            )
        argv = ("fsck.ext4", "-p", target.device)
        match await self._run(argv, timeout_s=timeout_s):
            case TimedOut(after_s):
                return Unknown(f"{' '.join(argv)} was not ready after {after_s} s")
            case Finished(exit_code=code) if code in CHECKED:
                return Done()
            case finished:
                said = " ".join((finished.stdout + finished.stderr).split())
                return Refused(
                    f"{' '.join(argv)} ended with {finished.exit_code}: {said}. "
                    f"Run fsck.ext4 {target.device} by hand"
                )


def _is_ours(mount: Mount, target: Target) -> bool:
    """Compare the device's number: its name may be a link."""
    try:
        number = Path(target.device).stat().st_rdev
    except OSError:
        return mount.source == target.device
    return mount.device == (os.major(number), os.minor(number))


def _held_by(mount: Mount) -> str:
    if below := mounts_below(mount.mount_point):
        return f"mounts inside it: {', '.join(below)}"
    if found := holders(mount, frozenset({os.getpid()})):
        return listed(found)
    return (
        "no process that shows it: look for loop devices, swap files, NFS exports, other name "
        "spaces, or a process that hangs in a system call"
    )


def _why_not_mounted(target: Target, code: int) -> str:
    where = f"{target.device} cannot be mounted at {target.mount_point}"
    if code in (errno.EMEDIUMTYPE, errno.EROFS, errno.EACCES):
        return f"{where}: the device is not Primary on this node ({os.strerror(code)})"
    if code == errno.EBUSY:
        return f"{where}: the device or the folder is in use"
    if code == errno.EINVAL:
        said = (
            f"the kernel takes neither it nor its options ({target.options or 'none'}) as they are"
        )
        return f"{where}: {said}; its reason is in: dmesg | tail"
    return f"{where}: {os.strerror(code)}"
