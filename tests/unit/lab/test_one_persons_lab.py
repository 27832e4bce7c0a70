"""A person's lab: whose snapshot it starts from, one command at a time, and what Ctrl-C leaves."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from hapair_lab import cli, cli_commands, current
from hapair_lab.acceleration import Acceleration
from hapair_lab.choosing import age, not_own
from hapair_lab.errors import LabError
from hapair_lab.folders import new_run_folder
from hapair_lab.lab import Description, Lab, write_description
from hapair_lab.room import DISK_BYTES, MEMORY_BYTES, host_room, refuse_without_room
from hapair_lab.saved import Saved, find
from hapair_lab.snapshots import forget
from hapair_lab.tools import locked
from hapair_lab.topology import GUESTS
from tests.processes import PATIENCE_S, Started
from tests.unit.lab import caches
from tests.unit.lab.caches import grow_old, image_in

UML = Acceleration.UML
make_saved = partial(caches.make_saved, acceleration=UML)


ENDS_A_LAB: Final = """
from hapair_lab.lab import uninterrupted

with uninterrupted():
    signal.raise_signal(signal.SIGINT)
    print("uninterrupted", end=", ")
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""
WAITS_FOR_A_GUEST: Final = """
import os, threading
from hapair_lab.lab import in_parallel

def work(_machine):
    print("at work", flush=True)
    threading.Event().wait()

try:
    in_parallel(work, ["node1"])
except KeyboardInterrupt:
    print("interrupted", flush=True)
os._exit(0)  # The guest would be waited for.
"""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give each test a cache of its own, of a path that is short enough for a lab's sockets."""
    with TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_CACHE_HOME", folder)
        yield Path(folder) / "hapair"


def make_lab(cache: Path, saved: Saved) -> Lab:
    """Leave the folder of a lab of which nothing runs."""
    folder = new_run_folder()
    images = {guest.name: image_in(cache) for guest in GUESTS}
    ports = {guest.name: 1 for guest in GUESTS}
    write_description(folder, Description(images, UML, ports, saved.name, str(saved.folder)))
    return Lab.attach(folder)


@pytest.fixture
def up(cache: Path) -> Iterator[Lab]:
    """Yield a person's lab of which one process runs."""
    lab = make_lab(cache, make_saved(cache, "formed-paths-2s", "1"))
    (lab.folder.parent / current.POINTER).symlink_to(lab.folder)
    hub = lab.folder / "hub"
    program = "import signal; print('up', flush=True); signal.pause()"
    argv = [sys.executable, "-c", program, str(hub)]
    with Started(argv, stdout=subprocess.PIPE, text=True) as process:
        process.line("up")
        (lab.folder / "hub.pid").write_text(str(process.pid))
        yield lab
        process.kill()


def test_this_clones_snapshot_comes_before_one_that_was_used_later(cache: Path) -> None:
    mine = make_saved(cache, "formed", "mine")
    others = make_saved(cache, "formed", "others")
    os.utime(mine.folder, (0, 0))
    assert find("formed") == others
    assert find("formed", key="mine") == mine
    assert find("formed", key="not built") == others


def test_what_stands_on_another_clones_package_is_told(cache: Path) -> None:
    booted = make_saved(cache, "os-booted", "1")
    own = make_saved(cache, "installed", "own", booted)
    others = make_saved(cache, "installed", "others", booted)
    keys = {"os-booted": "1", "installed": "own", "formed": "2"}
    assert not_own(make_saved(cache, "formed", "2", own), keys) == ""
    assert not_own(make_saved(cache, "by-hand", "mine", own), keys) == ""
    assert not_own(booted, keys) == ""
    os.utime(others.folder, (time.time() - 7300, time.time() - 7300))
    assert "installed others, last used 2 h ago, is of another package" in not_own(others, keys)
    assert "formed 3, last used 0 s ago" in not_own(make_saved(cache, "formed", "3", others), keys)
    assert "is of another package" in not_own(make_saved(cache, "formed", "4", own), keys)
    assert "is of another package" in not_own(own, {}), "nothing of this clone was ever built"


def test_an_age_is_told_in_words_of_its_size() -> None:
    assert [age(s) for s in (3, 150, 7200, 200_000)] == ["3 s", "2 min", "2 h", "2 days"]


def test_a_second_command_waits_for_the_first_and_is_told_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    entered = threading.Event()

    def second() -> None:
        with locked("test", waiting="waiting for the first"):
            entered.set()

    thread = threading.Thread(target=second)
    with locked("test"):
        thread.start()
        assert not entered.wait(0.3)
    assert entered.wait(PATIENCE_S)
    thread.join()
    assert capsys.readouterr().err.count("waiting for the first") == 1


def test_another_snapshot_is_not_taken_for_the_one_that_runs(
    up: Lab, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LabError, match="from another snapshot formed-paths-2s") as error:
        cli_commands.up_already(up, make_saved(cache, "mine", "mine"))
    assert "cllab restore mine" in error.value.hint
    assert cli_commands.up_already(up, find("formed-paths-2s")) == 0
    assert cli_commands.up_already(up, None) == 0
    assert "up already, from snapshot formed-paths-2s" in capsys.readouterr().err


def test_a_lab_whose_start_was_killed_is_not_up_and_can_be_ended(up: Lab) -> None:
    assert current.running() is not None
    (up.folder / current.STARTING).touch()
    assert current.running() is None
    assert current.bring_down()
    assert not up.folder.exists()
    assert current.current_folder() is None


@pytest.mark.usefixtures("up")
def test_an_interrupted_command_does_not_say_that_a_lab_is_gone_which_is_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    assert cli.guarded(interrupt) == cli.INTERRUPTED
    said = capsys.readouterr().err
    assert "the lab is up: cllab status, cllab down" in said
    assert "undone" not in said
    current.bring_down()
    assert cli.guarded(interrupt) == cli.INTERRUPTED
    assert "what was half done is undone" in capsys.readouterr().err


def in_a_process_of_its_own(program: str) -> Started:
    """Run what is interrupted: here an interruption could end the whole run, or another test."""
    begin = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    argv = [sys.executable, "-c", f"{begin}\n{program}"]
    return Started(argv, stdout=subprocess.PIPE, text=True)


def test_nothing_interrupts_the_end_of_a_lab() -> None:
    with in_a_process_of_its_own(ENDS_A_LAB) as process:
        assert process.ended()[0] == "uninterrupted, interrupted\n"


def test_whoever_interrupts_is_told_that_the_guests_are_being_ended(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = make_saved(cache, "formed", "1")
    make_lab(cache, saved).close()
    assert capsys.readouterr().err == ""
    with pytest.raises(KeyboardInterrupt), make_lab(cache, saved):
        raise KeyboardInterrupt
    assert capsys.readouterr().err.count("ending the guests ...") == 1


def test_an_interruption_waits_for_no_guest() -> None:
    with in_a_process_of_its_own(WAITS_FOR_A_GUEST) as process:
        process.line("at work")
        assert process.interrupted()[0] == "interrupted\n"


def test_a_snapshot_is_forgotten_when_only_the_folder_of_a_lab_is_left(
    up: Lab, cache: Path
) -> None:
    with pytest.raises(LabError, match="a lab runs on formed-paths-2s"):
        forget(find("formed-paths-2s"))
    left = make_saved(cache, "left", "1")
    make_lab(cache, left)
    forget(left)
    assert not left.folder.exists()
    assert up.is_running()


def test_a_lab_of_another_version_is_not_swept_away_while_it_runs(cache: Path, up: Lab) -> None:
    (up.folder.parent / current.POINTER).unlink()
    gone = make_lab(cache, make_saved(cache, "left", "1")).folder
    for folder in (up.folder, gone):
        (folder / "lab.json").write_text("{}")
        grow_old(folder)
    current.sweep()
    assert up.folder.exists()
    assert not gone.exists()
    write_description(up.folder, up.description)


def test_a_guest_whose_emulator_ended_is_told_from_one_that_is_slow(cache: Path) -> None:
    node1 = make_lab(cache, make_saved(cache, "formed", "1")).node1
    node1.plan.path("emulator").write_text("Bus error")
    node1.plan.path("console").write_text("Kernel panic")
    with pytest.raises(LabError, match="node1 did not boot: its emulator ended") as error:
        node1.wait_until_booted()
    assert "Bus error" in str(error.value)
    assert "Kernel panic" in str(error.value)


def test_a_lab_that_would_run_out_of_room_is_refused() -> None:
    class Room:
        def __init__(self, disk: int, memory: int) -> None:
            self.disk, self.memory = disk, memory

        def __call__(self, folder: Path) -> int:
            return self.memory if folder == Path("/dev/shm") else self.disk

    refuse_without_room(UML, Room(DISK_BYTES, MEMORY_BYTES))
    refuse_without_room(Acceleration.TCG, Room(DISK_BYTES, 0))
    with pytest.raises(LabError, match="1280 MiB of memory in /dev/shm, 64 MiB are free"):
        refuse_without_room(UML, Room(DISK_BYTES, 64 * 1024**2))
    with pytest.raises(LabError, match=r"a lab needs 1 GiB in .*, 0 MiB are free"):
        refuse_without_room(Acceleration.TCG, Room(0, MEMORY_BYTES))
    assert "GiB free in" in host_room()


def test_a_full_disk_is_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def write() -> int:
        raise OSError(28, "No space left on device", "/cache/disk")

    assert cli.guarded(write) == 1
    said = capsys.readouterr().err
    assert "no space is left on the disk of /cache/disk" in said
    assert "cllab clean" in said
