"""Files that must survive a power cut; for every layer that writes some."""

import os
import time
from collections.abc import Callable, Mapping
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


def set_aside(file: Path) -> Path:
    """Rename a file so that nothing takes it for what it was, or overwrites it; OSError.

    Returns its new place.
    """
    stamp = time.strftime("%Y%m%d_%H%M%S")
    aside = file.with_name(f"{file.name}.aside_{stamp}")
    file.rename(aside)
    sync_folder(file.parent)
    return aside


def set_aside_unreadable(
    folder: Path, readers: Mapping[str, Callable[[bytes], object]], tell: Callable[[str], None]
) -> None:
    """Set aside, before anybody overwrites it, what its reader refuses with a ValueError.

    ``readers`` has patterns of names. What is damaged, or of a newer version, may hold what only a
    person knows how to mend. ``tell`` gets a text for each.
    """
    for pattern, read in readers.items():
        for file in sorted(folder.glob(pattern)):
            try:
                read(file.read_bytes())
            except OSError:  # Who needs it will find that out.
                continue
            except ValueError as error:
                tell(f"{file} cannot be read ({error}): what it held is not used. {_kept(file)}")


def _kept(file: Path) -> str:
    try:
        aside = set_aside(file)
    except OSError as error:
        return f"It cannot be renamed either ({error.strerror}): copy it before it is overwritten"
    return (
        f"It is kept as {aside}: where a newer version of hapair wrote it, install that one again,"
        " stop its services and rename it back; else remove it"
    )
