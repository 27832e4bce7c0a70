"""What must survive a power cut is on the disk before it has its name, and so is the name."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.files import FileStorage
from hapair.adapters.filesystem.fstab import Fstab
from hapair.model.application import FileSystem, Volume
from hapair.runtime.building.files import write_durably

NAME: Final = "fstab"
OLD: Final = b"/dev/vg_x/data /srv/x ext4 defaults 0 2\n"
VOLUME: Final = Volume("x.data", 1, 2, "vg_x", "data", "meta", 1, "/srv/x", FileSystem.EXT4)

WAYS: Final[dict[str, Callable[[Path], object]]] = {
    "fstab": lambda folder: Fstab(folder / NAME).leave(VOLUME),
    "a file of the configuration": lambda folder: write_durably(folder / NAME, b"new\n", 0o600),
    "a stored file": lambda folder: FileStorage(folder).store(NAME, b"new\n"),
    "one with room of its own": lambda folder: FileStorage(folder, {NAME: 64}).store(NAME, b"new"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_content_and_then_the_name_are_brought_to_the_disk(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / NAME
    file.write_bytes(OLD)
    synced: list[tuple[str, bytes]] = []  # What, and what has the name at that moment.
    contents: list[bytes] = []

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synced.append(("folder" if is_folder else "file", file.read_bytes()))
        if not is_folder:
            contents.append(Path(f"/proc/self/fd/{descriptor}").read_bytes())

    monkeypatch.setattr(os, "fsync", fsync)
    WAYS[way](tmp_path)
    new = file.read_bytes()
    assert new != OLD
    before, after = synced.index(("file", OLD)), synced.index(("folder", new))
    assert before < after
    assert new in contents, "all of it, and not a part that was not flushed yet"
