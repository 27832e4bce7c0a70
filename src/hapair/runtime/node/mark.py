"""Tells the next daemon of this boot that the disk took nothing."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Mark:
    """An empty file in memory: a disk that fails does not touch it, and a boot ends it.

    What a daemon heard and could not store is lost with it. So the next one has to know that there
    may have been something.
    """

    place: Path | None  # None: nobody is told.
    is_needed: Callable[[], bool]  # What a former daemon's mark says is not stored yet.
    is_set: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_set = self.place is not None and self.place.exists()

    def set(self) -> None:
        if self.place is not None and not self.is_set:
            with suppress(OSError):  # Of a disk that takes nothing people are told anyway.
                self.place.touch()
                self.is_set = True

    def stored(self) -> None:
        """Take it away, because all is on the disk."""
        if self.place is not None and self.is_set and not self.is_needed():
            with suppress(OSError):
                self.place.unlink(missing_ok=True)
                self.is_set = False
