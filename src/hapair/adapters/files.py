"""Small files that must survive a power cut."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from hapair.adapters.shared.reserved import replace_in_room, spare_of
from hapair.durable import replace_durably, sync_folder

NO_ROOM: Final[Mapping[str, int]] = MappingProxyType({})


class FileStorage:
    """Keeps each name as one file in ``folder``; what was stored is on the disk.

    For the names in ``reserved`` there is always room, in so many bytes: they can be stored on a
    full disk, and are filled up with line feeds. With ``each_bytes`` every name has that.
    """

    def __init__(
        self, folder: Path, reserved: Mapping[str, int] = NO_ROOM, each_bytes: int | None = None
    ) -> None:
        self._folder = folder
        self._reserved = reserved
        self._each_bytes = each_bytes

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
        file = self._folder / name
        room_bytes = self._reserved.get(name, self._each_bytes)
        if room_bytes is not None:
            try:
                replace_in_room(file, content, room_bytes)
            except OSError:
                pass  # It may have room for a small file; if not, that one's error tells why.
            else:
                return
        replace_durably(file, content, self._folder / f".{name}.new")

    def forget(self, name: str) -> None:
        """Remove ``name``: after a power cut it does not come back either."""
        (self._folder / name).unlink(missing_ok=True)
        spare_of(self._folder / name).unlink(missing_ok=True)
        sync_folder(self._folder)
