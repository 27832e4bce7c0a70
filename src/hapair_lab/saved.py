"""Saved labs: states and disks of all guests at one moment, cached and never changed.

A saved lab may be continued any number of times, also by several labs at once: each gets overlays
of its own on the frozen disks.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair_lab.acceleration import Acceleration
from hapair_lab.errors import LabError
from hapair_lab.folders import age_s, cache_folder
from hapair_lab.guests import Guests
from hapair_lab.images import Image, images_from_json, images_to_json

DESCRIPTION: Final = "saved.json"
BY_HAND: Final = "mine"  # The key of what a person saved.
BLOCK_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class Saved:
    """One saved lab in the cache."""

    name: str
    key: str
    folder: Path
    images: dict[str, Image]
    acceleration: Acceleration
    running: tuple[str, ...]
    parent_folder: str

    @property
    def guests(self) -> Guests:
        """The kind of its guests."""
        return Guests.UML if self.acceleration is Acceleration.UML else Guests.QEMU

    def size_bytes(self) -> int:
        """Return what its files take on the disk."""
        try:
            return sum(path.stat().st_blocks for path in self.folder.iterdir()) * BLOCK_BYTES
        except FileNotFoundError:  # Another program has just removed it.
            return 0

    def write(self) -> None:
        """Write the description beside the states; it is what makes the folder a saved lab."""
        content = {
            "name": self.name,
            "key": self.key,
            "images": images_to_json(self.images),
            "acceleration": self.acceleration,
            "running": self.running,
            "parent_folder": self.parent_folder,
        }
        (self.folder / DESCRIPTION).write_text(json.dumps(content, indent=2))


def snapshots_folder() -> Path:
    """Return the folder of all saved labs."""
    folder = cache_folder() / "snapshots"
    folder.mkdir(exist_ok=True)
    return folder


def read_saved(folder: Path) -> Saved:
    """Read a saved lab; LabError if the folder is none, or its image was removed."""
    try:
        content = json.loads((folder / DESCRIPTION).read_text())
        saved = Saved(
            name=content["name"],
            key=content["key"],
            folder=folder,
            images=images_from_json(content["images"]),
            acceleration=Acceleration(content["acceleration"]),
            running=tuple(content["running"]),
            parent_folder=content["parent_folder"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(f"{folder} is no saved lab: {error}") from error
    if not all(image.root_disk.exists() for image in saved.images.values()):
        raise LabError(f"the image of {folder} is gone", hint="cllab clean, and build it again")
    return saved


def is_saved(folder: Path) -> bool:
    """Tell whether a folder is a saved lab that can be used."""
    try:
        read_saved(folder)
    except LabError:
        return False
    return True


def _folders() -> list[Path]:
    found = [folder for folder in snapshots_folder().iterdir() if folder.name[0] != "."]
    return sorted(found, key=age_s)


def all_saved() -> list[Saved]:
    """Return all usable snapshots, the last used first."""
    found = []
    for folder in _folders():
        with contextlib.suppress(LabError):
            found.append(read_saved(folder))
    return found


def unusable() -> list[Path]:
    """Return the folders that no version of today can read, e.g. because their image is gone."""
    return [folder for folder in _folders() if not is_saved(folder)]


def find(name: str, kind: Guests | None = None, *, key: str = "") -> Saved:
    """Return the most recently used snapshot of that name, of guests of that kind if one is named.

    The cache is shared by all clones of this user: the one with that ``key`` comes before others.

    Raises:
        LabError: There is none.
    """
    saved = [each for each in all_saved() if kind in {None, each.guests}]
    named = [each for each in saved if each.name == name]
    if named:
        return next((each for each in named if each.key == key), named[0])
    names = ", ".join(sorted({each.name for each in saved})) or "none yet"
    raise LabError(f"there is no snapshot {name!r}", hint=f"snapshots: {names}")
