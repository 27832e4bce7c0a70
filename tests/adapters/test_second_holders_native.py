"""A second holder of a device, of each kind: it is found, named, and ended where that may be.

Real mounts on a loop device, in a mount name space of this test.
"""

import sys
from pathlib import Path

import pytest

from hapair.adapters.filesystem.adapter import MountedFileSystems
from hapair.adapters.filesystem.fstab import Fstab
from hapair.model.application import Volume
from hapair.model.outcome import Done, Refused, Unknown
from tests.adapters.holding import bind, in_own_space, mount_a_file, named, running
from tests.adapters.loops import MINOR, run, volume_at
from tests.processes import PATIENCE_S

pytestmark = pytest.mark.native


async def test_a_mount_of_its_own_has_no_second_holder(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    assert await named(file_systems, volume) == []
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    with running("sleep", "1000"):
        assert await named(file_systems, volume) == []


@pytest.mark.parametrize("folder", [".", "inner"])
async def test_a_bind_mount_is_named_and_goes_with_ours(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path, folder: str
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    export = tmp_path / "export"
    bind(volume, folder, export)
    (what,) = await named(file_systems, volume)
    assert f"the mount on {export}" in what
    assert ("its folder /inner" in what) is (folder == "inner")
    run("umount", volume.mount_point)
    assert file_systems.mounted(volume) is None  # Neither here nor gone.
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)
    assert file_systems.mounted(volume) is False
    assert await named(file_systems, volume) == []


async def test_a_busy_bind_mount_is_freed_by_the_ladder(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    export = tmp_path / "export"
    bind(volume, "inner", export)

    def stands_there(pid: int) -> bool:
        return Path(f"/proc/{pid}/cwd").readlink() == export

    with running("sh", "-c", f"cd {export} && exec sleep 1000", ready=stands_there):
        refused = await file_systems.unmount(volume, timeout_s=PATIENCE_S)
        assert isinstance(refused, Refused)
        assert f"{export} is held by" in refused.why
        ended = await file_systems.end_holders(volume, timeout_s=PATIENCE_S)
        assert isinstance(ended, Done)
        assert "SIGTERM" in ended.note
        assert f"{export} unmounted" in ended.note
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)


async def test_a_mount_below_a_renamed_folder_is_not_called_unmounted(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    parent = Path(volume.mount_point).parent
    parent.rename(parent.with_name("old"))
    assert file_systems.mounted(volume) is None
    assert f"the mount on {parent.with_name('old')}/orders" in str(
        await named(file_systems, volume)
    )
    assert isinstance(await file_systems.mount(volume, timeout_s=PATIENCE_S), Done)
    assert file_systems.mounted(volume) is True
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)
    assert file_systems.mounted(volume) is False


@pytest.mark.parametrize("from_shared", [True, False])
async def test_a_private_name_space_is_named_and_unmounted_from_within(
    volume: Volume, file_systems: MountedFileSystems, *, from_shared: bool
) -> None:
    if from_shared:
        run("mount", "--make-rshared", "/")
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    argv = ("unshare", "--mount", "--propagation", "private", "sleep", "1000")
    with running(*argv, ready=in_own_space) as pid:
        (what,) = await named(file_systems, volume)
        assert f"the mount on {volume.mount_point} in the mount name space of sleep ({pid}" in what
        assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)
        assert file_systems.mounted(volume) is False
        assert await named(file_systems, volume) == [what]
        ended = await file_systems.end_holders(volume, timeout_s=PATIENCE_S)
        assert isinstance(ended, Done)
        assert (
            f"{volume.mount_point} unmounted in the mount name space of sleep ({pid}" in ended.note
        )
        assert await named(file_systems, volume) == []
        assert in_own_space(pid)  # Only the mount was taken from it.


async def test_a_name_space_that_follows_ours_holds_nothing(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    run("mount", "--make-rshared", "/")
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    argv = ("unshare", "--mount", "--propagation", "slave", "sleep", "1000")
    with running(*argv, ready=in_own_space) as pid:
        assert volume.mount_point in run("cat", f"/proc/{pid}/mountinfo")
        assert await named(file_systems, volume) == []
        assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)
        assert volume.mount_point not in run("cat", f"/proc/{pid}/mountinfo")


async def test_a_mount_elsewhere_in_a_name_space_that_follows_ours_holds(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path
) -> None:
    run("mount", "--make-rshared", "/")
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    inside = tmp_path / "inside"
    inside.mkdir()
    script = f"mount --bind {volume.mount_point} {inside} && exec sleep 1000"
    argv = ("unshare", "--mount", "--propagation", "slave", "sh", "-c", script)
    with running(*argv, ready=in_own_space):
        (what,) = await named(file_systems, volume)
        assert f"the mount on {inside} in the mount name space" in what


async def test_a_loop_device_over_a_file_is_named_and_detached(
    volume: Volume, file_systems: MountedFileSystems, tmp_path: Path
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    inside = tmp_path / "inside"
    loop, image = mount_a_file(volume, inside)
    (what,) = await named(file_systems, volume)
    assert what == f"the loop device {loop} over {image}"
    refused = await file_systems.unmount(volume, timeout_s=PATIENCE_S)
    assert isinstance(refused, Refused)
    assert what in refused.why
    ended = await file_systems.end_holders(volume, timeout_s=PATIENCE_S)
    assert isinstance(ended, Done)
    assert f"{inside} unmounted; {loop} detached from {image}" in ended.note
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Done)


async def test_a_loop_device_over_the_device_itself_is_named(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    loop = run("losetup", "--find", "--show", volume.device)
    try:
        (what,) = await named(file_systems, volume)
        assert what == f"the loop device {loop} over {volume.device}"
    finally:
        run("losetup", "--detach", loop)


async def test_an_open_device_is_named_and_who_has_it_is_ended(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    code = f"import os, signal; os.open({volume.device!r}, os.O_RDONLY); signal.pause()"

    def has_it(pid: int) -> bool:
        return any(
            str(link.readlink()) == volume.device for link in Path(f"/proc/{pid}/fd").iterdir()
        )

    with running(sys.executable, "-S", "-c", code, ready=has_it) as pid:
        (what,) = await named(file_systems, volume)
        assert f"({pid}" in what
        assert "has the device open" in what
        ended = await file_systems.end_holders(volume, timeout_s=PATIENCE_S)
        assert isinstance(ended, Done)
        assert f"({pid}" in ended.note
    assert await named(file_systems, volume) == []


async def test_what_is_mounted_inside_is_named_before_and_left_by_the_ladder(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    inner = Path(volume.mount_point) / "inner"
    inner.mkdir()
    run("mount", "-t", "tmpfs", "none", str(inner))
    assert await named(file_systems, volume) == [f"the mount on {inner}"]
    assert isinstance(await file_systems.end_holders(volume, timeout_s=4), Unknown)
    assert isinstance(await file_systems.unmount(volume, timeout_s=PATIENCE_S), Refused)


async def test_a_look_that_gets_no_time_says_so(
    volume: Volume, file_systems: MountedFileSystems
) -> None:
    looked = await file_systems.held(volume, None, timeout_s=0.0)
    assert looked.not_looked_at
    assert "could not be looked at" in looked.named()


async def test_a_device_that_is_not_there_is_held_by_nobody(
    tmp_path: Path, file_systems: MountedFileSystems
) -> None:
    gone = volume_at(tmp_path, minor=MINOR + 1)
    assert not (await file_systems.held(gone, None, timeout_s=PATIENCE_S)).found


async def test_what_a_line_leaves_to_the_application_is_no_second_holder(
    volume: Volume, tmp_path: Path
) -> None:
    """FAIL: what its start script mounts, as ``clbuildapp`` says, keeps it from being moved."""
    fstab = tmp_path / "fstab"
    file_systems = MountedFileSystems(Fstab(fstab))
    await file_systems.mount(volume, timeout_s=PATIENCE_S)
    export, inner, image = (
        tmp_path / "export",
        Path(volume.mount_point) / "in",
        tmp_path / "mounted",
    )
    bind(volume, "pub", export)
    inner.mkdir()
    run("mount", "-t", "tmpfs", "none", str(inner))
    loop, file = mount_a_file(volume, image)
    try:
        holders = await named(file_systems, volume)
        assert len(holders) == len((export, inner, image))
        lines = f"{volume.mount_point}/pub {export} none bind,OPTIONS\n"
        lines += f"none {inner}/ tmpfs OPTIONS\n{file} {image} ext4 loop,OPTIONS\n"
        for options in ("defaults", "noauto,x-systemd.automount"):
            fstab.write_text(lines.replace("OPTIONS", options))
            assert await named(file_systems, volume) == holders
        fstab.write_text(lines.replace("OPTIONS", "noauto"))
        assert await named(file_systems, volume) == []
    finally:
        run("umount", str(image))
        run("losetup", "--detach", loop)
