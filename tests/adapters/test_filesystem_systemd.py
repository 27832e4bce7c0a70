"""What systemd made of fstab is not left to mount the bare volume again, on neither node."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.filesystem.fstab import MARK, Fstab
from hapair.adapters.filesystem.native import NativeFileSystems
from hapair.model.application import FileSystem, Volume
from hapair.model.outcome import Done, Refused, Unknown
from hapair.model.storage import Place
from hapair.ports.programs import Finished, TimedOut
from tests.fakes.small import FakeRunner

RELOAD: Final = "systemctl daemon-reload"
LINE: Final = "/dev/vg_x/data /srv/x ext4 defaults 0 2\n"


def volume(mount_point: str = "/srv/x") -> Volume:
    return Volume("x.data", 10, 7700, "vg_x", "data", "meta", 4096, mount_point, FileSystem.EXT4)


class Machine:
    def __init__(self, root: Path, fstab: str = LINE) -> None:
        self.run = FakeRunner()
        self.fstab, self.units, systemd = root / "fstab", root / "units", root / "systemd"
        self.units.mkdir()
        systemd.mkdir()
        self.fstab.write_text(fstab)
        self.natives = NativeFileSystems(self.run, Fstab(self.fstab, (self.units,)), systemd)


async def test_systemd_reads_fstab_again_each_time_that_it_was_changed(tmp_path: Path) -> None:
    """Also when a daemon that died had changed it already: nobody knows whether it had told."""
    machine = Machine(tmp_path)
    for number in (1, 2):
        assert await machine.natives.leave_fstab(volume()) == Done()
        assert machine.run.ran == [RELOAD] * number
    assert machine.fstab.read_text() == MARK + LINE
    for number in (3, 4):
        assert await machine.natives.restore_fstab(volume()) == Done()
        assert machine.run.ran == [RELOAD] * number
    assert machine.fstab.read_text() == LINE


async def test_where_fstab_says_nothing_nothing_is_reloaded(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "/dev/vg_x/other /srv/other ext4\n")
    assert await machine.natives.leave_fstab(volume()) == Done()
    assert await machine.natives.restore_fstab(volume()) == Done()
    without = NativeFileSystems(machine.run, Fstab(machine.fstab, ()), tmp_path / "none")
    machine.fstab.write_text(LINE)
    assert await without.leave_fstab(volume()) == Done()
    assert machine.run.ran == []


@pytest.mark.parametrize("answer", [Finished(1, "", "Reload failed"), TimedOut(120.0)])
async def test_a_systemd_that_does_not_listen_ends_a_build_and_no_taking_back(
    tmp_path: Path, answer: Finished | TimedOut
) -> None:
    machine = Machine(tmp_path)
    machine.run.answers["systemctl"] = answer
    assert isinstance(await machine.natives.leave_fstab(volume()), Refused | Unknown)
    assert await machine.natives.restore_fstab(volume()) == Done()
    assert machine.fstab.read_text() == LINE


async def test_a_unit_that_only_a_person_may_change_is_named(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    unit = machine.units / "srv-x.mount"
    unit.write_text("[Mount]\nWhat=/dev/vg_x/data\nWhere=/srv/x\n")
    refused = await machine.natives.leave_fstab(volume())
    assert isinstance(refused, Refused)
    assert str(unit) in refused.why


@pytest.mark.parametrize("options", ["", "noatime,errors=remount-ro"])
async def test_a_mount_that_is_put_back_is_no_read_only_one(tmp_path: Path, options: str) -> None:
    """A boot after the last step guards the volume: mount(8) would silently mount it read-only."""
    machine = Machine(tmp_path)
    assert await machine.natives.mount(replace(volume(), mount_options=options)) == Done()
    guard, mount = machine.run.ran
    assert guard == "blockdev --setrw /dev/vg_x/data"
    assert mount.startswith("mount --rw -t ext4 ")
    machine.run.ran.clear()
    assert await machine.natives.mount(replace(volume(), mount_options="ro,noload")) == Done()
    assert machine.run.ran == ["mount -t ext4 -o ro,noload /dev/vg_x/data /srv/x"]


async def test_a_former_copy_is_left_writable_to_whoever_needs_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert await machine.natives.retire(volume()) == Done()
    assert machine.run.ran == ["blockdev --setrw /dev/vg_x/data"]


def test_a_place_where_no_mount_of_ours_could_be_seen_is_refused(tmp_path: Path) -> None:
    natives = Machine(tmp_path).natives
    place = tmp_path / "srv" / "x"
    assert natives.make_mount_point(volume(str(place))) == Done()
    assert place.is_dir()
    link = tmp_path / "link"
    link.symlink_to(place.parent)
    for other in (link, link / "x"):
        refused = natives.make_mount_point(volume(str(other)))
        assert isinstance(refused, Refused)
        assert "symbolic link" in refused.why
    occupied = natives.make_mount_point(volume("/proc"))
    assert isinstance(occupied, Refused)
    assert "is mounted at /proc" in occupied.why
    (tmp_path / "file").write_text("")
    assert isinstance(natives.make_mount_point(volume(str(tmp_path / "file"))), Refused)


def test_why_there_is_no_place_is_said_before_a_build(tmp_path: Path) -> None:
    natives = Machine(tmp_path).natives
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    file = tmp_path / "file"
    file.touch()
    for at, said, mend in (
        (str(file), f"{file} is no folder there", "move it to another place"),
        (str(file / "x/y"), f"{file} is no folder there", "move it to another place"),
        (str(link), "by a symbolic link", "use one path on both nodes"),
        ("/proc", "is mounted at /proc", "unmount it, and keep it away"),
    ):
        found = natives.in_the_way(Place("/dev/vg_x/data", at), elsewhere=True)
        assert any(said in each.what and each.mend == mend for each in found)
        assert {each.mount_point for each in found} == {at}
    link.unlink()
    link.mkdir()
    named = [e.what for e in natives.in_the_way(Place("/dev/x/y", str(link)), elsewhere=True)]
    assert not any("symbolic link" in each for each in named)
