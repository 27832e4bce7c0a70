"""Small files that must survive a power cut."""

from pathlib import Path

from hapair.durable import replace_durably, sync_folder


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
        replace_durably(self._folder / name, content, self._folder / f".{name}.new")

    def forget(self, name: str) -> None:
        """Remove ``name``: after a power cut it does not come back either."""
        (self._folder / name).unlink(missing_ok=True)
        sync_folder(self._folder)
