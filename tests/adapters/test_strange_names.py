"""Names of processes and files are any bytes; nobody's choice of them disturbs the daemon."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair.adapters.filesystem.fstab import Fstab
from hapair.adapters.filesystem.holders import holders, holds
from hapair.adapters.filesystem.native import NativeFileSystems
from hapair.adapters.programs.groups import Group
from hapair.adapters.scan.holders import holders as scanned_holders
from hapair.adapters.shared.mounts import Mount
from hapair.model.outcome import Done
from tests.adapters.holding import running
from tests.fakes.small import FakeRunner
from tests.runtime.fakes import VOLUME


@pytest.fixture
def strange(tmp_path: Path) -> Iterator[int]:
    """A process whose name is no text, with its folder in ``tmp_path``."""
    program = tmp_path / os.fsdecode(b"\xff\x0bsleep")
    program.symlink_to(shutil.which("sleep") or "/bin/sleep")

    def is_called_so(pid: int) -> bool:
        """The kernel gives the name a moment after the start of a process is known to be good."""
        return Path(f"/proc/{pid}/comm").read_bytes().startswith(b"\xff")

    with running(str(program), "60", ready=is_called_so, cwd=tmp_path) as pid:
        yield pid


def test_a_process_whose_name_is_no_text_can_be_named(strange: int, tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text(f"{strange}\n")
    name = "\N{REPLACEMENT CHARACTER}" * 2 + "sleep"
    assert Group(tmp_path).named() == f"{name} ({strange})"


def test_the_scan_names_a_holder_in_one_line(tmp_path: Path) -> None:
    process = tmp_path / "proc/77"
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_bytes(b"\x1b[2Jevil\n")
    (process / "fd/3").symlink_to("/dev/watchdog")
    name = "\N{REPLACEMENT CHARACTER}[2Jevil"
    assert scanned_holders(tmp_path, {"/dev/watchdog": "it"}) == {"it": name}


def test_a_holder_whose_name_is_no_text_is_found(strange: int, tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    mount = Mount((os.major(device), os.minor(device)), str(tmp_path), "/dev/x", "ext4")
    assert strange in {holder.pid for holder in holders(mount, frozenset())}


def test_a_map_of_a_file_with_a_strange_name_is_read(tmp_path: Path) -> None:
    process = tmp_path / "77"
    process.mkdir()
    (process / "maps").write_bytes(
        b"00-01 r--p 00 08:01 5 /srv/a\x0bb\rc\xff\n02-03 r--p 00 93:0a 6 /srv/orders/x\n"
    )
    assert holds(process, Mount((0x93, 0x0A), "/srv/orders", "/dev/drbd10", "ext4"))
    assert not holds(process, Mount((0x93, 0x0B), "/srv/log", "/dev/drbd11", "ext4"))


async def test_an_fstab_with_other_letters_keeps_them(tmp_path: Path) -> None:
    fstab = tmp_path / "fstab"
    line = f"/dev/vg_orders/data {VOLUME.mount_point} ext4 defaults 0 2\n".encode()
    before = b"# gr\xfc\xdfe\r\n" + line
    fstab.write_bytes(before)
    natives = NativeFileSystems(FakeRunner(), Fstab(fstab, ()), tmp_path / "no systemd")
    assert isinstance(await natives.leave_fstab(VOLUME), Done)
    assert b"gr\xfc\xdfe\r\n# hapair mounts this over DRBD: " in fstab.read_bytes()
    assert isinstance(await natives.restore_fstab(VOLUME), Done)
    assert fstab.read_bytes() == before
