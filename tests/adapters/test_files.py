"""Files that survive: old or new, never half."""

from pathlib import Path

import pytest

from hapair.adapters.files import FileStorage


def test_a_crash_between_writing_and_renaming_leaves_the_old_content(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    storage.store("state.json", b"old")
    (tmp_path / ".state.json.new").write_bytes(b"half of the n")  # What a crash leaves.
    assert storage.load("state.json") == b"old"
    storage.store("state.json", b"new")
    assert storage.load("state.json") == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_only_root_may_read_what_is_stored(tmp_path: Path) -> None:
    FileStorage(tmp_path).store("state.json", b"")
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_stored_is_an_error_and_the_old_content_stays(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="directory"):
        storage.store("taken", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
