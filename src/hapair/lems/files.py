"""Small files, read at once and never kept open."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

READ_BYTES_MAX: Final = 1 << 16
# Who looks, or the whole machine, has too little of something: nothing is known by that.
NOT_NOW: Final = frozenset({
    errno.EADDRNOTAVAIL, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM,
})  # fmt: skip


def read(place: str) -> str:
    """Return the first 64 KiB of a file of the kernel's; OSError."""
    opened = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(opened, READ_BYTES_MAX).decode(errors="replace")
    finally:
        os.close(opened)


def read_if_there(place: str) -> str:
    """Return the same, or nothing where it cannot be read; OSError where it is NOT_NOW."""
    with passing_over_what_is_gone():
        return read(place)
    return ""


@contextmanager
def passing_over_what_is_gone() -> Iterator[None]:
    """Go on after what cannot be read, but not where that says nothing (NOT_NOW): OSError."""
    try:
        yield
    except OSError as error:
        if error.errno in NOT_NOW:
            raise


@contextmanager
def regular(place: str) -> Iterator[int]:
    """Lend a descriptor to read a file that somebody wrote; OSError.

    Anything else there is refused: a FIFO would be waited for, and a device may change by a look.
    """
    if not stat.S_ISREG(Path(place).stat().st_mode):
        raise OSError(errno.EINVAL, "this is no regular file, and cannot be read", place)
    opened = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        yield opened
    finally:
        os.close(opened)
