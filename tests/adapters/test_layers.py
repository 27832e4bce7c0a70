"""What has a logical volume, in the kernel's own words, which a folder plays here."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from hapair.adapters.filesystem import uses
from hapair.adapters.filesystem.layers import uses_of
from hapair.model.storage import GroupStorage, LogicalVolume, UseKind, VolumeUse


@dataclass
class Kernel:
    """/proc and /sys; ``data`` and ``more`` are the volumes of a group, both open."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("proc/self/ns", "sys", "group"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "group/data").symlink_to("/dev/null")
        (self.folder / "group/more").symlink_to("/dev/zero")
        (self.folder / "proc/self/ns/mnt").symlink_to("mnt:[1]")
        self.mount()

    def mount(self, *lines: str) -> None:
        """Let these be mounted: "NUMBER POINT KIND SOURCE OPTIONS"."""
        texts = []
        for place, line in enumerate(lines, start=30):
            number, point, kind, source, options = line.split(" ")
            texts.append(f"{place} 1 {number} / {point} rw - {kind} {source} {options}\n")
        (self.folder / "proc/self/mountinfo").write_text("".join(texts))

    def lay(self, number: str, on: str, name: str, *, dm: str = "", uuid: str = "") -> None:
        """Lay a device over another one, as device-mapper if it has a name there."""
        holder = self.folder / f"sys/dev/block/{on}/holders/{name}"
        holder.mkdir(parents=True)
        (holder / "dev").write_text(f"{number}\n")
        if dm:
            (holder / "dm").mkdir()
            (holder / "dm/name").write_text(f"{dm}\n")
            (holder / "dm/uuid").write_text(f"{uuid}\n")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def uses(self, *, in_use: bool = True) -> tuple[VolumeUse, ...]:
        volumes = tuple(LogicalVolume(name, 1, in_use=in_use) for name in ("data", "more"))
        group = GroupStorage(f"..{self.folder}/group", exists=True, volumes=volumes)
        return uses_of(group, self.folder / "proc", self.folder / "sys")


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


@pytest.mark.parametrize(
    ("device", "name", "uuid", "kind"),
    [
        ("dm-3", "cx", "CRYPT-LUKS2-4a-cx", UseKind.LUKS),
        ("dm-3", "cx", "CRYPT-PLAIN-cx", UseKind.CRYPT),
        ("dm-3", "cx", "CRYPT-INTEGRITY-cx", UseKind.INTEGRITY),
        ("dm-3", "cx", "CRYPT-VERITY-4a-cx", UseKind.VERITY),
        ("dm-3", "vg-data1", "part1-LVM-abc", UseKind.PARTITION),
        ("dm-3", "vg_in-lv", "LVM-abc", UseKind.PHYSICAL_VOLUME),
        ("dm-3", "cx", "", UseKind.MAP),
        ("bcache0", "", "", UseKind.BCACHE),
        ("md127", "", "", UseKind.MD),
        ("drbd7", "", "", UseKind.DRBD),
        ("novelty0", "", "", UseKind.OTHER),
    ],
)
def test_what_lies_on_a_volume_is_known_by_its_maker(
    kernel: Kernel, device: str, name: str, uuid: str, kind: UseKind
) -> None:
    kernel.lay("253:9", "1:3", device, dm=name, uuid=uuid)
    kernel.mount("253:9 /srv/x ext4 /dev/mapper/cx rw", "253:9 /mnt ext4 /dev/mapper/cx rw")
    assert kernel.uses() == (VolumeUse("data", kind, name or device, ("/srv/x", "/mnt")),)


def test_a_mount_is_found_above_several_devices(kernel: Kernel) -> None:
    kernel.lay("253:8", "1:3", "dm-8", dm="cx_dif", uuid="CRYPT-SUBDEV-1-cx_dif")
    kernel.lay("253:9", "253:8", "dm-9", dm="cx", uuid="CRYPT-LUKS2-1-cx")
    kernel.mount("253:9 /srv/x ext4 /dev/mapper/cx rw")
    assert kernel.uses() == (VolumeUse("data", UseKind.CRYPT, "cx_dif", ("/srv/x",)),)


def test_what_lies_on_a_loop_device_over_a_volume_is_found(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.write("sys/block/loop0/loop/backing_file", "/dev/vg/data\n")
    kernel.write("sys/block/loop0/dev", "7:0\n")
    monkeypatch.setattr(uses, "_backing", lambda _: (1, 3))
    kernel.mount("7:0 /srv/x ext4 /dev/loop0 rw")
    assert kernel.uses() == (VolumeUse("data", UseKind.LOOP, "/dev/loop0", ("/srv/x",)),)


def test_swap_is_swap_also_when_it_is_encrypted(kernel: Kernel) -> None:
    kernel.lay("1:5", "1:3", "dm-3", dm="cs", uuid="CRYPT-PLAIN-cs")
    kernel.write("proc/swaps", "Filename Type\n/dev/zero partition 1\n/srv/swap file 1\n")
    assert kernel.uses() == (
        VolumeUse("data", UseKind.SWAP, "cs"),
        VolumeUse("more", UseKind.SWAP, ""),
    )


def test_a_file_system_over_several_devices_has_each_of_them(kernel: Kernel) -> None:
    for name, number in (("sda", "1:3"), ("sdb", "1:5"), ("sdc", "none")):
        kernel.write(f"sys/fs/btrfs/4a-1/devices/{name}/dev", number)
    kernel.mount("0:42 /srv/x btrfs /dev/null rw", "0:43 /mnt nfs4 server:/dev/null rw")
    assert kernel.uses() == (
        VolumeUse("data", UseKind.FILE_SYSTEM, "btrfs", ("/srv/x",)),
        VolumeUse("more", UseKind.FILE_SYSTEM, "btrfs", ("/srv/x",)),
    )
    kernel.mount("0:42 /srv/x bcachefs /dev/zero:/dev/null rw")
    assert {use.logical_volume for use in kernel.uses()} == {"data", "more"}


def test_a_log_of_another_file_system_is_told(kernel: Kernel) -> None:
    kernel.mount("8:1 /srv/x xfs /dev/sda1 rw,logdev=/dev/null,rtdev=/dev/none")
    assert kernel.uses() == (VolumeUse("data", UseKind.PART, "", ("/srv/x",)),)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("target/core/iblock_0/lun0/udev_path", "lun0"),
        ("nvmet/subsystems/nqn/namespaces/1/device_path", "1"),
    ],
)
def test_an_export_is_told(kernel: Kernel, file: str, name: str) -> None:
    kernel.write(f"sys/kernel/config/{file}", "/dev/null\n")
    assert kernel.uses() == (VolumeUse("data", UseKind.EXPORT, name),)


def test_a_mount_in_another_name_space_is_told(kernel: Kernel) -> None:
    kernel.write("proc/4711/comm", "container\n")
    kernel.write("proc/4711/mountinfo", "40 1 1:3 / /inside rw - ext4 /dev/null rw\n")
    (kernel.folder / "proc/4711/ns").mkdir()
    (kernel.folder / "proc/4711/ns/mnt").symlink_to("mnt:[2]")
    assert kernel.uses() == (VolumeUse("data", UseKind.SPACE, "container (4711)", ("/inside",)),)


def test_what_is_mounted_straight_or_not_open_is_not_looked_into(kernel: Kernel) -> None:
    kernel.lay("253:9", "1:3", "dm-3", dm="cx")
    kernel.mount("1:3 /srv/x ext4 /dev/vg/data rw")
    assert kernel.uses() == ()
    kernel.mount()
    assert kernel.uses(in_use=False) == ()
