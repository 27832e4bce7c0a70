"""At most one daemon on a node: two would each think that the applications are theirs."""

import fcntl
import os
from pathlib import Path


def claim(place: Path) -> bool:
    """Tell whether this process is the only one that has claimed ``place``.

    The claim lasts until the process ends, however it ends. Children do not inherit it, also
    those that were only forked: one that hangs in a mount must not keep the next daemon out.
    """
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # POSIX allows both for a lock that somebody holds.
        os.close(descriptor)
        return False
    return True
