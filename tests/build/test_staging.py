"""Many files of one node as one."""

from pathlib import Path

import pytest

from hapair.runtime.building.files import (
    BusyError,
    NewFile,
    make_folders,
    only_builder,
    somebody_builds,
    write_durably,
)
from hapair.runtime.building.staging import Staging, StagingError, leftovers
from hapair.runtime.places import Places

CLCONF = "etc/cluster/clconf.xml"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


@pytest.mark.parametrize(
    "path",
    ["etc/passwd", "/etc/cluster/clconf.xml", "etc/cluster/../passwd", "etc/cluster/.staging-3/x"],
)
def test_nothing_but_the_configuration_is_ever_written(places: Places, path: str) -> None:
    staging = Staging(places, 1)
    staging.begin()
    with pytest.raises(StagingError, match="no file of the cluster's configuration"):
        staging.stage((NewFile(path, "x"),))


def test_a_leftover_is_not_mixed_up_with_a_new_build(places: Places) -> None:
    Staging(places, 1).begin()
    with pytest.raises(StagingError, match="left over"):
        Staging(places, 1).begin()


def test_what_was_not_staged_cannot_be_committed(places: Places) -> None:
    staging = Staging(places, 1)
    with pytest.raises(StagingError, match="nothing is staged"):
        staging.commit()


def test_a_commit_may_be_repeated(places: Places) -> None:
    staging = Staging(places, 1)
    staging.begin()
    staging.stage((NewFile(CLCONF, "new"),))
    staging.commit()
    staging.commit()
    assert places.clconf.read_text() == "new"


def test_an_undo_removes_what_was_new_and_restores_what_was_removed(places: Places) -> None:
    places.clconf.parent.mkdir(parents=True)
    places.clconf.write_text("old")
    places.clconf.chmod(0o640)
    staging = Staging(places, 1)
    staging.begin()
    staging.stage((NewFile(CLCONF, remove=True), NewFile("etc/cluster/orders/appconf.xml", "a")))
    staging.commit()
    assert not places.clconf.exists()
    assert places.appconf("orders").exists()
    staging.undo()
    staging.undo()
    assert places.clconf.read_text() == "old"
    assert places.clconf.stat().st_mode & 0o777 == 0o640
    assert not places.appconf("orders").parent.exists()
    assert leftovers(places) == ()


def test_a_staged_file_that_rots_is_not_committed(places: Places) -> None:
    staging = Staging(places, 1)
    staging.begin()
    staging.stage((NewFile(CLCONF, "new"),))
    (staging.folder / "new-0").write_text("neu")
    with pytest.raises(StagingError, match="the disk may be failing"):
        staging.commit()
    assert not places.clconf.exists()


def test_a_damaged_journal_is_not_guessed_at(places: Places) -> None:
    staging = Staging(places, 1)
    staging.begin()
    (staging.folder / "journal.json").write_text("{")
    with pytest.raises(StagingError, match="cannot be read"):
        staging.undo()


def test_folders_of_strangers_are_no_leftovers(places: Places) -> None:
    (places.configuration / ".staging-mine").mkdir(parents=True)
    assert leftovers(places) == ()


def test_the_folder_of_the_keys_is_for_root_alone(places: Places) -> None:
    make_folders(places.keys)
    assert places.keys.stat().st_mode & 0o777 == 0o700
    assert places.configuration.stat().st_mode & 0o777 == 0o755


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.mkdir()
    with pytest.raises(IsADirectoryError):
        write_durably(target, b"x", 0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_one_build_at_a_time(places: Places) -> None:
    assert not somebody_builds(places)
    with only_builder(places):
        assert somebody_builds(places)
        with pytest.raises(BusyError), only_builder(places):
            raise AssertionError("two builders at once")
    assert not somebody_builds(places)
