"""Small files that must survive a power cut."""

import os
from pathlib import Path


class FileStorage:
    """Keeps each name as one file in ``folder``; what was stored is on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, name: str) -> bytes | None:
        """Return what was stored last, or None when nothing was."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def store(self, name: str, content: bytes) -> None:
        """Replace ``name`` atomically: afterwards, and after a power cut, it is old or new.

        Raises:
            OSError: nothing was replaced, or it is not certain to survive a power cut.
        """
        target = self._folder / name
        beside = self._folder / f".{name}.new"
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        self._sync_folder()

    def forget(self, name: str) -> None:
        """Remove ``name``: after a power cut it does not come back either."""
        (self._folder / name).unlink(missing_ok=True)
        self._sync_folder()

    def _sync_folder(self) -> None:
        """Make the rename itself survive."""
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
