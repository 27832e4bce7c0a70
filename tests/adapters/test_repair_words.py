"""What repairing says to DRBD, mount and find, and how it reads their answers."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.drbd.connections import DrbdConnections, read_generations
from hapair.adapters.filesystem.looks import MountedLooks
from hapair.adapters.shared.process import ProcessRunner
from hapair.model.application import FileSystem
from hapair.model.divergence import ChangedFile, Generations
from hapair.model.outcome import Done, Refused, Unknown
from hapair.ports.programs import Finished, TimedOut
from tests.adapters.loops import volume_at
from tests.fakes.small import FakeRunner

VOLUME: Final = volume_at(Path("/srv/orders"), minor=10)
IDENTIFIERS: Final = (
    "8C8FD1C0CB5F2D85:B4D5D1E5FB6A1C36:0000000000000004:0000000000000000:1:1:1:1:0:0:0\n"
)


async def test_only_the_victim_discards() -> None:
    run = FakeRunner()
    made = DrbdConnections(run)
    assert await made.disconnect(VOLUME, timeout_s=5) == Done()
    assert await made.connect(VOLUME, timeout_s=5) == Done()
    assert await made.connect(VOLUME, timeout_s=5, discard_own=True) == Done()
    assert run.ran == [
        "drbdadm disconnect orders.data",
        "drbdadm connect orders.data",
        "drbdadm connect --discard-my-data orders.data",
    ]


@pytest.mark.parametrize(
    "said",
    [
        "Failure: (125) Device has a net-config (use disconnect first).",
        "Failure: (102) Local address(port) already in use.",
        "Failure: (162) Invalid configuration request",
    ],
)
async def test_a_copy_that_is_connecting_already_has_given_nothing_up(said: str) -> None:
    made = DrbdConnections(FakeRunner({"drbdadm": Finished(10, "", said)}))
    assert isinstance(await made.connect(VOLUME, timeout_s=5, discard_own=True), Refused)


async def test_a_resync_waits_for_another_device_or_for_none() -> None:
    run = FakeRunner()
    made = DrbdConnections(run)
    other = replace(VOLUME, resource="mail.data", minor=11)
    assert await made.resync_after(VOLUME, other, timeout_s=5) == Done()
    assert await made.resync_after(VOLUME, None, timeout_s=5) == Done()
    assert run.ran == [
        "drbdsetup disk-options 10 --resync-after=11",
        "drbdsetup disk-options 10 --resync-after=-1",
    ]


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        (TimedOut(5.0), Unknown),
        (Finished(10, "", "Failure: (162) Invalid configuration request"), Done),
        (Finished(10, "", "Failure: (102) Local address(port) already in use."), Done),
        (Finished(10, "", "no such resource"), Refused),
        (Finished(20, "", "no answer"), Unknown),
    ],
)
async def test_each_end_of_a_command_has_its_meaning(
    answer: Finished | TimedOut, ended: type[Done | Refused | Unknown]
) -> None:
    made = DrbdConnections(FakeRunner({"drbdadm": answer}))
    assert isinstance(await made.disconnect(VOLUME, timeout_s=5), ended)


def test_identifiers_are_read_without_the_bit_of_the_role() -> None:
    assert read_generations(IDENTIFIERS) == Generations(
        0x8C8FD1C0CB5F2D84, 0xB4D5D1E5FB6A1C36, (4,)
    )


@pytest.mark.parametrize("text", ["", "drbdadm: no such resource", f"{'0' * 16}:{'0' * 16}:"])
def test_what_is_no_identifier_tells_no_past(text: str) -> None:
    assert read_generations(text) is None


@pytest.mark.parametrize("answer", [TimedOut(5.0), Finished(1, IDENTIFIERS, "")])
async def test_a_past_that_is_not_told_is_unknown(answer: Finished | TimedOut) -> None:
    made = DrbdConnections(FakeRunner({"drbdadm get-gi": answer}))
    assert await made.generations(VOLUME, timeout_s=5) is None


async def test_a_told_past_is_read() -> None:
    made = DrbdConnections(FakeRunner({"drbdadm get-gi": Finished(0, IDENTIFIERS, "")}))
    assert await made.generations(VOLUME, timeout_s=5) is not None


@pytest.mark.parametrize(
    ("kind", "options"), [(FileSystem.EXT4, "ro,noload"), (FileSystem.XFS, "ro,norecovery,nouuid")]
)
async def test_a_snapshot_is_mounted_so_that_nothing_is_written(
    kind: FileSystem, options: str
) -> None:
    run = FakeRunner()
    volume = replace(VOLUME, file_system=kind)
    assert await MountedLooks(run).open(volume, "data_look", "/run/look") == Done()
    assert run.ran == [
        "mkdir -p /run/look",
        f"mount -t {kind} -o {options},nosuid,nodev,noexec /dev/vg/data_look /run/look",
    ]


@pytest.mark.parametrize("program", ["mkdir", "mount"])
async def test_a_mount_that_fails_says_why(program: str) -> None:
    run = FakeRunner({program: Finished(32, "", "wrong fs type")})
    outcome = await MountedLooks(run).open(VOLUME, "data_look", "/run/look")
    assert isinstance(outcome, Refused)
    assert "wrong fs type" in outcome.why


async def test_a_mount_that_hangs_is_unknown() -> None:
    run = FakeRunner({"mount": TimedOut(30.0)})
    assert isinstance(await MountedLooks(run).open(VOLUME, "data_look", "/run/look"), Unknown)


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        (Finished(0, "", ""), Done),
        (Finished(32, "", "umount: /run/look: not mounted."), Done),
        (Finished(32, "", "umount: /run/look: no mount point specified."), Done),
        (Finished(32, "", "umount: /run/look: target is busy."), Refused),
        (Finished(1, "", "umount: only root can do that"), Refused),
        (Finished(126, "", "umount: Too many open files"), Refused),
        (TimedOut(30.0), Unknown),
    ],
)
async def test_closing_leaves_no_mount_behind(
    answer: Finished | TimedOut, ended: type[Done | Refused | Unknown]
) -> None:
    run = FakeRunner({"umount": answer})
    assert isinstance(await MountedLooks(run).close("/run/look"), ended)
    assert ("rmdir /run/look" in run.ran) is (ended is Done)


async def test_the_newest_files_come_first_and_not_too_many(tmp_path: Path) -> None:
    assert shutil.which("find")
    for number in range(4):
        file = tmp_path / "below" / f"file {number}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x" * number)
        os.utime(file, (1000.0 + number, 1000.0 + number))
    found = await MountedLooks(ProcessRunner()).changed_since(str(tmp_path), 1000.5, limit=2)
    assert found == (
        ChangedFile("below/file 3", 3, 1003.0),
        ChangedFile("below/file 2", 2, 1002.0),
    )


VANISHED: Final = "find: '/srv/a': No such file or directory\n"
FOUND: Final = "5.0\t7\ta\0"


async def test_a_file_that_vanishes_meanwhile_hides_no_other_one() -> None:
    looks = MountedLooks(FakeRunner({"find": Finished(1, FOUND, VANISHED)}))
    assert await looks.changed_since("/srv", 1.0, limit=5) == (ChangedFile("a", 7, 5.0),)


@pytest.mark.parametrize(
    "answer",
    [
        TimedOut(30.0),
        Finished(1, "", VANISHED),
        Finished(1, FOUND, f"{VANISHED}find: '/srv/b': Input/output error\n"),
        Finished(137, FOUND, ""),
    ],
)
async def test_files_that_cannot_be_listed_are_unknown(answer: Finished | TimedOut) -> None:
    looks = MountedLooks(FakeRunner({"find": answer}))
    assert await looks.changed_since("/srv", 1.0, limit=5) is None


async def test_a_record_that_was_cut_off_is_left_out() -> None:
    answer = Finished(0, "5.0\t7\ta\0x\ty\tz\x006.0\t8", "")
    looks = MountedLooks(FakeRunner({"find": answer}))
    assert await looks.changed_since("/srv", 1.0, limit=5) == (ChangedFile("a", 7, 5.0),)
