"""What the cache keeps, what it lets go, and what a program that was killed leaves in it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hapair_lab import images, snapshots
from hapair_lab.acceleration import Acceleration
from hapair_lab.errors import LabError
from hapair_lab.folders import cache_folder, discard, new_run_folder
from hapair_lab.images import image_for
from hapair_lab.lab import Description, write_description
from hapair_lab.qemu import writing
from hapair_lab.saved import BY_HAND, Saved, all_saved, snapshots_folder
from hapair_lab.snapshots import OS_BOOTED, SPARED_S, Step, clean, ensure, key_of, prune
from hapair_lab.tools import run_tool
from hapair_lab.topology import GUESTS
from tests.unit.lab.caches import grow_old, image_in, make_saved

MIB = 1024**2


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache of its own: what people have saved is not touched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hapair"


def names() -> set[str]:
    return {folder.name for folder in snapshots_folder().iterdir()}


def filled(saved: Saved, size_bytes: int = MIB) -> Saved:
    (saved.folder / "disk").write_bytes(b"x" * size_bytes)
    return saved


def test_old_variants_are_removed_unless_something_stands_on_them(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = [make_saved(cache, "installed", str(number)) for number in range(4)]
    make_saved(cache, "formed", "1", saved[0])
    grow_old(*(each.folder for each in saved))
    prune(kept=1)
    assert names() == {"installed-0", "installed-3", "formed-1"}
    assert "removing an old snapshot installed 1" in capsys.readouterr().err


def test_of_each_name_and_each_kind_of_guests_some_are_kept(cache: Path) -> None:
    kinds = (Acceleration.TCG, Acceleration.UML)
    made = [
        make_saved(cache, name, f"{kind}-{number}", acceleration=kind)
        for number in range(3)
        for name in ("installed", "os-booted")
        for kind in kinds
    ]
    grow_old(*(each.folder for each in made))
    prune(kept=2)
    assert len(names()) == 8
    assert not [name for name in names() if name.endswith("-0")]


def test_what_stands_on_something_that_goes_goes_first(cache: Path) -> None:
    base = [make_saved(cache, "os-booted", str(number)) for number in range(2)]
    ends = [make_saved(cache, "formed", each.key, each) for each in base]
    grow_old(base[0].folder, ends[0].folder, base[1].folder, ends[1].folder)
    prune(kept=1)
    assert names() == {"os-booted-1", "formed-1"}


def test_all_together_take_no_more_than_a_bound(cache: Path) -> None:
    made = [filled(make_saved(cache, f"formed-{number}", "1")) for number in range(6)]
    grow_old(*(each.folder for each in made))
    room_bytes = sum(each.size_bytes() for each in made[3:])
    prune(kept_bytes=room_bytes)
    assert names() == {f"formed-{number}-1" for number in (3, 4, 5)}


def test_neither_what_a_lab_stands_on_nor_what_a_person_saved_goes(cache: Path) -> None:
    base = make_saved(cache, "os-booted", "1")
    in_use = make_saved(cache, "formed", "1", base)
    by_hand = make_saved(cache, "my-own", BY_HAND)
    other = make_saved(cache, "other", "1")
    guests_images = {guest.name: image_in(cache) for guest in GUESTS}
    ports = {guest.name: 1 for guest in GUESTS}
    lab = Description(guests_images, Acceleration.TCG, ports, "formed", str(in_use.folder))
    write_description(new_run_folder(), lab)
    grow_old(*(each.folder for each in (base, in_use, by_hand, other)))
    prune(kept=0, kept_bytes=0)
    assert names() == {"os-booted-1", "formed-1", f"my-own-{BY_HAND}"}


def test_what_was_just_used_is_not_removed_under_somebodys_feet(cache: Path) -> None:
    saved = [make_saved(cache, "installed", str(number)) for number in range(3)]
    prune(kept=1, kept_bytes=0)
    assert all(each.folder.exists() for each in saved)


def test_an_image_that_nothing_stands_on_is_removed(cache: Path) -> None:
    make_saved(cache, "installed", "1")
    old = cache / "image-test-0"
    old.mkdir()
    grow_old(old, image_in(cache).folder)
    prune()
    assert not old.exists()
    assert image_in(cache).root_disk.exists()


def test_a_folder_that_nobody_can_read_is_no_snapshot_and_goes_in_time(cache: Path) -> None:
    make_saved(cache, "installed", "1")
    broken = snapshots_folder() / "installed-of-an-older-version"
    broken.mkdir()
    (broken / "saved.json").write_text("{}")
    grow_old(broken)
    assert [each.key for each in all_saved()] == ["1"]
    prune()
    assert not broken.exists()


def test_what_bears_the_name_of_a_snapshot_and_is_none_is_built_anew(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests_images = {guest.name: image_in(cache) for guest in GUESTS}
    monkeypatch.setattr(snapshots, "equipment", lambda *_: (guests_images, Acceleration.TCG))
    key = key_of(OS_BOOTED, guests_images, Acceleration.TCG)
    (snapshots_folder() / f"os-booted-{key}").mkdir()
    built: list[str] = []

    def build(wanted: Step, key: str, _kind: object) -> None:
        built.append(wanted.name)
        make_saved(cache, wanted.name, key)

    monkeypatch.setattr(snapshots, "_build", build)
    assert ensure(OS_BOOTED).key == key
    assert ensure(OS_BOOTED).key == key
    assert built == ["os-booted"]


def test_what_killed_programs_left_goes_in_time(cache: Path) -> None:
    left = [snapshots_folder() / ".saving-x", cache / "tmp-removed-x"]
    for folder in left:
        folder.mkdir()
    prune()
    assert all(folder.exists() for folder in left)
    grow_old(*left)
    prune()
    assert not [folder for folder in left if folder.exists()]


def test_two_programs_may_tidy_up_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each finds that the other one was faster, at any moment."""
    for number in range(4):
        make_saved(cache, "installed", str(number))
    for folder in snapshots_folder().iterdir():
        grow_old(folder)

    def faster(folder: Path) -> None:
        shutil.rmtree(folder)
        discard(folder)

    monkeypatch.setattr(snapshots, "discard", faster)
    prune(kept=1)
    assert len(names()) == 1


def test_a_removal_that_is_killed_leaves_nothing_to_be_used(cache: Path) -> None:
    saved = filled(make_saved(cache, "installed", "1"))
    program = (
        "import os, shutil, signal, sys; from pathlib import Path\n"
        "from hapair_lab.folders import discard\n"
        "shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "discard(Path(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(saved.folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert all_saved() == []
    assert not saved.folder.exists()
    clean(everything=False, now_s=time.time() + SPARED_S + 1)
    assert not list(cache.glob("tmp*"))


def test_the_tool_of_a_killed_program_does_not_write_into_what_the_next_one_fetches(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets: list[str] = []

    def fetch(_tool: str, *arguments: str) -> str:
        target = next(word for word in arguments if word.endswith(".tar"))
        targets.append(target)
        Path(target).write_text("packages")
        if len(targets) == 1:
            raise LabError("it was killed")
        return ""

    monkeypatch.setattr(images, "run_tool", fetch)
    monkeypatch.setattr(images, "remove", lambda _: None)
    with pytest.raises(LabError, match="killed"):
        images.packages_tar("bookworm")
    assert not list(cache.glob("packages-*.tar"))
    got = images.packages_tar("bookworm")
    assert got.read_text() == "packages"
    assert targets[0] != targets[1]
    assert images.packages_tar("bookworm") == got
    assert len(targets) == 2


def test_an_image_that_is_being_removed_is_not_taken(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "check_tools", lambda: None)
    image = image_in(cache)
    built: list[Path] = []

    def build(_release: str, _uml: object, folder: Path) -> None:
        folder.mkdir()
        built.append(folder)

    monkeypatch.setattr(images, "_build", build)
    monkeypatch.setattr(images, "image_in_cache", lambda *_: image)
    image_for()
    assert built == []
    discard(image.folder)
    image_for()
    assert built == [image.folder]


def test_a_tool_that_finds_no_room_is_told_with_what_to_do() -> None:
    with pytest.raises(LabError, match="No space left") as error:
        run_tool("cp", sys.executable, "/dev/full")
    assert "cllab clean" in error.value.hint
    with pytest.raises(LabError) as error:
        run_tool("false")
    assert error.value.hint == ""


@pytest.mark.parametrize("name", ["my cache", "a,b", "a:b", "it's"])
def test_a_cache_whose_path_no_kernel_can_be_told_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
    with pytest.raises(LabError, match="in its path") as error:
        cache_folder()
    assert "XDG_CACHE_HOME" in error.value.hint
    assert not (tmp_path / name).exists()


def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(LabError, match="cannot be made") as error:
        cache_folder()
    assert "XDG_CACHE_HOME" in error.value.hint
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(LabError, match="nothing can be written"):
        cache_folder()


@pytest.mark.parametrize(("limit", "left"), [("unlimited", ["node1.state"]), ("8", [])])
def test_a_state_for_which_there_was_no_room_is_not_taken_for_one(
    tmp_path: Path, limit: str, left: list[str]
) -> None:
    """The emulator hands over the last bytes and is done; they may not fit on the disk."""
    state = tmp_path / "node1.state"
    command = writing(state).removeprefix("exec:")
    subprocess.run(
        ["sh", "-c", f"ulimit -f {limit}; {command}"],
        input=b"x" * 16 * 1024,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert [path.name for path in tmp_path.iterdir()] == left
