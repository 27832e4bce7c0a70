"""Files that must survive a power cut; for every layer that writes some."""

import os
from collections.abc import Callable
from pathlib import Path


def replace_durably(
    file: Path, content: bytes, beside: Path, prepare: Callable[[int], None] = lambda _: None
) -> None:
    """Replace ``file`` atomically: afterwards, and after a power cut, it is the old or the new one.

    The new one is written as ``beside``, for its owner alone; ``prepare`` may give its descriptor
    another owner, mode or label while it is empty.

    Raises:
        OSError: nothing was replaced, or it is not certain to survive a power cut.
    """
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as new:
            prepare(new.fileno())
            new.write(content)
            new.flush()
            os.fsync(new.fileno())
        beside.replace(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make what became of the names in a folder survive."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
