"""File systems on this machine: real ones, on loop devices."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

from hapair.lems.answers import Answer, failed
from hapair.lems.probes.filesystem import (
    WRITE_INTERVAL_S,
    WRITING_S,
    FileSystems,
    Mounted,
    percent,
)
from hapair.model.monitor import FileSystemProbe, Trouble
from tests.lems.running import ask, ask_without_descriptors

SIZE_BYTES = 8 << 20


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mounted]:
    with mounted_at(tmp_path / "data") as made:
        yield made


@contextmanager
def mounted_at(place: Path) -> Iterator[Mounted]:
    image = place.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    run("mkfs.ext4", "-q", "-m", "0", "-N", "64", image)
    place.mkdir()
    device = run("losetup", "--find", "--show", image)
    run("mount", device, place)
    try:
        yield Mounted(device, str(place))
    finally:
        subprocess.run(("fsfreeze", "-u", place), check=False, capture_output=True)
        # What hung until now may not have closed its file yet.
        while (
            os.path.ismount(place)
            and subprocess.run(("umount", "-q", place), check=False).returncode
        ):
            time.sleep(0.01)
        run("losetup", "--detach", device)


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as opened:
        while True:
            opened.write(b"x" * 4096)


def probe(mounted: Mounted, warn: int = 90) -> FileSystems:
    return FileSystems(FileSystemProbe(warn, warn), (mounted,))


@pytest.mark.native
def test_a_file_system_that_is_well(mounted: Mounted) -> None:
    asked = probe(mounted)
    answer = ask(asked)
    assert (answer.state, answer.text) == ("good", "1 mounted and writable")
    assert set(answer.perf) == {mounted.mount_point}
    left = [each.name for each in Path(mounted.mount_point).iterdir()]
    assert left == ["lost+found"], "nothing is left behind"
    run("umount", mounted.mount_point)
    where = f"{mounted.mount_point} is not mounted from {mounted.device}"
    assert ask(asked) == Answer("failed", where, Trouble.STORAGE, certain=True)


@pytest.mark.native
def test_what_is_mounted_from_elsewhere_is_not_ours(mounted: Mounted) -> None:
    other = Mounted("/dev/loop-control", mounted.mount_point)
    assert ask(probe(other)).trouble is Trouble.STORAGE
    assert "is not mounted from" in ask(probe(other)).text
    gone = Mounted("/dev/drbd9999", mounted.mount_point)
    assert ask(probe(gone)).text == "/dev/drbd9999: No such file or directory"


@pytest.mark.native
def test_one_that_turned_read_only(mounted: Mounted) -> None:
    asked = probe(mounted)
    assert ask(asked).state == "good"
    run("mount", "-o", "remount,ro", mounted.mount_point)
    text = f"{mounted.mount_point} is read-only"
    assert ask(asked) == Answer("failed", text, Trouble.STORAGE, certain=True)


@pytest.mark.native
def test_one_that_fills_up_is_warned_of_and_then_the_trouble_of_the_data(mounted: Mounted) -> None:
    place = Path(mounted.mount_point)
    free = os.statvfs(place)
    half = free.f_bavail * free.f_frsize // 2
    (place / "half").write_bytes(b"x" * half)
    used = ask(probe(mounted)).perf[mounted.mount_point]
    answer = ask(probe(mounted, warn=50))
    assert (answer.state, answer.text) == ("warning", f"{place} is {used[:-1]} % full")
    assert answer.perf == {mounted.mount_point: used}
    with pytest.raises(OSError, match="No space"):
        fill(place / "rest")
    answer = ask(probe(mounted))
    assert (answer.state, answer.trouble) == ("failed", Trouble.DATA)


@pytest.mark.native
def test_one_without_inodes_is_the_trouble_of_the_data(mounted: Mounted) -> None:
    place = Path(mounted.mount_point)
    asked = probe(mounted, warn=80)
    assert ask(asked).state == "good"
    while os.statvfs(place).f_favail > 3:
        (place / f"file{os.statvfs(place).f_favail}").touch()
    answer = ask(asked)
    assert answer.state == "warning"
    assert answer.text.endswith(f"of the inodes of {place} are in use")
    while os.statvfs(place).f_favail:
        (place / f"file{os.statvfs(place).f_favail}").touch()
    assert ask(asked) == Answer("failed", f"{place} has no inode left", Trouble.DATA, certain=True)


@pytest.mark.native
def test_one_that_could_not_be_looked_at_is_not_one_that_failed(mounted: Mounted) -> None:
    answer = ask_without_descriptors(probe(mounted))
    assert (answer.state, answer.certain) == ("unknown", False)
    assert answer.text.endswith("Too many open files")


@pytest.mark.native
def test_one_that_hangs(mounted: Mounted) -> None:
    """A disk that hangs answers everything that the kernel remembers; so something is written."""
    run("fsfreeze", "-f", mounted.mount_point)
    answer = ask(probe(mounted), timeout_s=0.5)
    text = f"{mounted.mount_point} gave no answer within 0.5 s"
    assert answer == Answer("failed", text, Trouble.STORAGE)
    run("fsfreeze", "-u", mounted.mount_point)


@pytest.mark.native
def test_it_is_not_written_more_often_than_needed(mounted: Mounted) -> None:
    asked = probe(mounted)
    assert ask(asked).state == "good"
    run("fsfreeze", "-f", mounted.mount_point)
    assert WRITE_INTERVAL_S > 1.0
    assert ask(asked, timeout_s=1.0).state == "good", "it was written a moment ago"
    run("fsfreeze", "-u", mounted.mount_point)


@pytest.mark.native
def test_several_that_are_slow_are_not_one_that_hangs(mounted: Mounted, tmp_path: Path) -> None:
    """FAIL: they share one limit, and what has many volumes is stopped on a slow disk."""
    with mounted_at(tmp_path / "logs") as logs:
        asked = FileSystems(FileSystemProbe(), (mounted, logs))
        for each in (mounted, logs):
            run("fsfreeze", "-f", each.mount_point)
        thaws = Timer(WRITING_S + 0.1, run, ("fsfreeze", "-u", mounted.mount_point))
        thaws.start()
        assert ask(asked, timeout_s=WRITING_S * 4).state == "good"
        thaws.join()
        answer = ask(asked, timeout_s=0.5)
        assert answer.text == f"{logs.mount_point} gave no answer within 0.5 s", "it has its turn"
        run("fsfreeze", "-u", logs.mount_point)


def test_the_share_in_use_is_that_of_df() -> None:
    assert percent(0, 0) == 0
    assert percent(1, 999) == 1
    assert percent(50, 50) == 50
    assert percent(999, 1) == 100


def test_what_another_node_may_mend_counts_before_what_travels_with_the_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    full, broken = str(tmp_path / "full"), str(tmp_path / "broken")
    found = {
        full: failed(f"{full} is full", Trouble.DATA, certain=True),
        broken: failed(f"{broken} is read-only", Trouble.STORAGE, certain=True),
    }
    for place in found:
        Path(place).mkdir()
    monkeypatch.setattr(FileSystems, "_one", lambda _, mount: found[mount.mount_point])
    for places in ((full, broken), (broken, full), (full,)):
        mounts = tuple(Mounted("/dev/drbd1", place) for place in places)
        answer = FileSystems(FileSystemProbe(), mounts).look()
        assert answer == found[broken if broken in places else full]
