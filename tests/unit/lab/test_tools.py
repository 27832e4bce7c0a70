"""Small parts of the lab that need no guest."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hapair_lab import cli, current
from hapair_lab.acceleration import VARIABLE, Acceleration, acceleration_for
from hapair_lab.errors import LabError
from hapair_lab.faults import DiskErrors, failing_table
from hapair_lab.process import Process
from hapair_lab.saved import find, read_saved, snapshots_folder
from hapair_lab.scenario import all_scenarios, scenario_named
from hapair_lab.snapshots import (
    NOTHING_RUNS,
    OS_BOOTED,
    Rest,
    Step,
    clean,
    forget,
    key_of,
)
from tests.unit.lab.caches import image_in, make_saved

TABLE = "0 1000 linear 254:16 2048\n1000 24 linear 254:32 0"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache of its own: what people have saved is not touched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hapair"


def test_all_requests_to_a_failing_disk_fail() -> None:
    assert failing_table(TABLE, DiskErrors.ALL) == "0 1000 error\n1000 24 error\n"


def test_only_writes_fail_where_only_writes_shall() -> None:
    assert failing_table(TABLE, DiskErrors.WRITES) == (
        "0 1000 flakey 254:16 2048 0 3600 1 error_writes\n"
        "1000 24 flakey 254:32 0 0 3600 1 error_writes\n"
    )
    with pytest.raises(LabError, match="striped"):
        failing_table("0 1000 striped 2 128 254:16 0 254:32 0", DiskErrors.WRITES)


def test_a_process_is_found_by_its_pid_file_and_only_if_it_is_the_right_one(tmp_path: Path) -> None:
    mine = Process(tmp_path / "pid", "a-word-of-mine", tmp_path / "log")
    mine.start(
        [sys.executable, "-c", "import signal; signal.pause()", "a-word-of-mine"],
        dies_with_parent=True,
    )
    try:
        seen_by_another = Process(tmp_path / "pid", "a-word-of-mine", tmp_path / "log")
        assert mine.pid() is not None
        assert Process(tmp_path / "pid", "another word", tmp_path / "log").pid() is None
        assert seen_by_another.pid() in {mine.pid(), None}
    finally:
        mine.kill()
    assert mine.pid() is None
    mine.kill()


def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    """A killed test run must leave no emulator behind."""
    program = (
        "import sys; from pathlib import Path; from hapair_lab.process import Process;"
        "p = Path(sys.argv[1]);"
        "Process(p / 'pid', 'sleep', p / 'log').start(['sleep', '600'], dies_with_parent=True)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    child = Process(tmp_path / "pid", "sleep", tmp_path / "log")
    child.wait_for_end()
    assert child.pid() is None


def test_the_key_of_a_snapshot_depends_on_all_before_it(cache: Path) -> None:
    images = {"node1": image_in(cache)}

    def build(_lab: object) -> None:
        return

    first = Step("installed", OS_BOOTED, ("package 1",), build)
    other = Step("installed", OS_BOOTED, ("package 2",), build)
    keys = {
        key_of(OS_BOOTED, images, Acceleration.TCG),
        key_of(OS_BOOTED, images, Acceleration.KVM),
        key_of(OS_BOOTED, images, Acceleration.UML),
        key_of(first, images, Acceleration.TCG),
        key_of(other, images, Acceleration.TCG),
        key_of(Step("formed", first, (), build), images, Acceleration.TCG),
        key_of(Step("formed", other, (), build), images, Acceleration.TCG),
    }
    assert len(keys) == 7


def test_a_link_rests_as_its_parent_does_unless_it_has_a_way_of_its_own() -> None:
    def act(_lab: object) -> None:
        return

    own = Rest(act, act)
    formed = Step("formed", Step("installed", OS_BOOTED, (), act), (), act, rest=own)
    assert OS_BOOTED.resting is NOTHING_RUNS
    assert formed.parent is not None
    assert formed.parent.resting is NOTHING_RUNS
    assert formed.resting is own
    assert Step("with more", formed, (), act).resting is own
    assert Step("again", formed, (), act, rest=NOTHING_RUNS).resting is NOTHING_RUNS


def test_only_what_can_be_frozen_is_saved_running() -> None:
    assert Acceleration.KVM.can_freeze
    assert Acceleration.TCG.can_freeze
    assert not Acceleration.UML.can_freeze
    assert Acceleration.UML.disk_format != Acceleration.TCG.disk_format
    assert Acceleration.UML.arguments == (), "nothing of it reaches QEMU"


def test_a_snapshot_is_found_by_its_name_and_says_what_it_stands_on(cache: Path) -> None:
    base = make_saved(cache, "os-booted", "1")
    formed = make_saved(cache, "formed", "2", base)
    assert find("formed") == formed
    assert read_saved(formed.folder).parent_folder == str(base.folder)
    with pytest.raises(LabError, match="no snapshot 'other'") as error:
        find("other")
    assert "formed, os-booted" in error.value.hint


def test_a_snapshot_that_another_stands_on_is_not_forgotten(cache: Path) -> None:
    base = make_saved(cache, "os-booted", "1")
    formed = make_saved(cache, "formed", "2", base)
    with pytest.raises(LabError, match="formed stands on os-booted"):
        forget(base)
    forget(formed)
    forget(base)
    assert not base.folder.exists()


def test_cleaning_everything_leaves_nothing_that_could_be_built_again(cache: Path) -> None:
    base = make_saved(cache, "os-booted", "1")
    (cache / "packages-bookworm-1.tar").touch()
    (cache / "uml-7.0-1").mkdir()
    assert clean(everything=False) == []
    removed = clean(everything=True)
    assert set(removed) == {"os-booted-1", "image-test-1", "packages-bookworm-1.tar", "uml-7.0-1"}
    assert not base.folder.exists()


def test_what_another_program_makes_right_now_is_not_cleaned_away(cache: Path) -> None:
    make_saved(cache, "os-booted", "1")
    half_made = [
        snapshots_folder() / ".saving-x",
        cache / "image-new-1",
        cache / "build-x",
        cache / "build-uml-x",
        cache / "tmpx",
        cache / "packages-bookworm-1.part",
    ]
    for folder in half_made:
        folder.mkdir()
    for everything in (False, True):
        half_made[1].mkdir(exist_ok=True)
        left = {"os-booted-1", "image-test-1", "image-new-1"} if everything else set()
        assert set(clean(everything=everything)) == left
    half_made[1].mkdir()
    removed = clean(everything=False, now_s=time.time() + 86400)
    assert sorted(removed) == sorted(folder.name for folder in half_made)
    assert not [folder for folder in half_made if folder.exists()]


def test_only_snapshots_that_were_not_used_for_long_are_cleaned_away(cache: Path) -> None:
    base = make_saved(cache, "os-booted", "1")
    for name, parent in (("installed", base), ("formed", None), ("used", base)):
        make_saved(cache, name, "1", parent)
    for folder in snapshots_folder().iterdir():
        os.utime(folder, (0, 0))
    os.utime(snapshots_folder() / "used-1")
    assert clean(everything=False) == []
    assert sorted(clean(everything=False, older_s=86400)) == ["formed-1", "installed-1"]


def test_an_age_is_a_number_and_a_unit(capsys: pytest.CaptureFixture[str]) -> None:
    assert [cli.age_s(text) for text in ("30m", "12h", "1d")] == [1800, 43200, 86400]
    for wrong in ("", "d", "1", "1w", "-1d"):
        with pytest.raises(SystemExit):
            cli.main(["clean", f"--older={wrong}"])
        assert "use e.g. 30m, 12h or 1d" in capsys.readouterr().err


def test_the_acceleration_can_be_ordered_and_a_typing_error_is_told(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "tcg")
    assert acceleration_for(image_in(cache)) is Acceleration.TCG
    for wrong in ("turbo", "uml"):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(LabError, match=wrong) as error:
            acceleration_for(image_in(cache))
        assert error.value.hint == "use kvm or tcg"


def test_every_scenario_has_a_name_and_a_summary() -> None:
    for each in all_scenarios():
        assert each.name
        assert each.summary
    with pytest.raises(LabError, match="no scenario 'nothing'"):
        scenario_named("nothing")


def test_ending_a_lab_that_is_not_up_is_no_error() -> None:
    assert not current.bring_down()
    current.sweep()


def test_the_command_says_what_is_wrong_and_how_to_mend_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["ssh", "node1"]) == 1
    said = capsys.readouterr().err
    assert "the lab is not up" in said
    assert "cllab up" in said


def test_the_status_of_no_lab_is_readable_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"up": False, "snapshot": None, "guests": {}}


def test_wrong_use_is_told_from_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["power", "off", "node9"])
    assert ended.value.code == 2
    assert "node1" in capsys.readouterr().err
