"""fstab, units, superblocks: whatever else would mount a volume is found, however it is spelt."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from hapair.adapters.filesystem import superblock
from hapair.adapters.filesystem.fstab import MARK, RETIRED, Fstab
from hapair.adapters.filesystem.options import in_force
from hapair.model.application import FileSystem, Volume
from hapair.model.outcome import Done, Refused
from hapair.model.storage import Place

IDENTITY: Final = "11111111-2222-3333-4444-555555555555"


def superblock_of_ext4(
    *, journal_inode: int = 8, compatible: int = 4, read_only_compatible: int = 0
) -> bytes:
    block = bytearray(4096)
    block[1024 + 0x38 : 1024 + 0x3A] = b"\x53\xef"
    block[1024 + 0x5C : 1024 + 0x60] = compatible.to_bytes(4, "little")
    block[1024 + 0x64 : 1024 + 0x68] = read_only_compatible.to_bytes(4, "little")
    block[1024 + 0x68 : 1024 + 0x78] = UUID(IDENTITY).bytes
    block[1024 + 0x78 : 1024 + 0x7D] = b"Store"
    block[1024 + 0xE0 : 1024 + 0xE4] = journal_inode.to_bytes(4, "little")
    return bytes(block)


def superblock_of_xfs(*, log_start: int = 6, realtime: int = 0) -> bytes:
    block = bytearray(4096)
    block[:4] = b"XFSB"
    block[16:24] = realtime.to_bytes(8, "big")
    block[32:48] = UUID(IDENTITY).bytes
    block[48:56] = log_start.to_bytes(8, "big")
    block[108:113] = b"Store"
    return bytes(block)


class Seen(Volume):
    """A volume whose device is a file of the test."""

    __slots__ = ()

    @property
    def backing_device(self) -> str:
        return self.volume_group


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    device = tmp_path / "device"
    device.write_bytes(superblock_of_ext4())
    return Seen("x.data", 1, 2, str(device), "data", "meta", 4096, "/srv/my x", FileSystem.EXT4)


SAME: Final = [
    "/dev/vg_x/data /srv/my\\040x ext4 defaults 0 2",
    "/dev/vg_x/data /srv/my\\040x/ ext4 defaults 0 2",
    "/dev/vg_x/data //srv//my\\040x ext4",
    "/dev/vg_x/data /srv/./my\\040x/. ext4 noatime",
    f"UUID={IDENTITY} /somewhere ext4 defaults",
    f'UUID="{IDENTITY.upper()}" none ext4 defaults',
    "LABEL=Store /elsewhere ext4 defaults",
    f"/dev/disk/by-uuid/{IDENTITY} /elsewhere ext4 defaults",
    "/dev/disk/by-label/\\x53tore /elsewhere ext4 noauto",
    "LABEL=St\\157re\t/elsewhere\text4\tdefaults\r",
]
OTHERS: Final = [
    "/dev/vg_x/other /srv/other ext4 defaults",
    "UUID=11111111-2222-3333-4444-666666666666 /srv ext4 defaults",
    "UUID= /srv ext4 defaults",
    "LABEL=Store2 /srv/my\\040x/below ext4 defaults",
    "LABEL=store /srv/other ext4 defaults",
    "/dev/disk/by-label/STORE /srv/other ext4 defaults",
    "PARTUUID=0815 / ext4 defaults",
    "/dev/disk/by-uuid/11111111-2222-3333-4444-666666666666 /srv ext4 defaults",
    "/dev/disk/by-label/ /srv ext4 defaults",
    "ID=dm-name-vg_x-other /srv ext4 defaults",
    "# /dev/vg_x/data /srv/my\\040x ext4 defaults",
    "tmpfs relative tmpfs defaults",
    "/srv/my\\040x",
    "",
]


@pytest.mark.parametrize("line", SAME)
def test_a_line_is_left_out_and_put_back_whatever_its_spelling(
    tmp_path: Path, volume: Volume, line: str
) -> None:
    file = tmp_path / "fstab"
    before = "\n".join([*OTHERS, line, "last /last ext4 x\xff"]) + "\n"
    file.write_bytes(before.encode("latin-1"))
    file.chmod(0o640)
    fstab = Fstab(file)
    assert not fstab.left_out(volume)
    for _ in range(2):
        assert fstab.leave(volume) == Done()
    assert f"{MARK}{line}\n".encode() in file.read_bytes()
    assert file.read_bytes().count(MARK.encode()) == 1
    assert fstab.left_out(volume)
    for _ in range(2):
        assert fstab.restore(volume) == Done()
    assert file.read_bytes() == before.encode("latin-1")
    assert file.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_the_line_of_a_former_copy_stays_commented_out_and_says_why(
    tmp_path: Path, volume: Volume
) -> None:
    file = tmp_path / "fstab"
    line = SAME[0]
    file.write_text(f"first /first ext4\n{line}\n")
    fstab = Fstab(file)
    assert fstab.retire(volume) == Done()
    assert file.read_text() == f"first /first ext4\n{line}\n", (
        "what we did not leave out is not ours"
    )
    fstab.leave(volume)
    for change in (fstab.retire, fstab.retire, fstab.restore, fstab.leave):
        assert change(volume) == Done()
        assert file.read_text() == f"first /first ext4\n{RETIRED}{line}\n"
    assert not fstab.left_out(volume)


def test_a_device_is_known_under_any_of_its_names(tmp_path: Path) -> None:
    """As /dev/mapper, /dev/disk/by-id and the like are links to one device."""
    zero = Seen("x.data", 1, 2, "/dev/zero", "data", "meta", 1, "/srv/x", FileSystem.EXT4)
    file = tmp_path / "fstab"
    for name in ("/dev/zero", "/dev/../dev/zero"):
        file.write_text(f"{name} /mnt ext4 defaults\n")
        Fstab(file).leave(zero)
        assert file.read_text().startswith(MARK)


PLACES: Final = [
    ("/srv/d\u00e4ta", "/srv/d\\303\\244ta"),
    ("/srv/d\u00e4ta", "/srv/d\u00e4ta"),
    ("/srv/a\u00a0b\u3000c", "/srv/a\u00a0b\u3000c"),
    ("/srv/a\x0b\x0cb", "/srv/a\x0b\x0cb"),
    ("/srv/a\nb\\c", "/srv/a\\012b\\134c"),
    ("/srv/\udcff", "/srv/\udcff"),
    ("/srv/\udcff", "/srv/\\377"),
]


@pytest.mark.parametrize(("place", "written"), PLACES)
def test_a_mount_point_of_any_bytes_is_known_as_mount_reads_it(
    tmp_path: Path, place: str, written: str
) -> None:
    """``findmnt --tab-file`` tells the same of these lines."""
    volume = Volume("x.data", 1, 2, "vg_x", "data", "meta", 4096, place, FileSystem.EXT4)
    file = tmp_path / "fstab"
    line = f"/dev/sdz1 {written} ext4 defaults".encode("utf-8", "surrogateescape")
    file.write_bytes(line)
    Fstab(file).leave(volume)
    assert file.read_bytes() == MARK.encode() + line
    Fstab(file).restore(volume)
    assert file.read_bytes() == line


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("/dev/vg-x/lv-y", True),
        ("/dev//vg-x/lv-y", True),
        ("/dev/mapper/vg--x-lv--y", True),
        ("/dev/disk/by-id/dm-name-vg--x-lv--y", True),
        ("ID=dm-name-vg--x-lv--y", True),
        ("/dev/mapper/vg--x-lv--y2", False),
        ("/dev/mapper/vg-x-lv-y", False),
        ("/dev/vg/x-lv-y", False),
    ],
)
def test_a_volume_that_is_yet_to_be_made_is_known_by_its_names(
    tmp_path: Path, name: str, *, meant: bool
) -> None:
    """On the other node, where a boot would mount the copy wherever that node wants it."""
    volume = Volume("x.data", 1, 2, "vg-x", "lv-y", "meta", 4096, "/srv/x", FileSystem.EXT4)
    file = tmp_path / "fstab"
    file.write_text(f"{name} /data ext4 defaults")
    Fstab(file).leave(volume)
    assert file.read_text().startswith(MARK) is meant


def test_a_name_by_a_symbolic_link_is_told(tmp_path: Path) -> None:
    (tmp_path / "real/x").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    place = str(tmp_path / "real/x")
    file = tmp_path / "fstab"
    file.write_text(f"{MARK}/dev/a {place} ext4\n/dev/b {place}/ ext4\n/dev/b /srv ext4\n")
    assert Fstab(file).called(place) == ()
    file.write_text(f"/dev/a {tmp_path}/link/x/ ext4\n")
    assert Fstab(file).called(place) == (f"{tmp_path}/link/x",)


def test_a_file_system_without_labels_keeps_nothing_from_being_changed(
    tmp_path: Path, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> bytes:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    for name in ("getxattr", "listxattr", "setxattr"):
        monkeypatch.setattr(os, name, unknown)
    file = tmp_path / "fstab"
    file.write_text(SAME[0])
    assert Fstab(file).leave(volume) == Done()
    assert file.read_text() == MARK + SAME[0]
    assert Fstab(file).restore(volume) == Done()
    assert file.read_text() == SAME[0], "a last line without a line feed stays one"


def test_only_a_line_feed_ends_a_line(tmp_path: Path, volume: Volume) -> None:
    """Other editors' ends of a line may be part of a comment, or of a name."""
    file = tmp_path / "fstab"
    odd = f"# old:\x0c{SAME[0]}\n# was\x85{SAME[0]}\u2028{SAME[0]}\n{SAME[0]}\r\n"
    file.write_bytes(odd.encode())
    assert Fstab(file).leave(volume) == Done()
    assert file.read_bytes().decode().count(MARK) == 1
    assert Fstab(file).restore(volume) == Done()
    assert file.read_bytes() == odd.encode()


def test_a_link_stays_a_link(tmp_path: Path, volume: Volume) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "fstab", tmp_path / "fstab"
    real.write_text(SAME[0] + "\n")
    link.symlink_to(real)
    assert Fstab(link).leave(volume) == Done()
    assert link.is_symlink()
    assert real.read_text().startswith(MARK)


def test_without_fstab_there_is_nothing_to_do_and_a_full_disk_is_told(
    tmp_path: Path, volume: Volume
) -> None:
    assert isinstance(Fstab(tmp_path / "none").leave(volume), Done)
    assert Fstab(tmp_path / "none").left_out(volume) is False
    file = tmp_path / "fstab"
    file.write_text(SAME[0])
    (tmp_path / ".fstab.hapair").mkdir()
    assert isinstance(Fstab(file).leave(volume), Refused)
    assert file.read_text() == SAME[0]


def test_units_and_automounts_are_named(tmp_path: Path, volume: Volume) -> None:
    file, units = tmp_path / "fstab", tmp_path / "units"
    units.mkdir()
    file.write_text(f"{SAME[1].replace('defaults', 'noauto,x-systemd.automount')}\n{SAME[0]}\n")
    (units / "srv-my.mount").write_text("[Mount]\nWhat=/dev/x\nWhere=/srv/my\n")
    (units / "a.mount").write_text(f"[Mount]\nWhat=UUID={IDENTITY}\nWhere=/else\n")
    (units / "b.automount").write_text("[Automount]\nWhere = /srv/my x/\n")
    (units / "c.mount").symlink_to(tmp_path / "missing")
    fstab = Fstab(file, (units, tmp_path / "no-folder"))
    place = Place(volume.backing_device, volume.mount_point)
    assert [use.what for use in fstab.others(place)] == [
        f"the line of {file} for /srv/my x/ with x-systemd.automount",
        str(units / "a.mount"),
        str(units / "b.automount"),
    ]
    file.write_text(f"{SAME[0]}\n/dev/sdb1 /srv/my\\040x/not-ours ext4\n")
    assert Fstab(file, ()).others(place) == (), "the plan looked at what lies inside"


@pytest.mark.parametrize(
    ("block", "elsewhere", "journal"),
    [
        (superblock_of_ext4(), (), True),
        (superblock_of_ext4(journal_inode=0), ("journal",), True),
        (superblock_of_ext4(compatible=0, journal_inode=0), (), False),
        (superblock_of_xfs(), (), True),
        (superblock_of_xfs(log_start=0), ("log",), True),
        (superblock_of_xfs(log_start=0, realtime=9), ("log", "realtime data"), True),
        (bytes(4096), (), False),
        (b"short", (), False),
    ],
)
def test_what_lies_on_another_device_is_seen(
    tmp_path: Path, block: bytes, elsewhere: tuple[str, ...], *, journal: bool
) -> None:
    device = tmp_path / "device"
    device.write_bytes(block)
    assert superblock.parts_elsewhere(str(device)) == elsewhere
    assert superblock.has_journal(str(device)) is journal


@pytest.mark.parametrize(
    ("block", "in_files"),
    [
        (superblock_of_ext4(), True),
        (superblock_of_ext4(read_only_compatible=0x100), False),
        (superblock_of_xfs(), False),
    ],
)
def test_quotas_that_somebody_has_to_switch_on_are_known(
    tmp_path: Path, block: bytes, *, in_files: bool
) -> None:
    (tmp_path / "device").write_bytes(block)
    assert superblock.quotas_in_files(str(tmp_path / "device")) is in_files


@pytest.mark.parametrize("make", [superblock_of_ext4, superblock_of_xfs])
def test_a_file_system_says_what_it_is_called(tmp_path: Path, make: Callable[[], bytes]) -> None:
    device = tmp_path / "device"
    device.write_bytes(make())
    assert superblock.identity(str(device)) == superblock.Identity(IDENTITY, "Store")
    assert superblock.identity(str(tmp_path / "none")) == superblock.Identity()
    assert superblock.identity(os.devnull) == superblock.Identity()


@pytest.mark.parametrize(
    ("kind", "of_mount", "of_file_system", "kept", "lost"),
    [
        ("ext4", "rw,relatime", "rw", "", ""),
        ("ext4", "rw,noatime", "rw,errors=remount-ro,discard,nodioread_nolock,nodelalloc,commit=6",
         "noatime,errors=remount-ro,discard,nodioread_nolock,nodelalloc,commit=6", ""),
        ("ext4", "rw,relatime", "rw,data=journal", "data=journal", ""),
        ("ext4", "rw,relatime", "rw,seclabel,quota,usrquota", "quota,usrquota", ""),
        ("ext4", "rw,nosuid", "rw", "nosuid,strictatime", ""),
        ("ext4", "rw,relatime", "rw,context=system_u:object_r:x_t:s0",
         "context=system_u:object_r:x_t:s0", ""),
        ("ext4", "rw,relatime", 'rw,context="a:s0:c1,c2"', "", 'context="a:s0:c1,c2"'),
        ("ext4", "rw,relatime,idmapped", "rw,novelty=3", "", "idmapped,novelty=3"),
        ("ext4", "rw,relatime", "ro", "ro", "ro"),
        ("ext4", "ro,relatime", "ro", "ro", ""),
        ("xfs", "rw,relatime", "rw,attr2,inode64,logbufs=8,logbsize=32k,noquota", "", ""),
        ("xfs", "rw,relatime", "rw,attr2,inode64,logbufs=8,logbsize=64k,usrquota,prjquota",
         "logbsize=64k,usrquota,prjquota", ""),
        ("xfs", "rw,relatime", "rw,logdev=/dev/mapper/vg_x-log,noquota", "",
         "logdev=/dev/mapper/vg_x-log"),
        ("btrfs", "rw,relatime", "rw,subvol=/", "", "subvol=/"),
    ],
)  # fmt: skip
def test_options_are_kept_or_named(
    kind: str, of_mount: str, of_file_system: str, kept: str, lost: str
) -> None:
    found = in_force(kind, of_mount, of_file_system)
    assert [",".join(each) for each in found] == [kept, lost]
