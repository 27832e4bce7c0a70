"""Take away what holds a device besides our mount. Blocking code: call it in a forked child.

Ended are processes that use a file of it or have the device open, its other mounts in every name
space, and loop devices over it. Maps, swap and the kernel's NFS server are left to a person: what
lies on them is not ours to end.
"""

import contextlib
import fcntl
import os
import time
from typing import Final

from hapair.adapters.filesystem import calls
from hapair.adapters.filesystem.holders import LOOK_INTERVAL_S, Holder, Tell, end, holders
from hapair.adapters.filesystem.uses import Loop, foreign_mounts, is_ours, loops_over, shown
from hapair.adapters.shared.mounts import Mount, is_on_top
from hapair.adapters.shared.spaces import PROC, Space, other_spaces, own_mounts, process_of

PASSING_S: Final = 1.0
_LOOP_CLR_FD: Final = 0x4C01


def let_pass(ours: Mount, spared: frozenset[int]) -> None:
    """Wait for udev and the like, which look at a device right after it was unmounted."""
    until_s = time.monotonic() + PASSING_S
    while not ours.number and time.monotonic() < until_s and holders(ours, spared):
        time.sleep(LOOK_INTERVAL_S)


def free(
    ours: Mount, spared: frozenset[int], tell: Tell, *, term_s: float, kill_s: float
) -> tuple[Holder, ...]:
    """Free the device of ``ours`` but for ``ours`` itself; return who uses it all the same."""
    left: tuple[Holder, ...] = ()
    for loop in loops_over(ours.device):
        on_it = Mount(loop.number, "", str(loop.node), "")
        left += free(on_it, spared, tell, term_s=term_s, kill_s=kill_s)
        if _detach(loop):
            tell(f"{loop.node} detached from {loop.file}")
    left += end(ours, spared, tell, term_s=term_s, kill_s=kill_s)
    here = own_mounts()
    for mount in reversed(here):
        other = mount.device == ours.device and not is_ours(mount, ours, here)
        if other and is_on_top(mount, here) and calls.unmount(mount.mount_point) == 0:
            tell(f"{shown(mount.mount_point)} unmounted")
    for space, mount in tuple(foreign_mounts(ours, here, tuple(other_spaces()))):
        if is_on_top(mount, space.mounts) and _unmount_in(space, mount.mount_point):
            lives = process_of(space.pids[0])
            tell(f"{shown(mount.mount_point)} unmounted in the mount name space of {lives}")
    return left


def _detach(loop: Loop) -> bool:
    with contextlib.suppress(OSError):
        descriptor = os.open(loop.node, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            fcntl.ioctl(descriptor, _LOOP_CLR_FD)
        finally:
            os.close(descriptor)
        return True
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
