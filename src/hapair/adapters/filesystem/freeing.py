"""Take away what holds a device besides our mount. Blocking code: call it in a forked child.

Ended are processes that use a file of it or have the device open, its other mounts in every name
space, and loop devices over it. Maps, swap and the kernel's NFS server are left to a person: what
lies on them is not ours to end.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from typing import Final

from hapair.adapters.filesystem import calls
from hapair.adapters.filesystem.holders import LOOK_INTERVAL_S, Tell, end, holders
from hapair.adapters.filesystem.uses import SYS, Loop, foreign_mounts, is_ours, loops_over
from hapair.adapters.shared.mounts import Mount, is_on_top
from hapair.adapters.shared.spaces import PROC, Process, Space, other_spaces, own_mounts, process_of
from hapair.model.text import shown

PASSING_S: Final = 1.0
_LOOP_CLR_FD: Final = 0x4C01


def let_pass(ours: Mount, spared: frozenset[int]) -> None:
    """Wait for udev and the like, which look at a device right after it was unmounted."""
    until_s = time.monotonic() + PASSING_S
    while not ours.number and time.monotonic() < until_s and holders(ours, spared):
        time.sleep(LOOK_INTERVAL_S)


def free(
    ours: Mount, spared: frozenset[int], tell: Tell, *, term_s: float, kill_s: float
) -> tuple[Process, ...]:
    """Free the device of ``ours`` but for ``ours`` itself; return who uses it all the same.

    The time is shared with the loop devices over it, so that none takes all of it.
    """
    left: tuple[Process, ...] = ()
    devices = (*_loops_over(ours), (ours, None))
    for on_it, loop in devices:
        shared = {"term_s": term_s / len(devices), "kill_s": kill_s / len(devices)}
        left += end(on_it, spared, tell, **shared)
        _unmount_others(on_it, tell)
        if loop is not None and _detach(loop):
            tell(f"{loop.node} detached from {loop.file}")
    return left


def _loops_over(ours: Mount) -> Iterator[tuple[Mount, Loop]]:
    """Return the loop devices over the device of ``ours``, the uppermost ones first."""
    for loop in loops_over(ours.device):
        on_it = Mount(loop.number, "", str(loop.node), "")
        yield from _loops_over(on_it)
        yield on_it, loop


def _unmount_others(ours: Mount, tell: Tell) -> None:
    """Unmount the device of ``ours`` wherever else it is mounted, and no other mount."""
    here, spaces = own_mounts(), tuple(other_spaces())
    still = list(here)
    for mount in reversed(here):
        other = mount.device == ours.device and not is_ours(mount, ours, here)
        if other and is_on_top(mount, still) and calls.unmount(mount.mount_point) == 0:
            tell(f"{shown(mount.mount_point)} unmounted")
            still.remove(mount)
    lists = {space: list(space.mounts) for space in spaces}
    for space, mount in reversed(tuple(foreign_mounts(ours, here, spaces))):
        beside = lists[space]
        if is_on_top(mount, beside) and _unmount_in(space, mount.mount_point):
            lives = process_of(space.pids[0])
            tell(f"{shown(mount.mount_point)} unmounted in the mount name space of {lives}")
            beside.remove(mount)


def _detach(loop: Loop) -> bool:
    """Tell whether it is gone: while somebody has it open, the kernel only promises that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(loop.node, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            fcntl.ioctl(descriptor, _LOOP_CLR_FD)
        finally:
            os.close(descriptor)
        return not (SYS / "block" / loop.node.name / "loop").exists()
    return False


def _unmount_in(space: Space, mount_point: str) -> bool:
    """Enter the name space as the process whose list was read sees it, and come back."""
    back = os.open(PROC / "self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            calls.enter(space.pids[0])
            return calls.unmount(mount_point) == 0
        return False
    finally:
        calls.go_back(back)
        os.close(back)
