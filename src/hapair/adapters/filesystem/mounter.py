"""Mount and unmount ext4 and XFS through the system calls, in a child that may hang."""

import asyncio
import errno
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from hapair.adapters.filesystem import calls, superblock, uses
from hapair.adapters.filesystem.checks import PROGRAM, Checks
from hapair.adapters.filesystem.folders import make_mount_point
from hapair.adapters.filesystem.freeing import free, let_pass
from hapair.adapters.filesystem.holders import holders, listed
from hapair.adapters.filesystem.uses import Use
from hapair.adapters.shared.children import RESULT_BYTES_MAX, Write
from hapair.adapters.shared.forked import Ended, Forked, StillRuns
from hapair.adapters.shared.mounts import (
    Mount,
    MountTable,
    mount_at,
    mount_info,
    mount_table,
    mounts,
    number_of,
)
from hapair.adapters.shared.passing import passes, refused
from hapair.adapters.shared.together import Together
from hapair.model.application import FileSystem
from hapair.model.holders import UNSEEN, Held, Holders
from hapair.model.outcome import Done, NotNow, Outcome, Refused, Unknown
from hapair.model.text import shown
from hapair.ports.programs import Finished, TimedOut

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
HIDDEN: Final = 253  # And the one for "no path leads to it".
TERM_SHARE: Final = 0.55  # Of the time limit; what is left is for the looks.
KILL_SHARE: Final = 0.15
HELD_SHOWN_MAX: Final = 40


@dataclass(frozen=True, slots=True)
class Target:
    device: str
    mount_point: str
    file_system: FileSystem
    options: str  # As in fstab.


class Mounter:
    def __init__(self, checks: Checks | None = None) -> None:
        self._checks = checks or Checks()
        self._forked = Forked()
        self._together = Together()

    @staticmethod
    def mounted(target: Target, table: MountTable) -> bool | None:
        """Tell whether the target's own device is mounted at its mount point.

        None: it is mounted elsewhere, e.g. below a folder that was given another name, or hidden by
        what was mounted over a folder above it.
        """
        mount = table.seen_at(target.mount_point)
        if mount is not None and _is_ours(mount, target):
            return True
        number = number_of(target.device)
        elsewhere = target.device in table.sources if number is None else number in table.devices
        return None if elsewhere else False

    async def mount(self, target: Target, *, timeout_s: float) -> Outcome:
        """Mount; a file system that is marked damaged, or that refuses, is checked first.

        Refused: the kernel said no, the check found what only a person may repair, or it would hide
        another replicated file system.
        """
        table = mount_table()
        mount = table.seen_at(target.mount_point)
        if mount is not None and _is_ours(mount, target):
            return Done("it already is mounted")
        if mount is None:
            mount = _would_hide(target, table)
        if mount is not None:
            where = f"{shown(mount.source)} is mounted at {shown(mount.mount_point)}"
            return Refused(f"{where}: unmount it first")
        until_s = asyncio.get_running_loop().time() + timeout_s
        outcome = await self._try_mount(target, timeout_s, look_first=True)
        needs_check = NEEDS_CHECK[target.file_system] | {SAYS_ERRORS}
        if isinstance(outcome, int) and outcome in needs_check:
            checked = await self.check(target, _left_s(until_s))
            if not isinstance(checked, Done):
                return checked
            outcome = await self._try_mount(target, _left_s(until_s), look_first=False)
        if isinstance(outcome, int):
            return not_mounted(target, outcome)
        return outcome

    async def unmount(self, target: Target, *, timeout_s: float) -> Outcome:
        """Unmount the device wherever our name space has it; Done also when it is not mounted.

        Refused names who holds it. Unknown also when only what hides it could be unmounted.
        """
        found = _mounts_of(target)
        if not found:
            return Done("it is not mounted")

        def work(write: Write) -> int:
            for mount in reversed(found):  # A copy inside another one was made after it.
                code = _unmount(mount, write)
                if code:
                    return code
            return _hidden(target, write)

        match await self._together(f"unmount {target.mount_point}", work, timeout_s=timeout_s):
            case StillRuns(after_s):
                return Unknown(f"{target.mount_point} is not unmounted after {after_s} s")
            case Ended(exit_code=0):
                return Done()
            case Ended(exit_code=errno.EBUSY, text=text):
                return Refused(text)
            case Ended(exit_code=code, text=text) if code == HIDDEN:
                return Unknown(text)
            case Ended(exit_code=code):
                why = f"unmount of {target.mount_point}: {os.strerror(code)}"
                return NotNow(why) if passes(code) else Unknown(why)

    async def end_holders(self, target: Target, *, timeout_s: float) -> Outcome:
        """End what holds the device besides our mount; the text names each and what was done.

        Unknown: some of it is still there afterwards.
        """
        ours = _our_mount(target)
        if ours is None:
            return Done("there is no such device")
        daemon, until_s = os.getpid(), time.monotonic() + timeout_s

        def work(write: Write) -> int:
            def tell(done: str) -> None:
                write(f"{done}\n")  # At once: a look that takes too long must not hide it.

            spared = frozenset({daemon, os.getpid()})
            let_pass(ours, spared)
            left_s = until_s - time.monotonic()
            times = {"term_s": left_s * TERM_SHARE, "kill_s": left_s * KILL_SHARE}
            left = [*map(str, free(ours, spared, tell, **times))]
            left += (each.what for each in (*uses.mounted(ours), *uses.in_kernel(ours)))
            write(", ".join(left))
            return 1 if left else 0

        match await self._forked(f"end holders {target.device}", work, timeout_s=timeout_s):
            case StillRuns(after_s, text):
                done = "; ".join(text.splitlines()) or "nothing"
                return Unknown(
                    f"holders of {target.device} were not ended after {after_s} s: {done}"
                )
            case Ended(exit_code=0, text=text):
                return Done("; ".join(text.splitlines()))
            case Ended(text=text):
                *told, left = text.split("\n")
                done = "; ".join(told) or "nothing"
                return Unknown(f"{target.device} is still held by {left} after: {done}")

    async def held(
        self, target: Target, spared: Callable[[Use], bool], *, timeout_s: float
    ) -> Holders:
        """Return what holds the device besides our mount, but for what is ``spared``.

        The parts of the look are bounded one by one: what hangs one leaves the others.
        """
        ours = _our_mount(target)
        if ours is None:
            return Holders()
        parts = (
            ("mounts", uses.mounted),
            ("devices above it", uses.in_kernel),
            ("programs", uses.opened),
        )
        ends = await asyncio.gather(
            *(
                self._look(f"{name} of {target.device}", _told(look, ours, spared), timeout_s)
                for name, look in parts
            )
        )
        found: list[Held] = []
        missed = [name for (name, _), end in zip(parts, ends, strict=True) if not _is_whole(end)]
        for end in ends:
            if isinstance(end, Ended) and _is_whole(end):
                found += [Held(*each) for each in json.loads(end.text or "[]")]
        return Holders(tuple(found), ", ".join(missed))

    async def _look(
        self, key: str, work: Callable[[Write], int], timeout_s: float
    ) -> Ended | StillRuns:
        try:
            return await self._forked(key, work, timeout_s=timeout_s)
        except OSError:  # There is no room for a child: what is not seen forbids nothing.
            return StillRuns(timeout_s)

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
            make_mount_point(target.mount_point)
            return calls.mount(
                target.device, target.mount_point, target.file_system, target.options
            )

        match await self._together(f"mount {target.mount_point}", work, timeout_s=timeout_s):
            case StillRuns(after_s):
                return Unknown(f"{target.mount_point} is not mounted after {after_s} s")
            case Ended(exit_code=0):
                return Done()
            case Ended(exit_code=code):
                return code

    async def check(self, target: Target, timeout_s: float) -> Outcome:
        """Repair what needs no person's decision; XFS repairs itself while it mounts."""
        if target.file_system is FileSystem.XFS:
            return Refused(
                f"{target.device} is damaged and XFS could not mend it while mounting: "
                f"run xfs_repair {target.device} by hand"
            )
        argv = (*PROGRAM, target.device)
        match await self._checks(target.device, timeout_s=timeout_s):
            case TimedOut():
                said = "is still at work; it is left alone, and the next try waits for it"
                return Unknown(f"{' '.join(argv)} {said}")
            case Finished(exit_code=code) if code in CHECKED:
                return Done()
            case finished:
                said = " ".join((finished.stdout + finished.stderr).split())
                why = (
                    f"{' '.join(argv)} ended with {finished.exit_code}: {said}. "
                    f"Run fsck.ext4 {target.device} by hand"
                )
                return refused(why, finished)


def _left_s(until_s: float) -> float:
    return max(0.0, until_s - asyncio.get_running_loop().time())


def _told(
    look: Callable[[Mount], Iterator[Use]], ours: Mount, spared: Callable[[Use], bool]
) -> Callable[[Write], int]:
    """Return the work of a child that looks and writes what it found, but for what is spared."""

    def work(write: Write) -> int:
        found = ((each.what, each.mend) for each in look(ours) if not spared(each))
        shown: list[tuple[str, str]] = []
        left_bytes = RESULT_BYTES_MAX
        for each in islice(found, HELD_SHOWN_MAX):
            left_bytes -= len(json.dumps(each)) + len(", []")
            if left_bytes < 0:
                break
            shown.append(each)
        write(json.dumps(shown))
        return 0

    return work


def _is_whole(end: Ended | StillRuns) -> bool:
    return isinstance(end, Ended) and end.exit_code == 0


def _is_ours(mount: Mount, target: Target) -> bool:
    return mount in _of_device([mount], target)


def _mounts_of(target: Target) -> list[Mount]:
    return _of_device(mounts(mount_info()), target)


def _of_device(found: Iterable[Mount], target: Target) -> list[Mount]:
    """Compare the device's number: its name may be a link."""
    number = number_of(target.device)
    if number is None:
        return [mount for mount in found if mount.source == target.device]
    return [mount for mount in found if mount.device == number]


def _our_mount(target: Target) -> Mount | None:
    """Return the mount at the mount point, or what it would be; None when there is no device."""
    if (mount := mount_at(target.mount_point)) is not None and _is_ours(mount, target):
        return mount
    number = number_of(target.device)
    return number and Mount(number, target.mount_point, target.device, target.file_system)


def _would_hide(target: Target, table: MountTable) -> Mount | None:
    """Return a replicated file system inside: one that was mounted before what encloses it."""
    number = number_of(target.device)
    inside = table.seen_inside(target.mount_point)
    return next((each for each in inside if number and each.device[0] == number[0]), None)


def _unmount(mount: Mount, write: Write) -> int:
    """Return an errno; what is mounted over it is left alone, and so is what no path leads to."""
    top = mount_at(mount.mount_point)
    if top is None:
        return 0
    if top.device != mount.device:
        what = f"{shown(top.source)} is mounted at {mount.mount_point}"
        write(f"{what}, not our device: unmount it first")
        return errno.EBUSY
    code = calls.unmount(mount.mount_point)
    if code == errno.EBUSY:
        write(f"{mount.mount_point} is held by {_held_by(mount)}")
    return 0 if code == errno.EINVAL else code  # It went together with another one.


def _hidden(target: Target, write: Write) -> int:
    """Say what hides a mount that is still there; HIDDEN, or 0 when none is."""
    table = mount_table()
    for mount in _of_device(table.every, target):
        over = table.reached(mount.mount_point)
        by = f"the mount on {shown(over.mount_point)}" if over is not None else "another mount"
        write(f"{shown(mount.mount_point)} is hidden by {by}, which has to go first")
        return HIDDEN
    return 0


def _held_by(mount: Mount) -> str:
    if below := mount_table().seen_inside(mount.mount_point):
        return f"mounts inside it: {', '.join(shown(each.mount_point) for each in below)}"
    if found := holders(mount, frozenset({os.getpid()})):
        return listed(found)
    above = [each.what for each in uses.others(mount)]
    return ", ".join(above) or UNSEEN


def not_mounted(target: Target, code: int) -> Refused | NotNow:
    """Judge the errno with which the kernel did not mount it."""
    why = _why_not_mounted(target, code)
    return NotNow(why) if passes(code) else Refused(why)


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
