"""Replace a file although the disk has no room left: the room was taken beforehand.

Beside the file lies a *spare* of the same size. New content is written over the spare, in blocks
that it has already; then the two exchange their names, which takes no block either. A power cut
leaves the old file or the new one. Both are filled up with line feeds, so that they stay as large
as they are; JSON allows that.

ext4, XFS and tmpfs write over what a file has in place. btrfs writes elsewhere, unless the file
was made with ``NOCOW``; other file systems refuse that flag, which does not matter there.
"""

import ctypes
import errno
import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from hapair.durable import replace_durably, sync_folder

ROOM_BYTES: Final = 64 * 1024  # More than most clusters ever need; larger ones get more.
FILLING: Final = b"\n"
UNKNOWN_CALL: Final = (errno.EINVAL, errno.ENOSYS)  # To the file system, or to the kernel.
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_HERE: Final = -100  # AT_FDCWD of linux/fcntl.h.
_EXCHANGE: Final = 2  # RENAME_EXCHANGE of linux/fs.h.
# From linux/fs.h.
_GET_FLAGS: Final = 0x80086601
_SET_FLAGS: Final = 0x40086602
_NOCOW: Final = 0x00800000


def spare_of(file: Path) -> Path:
    """Return where the room for the next content of ``file`` is."""
    return file.with_name(f".{file.name}.spare")


def replace_in_room(file: Path, content: bytes, room_bytes: int = ROOM_BYTES) -> None:
    """Replace ``file`` atomically in the room that was taken for it, which is taken if need be.

    Raises:
        OSError: nothing was replaced, or it is not certain to survive a power cut.
    """
    spare = spare_of(file)
    room_bytes = _enough(content, room_bytes)
    if not _has_room(spare, room_bytes):
        _make(spare, room_bytes)
    _write_over(spare, content)
    if not (file.is_file() and _exchange(spare, file)):
        spare.rename(file)
    sync_folder(file.parent)
    if not _has_room(spare, room_bytes):  # There was no file yet, or one without room to spare.
        with suppress(OSError):
            _make(spare, room_bytes)


def _enough(content: bytes, room_bytes: int) -> int:
    while room_bytes < len(content):
        room_bytes *= 2
    return room_bytes


def _has_room(spare: Path, room_bytes: int) -> bool:
    try:
        return spare.stat().st_size >= room_bytes
    except FileNotFoundError:
        return False


def _make(spare: Path, size_bytes: int) -> None:
    """Make a file whose blocks are all there; one that cannot be completed is removed.

    What there was is kept until then: it has room for a smaller content.
    """
    beside = spare.with_name(f"{spare.name}.new")
    replace_durably(spare, FILLING * size_bytes, beside, _write_in_place)


def _write_in_place(descriptor: int) -> None:
    """Ask btrfs to do so, while the file is empty; who does so anyway does not know the word."""
    with suppress(OSError):
        known = fcntl.ioctl(descriptor, _GET_FLAGS, struct.pack("l", 0))
        flags: int = struct.unpack("l", known)[0]
        fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", flags | _NOCOW))


def _write_over(spare: Path, content: bytes) -> None:
    descriptor = os.open(spare, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "wb") as room:
        size_bytes = os.fstat(descriptor).st_size
        room.write(content.ljust(size_bytes, FILLING))
        room.flush()
        os.fsync(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Let two files of one folder take each other's names at once; False: nobody here knows how."""
    names = os.fsencode(one), os.fsencode(other)
    if _LIBC.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE):
        code = ctypes.get_errno()
        if code in UNKNOWN_CALL:
            return False
        raise OSError(code, os.strerror(code), os.fspath(one))
    return True
