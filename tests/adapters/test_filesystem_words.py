"""Options of fstab, lines of mountinfo."""

import errno
from pathlib import Path

import pytest

from hapair.adapters.filesystem.calls import mount_arguments
from hapair.adapters.filesystem.mounter import NEEDS_CHECK
from hapair.adapters.shared.mounts import Mount, mount_info, mounts, mounts_with_options
from hapair.model.application import FileSystem

MOUNT_INFO = r"""
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
36 22 147:10 / /srv/my\040orders rw,noatime shared:20 master:1 - ext4 /dev/drbd10 rw,errors=remount-ro
37 22 0:33 / /scratch rw - tmpfs tmpfs rw
a line that is none
"""  # noqa: E501 - Captured text.


@pytest.mark.parametrize(
    ("options", "flags", "data"),
    [
        ("", 0, ""),
        ("defaults", 0, ""),
        ("noatime", 1024, ""),
        ("ro,noatime,rw", 1024, ""),
        ("noexec,nosuid,nodev,errors=remount-ro,usrquota", 14, "errors=remount-ro,usrquota"),
        ("defaults,nofail,_netdev,x-systemd.requires=x,comment=ours", 0, ""),
        ("noatime,,data=ordered", 1024, "data=ordered"),
        ("nosuid,suid", 0, ""),
        ("nosymfollow,lazytime", 256 | 1 << 25, ""),
    ],
)
def test_words_of_fstab_become_flags_and_data(options: str, flags: int, data: str) -> None:
    assert mount_arguments(options) == (flags, data)


def test_mountinfo_is_read_with_its_blanks() -> None:
    assert list(mounts(MOUNT_INFO)) == [
        Mount((254, 1), "/", "/dev/vda1", "ext4", number=22, parent=1, shared=1),
        Mount((147, 10), "/srv/my orders", "/dev/drbd10", "ext4", "/", 36, 22, 20, 1),
        Mount((0, 33), "/scratch", "tmpfs", "tmpfs", number=37, parent=22),
    ]


def test_a_mount_at_a_name_that_is_no_text_spoils_nothing(tmp_path: Path) -> None:
    """Whoever may mount, by FUSE for example, chooses the name."""
    strange = b"40 22 0:50 / /media/u/\xff\x0b1\r2 3 4:x\xe2\x80\xa8 rw - fuse sshfs rw\n"
    place = tmp_path / "mountinfo"
    place.write_bytes(strange + MOUNT_INFO.encode())
    found = list(mounts(mount_info(place)))
    assert [each.mount_point for each in found[1:]] == ["/", "/srv/my orders", "/scratch"]
    assert found[0].device == (0, 50)


def test_xfs_is_called_damaged_only_where_the_kernel_says_so() -> None:
    """A missing log device or a wrong option is EINVAL: xfs_repair could only do harm then."""
    xfs = NEEDS_CHECK[FileSystem.XFS]
    assert {errno.EUCLEAN, errno.EBADMSG} == xfs
    assert errno.EINVAL in NEEDS_CHECK[FileSystem.EXT4], "fsck.ext4 -p repairs what is safe"


def test_the_options_of_the_whole_file_system_are_read_too() -> None:
    found = {mount.mount_point: rest for mount, *rest in mounts_with_options(MOUNT_INFO)}
    assert found["/srv/my orders"] == ["rw,noatime", "rw,errors=remount-ro"]
    assert next(mounts_with_options("1 1 0:1 / / rw - tmpfs tmpfs"))[2] == ""
