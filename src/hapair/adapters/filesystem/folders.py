"""Folders on which file systems are mounted."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

FOR_EVERYBODY: Final = 0o755


def make_mount_point(place: str) -> None:
    """Make the folder and those above it that are missing; OSError when that cannot be.

    Everybody may pass through them, whatever this process's umask is: a program that is not root's
    would find its data on the node where somebody made them by hand, and not on the other one.
    """
    folder = Path(place)
    for each in (*reversed(folder.parents), folder):
        with suppress(FileExistsError):
            each.mkdir()
            each.chmod(FOR_EVERYBODY)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
