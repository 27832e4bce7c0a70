"""What a scan sees of LVM, and of what its physical volumes lie on."""

from pathlib import Path

import pytest

from hapair.adapters.scan import storage
from hapair.adapters.scan.scanner import as_configured
from hapair.model.node_facts import PhysicalVolume, StorageKind
from hapair.ports.programs import Finished, TimedOut
from tests.build.scanned import HEALTHY, PVS, Answers, says, write
from tests.build.test_scan_parse import MOUNTINFO


async def test_a_group_with_its_filter(root: Path) -> None:
    answers = Answers(HEALTHY | {"lvmconfig": says('global_filter="r|^/dev/drbd|"\n')})
    facts = await storage.lvm(answers, root)
    assert facts.global_filter == ("r|^/dev/drbd|",)
    (group,) = facts.groups
    assert (group.name, group.size_bytes, group.free_bytes) == ("vg_orders", 100, 50)
    assert group.physical_volumes == (PhysicalVolume("/dev/vdb", StorageKind.LOCAL),)


SECTORS = "queue/logical_block_size"


@pytest.mark.parametrize(
    ("files", "sector_bytes"),
    [
        ({f"sys/devices/vdb/{SECTORS}": "4096\n"}, 4096),
        ({"sys/devices/sda/vdb/partition": "1\n", f"sys/devices/sda/{SECTORS}": "512"}, 512),
        ({f"sys/devices/vdb/{SECTORS}": ""}, 0),
    ],
)
async def test_the_sectors_of_a_disk_or_of_the_one_that_it_is_a_part_of(
    root: Path, files: dict[str, str], sector_bytes: int
) -> None:
    for name, text in files.items():
        write(root, name, text)
    (folder,) = (root / "sys/devices").glob("**/vdb")
    (root / "sys/class/block").mkdir(parents=True, exist_ok=True)
    link = root / "sys/class/block/vdb"
    link.symlink_to(folder)
    (group,) = (await storage.lvm(Answers(HEALTHY), root)).groups
    assert group.physical_volumes[0].sector_bytes == sector_bytes


FULL = "lvmconfig --typeconfig full"


async def test_what_lvm_gives_to_whom(root: Path) -> None:
    pvs = PVS.replace('"vg_free"', '"vg_systemid":"old","vg_exported":"exported","vg_free"')
    settings = 'use_devicesfile=1\ndevicesfile="system.devices"\nvolume_list=[]\n'
    answers = Answers(
        HEALTHY
        | {"pvs": says(pvs), "lvm systemid": says("  system ID: new\n"), FULL: says(settings)}
    )
    facts = await storage.lvm(answers, root)
    assert (facts.system_id, facts.volume_list, facts.read_only_volume_list) == ("new", (), ())
    assert facts.devices is None, "the file is not there: LVM looks at all disks"
    (group,) = facts.groups
    assert (group.system_id, group.lock_type, group.exported) == ("old", "", True)
    write(root, "etc/lvm/devices/system.devices", "IDTYPE=devname DEVNAME=/dev/vdb PVID=x\n")
    assert (await storage.lvm(answers, root)).devices == ("/dev/vdb",)
    off = answers.answers | {FULL: says(settings.replace("file=1", "file=0"))}
    assert (await storage.lvm(Answers(off), root)).devices is None


SILENT = [
    {"lvmconfig devices": TimedOut(30.0)},
    {FULL: TimedOut(30.0)},
    {"lvmconfig": Finished(127, "", "lvmconfig: command not found")},
    {"lvmconfig devices": Finished(5, "", "Failed to load config file /etc/lvm/lvm.conf")},
]


@pytest.mark.parametrize("silent", SILENT)
async def test_a_filter_that_nobody_could_read_is_not_missing(
    root: Path, silent: dict[str, Finished | TimedOut]
) -> None:
    """FAIL: clbuild writes its own over the administrator's, or clstat misses one that is there."""
    facts = await storage.lvm(Answers(HEALTHY | silent), root)
    assert (facts.version, facts.error) == ("", "lvmconfig does not tell how LVM is configured")
    assert await as_configured(Answers(HEALTHY | silent), root, "node1") is None


async def test_what_files_say_is_seen_without_a_look_at_disks(root: Path) -> None:
    write(root, "etc/e2scrub.conf", "periodic_e2scrub=1\nscrub_all=1\n")
    write(root, "etc/drbd.d/global_common.conf", "common { disk { size 1G; } }")
    answers = Answers(
        HEALTHY
        | {
            "lvmconfig devices": says('global_filter="r|^/dev/drbd|"\n'),
            "systemctl is-enabled drbd.service": says("enabled\n"),
        }
    )
    facts = await as_configured(answers, root, "node1")
    assert facts is not None
    assert facts.lvm.global_filter == ("r|^/dev/drbd|",)
    assert facts.drbd.common_disk == ("size",)
    assert facts.drbd.at_boot
    assert facts.scrubs_unmounted
    assert {call[0] for call in answers.calls} == {"lvmconfig", "systemctl"}


async def test_an_lvm_that_says_nothing_of_its_settings_restricts_nothing(root: Path) -> None:
    facts = await storage.lvm(Answers(HEALTHY), root)
    assert (facts.volume_list, facts.devices, facts.system_id) == (None, None, "")


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (TimedOut(30.0), "pvs gave no answer within 30 s: a disk may hang"),
        (Finished(5, "", "no permission"), "no permission"),
        (Finished(5, "", ""), "pvs ended with 5"),
    ],
)
async def test_it_says_why_lvm_cannot_be_read(
    root: Path, result: Finished | TimedOut, error: str
) -> None:
    assert (await storage.lvm(Answers(HEALTHY | {"pvs": result}), root)).error == error


def device(root: Path, name: str, *below: str) -> None:
    folder = root / "sys/class/block" / name
    folder.mkdir(parents=True)
    for each in below:
        (folder / "slaves").mkdir(exist_ok=True)
        (folder / "slaves" / each).mkdir()


def origin(root: Path, name: str) -> tuple[StorageKind, str]:
    return storage.origin_of(name, root / "sys/class/block", MOUNTINFO)


def test_a_disk_is_local(root: Path) -> None:
    device(root, "vdb")
    assert origin(root, "vdb") == (StorageKind.LOCAL, "")


def test_a_raid_of_local_disks_is_local(root: Path) -> None:
    device(root, "md0", "sda", "sdb")
    device(root, "sda")
    device(root, "sdb")
    assert origin(root, "md0")[0] is StorageKind.LOCAL


def test_one_network_disk_in_a_raid_is_enough(root: Path) -> None:
    device(root, "md0", "sda", "nbd3")
    device(root, "sda")
    device(root, "nbd3")
    assert origin(root, "md0") == (StorageKind.NETWORK_BLOCK, "nbd3")


def test_a_partition_of_a_network_disk(root: Path) -> None:
    disk = root / "sys/devices/block/rbd0"
    write(disk, "rbd0p1/partition", "1\n")
    (root / "sys/class/block").mkdir(parents=True)
    (root / "sys/class/block/rbd0p1").symlink_to(disk / "rbd0p1")
    assert origin(root, "rbd0p1")[0] is StorageKind.NETWORK_BLOCK
    (root / "sys/class/block/p1").symlink_to(disk / "rbd0p1")
    assert origin(root, "p1") == (StorageKind.NETWORK_BLOCK, "rbd0")


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("/mnt/with space/disk.img", StorageKind.NETWORK_FILE),
        ("/var/disk.img", StorageKind.LOCAL),
    ],
)
def test_a_loop_device_lies_where_its_file_lies(root: Path, file: str, kind: StorageKind) -> None:
    device(root, "loop0")
    write(root, "sys/class/block/loop0/loop/backing_file", f"{file}\n")
    assert origin(root, "loop0")[0] is kind


def test_drbd_below_a_group(root: Path) -> None:
    assert origin(root, "drbd3") == (StorageKind.REPLICATED, "drbd3")


def test_a_ring_of_devices_ends(root: Path) -> None:
    device(root, "dm-0", "dm-1")
    device(root, "dm-1", "dm-0")
    assert origin(root, "dm-0")[0] is StorageKind.LOCAL
