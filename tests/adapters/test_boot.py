"""What else a boot does with a volume: each kind is named, and what does not concern it is not."""

import os
import struct
import subprocess
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.filesystem.fstab import LABELS, MARK, Fstab
from hapair.model.application import FileSystem, Volume
from hapair.model.outcome import Done, Refused
from tests.adapters.namespaces import need_root

DEVICE: Final = "/dev/vg_x/data"
POINT: Final = "/srv/my x"
OWN: Final = "/dev/vg_x/data /srv/my\\040x ext4 defaults 0 2"


def others(root: Path) -> tuple[str, ...]:
    return Fstab(root / "fstab", (root / "units",), root).others(DEVICE, POINT)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/srv/my\\040x/sub /var/www none bind 0 0", "for /var/www, which uses what lies in it"),
        ("//srv/my\\040x/ /var/www none rbind", "for /var/www, which uses what lies in it"),
        ("/srv/my\\040x/swap none swap sw 0 0", "for none, which uses what lies in it"),
        ("/srv/my\\040x/disk.img /mnt ext4 loop", "for /mnt, which uses what lies in it"),
        ("overlay /o overlay lowerdir=/usr:/srv/my\\040x/l,upperdir=/u,workdir=/w", "uses what"),
        ("tmpfs /srv/my\\040x/tmp tmpfs defaults", "which lies inside it"),
        ("server:/export /srv/my\\040x/nfs nfs4 nofail", "which lies inside it"),
        ("/dev/sdb1 /data ext4 x-systemd.requires=/srv/my\\040x", "which waits for it"),
    ],
)
def test_a_line_that_uses_what_lies_in_it_is_named(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "fstab").write_text(f"{OWN}\n{line}\n{MARK}{line}\n#{line}\n")
    (found,) = others(tmp_path)
    assert f"the line of {tmp_path / 'fstab'}" in found
    assert said in found


@pytest.mark.parametrize(
    "line",
    [
        "/srv/my\\040xy/sub /var/www none bind",
        "/dev/vg_x/wal /srv/my\\040x/wal ext4 defaults",
        "UUID=0815 /srv/my\\040x/wal ext4 defaults",
        "tmpfs /tmp tmpfs defaults",
        "/dev/sdb1 /data ext4 x-systemd.requires=/srv,x-systemd.after=/srv/my\\040x",
        "server:/srv/my\\040x /mnt nfs4 defaults",
        OWN,
    ],
)
def test_a_line_that_does_not_concern_it_is_not_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "fstab").write_text(f"{OWN}\n{line}\n")
    assert others(tmp_path) == ()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("units/var-www.mount", "[Mount]\nWhat=/srv/my x/sub\nWhere=/var/www\nOptions=bind\n"),
        ("units/srv-x-swap.swap", "[Swap]\nWhat=/srv/my x/swap\n"),
        ("units/other.mount.d/here.conf", "[Mount]\nWhere=/srv/my x\n"),
        ("auto.direct", "/srv/my\\040x -fstype=ext4 :/dev/other\n"),
        ("auto.master", "/srv/my\\040x/users /etc/auto.users\n"),
        ("auto.master.d/x.autofs", "/- /srv/my\\040x/map\n"),
        ("exports", "/usr *(ro)\n/srv/my\\040x/pub 10.0.0.0/8(rw)\n"),
        ("exports.d/x.exports", '"/srv/my\\040x" *(rw)\n'),
        ("security/pam_mount.conf.xml", '<volume path="/dev/x" mountpoint="/srv/my x" />'),
    ],
)
def test_every_other_file_that_a_boot_follows_is_named(
    tmp_path: Path, file: str, text: str
) -> None:
    place = tmp_path / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    (found,) = others(tmp_path)
    assert str(place) in found
    place.write_text("\n".join(f"# {line}" for line in text.splitlines()).replace("my x", "other"))
    assert others(tmp_path) == ()


def test_what_systemd_made_of_the_line_goes_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "fstab").write_text(OWN)
    (tmp_path / "units").mkdir()
    unit = tmp_path / "units/srv-my\\x20x.mount"
    text = f"[Unit]\nSourcePath={tmp_path / 'fstab'}\n[Mount]\nWhat={DEVICE}\nWhere={POINT}\n"
    unit.write_text(text)
    assert others(tmp_path) == ()
    unit.write_text(text.replace("fstab", "other"))
    assert others(tmp_path) == (str(unit),)


@pytest.mark.native
def test_an_immutable_fstab_is_refused_with_its_mend(tmp_path: Path) -> None:
    need_root()
    file = tmp_path / "fstab"
    file.write_text(OWN)
    volume = Volume("x.data", 1, 2, "vg_x", "data", "meta", 4096, POINT, FileSystem.EXT4)
    subprocess.run(("chattr", "+i", file), check=True)
    try:
        refused = Fstab(file).leave(volume)
    finally:
        subprocess.run(("chattr", "-i", file), check=True)
    assert isinstance(refused, Refused)
    assert f"chattr -i {file}" in refused.why
    assert file.read_text() == OWN
    assert [each.name for each in tmp_path.iterdir()] == ["fstab"]


@pytest.mark.native
def test_an_access_list_stays(tmp_path: Path) -> None:
    """As ``setfacl -m u:1000:r`` writes it."""
    need_root()
    file = tmp_path / "fstab"
    file.write_text(OWN)
    entries = ((1, 6, -1), (2, 4, 1000), (4, 4, -1), (16, 4, -1), (32, 4, -1))
    acl = (2).to_bytes(4, "little") + b"".join(
        struct.pack("<HHI", kind, rights, who % 2**32) for kind, rights, who in entries
    )
    os.setxattr(file, LABELS[1], acl)
    volume = Volume("x.data", 1, 2, "vg_x", "data", "meta", 4096, POINT, FileSystem.EXT4)
    assert Fstab(file).leave(volume) == Done()
    assert os.getxattr(file, LABELS[1]) == acl
