"""Programs that are kept in memory: started without a fork, and without a disk."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair.adapters.shared import pinned, starts
from hapair.adapters.shared.pinned import is_pinned, keep_pinned, pin, unpin
from hapair.adapters.shared.process import COMMAND_NOT_FOUND, ProcessRunner
from hapair.ports.programs import Finished
from tests.adapters.loops import loop_device, make_image, run
from tests.adapters.namespaces import need_root, own_mounts
from tests.processes import PATIENCE_S
from tests.runtime.conftest import eventually

SHELL = Path("/bin/sh")


def held() -> list[str]:
    """Return what our descriptors are open on."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(each.readlink()))
        except OSError:  # Of the listing itself.
            continue
    return found


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    """Lie behind a link of a folder, as /lib/drbd does."""
    (tmp_path / "usr").mkdir()
    (tmp_path / "lib").symlink_to("usr")
    made = tmp_path / "lib" / "program"
    shutil.copy(SHELL, made)
    yield made
    unpin(made)


@pytest.fixture
def no_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_words: object) -> None:
        raise AssertionError("this was a fork")

    monkeypatch.setattr(starts, "start_child", refuses)


@pytest.mark.usefixtures("no_forks")
async def test_a_pinned_program_is_started_without_a_fork(program: Path) -> None:
    pin(program)
    argv = (str(program), "-c", "cat; echo said >&2; exit 3")
    answer = await ProcessRunner()(argv, timeout_s=PATIENCE_S, stdin=b"given")
    assert answer == Finished(3, "given", "said\n")


@pytest.mark.usefixtures("no_forks")
async def test_it_leads_a_session_and_has_no_descriptor_but_its_own(program: Path) -> None:
    pin(program)
    with (program.parent / "socket").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)  # noqa: FBT003
        script = "ls /proc/self/fd; kill -PIPE $$"
        answer = await ProcessRunner()((str(program), "-c", script), timeout_s=PATIENCE_S)
    assert answer == Finished(-13, "0\n1\n2\n3\n", "")  # The last one lists the folder itself.
    who = await ProcessRunner()(
        (str(program), "-c", "ps -o sid= $$; echo $$"), timeout_s=PATIENCE_S
    )
    assert isinstance(who, Finished)
    session, number = who.stdout.split()
    assert session == number


def test_every_link_on_the_way_is_held_until_it_is_not_wanted(program: Path) -> None:
    before = held()
    pin(program)
    added = held()
    for each in before:
        added.remove(each)
    assert str(program.parent.parent / "lib") in added
    assert str(program.parent.parent / "usr" / "program") in added
    assert any("ld-linux" in each for each in added)
    unpin(program)
    assert sorted(held()) == sorted(before)
    assert not is_pinned(str(program))


def test_what_an_upgrade_puts_there_is_pinned_instead(program: Path) -> None:
    pin(program)
    before = len(held())
    shutil.copy("/bin/cat", program.parent / "new")
    (program.parent / "new").rename(program)
    pin(program)
    assert is_pinned(str(program))
    assert len(held()) == before
    assert not any("program (deleted)" in each for each in held())


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF\x01" + bytes(8192)])
def test_what_is_no_program_of_today_is_not_pinned(program: Path, content: bytes) -> None:
    pin(program)
    before = len(held())
    (program.parent / "new").write_bytes(content)
    (program.parent / "new").rename(program)
    pin(program)
    assert not is_pinned(str(program))
    assert len(held()) < before


def test_a_program_that_is_gone_is_not_pinned(program: Path) -> None:
    pin(program)
    program.unlink()
    pin(program)
    assert not is_pinned(str(program))


async def test_what_an_upgrade_took_away_is_not_pinned_once_that_is_seen(program: Path) -> None:
    pin(program)
    os.remove(program)  # noqa: PTH107
    answer = await ProcessRunner()((str(program),), timeout_s=PATIENCE_S)
    assert isinstance(answer, Finished)
    assert answer.exit_code == COMMAND_NOT_FOUND
    assert not is_pinned(str(program))


def test_links_in_a_circle_are_no_program(tmp_path: Path) -> None:
    before = held()
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    pin(tmp_path / "one")
    assert not is_pinned(str(tmp_path / "one"))
    assert held() == before


def test_a_look_that_hangs_makes_the_program_one_like_others(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAIL: what an upgrade put on a disk that hangs now stops the deciding loop."""
    monkeypatch.setattr(pinned, "TRUSTED_S", 0.0)
    pin(program)
    assert not is_pinned(str(program))


async def test_it_is_kept_as_long_as_anybody_wants_it(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned, "LOOKED_AT_EVERY_S", 0.01)
    keeping = asyncio.create_task(keep_pinned(program))
    await eventually(lambda: is_pinned(str(program)))
    keeping.cancel()
    await asyncio.wait({keeping})
    assert not is_pinned(str(program))


@pytest.mark.native
async def test_nothing_is_read_from_its_disk(tmp_path: Path) -> None:
    """FAIL: the kernel asks the disk while the deciding loop stands still."""
    need_root()
    image, node, place = make_image(tmp_path), tmp_path / "disk", tmp_path / "mounted"
    place.mkdir()
    with loop_device(image, node), own_mounts():
        run("mount", str(node), str(place))
        try:
            (place / "usr").mkdir()
            (place / "lib").symlink_to("usr")
            program = place / "lib" / "program"
            shutil.copy("/bin/true", program)
            pin(program)
            assert await _reads(program, place, node) == 0
            unpin(program)
            assert await _reads(program, place, node) > 0
        finally:
            unpin(program)
            run("umount", str(place))


async def _reads(program: Path, place: Path, node: Path) -> int:
    """Run it when the kernel has let go of all that it may; return how often it read the disk."""
    run("mount", "-o", "remount,ro", str(place))  # The names.
    with program.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    run("mount", "-o", "remount,rw", str(place))
    run("blockdev", "--flushbufs", str(node))
    before = _reads_of(node)
    assert await ProcessRunner()((str(program),), timeout_s=PATIENCE_S) == Finished(0, "", "")
    return _reads_of(node) - before


def _reads_of(node: Path) -> int:
    number = node.stat().st_rdev
    counted = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat")
    return int(counted.read_text().split()[0])
