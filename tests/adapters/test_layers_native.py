"""What has a volume, on this machine's own kernel; the volume is a loop device."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair.adapters.filesystem.layers import uses_of
from hapair.adapters.filesystem.superblock import features
from hapair.model.storage import GroupStorage, LogicalVolume, UseKind, VolumeUse
from tests.adapters.holding import in_own_space, is_asleep, running
from tests.adapters.loops import MINOR, loop_device, make_image, run
from tests.adapters.namespaces import need_root, own_mounts

pytestmark = pytest.mark.native


@pytest.fixture
def group(tmp_path: Path) -> Iterator[GroupStorage]:
    need_root()
    folder = tmp_path / "group"
    folder.mkdir()
    device = Path(f"/dev/drbd{MINOR}")
    with loop_device(make_image(tmp_path), device), own_mounts():
        (folder / "data").symlink_to(device)
        data = LogicalVolume("data", 16 << 20, in_use=True)
        yield GroupStorage(f"..{folder}", exists=True, volumes=(data,))


@contextlib.contextmanager
def loop_over(device: str) -> Iterator[str]:
    loop = run("losetup", "--find", "--show", device)
    try:
        yield loop
    finally:
        run("losetup", "--detach", loop)


def device_of(group: GroupStorage) -> str:
    return f"/dev/{group.name}/data"


def test_a_loop_device_over_it_is_named_with_what_is_mounted(
    group: GroupStorage, tmp_path: Path
) -> None:
    point = tmp_path / "srv"
    point.mkdir()
    with loop_over(device_of(group)) as loop:
        run("mount", loop, str(point))
        assert uses_of(group) == (VolumeUse("data", UseKind.LOOP, loop, (str(point),)),)
        run("umount", str(point))
        assert uses_of(group) == (VolumeUse("data", UseKind.LOOP, loop),)
    assert uses_of(group) == ()


def test_a_process_that_writes_to_it_is_named(group: GroupStorage) -> None:
    for mode, count in (("<>", 1), ("<", 0)):
        argv = ("sh", "-c", f"exec sleep 1000 {mode}{device_of(group)}")
        with running(*argv, ready=is_asleep) as pid:
            found = uses_of(group)
            assert len(found) == count
            assert all(use.kind is UseKind.PROCESS and f"({pid}" in use.name for use in found)


def test_a_mount_that_only_a_container_has_is_named(group: GroupStorage, tmp_path: Path) -> None:
    point = tmp_path / "srv"
    point.mkdir()
    mount = f"mount {device_of(group)} {point} && exec sleep 1000"
    argv = ("unshare", "--mount", "--propagation", "private", "sh", "-c", mount)
    with running(*argv, ready=in_own_space) as pid:
        (use,) = uses_of(group)
        assert (use.kind, use.mount_points) == (UseKind.SPACE, (str(point),))
        assert f"({pid}" in use.name


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("^metadata_csum_seed,^orphan_file", ()),
        ("orphan_file", ("orphan_file",)),
        ("casefold,verity,fast_commit", ("fast_commit", "casefold", "verity")),
        ("encrypt,stable_inodes,project,bigalloc,mmp,inline_data", ("stable_inodes", "encrypt")),
    ],
)
def test_features_that_came_late_are_read_from_the_disk(
    tmp_path: Path, option: str, expected: tuple[str, ...]
) -> None:
    image = make_image(tmp_path)
    base = "^orphan_file,^metadata_csum_seed"
    run("mkfs.ext4", "-qF", "-O", f"{base},{option}", str(image))
    assert features(str(image)) == expected
