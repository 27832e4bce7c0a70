"""File systems inside one another on loop devices, seen by this test only."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair.adapters.filesystem.adapter import MountedFileSystems
from hapair.adapters.filesystem.native import NativeFileSystems
from hapair.model.application import Volume
from hapair.model.outcome import Done, Refused, Unknown
from hapair.model.storage import GroupStorage, LogicalVolume, NativeMount
from tests.adapters.loops import MINOR, loop_device, make_image, run, volume_at
from tests.adapters.namespaces import need_root, own_mounts
from tests.fakes.small import FakeRunner
from tests.processes import PATIENCE_S

pytestmark = pytest.mark.native

Pair = tuple[Volume, Volume]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Return an outer and an inner volume, of which none is mounted."""
    need_root()
    place = tmp_path / "srv" / "my orders"
    outer, inner = volume_at(place), volume_at(place / "write ahead", minor=MINOR + 1)
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    images = [make_image(folder) for folder in folders]
    with (
        loop_device(images[0], Path(outer.device)),
        loop_device(images[1], Path(inner.device)),
        own_mounts(),
    ):
        yield outer, inner


@pytest.fixture
def file_systems() -> MountedFileSystems:
    return MountedFileSystems()


async def mount(file_systems: MountedFileSystems, *volumes: Volume) -> None:
    for volume in volumes:
        assert await file_systems.mount(volume, timeout_s=PATIENCE_S) == Done()


async def test_an_inner_one_is_mounted_over_the_outer_one_and_keeps_it(
    pair: Pair, file_systems: MountedFileSystems
) -> None:
    outer, inner = pair
    await mount(file_systems, outer, inner)
    assert [file_systems.mounted(each) for each in pair] == [True, True]
    refused = await file_systems.unmount(outer, timeout_s=PATIENCE_S)
    assert isinstance(refused, Refused)
    assert f"mounts inside it: {inner.mount_point}" in refused.why
    for volume in (inner, outer):
        assert await file_systems.unmount(volume, timeout_s=PATIENCE_S) == Done()


async def test_an_outer_one_is_not_mounted_over_an_inner_one(
    pair: Pair, file_systems: MountedFileSystems
) -> None:
    outer, inner = pair
    await mount(file_systems, inner)
    refused = await file_systems.mount(outer, timeout_s=PATIENCE_S)
    assert isinstance(refused, Refused)
    assert f"mounted at {inner.mount_point}" in refused.why
    assert file_systems.mounted(inner) is True


async def test_one_that_is_hidden_is_not_mounted_and_can_be_had_again(
    pair: Pair, file_systems: MountedFileSystems
) -> None:
    outer, inner = pair
    await mount(file_systems, inner)
    run("mount", outer.device, outer.mount_point)
    assert [file_systems.mounted(each) for each in pair] == [True, None]
    hidden = await file_systems.unmount(inner, timeout_s=PATIENCE_S)
    assert isinstance(hidden, Unknown)
    assert f"hidden by the mount on {outer.mount_point}" in hidden.why

    await mount(file_systems, inner)
    assert file_systems.mounted(inner) is True
    assert isinstance(await file_systems.unmount(inner, timeout_s=PATIENCE_S), Unknown)
    for volume in (outer, inner):
        assert await file_systems.unmount(volume, timeout_s=PATIENCE_S) == Done()
    assert [file_systems.mounted(each) for each in pair] == [False, False]


async def test_what_holds_an_inner_one_does_not_hold_the_outer_one(
    pair: Pair, file_systems: MountedFileSystems
) -> None:
    outer, inner = pair
    await mount(file_systems, outer, inner)
    held = await file_systems.held(outer, None, timeout_s=PATIENCE_S)
    assert [each.what for each in held.found] == [f"the mount on {inner.mount_point}"]


@pytest.fixture
def group(pair: Pair) -> Iterator[GroupStorage]:
    """Let the two devices be volumes of a group."""
    folder = Path(f"/dev/hapair-test-{os.getpid()}")
    folder.mkdir()
    names = ("outer", "inner")
    for name, volume in zip(names, pair, strict=True):
        (folder / name).symlink_to(volume.device)
    yield GroupStorage(
        folder.name, exists=True, volumes=tuple(LogicalVolume(name, 1) for name in names)
    )
    shutil.rmtree(folder)


def found(group: GroupStorage, *mounted: Volume) -> dict[str, NativeMount]:
    """Return what a build is told when the volumes are mounted in this order."""
    for volume in mounted:
        Path(volume.mount_point).mkdir(parents=True, exist_ok=True)
        run("mount", volume.device, volume.mount_point)
    told = NativeFileSystems(FakeRunner()).mounts(group)
    for volume in reversed(mounted):
        run("umount", volume.mount_point)
    return {each.logical_volume: each for each in told}


def test_a_build_is_told_how_mounts_are_nested(pair: Pair, group: GroupStorage) -> None:
    outer, inner = pair
    told = found(group, outer, inner)
    assert told["outer"].inside == (inner.mount_point,)
    assert told["inner"].within == outer.mount_point
    assert told["outer"].holders == told["inner"].holders == ()
    told = found(group, inner, outer)
    assert told["inner"].hidden_by == outer.mount_point
    assert told["outer"].inside == told["outer"].holders == ()
