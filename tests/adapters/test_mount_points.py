"""Folders that hapair makes for a mount are as an administrator would have made them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair.adapters.filesystem.folders import make_mount_point


@pytest.fixture
def private_umask() -> Iterator[None]:
    """As hapaird runs: what it makes is its own."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("private_umask")
def test_everybody_may_pass_what_was_missing_and_nothing_else_changes(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir(0o700)
    for _ in range(2):  # What is there already stays as it is.
        make_mount_point(str(above / "data/pg main/x"))
    modes = [above / "data", above / "data/pg main", above / "data/pg main/x"]
    assert [folder.stat().st_mode & 0o777 for folder in modes] == [0o755] * 3
    assert above.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("place", ["file", "file/x", "dangling"])
def test_what_is_no_folder_is_an_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(NotADirectoryError):
        make_mount_point(str(tmp_path / place))
