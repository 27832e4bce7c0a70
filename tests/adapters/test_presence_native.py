"""What somebody does to a mount of ours is seen in the kernel's list, and said by its name.

Real mounts on a loop device, in a mount name space of this test.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from hapair.adapters.filesystem.adapter import MountedFileSystems
from hapair.adapters.filesystem.folders import make_mount_point
from hapair.adapters.shared.mounts import MountTable, mount_info
from hapair.model.application import Volume
from hapair.model.presence import Presence
from tests.adapters.loops import run
from tests.processes import PATIENCE_S

pytestmark = pytest.mark.native


def seen(file_systems: MountedFileSystems, volume: Volume) -> Presence:
    """Look without a thread: it would keep this process in the name space."""
    return file_systems.presence(volume, MountTable.of(mount_info()))


@pytest.fixture
async def mounted(volume: Volume, file_systems: MountedFileSystems) -> Volume:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    assert seen(file_systems, volume) == Presence(up=True)
    return volume


@pytest.mark.parametrize("how", [(), ("--lazy",)])
async def test_an_unmount_by_hand_is_a_mount_that_is_not_there(
    mounted: Volume, file_systems: MountedFileSystems, how: tuple[str, ...]
) -> None:
    run("umount", *how, mounted.mount_point)
    assert seen(file_systems, mounted) == Presence(up=False)


async def test_what_is_mounted_over_it_is_named_and_ours_is_back_without_it(
    mounted: Volume, file_systems: MountedFileSystems
) -> None:
    run("mount", "-t", "tmpfs", "strange", mounted.mount_point)
    found = seen(file_systems, mounted)
    assert found.up is None
    assert "hidden: strange (tmpfs)" in found.trouble
    run("umount", mounted.mount_point)
    assert seen(file_systems, mounted) == Presence(up=True)


async def test_what_is_mounted_over_a_folder_above_hides_it_too(
    mounted: Volume, file_systems: MountedFileSystems
) -> None:
    above = str(Path(mounted.mount_point).parent)
    run("mount", "-t", "tmpfs", "strange", above)
    found = seen(file_systems, mounted)
    assert found.up is None
    assert f"hidden: strange (tmpfs) on {above}" in found.trouble
    run("umount", above)


async def test_mounts_below_it_and_the_one_it_lies_on_hide_nothing(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    above = str(Path(volume.mount_point).parent)
    make_mount_point(above)
    run("mount", "-t", "tmpfs", "parent", above)
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    inner = f"{volume.mount_point}/inner"
    make_mount_point(inner)
    run("mount", "-t", "tmpfs", "child", inner)
    assert seen(file_systems, volume) == Presence(up=True)


async def test_what_lies_elsewhere_after_a_rename_is_named_by_its_place(
    mounted: Volume, file_systems: MountedFileSystems
) -> None:
    above = Path(mounted.mount_point).parent
    above.rename(above.with_name("old"))
    found = seen(file_systems, mounted)
    assert found.up is None
    assert f"is mounted at {above.with_name('old')}" in found.trouble


@pytest.mark.parametrize("options", ["remount,ro", "remount,bind,ro"])
async def test_one_that_became_read_only_is_in_trouble_and_one_that_was_asked_so_is_not(
    mounted: Volume, file_systems: MountedFileSystems, options: str
) -> None:
    run("mount", "-o", options, mounted.mount_point)
    found = seen(file_systems, mounted)
    assert found.up is True
    assert "has become read-only" in found.trouble
    asked = replace(mounted, mount_options="noatime,ro")
    assert seen(file_systems, asked) == Presence(up=True)


async def test_a_change_is_told_within_a_moment(
    mounted: Volume, file_systems: MountedFileSystems
) -> None:
    told = asyncio.Event()
    file_systems.on_change(told.set)
    run("umount", mounted.mount_point)
    async with asyncio.timeout(PATIENCE_S):
        await told.wait()
    file_systems.close()
