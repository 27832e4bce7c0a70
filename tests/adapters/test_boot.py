"""What else a boot does with a volume: each kind is named, and what does not concern it is not."""

import os
import struct
import subprocess
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.filesystem.boot import BootUse
from hapair.adapters.filesystem.fstab import MARK, Fstab
from hapair.model.application import FileSystem, Volume
from hapair.model.outcome import Done, Refused
from hapair.model.storage import Place
from tests.adapters.namespaces import need_root

DEVICE: Final = "/dev/vg_x/data"
POINT: Final = "/srv/my x"
OWN: Final = "/dev/vg_x/data /srv/my\\040x ext4 defaults 0 2"


def looked(root: Path, program: str = "") -> tuple[BootUse, ...]:
    folders = (root / "run", root / "systemd/system", root / "lib")
    fstab = Fstab(root / "fstab", folders, root)
    beside = (Place("/dev/vg_x/wal", f"{POINT}/wal"), Place("/dev/vg_x/log", "/srv/log"))
    return fstab.others(Place(DEVICE, POINT), beside, program)


def others(root: Path) -> tuple[str, ...]:
    return tuple(each.what for each in looked(root))


def the_use(root: Path) -> BootUse:
    (found,) = looked(root)
    return found


BY_HAND: Final = "what starts the application then types: mount "


@pytest.mark.parametrize(
    ("line", "said", "mend", "mended"),
    [
        ("/srv/my\\040x/sub /var/www none bind 0 0", "for /var/www, which uses what lies in it",
         f"write noauto into it; {BY_HAND}/var/www, and what stops it: umount /var/www",
         "/srv/my\\040x/sub /var/www none bind,noauto 0 0"),
        ("//srv/my\\040x/ /var/www none rbind,x-systemd.automount", "which uses what lies in it",
         f"write noauto into it instead of x-systemd.automount; {BY_HAND}/var/www",
         "//srv/my\\040x/ /var/www none rbind,noauto"),
        ("/srv/my\\040x/swap none swap sw 0 0", "for none, which uses what lies in it",
         "swapoff '/srv/my x/swap', take the line out, and make swap on a volume of its own", ""),
        ("/srv/my\\040x/disk.img /mnt ext4 loop", "for /mnt, which uses what lies in it",
         f"{BY_HAND}/mnt", "/srv/my\\040x/disk.img /mnt ext4 noauto,loop"),
        ("overlay /o overlay lowerdir=/usr:/srv/my\\040x/l,upperdir=/u,workdir=/w", "uses what",
         f"{BY_HAND}/o", "overlay /o overlay noauto,lowerdir=/usr:/srv/my\\040x/l"),
        ("tmpfs /srv/my\\040x/tmp tmpfs defaults", "which lies inside it",
         f"{BY_HAND}'/srv/my x/tmp'", "tmpfs /srv/my\\040x/tmp tmpfs noauto"),
        ("server:/export /srv/my\\040x/nfs nfs4 nofail", "which lies inside it",
         f"{BY_HAND}'/srv/my x/nfs'", "server:/export /srv/my\\040x/nfs nfs4 nofail,noauto"),
        ("UUID=0815 /srv/my\\040x/old ext4 defaults", "which lies inside it",
         f"if it shall be replicated, mount it now; else write noauto into it; {BY_HAND}",
         "UUID=0815 /srv/my\\040x/old ext4 noauto"),
        ("/dev/sdb1 /data ext4 x-systemd.requires=/srv/my\\040x", "which waits for it",
         "write it without x-systemd.requires=", "/dev/sdb1 /data ext4 defaults"),
        ("/dev/mapper/vg_x-data /data ext4 x-systemd.automount",
         "for /data with x-systemd.automount", "write it without x-systemd.automount",
         "/dev/mapper/vg_x-data /data ext4 noauto"),
    ],
)  # fmt: skip
def test_a_line_that_uses_what_lies_in_it_is_named_until_it_is_mended(
    tmp_path: Path, line: str, said: str, mend: str, mended: str
) -> None:
    (tmp_path / "fstab").write_text(f"{OWN}\n{line}\n{MARK}{line}\n#{line}\n")
    found = the_use(tmp_path)
    assert f"the line of {tmp_path / 'fstab'}" in found.what
    assert said in found.what
    assert mend in found.mend
    (tmp_path / "fstab").write_text(f"{OWN}\n{mended}\n")
    assert others(tmp_path) == ()


@pytest.mark.parametrize(
    "line",
    [
        "/srv/my\\040xy/sub /var/www none bind",
        "/dev/vg_x/wal /srv/my\\040x/wal ext4 defaults",
        "UUID=0815 /srv/my\\040x/wal ext4 defaults",
        "/dev/mapper/vg_x-log /srv/my\\040x/log ext4 defaults",
        "tmpfs /tmp tmpfs defaults",
        "/dev/sdb1 /data ext4 x-systemd.requires=/srv,x-systemd.after=/srv/my\\040x",
        "server:/srv/my\\040x /mnt nfs4 defaults",
        "/dev/mapper/vg_x-data /mnt ext4 defaults",
        OWN,
    ],
)
def test_a_line_that_does_not_concern_it_is_not_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "fstab").write_text(f"{OWN}\n{line}\n")
    assert others(tmp_path) == ()


@pytest.mark.parametrize(
    ("file", "text", "mend"),
    [
        ("systemd/system/var-www.mount",
         "[Mount]\nWhat=/srv/my x/sub\nWhere=/var/www\nOptions=bind\n",
         "mv {} /root/; systemctl daemon-reload"),
        ("lib/srv-x-swap.swap", "[Swap]\nWhat=/srv/my x/swap\n", "mask srv-x-swap.swap"),
        ("lib/other.mount.d/here.conf", "[Mount]\nWhere=/srv/my x\n", "mv {} /root/"),
        ("run/a.mount", "[Mount]\nWhat=/dev/vg_x/data\n", "mv {} /root/"),
        ("crypttab", "secret /dev/mapper/vg_x-data none luks\n", "take it out, or write noauto"),
        ("crypttab", "secret /dev/sdb1 /srv/my\\040x/key luks\n", "take it out, or write noauto"),
        ("crypttab", "a /dev/sdb1 - luks,header=/srv/my\\040x/h\n", "or write noauto"),
        ("veritytab", "a /dev/sdb1 /dev/vg_x/data 00ff\n", "take it out"),
        ("auto.direct", "/srv/my\\040x -fstype=ext4 :/dev/other\n", "take it out of there"),
        ("auto.master", "/srv/my\\040x/users /etc/auto.users\n", "take it out of there"),
        ("auto.master.d/x.autofs", "/- /srv/my\\040x/map\n", "take it out of there"),
        ("exports", "/usr *(ro)\n/srv/my\\040x/pub 10.0.0.0/8(rw)\n", "take it out; what starts"),
        ("exports.d/x.exports", '"/srv/my\\040x" *(rw)\n', "take it out; what starts"),
        ("security/pam_mount.conf.xml", '<volume path="/dev/x" mountpoint="/srv/my x" />',
         "take it out of there"),
    ],
)  # fmt: skip
def test_every_other_file_that_a_boot_follows_is_named(
    tmp_path: Path, file: str, text: str, mend: str
) -> None:
    place = tmp_path / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    found = the_use(tmp_path)
    assert str(place) in found.what
    assert mend.format(place) in found.mend
    place.write_text("\n".join(f"# {line}" for line in text.splitlines()).replace("my x", "other"))
    assert others(tmp_path) == ()


def test_what_nobody_maps_at_a_boot_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "crypttab").write_text(
        "a /dev/vg_x/data none luks,noauto\nb /dev/vg_x/data2 /srv/my\\040xy/key luks\nc\n"
    )
    assert others(tmp_path) == ()


def test_what_systemd_made_of_the_line_goes_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "fstab").write_text(OWN)
    (tmp_path / "lib").mkdir()
    unit = tmp_path / "lib/srv-my\\x20x.mount"
    text = f"[Unit]\nSourcePath={tmp_path / 'fstab'}\n[Mount]\nWhat={DEVICE}\nWhere={POINT}\n"
    unit.write_text(text)
    assert others(tmp_path) == ()
    unit.write_text(text.replace("fstab", "other"))
    assert others(tmp_path) == (str(unit),)


def test_a_line_that_would_mean_the_copy_as_well_is_named_until_it_is_mended(
    tmp_path: Path,
) -> None:
    """FAIL: once the copy is there, a boot mounts it bare at the place of another device."""
    names = ("UUID=11111111-2222-3333-4444-5555555555ab", "LABEL=my data")
    fstab, place = Fstab(tmp_path / "fstab", (), tmp_path), Place(DEVICE, POINT, names)
    (tmp_path / "fstab").write_text("LABEL=my\\040data /srv/log ext4 defaults 0 2\n")
    assert fstab.others(place, (Place("/dev/vg_x/log", "/srv/log", names),), "") == ()
    for what in (
        "LABEL=my\\040data", 'LABEL="my\\040data"', "/dev/disk/by-label/my\\x20data",
        "UUID=11111111-2222-3333-4444-5555555555AB",
        "/dev/disk/by-uuid/11111111-2222-3333-4444-5555555555ab",
    ):  # fmt: skip
        (tmp_path / "fstab").write_text(f"{what} /mnt ext4 nofail 0 2\n")
        (found,) = fstab.others(place, (), "")
        assert "for /mnt, as " in found.what
        assert "e2label" in found.mend
        of_ours = f"{what} {OWN.split()[1]} ext4"
        for mended in (f"{what} /mnt ext4 noauto", of_ours, "/dev/sdb1 /mnt ext4",
                       "LABEL=old /mnt ext4", f"#{what} /mnt ext4"):  # fmt: skip
            (tmp_path / "fstab").write_text(f"{mended}\n")
            assert fstab.others(place, (), "") == ()


def test_a_masked_unit_is_none(tmp_path: Path) -> None:
    """As ``systemctl mask`` leaves it, which the mend of a package's unit says."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/srv-x.mount").write_text(f"[Mount]\nWhat={DEVICE}\nWhere=/mnt\n")
    assert the_use(tmp_path).mend == "systemctl mask srv-x.mount"
    (tmp_path / "systemd/system").mkdir(parents=True)
    (tmp_path / "systemd/system/srv-x.mount").symlink_to("/dev/null")
    assert others(tmp_path) == ()


SERVICE: Final = "[Service]\nExecStart=/bin/true\n"


def want(root: Path, name: str, folder: str = "systemd/system") -> Path:
    link = root / folder / "multi-user.target.wants" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(root / "nowhere")
    return link


@pytest.mark.parametrize(
    "line",
    [
        'BindPaths=/usr:/a "-/srv/my x"',
        'BindReadOnlyPaths="/srv/my x/pub:/pub:rbind"',
        "RootImage=/dev/vg_x/data",
        "MountImages=/dev/mapper/vg_x-data:/mnt",
        "WorkingDirectory=-/srv/my x/run",
        'RequiresMountsFor=/var "/srv/my x"',
        "RootDirectory=/srv/%I x",
        'WantsMountsFor="/srv/%p/%%/../../%i x/%n/%N"',
    ],
)
def test_a_service_that_a_boot_starts_without_the_volume_is_named(
    tmp_path: Path, line: str
) -> None:
    lib = tmp_path / "lib"
    lib.mkdir()
    (lib / "a@.service").write_text(f"{SERVICE}{line}\n")
    assert others(tmp_path) == (), "nothing wants it"
    link = want(tmp_path, "a@my.service")
    found = the_use(tmp_path)
    assert found.what == f"a@my.service ({line})"
    assert found.mend.startswith("systemctl disable a@my.service; make it the application's")
    assert looked(tmp_path, "a@my.service") == (), "the application itself starts it"
    asked_for_no_program = Fstab(tmp_path / "fstab", (tmp_path / "systemd/system", lib), tmp_path)
    assert asked_for_no_program.others(Place(DEVICE, POINT)) == ()
    link.unlink()
    assert others(tmp_path) == ()


def test_a_service_is_known_by_all_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "lib/a.service.d").mkdir(parents=True)
    (tmp_path / "lib/a.service").write_text(f"{SERVICE}WorkingDirectory=/srv/my xy\n")
    link = want(tmp_path, "a.service", "run")
    want(tmp_path, "gone.service")
    assert others(tmp_path) == ()
    (tmp_path / "lib/a.service.d/x.conf").write_text('[Service]\nBindPaths="/srv/my x"\n')
    assert the_use(tmp_path).mend.startswith(f"find out what makes {link}, and tell it not to")
    (tmp_path / "systemd/system/a.service").symlink_to("/dev/null")
    assert others(tmp_path) == (), "it is masked"


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
def test_access_list_and_other_attributes_stay(tmp_path: Path) -> None:
    """As ``setfacl -m u:1000:r`` and ``setfattr`` write them."""
    need_root()
    file = tmp_path / "fstab"
    file.write_text(OWN)
    entries = ((1, 6, -1), (2, 4, 1000), (4, 4, -1), (16, 4, -1), (32, 4, -1))
    acl = (2).to_bytes(4, "little") + b"".join(
        struct.pack("<HHI", kind, rights, who % 2**32) for kind, rights, who in entries
    )
    attributes = {"system.posix_acl_access": acl, "trusted.site": b"7", "user.managed": b"by us"}
    for name, value in attributes.items():
        os.setxattr(file, name, value)
    volume = Volume("x.data", 1, 2, "vg_x", "data", "meta", 4096, POINT, FileSystem.EXT4)
    assert Fstab(file).leave(volume) == Done()
    assert {name: os.getxattr(file, name) for name in os.listxattr(file)} == attributes
