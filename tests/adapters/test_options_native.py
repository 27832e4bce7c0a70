"""What is in force before DRBD is in force after each mount of ours, on a real ext4."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hapair.adapters.filesystem.adapter import MountedFileSystems
from hapair.adapters.filesystem.fstab import Fstab
from hapair.adapters.filesystem.native import NativeFileSystems
from hapair.adapters.shared.mounts import mount_info, mounts_with_options
from hapair.adapters.shared.process import ProcessRunner
from hapair.model.application import Volume
from hapair.model.outcome import Done
from hapair.model.storage import GroupStorage, LogicalVolume, NativeMount
from tests.adapters.loops import loop_device, make_image, run, volume_at
from tests.adapters.namespaces import need_root, own_mounts
from tests.processes import PATIENCE_S

pytestmark = pytest.mark.native


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    need_root()
    made = volume_at(tmp_path / "srv" / "orders")
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "data").symlink_to(made.device)
    Path(made.mount_point).mkdir(parents=True)
    with loop_device(make_image(tmp_path), Path(made.device)), own_mounts():
        run("blockdev", "--setrw", made.device)
        group = f"..{tmp_path / 'group'}"
        yield replace(made, volume_group=group, logical_volume="data", mount_options="")


def seen(volume: Volume, root: Path) -> NativeMount:
    natives = NativeFileSystems(ProcessRunner(), Fstab(root / "fstab", (), root), root)
    data = LogicalVolume(volume.logical_volume, volume.size_bytes, in_use=True)
    (found,) = natives.mounts(GroupStorage(volume.volume_group, exists=True, volumes=(data,)))
    return found


def in_force(volume: Volume) -> tuple[set[str], set[str]]:
    return next(
        (set(own.split(",")), set(whole.split(",")))
        for mount, own, whole in mounts_with_options(mount_info())
        if mount.mount_point == volume.mount_point
    )


@pytest.mark.parametrize(
    "options",
    [
        "defaults",
        "noatime,nodiratime",
        "strictatime,lazytime",
        "nosuid,nodev,noexec",
        "nosymfollow",
        "sync,dirsync",
        "ro",
        "data=journal,commit=60,errors=remount-ro",
        "data=writeback,nodelalloc,errors=panic",
        "discard,nobarrier,data_err=abort",
        "data=writeback,journal_async_commit",
        "grpid,resuid=1000,resgid=1000,stripe=16",
        "min_batch_time=1,max_batch_time=20000,max_dir_size_kb=1024,inode_readahead_blks=16",
        "noauto_da_alloc,noinit_itable,noblock_validity,dioread_lock",
        "minixdf",
        "noatime,_netdev,x-systemd.device-timeout=9",
    ],
)
async def test_what_was_in_force_is_in_force_after_our_mount(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path, options: str
) -> None:
    run("mount", "-o", options, volume.device, volume.mount_point)
    before, found = in_force(volume), seen(volume, tmp_path)
    assert found.lost_options == ()
    run("umount", volume.mount_point)
    ours = replace(volume, mount_options=found.options)
    for _ in range(2):  # As after a failover, and after the next one.
        assert await file_systems.mount(ours, timeout_s=PATIENCE_S) == Done()
        assert in_force(volume) == before
        await file_systems.unmount(ours, timeout_s=PATIENCE_S)
