"""File systems before they are under DRBD, mounted for real, seen by this test only."""

import asyncio
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hapair.adapters.filesystem.fstab import Fstab
from hapair.adapters.filesystem.native import NativeFileSystems
from hapair.adapters.shared.process import ProcessRunner
from hapair.model.application import Volume
from hapair.model.outcome import Done, Refused
from hapair.model.storage import GroupStorage, LogicalVolume, Place
from hapair.ports.programs import Finished, TimedOut
from tests.adapters.loops import loop_device, make_image, run, volume_at
from tests.adapters.namespaces import need_root, own_mounts

pytestmark = pytest.mark.native


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    """A volume whose group is a folder of the test."""
    need_root()
    made = volume_at(tmp_path / "srv" / "my orders")
    group = tmp_path / "group"
    group.mkdir()
    (group / "data").symlink_to(made.device)
    Path(made.mount_point).mkdir(parents=True)
    with loop_device(make_image(tmp_path), Path(made.device)), own_mounts():
        run("blockdev", "--setrw", made.device)  # Another test had this loop device before.
        yield replace(made, volume_group=f"..{group}", logical_volume="data")


@pytest.fixture
def natives(tmp_path: Path) -> NativeFileSystems:
    return NativeFileSystems(ProcessRunner(), Fstab(tmp_path / "fstab", ()), tmp_path / "none")


def group_of(volume: Volume) -> GroupStorage:
    data = LogicalVolume(volume.logical_volume, volume.size_bytes, in_use=True)
    return GroupStorage(volume.volume_group, exists=True, volumes=(data,))


async def test_a_guarded_volume_is_mounted_writable(
    volume: Volume, natives: NativeFileSystems
) -> None:
    run("blockdev", "--setro", volume.device)
    assert await natives.mount(volume) == Done()
    assert natives.mounted(volume)
    (Path(volume.mount_point) / "line").write_text("1")
    (seen,) = natives.mounts(group_of(volume))
    assert (seen.mount_point, seen.lost_options) == (volume.mount_point, ())
    assert [name.partition("=")[0] for name in seen.names] == ["UUID"]
    assert await natives.unmount(volume) == Done()
    assert not natives.mounted(volume)


async def test_a_volume_below_a_renamed_folder_is_not_called_unmounted(
    volume: Volume, natives: NativeFileSystems
) -> None:
    assert await natives.mount(volume) == Done()
    parent = Path(volume.mount_point).parent
    parent.rename(parent.with_name("old"))
    assert natives.mounted(volume)
    refused = await natives.unmount(volume)
    assert isinstance(refused, Refused)
    assert f"{parent.with_name('old')}/my orders" in refused.why
    parent.with_name("old").rename(parent)
    assert await natives.unmount(volume) == Done()
    assert not natives.mounted(volume)


async def test_a_volume_that_is_mounted_twice_is_not_called_unmounted(
    volume: Volume, natives: NativeFileSystems, tmp_path: Path
) -> None:
    assert await natives.mount(volume) == Done()
    (tmp_path / "twice").mkdir()
    run("mount", volume.device, str(tmp_path / "twice"))
    refused = await natives.unmount(volume)
    assert isinstance(refused, Refused)
    assert f"mounted at {tmp_path / 'twice'}:" in refused.why
    run("umount", str(tmp_path / "twice"))
    assert await natives.unmount(volume) == Done()


async def test_what_the_refusal_says_to_type_frees_the_volume(
    volume: Volume, natives: NativeFileSystems, tmp_path: Path
) -> None:
    """Also with a space in the path."""
    assert await natives.mount(volume) == Done()
    again = tmp_path / "big files"
    again.mkdir()
    run("mount", "--bind", volume.mount_point, str(again))
    sleeper = await asyncio.create_subprocess_exec("sleep", "600", cwd=volume.mount_point)
    (seen,) = natives.mounts(group_of(volume))
    named = [each.partition(" (")[0] for each in seen.holders]
    assert named == ["sleep", f"the mount on {again}"]
    for command in seen.freeing:
        run(*shlex.split(command))
    await sleeper.wait()
    (seen,) = natives.mounts(group_of(volume))
    assert seen.holders == ()
    assert await natives.unmount(volume) == Done()


async def test_a_bind_mount_is_named_once_and_not_with_its_copies(
    volume: Volume, natives: NativeFileSystems, tmp_path: Path
) -> None:
    """Services with mounts of their own follow ours: nobody need stop systemd-udevd."""
    run("mount", "--make-rshared", "/")
    assert await natives.mount(volume) == Done()
    (tmp_path / "export").mkdir()
    run("mount", "--bind", volume.mount_point, str(tmp_path / "export"))
    follows = ("unshare", "--mount", "--propagation", "slave", "sleep", "600")
    service = await asyncio.create_subprocess_exec(*follows)
    await asyncio.to_thread(_wait_until_asleep, service.pid)
    (seen,) = natives.mounts(group_of(volume))
    assert seen.holders == (f"the mount on {tmp_path / 'export'}",)
    run("umount", str(tmp_path / "export"))
    assert await natives.unmount(volume) == Done()
    service.kill()
    await service.wait()


def _wait_until_asleep(pid: int) -> None:
    while Path(f"/proc/{pid}/comm").read_text() != "sleep\n":
        time.sleep(0.01)


async def test_a_device_that_stays_write_protected_is_told(
    volume: Volume, tmp_path: Path, natives: NativeFileSystems
) -> None:
    run("blockdev", "--setro", volume.device)
    (tmp_path / "bin").mkdir()
    refused = await NativeFileSystems(WithoutBlockdev(), Fstab(tmp_path / "fstab", ())).mount(
        volume
    )
    assert isinstance(refused, Refused)
    assert not natives.mounted(volume)


class WithoutBlockdev(ProcessRunner):
    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        called = ("true",) if argv[0] == "blockdev" else argv
        return await super().__call__(called, timeout_s=timeout_s, stdin=stdin)


async def test_a_folder_of_it_that_is_mounted_alone_cannot_be_put_under_drbd(
    volume: Volume, tmp_path: Path, natives: NativeFileSystems
) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    run("mount", volume.device, str(whole))
    (whole / "inside").mkdir()
    run("mount", "--bind", str(whole / "inside"), volume.mount_point)
    run("umount", str(whole))
    (seen,) = natives.mounts(group_of(volume))
    assert seen.lost_options == ("its folder /inside alone (a bind mount)",)
    run("umount", volume.mount_point)


async def test_a_place_that_other_name_spaces_do_not_follow_is_named_until_it_is_shared(
    volume: Volume, natives: NativeFileSystems, tmp_path: Path
) -> None:
    """FAIL: a service with PrivateTmp= that starts later keeps the device at each move."""
    run("mount", "--make-rshared", "/")
    above = Path(volume.mount_point).parent
    run("mount", "-t", "tmpfs", "none", str(above))
    (tmp_path / "fstab").write_text(f"none {above} tmpfs defaults\n")
    run("mkdir", volume.mount_point)
    place = Place(volume.backing_device, volume.mount_point)
    assert natives.in_the_way(place, elsewhere=True) == ()
    for how in ("private", "unbindable", "slave"):
        run("mount", f"--make-{how}", str(above))
        (there,) = natives.in_the_way(place, elsewhere=True)
        assert f"{place.mount_point} lies in {above}, whose mounts no other" in there.what
        assert await natives.mount(volume) == Done()
        assert natives.in_the_way(place, elsewhere=False) == (there,)
        assert await natives.unmount(volume) == Done()
        run(*shlex.split(there.mend.partition(",")[0]))
        assert natives.in_the_way(place, elsewhere=True) == ()
        assert await natives.mount(volume) == Done()
        assert natives.in_the_way(place, elsewhere=False) == ()
        assert await natives.unmount(volume) == Done()
