"""What a volume below DRBD tells of its past, on a loop device."""

import asyncio
import contextlib
import errno
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from hapair.adapters.drbd.backing import KernelBackings, make_writable
from hapair.adapters.drbd.generations import newer
from hapair.adapters.drbd.holders import holders_of, writable_loops
from hapair.adapters.drbd.writers import writers_of
from hapair.adapters.shared.process import ProcessRunner
from hapair.adapters.shared.together import Together
from hapair.model.backing import Backing, LastSeen
from hapair.model.outcome import Done, NotNow, Refused, Unknown
from hapair.ports.programs import Finished, TimedOut
from tests.adapters.loops import loop_device, make_image, run, volume_at
from tests.adapters.namespaces import need_root, own_mounts
from tests.fakes.small import FakeRunner, FakeStorage

VOLUME = volume_at(Path("/srv/orders"))
SEEN = LastSeen(Backing("LVM-data", "boot 7", 100, "digest"), attached=False)


class Place:
    """A machine whose /dev and /etc are folders of the test."""

    def __init__(self, folder: Path) -> None:
        self.etc = folder / "etc"
        self.devices = folder / "dev"
        self.device = self.devices / VOLUME.volume_group / VOLUME.logical_volume
        self.device.parent.mkdir(parents=True)
        (self.device.parent / VOLUME.meta_volume).touch()
        (self.etc / "systemd/system").mkdir(parents=True)
        self.run = FakeRunner()
        self.storage = FakeStorage()
        self.backings = KernelBackings(self.run, self.storage, devices=self.devices, etc=self.etc)

    async def look(self) -> Backing:
        seen = await self.backings.look(VOLUME, timeout_s=10)
        assert isinstance(seen, Backing)
        return seen


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def real(place: Place, tmp_path: Path) -> Iterator[Place]:
    need_root()
    with loop_device(make_image(tmp_path), place.device), own_mounts():
        yield place


@contextlib.contextmanager
def mounted(device: Path, folder: Path, *options: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    run("mount", *options, str(device), str(folder))
    try:
        yield
    finally:
        run("umount", str(folder))


@pytest.mark.native
async def test_reading_and_a_read_only_mount_change_nothing(real: Place, tmp_path: Path) -> None:
    before = await real.look()
    run("blkid", "-p", str(real.device))
    with mounted(real.device, tmp_path / "mnt", "-o", "ro"):
        pass
    assert await real.look() == before


@pytest.mark.native
async def test_a_mount_changes_the_count_and_the_first_blocks(real: Place, tmp_path: Path) -> None:
    before = await real.look()
    with mounted(real.device, tmp_path / "mnt"):
        pass
    after = await real.look()
    assert after.written_sectors > before.written_sectors
    assert after.start != before.start
    assert (after.volume, after.activation) == (before.volume, before.activation)


@pytest.mark.native
async def test_every_tool_that_writes_is_counted(real: Place) -> None:
    before = await real.look()
    run("dd", "if=/dev/urandom", f"of={real.device}", "bs=4k", "count=1", "seek=2000",
        "conv=fsync")  # fmt: skip
    after = await real.look()
    assert after.written_sectors >= before.written_sectors + 8
    assert after.start == before.start


@pytest.mark.native
async def test_a_kernel_that_was_told_not_to_count_counts_from_now_on(real: Place) -> None:
    number = real.device.stat().st_rdev
    counts = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/queue/iostats"
    for begin in (real.look, lambda: real.backings.guard(VOLUME)):
        run("sh", "-c", f"echo 0 >{counts}")
        await begin()
        assert run("cat", counts) == "1"


@pytest.mark.native
async def test_a_guarded_volume_can_only_be_read(real: Place) -> None:
    await real.backings.guard(VOLUME)
    with pytest.raises(subprocess.CalledProcessError):
        run("dd", "if=/dev/zero", f"of={real.device}", "bs=4k", "count=1", "conv=fsync")
    assert (await real.look()).written_sectors == (await real.look()).written_sectors
    await make_writable(Together(), real.device)
    run("dd", "if=/dev/zero", f"of={real.device}", "bs=4k", "count=1", "seek=9", "conv=fsync")


@pytest.mark.native
async def test_what_somebody_has_is_not_guarded(real: Place, tmp_path: Path) -> None:
    with mounted(real.device, tmp_path / "mnt"):
        await real.backings.guard(VOLUME)
        (tmp_path / "mnt/file").write_text("written")
        os.sync()
    run("dd", "if=/dev/zero", f"of={real.device}", "bs=4k", "count=1", "seek=9", "conv=fsync")


@pytest.mark.native
def test_a_loop_device_that_can_write_to_it_is_named(tmp_path: Path) -> None:
    """It claims nothing: DRBD could attach the volume below a file system that is mounted."""
    need_root()
    below = run("losetup", "--find", "--show", str(make_image(tmp_path)))
    for options, named in (((), True), (("--read-only",), False)):
        above = run("losetup", "--find", "--show", *options, below)
        held = [f"the loop device {Path(above).name}"] if named else []
        assert writable_loops(Path(below)) == held
        assert holders_of(Path(below)) == held
        run("losetup", "--detach", above)
    run("losetup", "--detach", below)


@pytest.mark.native
async def test_whoever_can_have_written_is_named(real: Place) -> None:
    mnt = Path(mkdtemp(dir="/tmp"))  # A superblock has room for 64 characters.
    uuid = run("blkid", "-p", "-o", "value", "-s", "UUID", str(real.device))
    (real.etc / "fstab").write_bytes(
        b"# /dev/vg/data /old ext4\n\xff\n/dev/vg/other /x ext4 defaults\n"
        + f'UUID="{uuid}" /by-uuid ext4 defaults\nUUID={uuid} /bare ext4\n'.encode()
        + f"{real.device} /my\x01place ext4\n/dev/disk/by-uuid/{uuid}\n".encode()
        + b"/dev/vg/data /named xfs\n/\0 /zero ext4\n"
    )
    unit = real.etc / "systemd/system/srv-x.mount"
    unit.write_text(f"[Mount]\nWhat=/dev/disk/by-uuid/{uuid}\nWhere=/srv/x\n")
    (unit.parent / "other.mount").write_text("[Mount]\nWhat=/dev/sdz\n")
    with mounted(real.device, mnt):
        (mnt / "file").write_text("opened")
        os.sync()
        told = await writers_of(ProcessRunner(), VOLUME, real.device, real.etc)
    fstab = real.etc / "fstab"
    assert f"the mount on {mnt} has it now" in told
    for line, where in ((4, "/by-uuid"), (5, "/bare"), (6, "/my\N{REPLACEMENT CHARACTER}place"),
                        (8, "/named")):  # fmt: skip
        assert f"line {line} of {fstab} mounts it on {where}" in told
    assert told.count(" of ") == 4
    assert "the unit srv-x.mount mounts it" in told
    told = await real.backings.writers(VOLUME)
    assert "has it now" not in told
    assert "its file system was mounted last at 20" in told
    assert f"the last place that it knows is {mnt}" in told
    run("rmdir", str(mnt))


async def test_where_there_is_no_trace_nothing_is_said(place: Place) -> None:
    assert await place.backings.writers(VOLUME) == ""
    place.device.write_bytes(bytes(4096))
    place.run.answers["blkid"] = TimedOut(5)
    assert await place.backings.writers(VOLUME) == ""


async def test_a_volume_that_is_not_there_is_activated_or_named(place: Place) -> None:
    place.run.answers["lvchange"] = Finished(5, "", "no such volume")
    seen = await place.backings.look(VOLUME, timeout_s=10)
    assert isinstance(seen, Refused)
    assert "vg/data" in seen.why
    place.run.answers["lvchange"] = TimedOut(10)
    assert isinstance(await place.backings.look(VOLUME, timeout_s=10), Unknown)
    place.run.answers["lvchange"] = Finished(0, "", "")
    seen = await place.backings.look(VOLUME, timeout_s=10)
    assert isinstance(seen, Refused)
    assert "LVM does not activate vg/data" in seen.why


async def test_a_volume_whose_writes_are_not_counted_is_named(place: Place) -> None:
    place.device.write_bytes(bytes(4096))  # No block device: the kernel counts nothing.
    assert isinstance(await place.backings.look(VOLUME, timeout_s=10), Unknown)
    await place.backings.guard(VOLUME)  # Nothing happens.
    await make_writable(Together(), place.device)
    await make_writable(Together(), place.devices / "missing")


async def test_a_file_that_hangs_keeps_nobody_waiting_who_decides(place: Place) -> None:
    """FAIL: the loop waits for it, e.g. for an image on a dead file server that fstab names."""
    os.mkfifo(place.etc / "fstab")
    wanted = asyncio.ensure_future(place.backings.writers(VOLUME))
    while not wanted.done():
        await asyncio.sleep(0)
        with contextlib.suppress(OSError):  # Nobody reads yet.
            os.close(os.open(place.etc / "fstab", os.O_WRONLY | os.O_NONBLOCK))
    assert await wanted == ""


async def test_no_room_for_a_process_ends_no_daemon(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAIL: whoever watches what others attach takes it for a bug, and ends."""

    def full() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    place.device.write_bytes(bytes(4096))
    monkeypatch.setattr(os, "fork", full)
    assert isinstance(await place.backings.look(VOLUME, timeout_s=10), NotNow)
    assert await place.backings.writers(VOLUME) == ""
    await place.backings.guard(VOLUME)
    await make_writable(Together(), place.device)


async def test_what_a_newer_version_remembers_besides_is_passed_over(place: Place) -> None:
    await place.backings.remember("orders.data", SEEN)
    name = "backing-orders.data.json"
    known = json.loads(place.storage.load(name) or b"")
    known["newer"] = known["backing"]["newer"] = [1]
    place.storage.store(name, json.dumps(known).encode())
    assert await place.backings.last_seen("orders.data") == SEEN


async def test_it_is_remembered_for_good(place: Place) -> None:
    assert await place.backings.last_seen("orders.data") is None
    assert await place.backings.remember("orders.data", SEEN) == Done()
    assert await place.backings.last_seen("orders.data") == SEEN
    assert await place.backings.last_seen("mail.data") is None
    for damaged in (b"", b"[]", b"{}", b"\xff", b'{"backing": {}, "attached": true}'):
        place.storage.contents["backing-orders.data.json"] = damaged
        assert await place.backings.last_seen("orders.data") is None
    assert await place.backings.remember("orders.data", None) == Done()
    assert place.storage.contents == {}


async def test_a_full_disk_is_named(place: Place) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    place.storage.store = full  # type: ignore[method-assign, assignment]
    outcome = await place.backings.remember("orders.data", SEEN)
    assert outcome == Refused("backing-orders.data.json cannot be written: No space left on device")


def test_the_next_generation_has_no_block_on_the_peer() -> None:
    """As printed by drbdmeta 9.22 for meta-data of 8.4; the ninth field is DRBD's "full sync"."""
    before = "A0A0A0A0A0A0A0A1:0000000000000000:C0:D0:1:1:0:0:0:1:0"
    made = newer(before + "\n")
    assert made is not None
    current, *others = made.split(":")
    assert others == ["A0A0A0A0A0A0A0A1", "C0", "D0", "1", "1", "0", "0", "1", "1", "0"]
    assert len(current) == 16
    assert int(current, 16) % 2 == 0
    assert current != newer(
        before,
    )
    alone = newer("A0A0A0A0A0A0A0A0:B0B0B0B0B0B0B0B0:C0:D0:1:1:0:0:0:1:0")
    assert alone is not None
    assert alone.split(":")[1] == "B0B0B0B0B0B0B0B0"


@pytest.mark.parametrize("text", ["", "No valid meta data found", "1:2:3:4:0:0:0:0:0:0:0"])
def test_a_copy_that_is_not_complete_gets_no_generation(text: str) -> None:
    assert newer(text) is None
