"""Which of several mounts is seen at a place, read from the kernel's list."""

from pathlib import Path

import pytest

from hapair.adapters.filesystem.fstab import Fstab
from hapair.adapters.filesystem.mounter import Mounter, Target
from hapair.adapters.shared.mounts import MountTable, lies_on, real_path, remote_places
from hapair.model.application import FileSystem

ROOT = "22 1 254:1 / / rw shared:1 - ext4 /dev/vda1 rw\n"
OUTER = "40 22 147:1 / /srv/x rw - ext4 /dev/drbd1 rw\n"
INNER = r"41 40 147:2 / /srv/x/write\040ahead rw - xfs /dev/drbd2 rw" + "\n"
EARLIER = r"39 22 147:2 / /srv/x/write\040ahead rw - xfs /dev/drbd2 rw" + "\n"  # Below OUTER.
ABOVE_ALL = "50 22 0:60 / /srv rw - tmpfs tmpfs rw\n"
PLACE = "/srv/x/write ahead"
TARGET = Target("/dev/drbd2", PLACE, FileSystem.XFS, "")  # No such device is here.


@pytest.mark.parametrize(
    ("text", "mounted"),
    [
        (ROOT + OUTER + INNER, True),
        (ROOT + OUTER, False),
        (ROOT + EARLIER + OUTER, None),
        (ROOT + EARLIER + OUTER + INNER, True),
        (ROOT + OUTER + INNER + ABOVE_ALL, None),
        (OUTER + INNER, True),  # As a process sees it whose root is a folder.
    ],
)
def test_what_is_hidden_is_not_at_its_place(text: str, mounted: bool | None) -> None:  # noqa: FBT001
    assert Mounter.mounted(TARGET, MountTable.of(text)) is mounted


def test_what_is_seen_inside_is_known_by_the_parts_of_the_path() -> None:
    beside = "42 22 147:3 / /srv/x2 rw - ext4 /dev/drbd3 rw\n"
    table = MountTable.of(ROOT + EARLIER + OUTER + INNER + beside)
    assert [each.number for each in table.seen_inside("/srv/x")] == [41]
    over = MountTable.of(ROOT + EARLIER + OUTER).reached(PLACE)
    assert over is not None
    assert over.mount_point == "/srv/x"
    assert MountTable.of("").reached("/") is None


def test_a_mount_that_another_one_hides_does_not_lie_on_it() -> None:
    table = MountTable.of(ROOT + EARLIER + OUTER + INNER)
    by_number = {mount.number: mount for mount in table.every}
    lie = [n for n, mount in by_number.items() if lies_on(mount, by_number[40], by_number)]
    assert lie == [41]
    assert table.below(by_number[41]) == by_number[40]
    assert table.below(by_number[22]) is None


@pytest.mark.parametrize(
    ("line", "early"),
    [
        ("/dev/vda2 /data ext4 defaults 0 2", True),
        ("/dev/vda2 /data/ ext4", True),
        ("/dev/vda2 /data ext4 rw,nofail 0 2", False),
        ("/dev/vda2 /data ext4 noauto 0 0", False),
        ("/dev/vda2 /data ext4 _netdev 0 0", False),
        ("/dev/vda2 /database ext4 defaults 0 2", False),
        ("# /dev/vda2 /data ext4 defaults 0 2", False),
    ],
)
def test_a_boot_waits_for_plain_lines_of_fstab_only(tmp_path: Path, line: str, early: bool) -> None:  # noqa: FBT001
    fstab = tmp_path / "fstab"
    fstab.write_text(f"{line}\n")
    assert Fstab(fstab, (tmp_path,)).mounts_early("/data") is early
    (tmp_path / "data.mount").write_text("[Mount]\nWhat=/dev/vda2\nWhere=/data\n")
    assert Fstab(fstab, (tmp_path,)).mounts_early("/data")


def test_no_link_is_followed_on_a_file_server_that_may_be_gone(tmp_path: Path) -> None:
    """FAIL: each look at fstab hangs a thread of the daemon for as long as the server is away."""
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "link").symlink_to(tmp_path)
    root = "1 0 8:1 / / rw - ext4 /dev/sda1 rw"
    remote = remote_places(f"{root}\n2 1 0:40 / {tmp_path}/remote rw - nfs4 server:/x rw\n")
    assert remote == (f"{tmp_path}/remote",)
    assert real_path(f"{tmp_path}/local/link", remote) == str(tmp_path)
    for place in (f"{tmp_path}/remote/link", f"{tmp_path}/remote/"):
        assert real_path(place, remote) == place
