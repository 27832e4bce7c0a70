"""The system calls mount(2), umount2(2), setns(2) and statx(2), and fstab's words for them."""

import ctypes
import os
import stat
import struct
from dataclasses import dataclass
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)

# From linux/mount.h. A word that is not here goes to the file system itself.
_FLAGS: Final = {
    "ro": 1,
    "nosuid": 1 << 1,
    "nodev": 1 << 2,
    "noexec": 1 << 3,
    "sync": 1 << 4,
    "dirsync": 1 << 7,
    "nosymfollow": 1 << 8,
    "noatime": 1 << 10,
    "nodiratime": 1 << 11,
    "relatime": 1 << 21,
    "strictatime": 1 << 24,
    "lazytime": 1 << 25,
}
_NEW_MOUNTS: Final = 0x00020000  # CLONE_NEWNS of linux/sched.h.
# From linux/stat.h and linux/fcntl.h.
_HERE: Final = -100
_AS_KNOWN: Final = 0x4000 | 0x800  # Without asking a file server, or an automounter.
_TYPE: Final = 1
_STATX_BYTES: Final = 256
_MODE: Final = struct.Struct("=28xH")
_DEVICES: Final = struct.Struct("=128xIIII")
_CLEARING: Final = {"rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "async": "sync",
                    "atime": "noatime", "diratime": "nodiratime"}  # fmt: skip
# Words for mount(8), systemd and people that mean nothing to the kernel.
_FOR_OTHERS: Final = frozenset({"defaults", "auto", "noauto", "nofail", "user", "nouser", "users",
                                "owner", "group", "_netdev"})  # fmt: skip
_FOR_OTHERS_PREFIX: Final = ("x-", "comment=", "X-")


def mount_arguments(options: str) -> tuple[int, str]:
    """Return flags and data of mount(2) for options as fstab has them, e.g. "noatime,usrquota"."""
    flags = 0
    data: list[str] = []
    for word in filter(None, (part.strip() for part in options.split(","))):
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word in _CLEARING:
            flags &= ~_FLAGS[_CLEARING[word]]
        elif word not in _FOR_OTHERS and not word.startswith(_FOR_OTHERS_PREFIX):
            data.append(word)
    return flags, ",".join(data)


def mount(device: str, mount_point: str, kind: str, options: str) -> int:
    """Mount; return an errno, or 0 for success."""
    flags, data = mount_arguments(options)
    result = _LIBC.mount(
        os.fsencode(device),
        os.fsencode(mount_point),
        kind.encode(),
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    return 0 if result == 0 else ctypes.get_errno()


def unmount(mount_point: str) -> int:
    """Unmount; return an errno, or 0 for success."""
    result = _LIBC.umount2(os.fsencode(mount_point), 0)
    return 0 if result == 0 else ctypes.get_errno()


def enter(pid: int) -> None:
    """Go into the mount name space of a process, and to its root. Only in a forked child.

    Raises:
        OSError: it ended, or the name space is closed to us.
    """
    space = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        go_back(space)
        os.fchdir(root)
        os.chroot(".")
    finally:
        os.close(root)
        os.close(space)


def go_back(space: int) -> None:
    """Go into the mount name space of a descriptor, to its own root. OSError as above."""
    if _LIBC.setns(space, _NEW_MOUNTS) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@dataclass(frozen=True, slots=True)
class Target:
    """What a link in /proc leads to."""

    lies_on: tuple[int, int]  # The number of its file system's device.
    is_device: tuple[int, int] | None  # Its own number, if it is a block device.


def target(link: str) -> Target:
    """Follow a link without asking a file server, which may be gone: stat(2) would hang then.

    Raises:
        OSError: nothing can be said of it.
    """
    found = ctypes.create_string_buffer(_STATX_BYTES)
    if _LIBC.statx(_HERE, os.fsencode(link), _AS_KNOWN, _TYPE, found) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    own_major, own_minor, major, minor = _DEVICES.unpack_from(found)
    is_block = stat.S_ISBLK(_MODE.unpack_from(found)[0])
    return Target((major, minor), (own_major, own_minor) if is_block else None)
