"""Images and snapshots that only stand in a cache, for tests that start no guest."""

import os
import time
from pathlib import Path

from hapair_lab.acceleration import Acceleration
from hapair_lab.images import Image
from hapair_lab.saved import Saved, snapshots_folder


def image_in(cache: Path) -> Image:
    folder = cache / "image-test-1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "root.img").touch()
    return Image(folder, "1")


def grow_old(*folders: Path) -> None:
    """Let the folders be as if nobody had used them for long, the first one for longest."""
    for number, folder in enumerate(folders):
        long_ago_s = time.time() - 86400 + number
        os.utime(folder, (long_ago_s, long_ago_s))


def make_saved(
    cache: Path,
    name: str,
    key: str,
    parent: Saved | None = None,
    *,
    acceleration: Acceleration = Acceleration.TCG,
) -> Saved:
    folder = snapshots_folder() / f"{name}-{key}"
    folder.mkdir()
    before = str(parent.folder) if parent else ""
    images = {"node1": image_in(cache)}
    saved = Saved(name, key, folder, images, acceleration, ("node1",), before)
    saved.write()
    return saved
