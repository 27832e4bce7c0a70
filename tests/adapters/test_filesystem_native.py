"""Mounts on loop devices, seen by this test only."""

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hapair.adapters.filesystem import uses
from hapair.adapters.filesystem.adapter import MountedFileSystems
from hapair.model.application import Volume
from hapair.model.outcome import Done, Refused, Unknown
from tests.adapters.holding import KILLED_S
from tests.adapters.loops import MINOR, loop_device, make_image, run, volume_at
from tests.adapters.namespaces import need_root, own_mounts
from tests.processes import PATIENCE_S

pytestmark = pytest.mark.native


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return make_image(tmp_path)


@pytest.fixture
def volume(tmp_path: Path, image: Path) -> Iterator[Volume]:
    need_root()
    made = volume_at(tmp_path / "srv" / "my orders")
    with loop_device(image, Path(made.device)), own_mounts():
        yield made


@pytest.fixture
def file_systems() -> MountedFileSystems:
    return MountedFileSystems()


async def test_mounts_and_unmounts(volume: Volume, file_systems: MountedFileSystems) -> None:
    assert not file_systems.mounted(volume)
    assert isinstance(await file_systems.mount(volume, timeout_s=PATIENCE_S), Done)
    assert file_systems.mounted(volume)
    assert "noatime" in run("findmnt", "-n", "-o", "OPTIONS", volume.mount_point)
    (Path(volume.mount_point) / "line").write_text("1")
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)
    assert not file_systems.mounted(volume)


async def test_doing_it_twice_is_done(volume: Volume, file_systems: MountedFileSystems) -> None:
    for _ in range(2):
        assert isinstance(await file_systems.mount(volume, timeout_s=PATIENCE_S), Done)
    for _ in range(2):
        assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)


async def test_a_missing_device_is_refused_with_its_name(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    outcome = await file_systems.mount(replace(volume, minor=MINOR + 1), timeout_s=PATIENCE_S)
    assert isinstance(outcome, Refused)
    assert f"/dev/drbd{MINOR + 1}" in outcome.why


async def test_a_foreign_mount_is_left_alone(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    run("mkdir", "-p", volume.mount_point)
    run("mount", "-t", "tmpfs", "none", volume.mount_point)
    assert isinstance(await file_systems.mount(volume, timeout_s=PATIENCE_S), Refused)
    assert isinstance(
        await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done
    )  # It is not ours.
    assert run("findmnt", "-n", "-o", "FSTYPE", volume.mount_point) == "tmpfs"
    assert not file_systems.mounted(volume)


async def test_a_mount_over_ours_is_not_taken_for_ours(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    run("mount", "-t", "tmpfs", "none", volume.mount_point)
    assert file_systems.mounted(volume) is None
    refused = await file_systems.unmount(volume, timeout_s=PATIENCE_S)
    assert isinstance(refused, Refused)
    assert "not our device" in refused.why
    run("umount", volume.mount_point)
    assert file_systems.mounted(volume) is True


async def test_a_file_system_with_noted_errors_is_checked_first(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    run("debugfs", "-w", "-R", "set_super_value state 2", volume.device)
    assert isinstance(await file_systems.mount(volume, timeout_s=PATIENCE_S), Done)
    await file_systems.unmount(volume, timeout_s=PATIENCE_S)
    assert "Filesystem state:         clean" in run("dumpe2fs", "-h", volume.device)


async def test_damage_beyond_repair_is_refused_with_the_mend(
    volume: Volume, image: Path, file_systems: MountedFileSystems
) -> None:
    with image.open("r+b") as file:
        file.seek(1024)
        file.write(bytes(1024))
    os.sync()
    outcome = await file_systems.mount(volume, timeout_s=PATIENCE_S)
    assert isinstance(outcome, Refused)
    assert f"fsck.ext4 {volume.device}" in outcome.why


async def test_a_check_that_holds_the_device_is_asked_to_end_and_not_killed(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path
) -> None:
    """Killed in the middle of a repair it would leave more damage than it found."""
    shutil.copy("/bin/sh", tmp_path / "fsck.ext4")
    ignores = 'trap "" TERM; echo ready; while :; do sleep 0.1; done'
    check = await asyncio.create_subprocess_exec(
        tmp_path / "fsck.ext4", "-c", f"exec 9<{volume.device}; {ignores}",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert check.stdout is not None
        await check.stdout.readline()
        outcome = await file_systems.end_holders(volume, timeout_s=20)
        assert isinstance(outcome, Unknown)
        assert "SIGTERM to fsck.ext4" in outcome.why
        held, _, _ = outcome.why.partition(" after: ")
        assert f"fsck.ext4 ({check.pid}" in held
        assert check.returncode is None
    finally:
        check.kill()
        await check.communicate()


async def test_what_was_done_to_holders_is_told_also_when_the_look_after_it_hangs(
    volume: Volume, file_systems: MountedFileSystems, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine with thousands of open files, where each look takes seconds."""
    monkeypatch.setattr(uses, "in_kernel", lambda _ours: time.sleep(PATIENCE_S))
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    async with holder(READY, cwd=volume.mount_point) as inside:
        outcome = await file_systems.end_holders(volume, timeout_s=4)
        assert isinstance(outcome, Unknown)
        assert "were not ended after 4 s: SIGTERM to" in outcome.why
        assert f"({inside.pid}" in outcome.why


@contextlib.asynccontextmanager
async def holder(code: str, *, cwd: str = "/") -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", code, cwd=cwd, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


READY = "import signal; print('ready', flush=True); signal.pause()"


async def test_a_busy_mount_names_its_holder_who_then_is_ended(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    async with holder(READY, cwd=volume.mount_point) as inside, holder(READY) as outside:
        refused = await file_systems.unmount(volume, timeout_s=PATIENCE_S)
        assert isinstance(refused, Refused)
        assert f"({inside.pid}" in refused.why
        ended = await file_systems.end_holders(volume, timeout_s=PATIENCE_S)
        assert isinstance(ended, Done)
        assert f"SIGTERM to {Path(sys.executable).name} ({inside.pid}" in ended.note
        assert str(outside.pid) not in ended.note
        assert await inside.wait() == -15
        assert outside.returncode is None
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)


async def test_a_holder_that_ignores_term_is_killed(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    stubborn = (
        f"import signal; signal.signal(15, signal.SIG_IGN);"
        f"file = open({str(Path(volume.mount_point) / 'open')!r}, 'w');"
        f"print('ready', flush=True)\nwhile True: signal.pause()"
    )
    async with holder(stubborn) as inside:
        ended = await file_systems.end_holders(volume, timeout_s=KILLED_S)
        assert isinstance(ended, Done)
        assert "SIGKILL" in ended.note
        assert await inside.wait() == -9
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)


async def test_a_mapped_file_holds_too(volume: Volume, file_systems: MountedFileSystems) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    mapping = (
        f"import mmap, os, signal;"
        f"fd = os.open({str(Path(volume.mount_point) / 'map')!r}, os.O_RDWR | os.O_CREAT);"
        f"os.truncate(fd, 4096); view = mmap.mmap(fd, 4096); "
        f"[os.close(n) for n in range(3, 20) if os.path.exists(f'/proc/self/fd/{{n}}')];"
        f"print('ready', flush=True); signal.pause()"
    )
    async with holder(mapping):
        assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Refused)
        assert isinstance(await file_systems.end_holders(volume, timeout_s=PATIENCE_S), Done)
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)


async def test_ending_holders_of_nothing_ends_nobody(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    async with holder(READY) as bystander:
        assert isinstance(await file_systems.end_holders(volume, timeout_s=PATIENCE_S), Done)
        assert bystander.returncode is None


async def test_mounts_inside_are_named(volume: Volume, file_systems: MountedFileSystems) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    inner = Path(volume.mount_point) / "inner"
    inner.mkdir()
    run("mount", "-t", "tmpfs", "none", str(inner))
    outcome = await file_systems.unmount(volume, timeout_s=PATIENCE_S)
    assert isinstance(outcome, Refused)
    assert str(inner) in outcome.why
