"""Folders that hapair makes for a mount are as an administrator would have made them."""

import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hapair.adapters.filesystem.folders import folders_of, make_mount_point, remove_folders
from hapair.model.storage import Folder
from tests.adapters.namespaces import need_root


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


def test_whether_something_lies_in_a_mount_point_is_told(tmp_path: Path) -> None:
    place = tmp_path / "srv/x"
    make_mount_point(str(place))
    above, own = folders_of(str(place))[-2:]
    assert not above.filled
    assert not own.filled
    (place / "old").write_text("")
    above, own = folders_of(str(place))[-2:]
    assert not above.filled, "nothing is mounted there"
    assert own.filled


@pytest.mark.parametrize("place", ["file", "file/x", "dangling"])
def test_what_is_no_folder_is_an_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(NotADirectoryError):
        make_mount_point(str(tmp_path / place))


@pytest.mark.native
@pytest.mark.usefixtures("private_umask")
def test_what_is_missing_gets_owner_mode_and_labels_of_the_other_node(tmp_path: Path) -> None:
    need_root()
    there, here = tmp_path / "there", tmp_path / "here"
    (there / "data/pg").mkdir(parents=True)
    os.chown(there / "data", 0, 12345)
    (there / "data").chmod(0o2751)
    shutil.chown(there / "data/pg", "daemon", "daemon")
    entries = ((1, 7, -1), (2, 5, 1000), (4, 5, -1), (16, 5, -1), (32, 0, -1))
    acl = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", kind, rights, who % 2**32) for kind, rights, who in entries
    )
    os.setxattr(there / "data/pg", "system.posix_acl_access", acl)
    like = tuple(
        replace(each, path=each.path.replace(str(there), str(here)))
        for each in folders_of(str(there / "data/pg"))
    )
    assert [each.owner for each in like[-2:]] == ["root", "daemon"]
    assert like[-2].group == "12345"
    make_mount_point(str(here / "data/pg"), like)
    assert folders_of(str(here / "data/pg"))[-2:] == like[-2:]


def test_a_user_that_is_not_known_here_leaves_the_folder_to_root(tmp_path: Path) -> None:
    place = tmp_path / "x"
    make_mount_point(str(place), (Folder(str(place), 0o711, "nobody-here", "nobody-here"),))
    (made,) = folders_of(str(place))[-1:]
    assert (made.mode, made.owner) == (0o711, tmp_path.owner())


def test_what_was_made_is_removed_unless_it_is_used_by_now(tmp_path: Path) -> None:
    place = tmp_path / "data/pg/main"
    for used, left in ((place, True), (tmp_path / "data", True), (None, False)):
        make_mount_point(str(place))
        made = folders_of(str(place))[-3:]
        if used is not None:
            (used / "file").touch()
        remove_folders(made)
        remove_folders(made)
        assert (tmp_path / "data").exists() == left
        assert place.exists() == (used == place)
        if used is not None:
            (used / "file").unlink()
