"""What our memory holds and this version cannot read is kept, and told once."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.drbd.backing import KernelBackings
from hapair.adapters.files import FileStorage
from hapair.durable import set_aside_unreadable
from hapair.model.backing import Backing, LastSeen
from hapair.runtime.codec import dumps
from hapair.runtime.daemon import keep_unreadable
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.history.replication_memory import MEMORY, Remembered
from hapair.runtime.lems.changes import Changes, Halted
from hapair.runtime.lems.entries import dump_entries, written_as
from hapair.runtime.lems.kept import FILE
from hapair.runtime.node.lineage import PEER, KnownPeer
from hapair.runtime.places import INCARNATION, Places
from hapair.runtime.wiring import READERS
from tests.fakes.small import FakeRunner
from tests.processes import Started
from tests.runtime.conftest import names

BACKING: Final = "backing-orders.data.json"
NAMES: Final = (INCARNATION, PEER, MEMORY, FILE, BACKING)
NEWER: Final = b'{"format": 99, "all": "otherwise"}'


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path)
    made.memory.mkdir(parents=True)
    return made


def asides(places: Places, name: str) -> list[bytes]:
    return [file.read_bytes() for file in places.memory.glob(f"{name}.aside_*")]


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"{", b"[]", NEWER])
@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_read_is_kept_and_told_once(
    places: Places, journal: Journal, name: str, content: bytes
) -> None:
    (places.memory / name).write_bytes(content)
    keep_unreadable(places, journal)
    assert asides(places, name) == [content]
    assert not (places.memory / name).exists(), "else it is overwritten"
    keep_unreadable(places, journal)
    (line,) = journal.since(0, 100)
    assert (line["name"], line["severity"]) == ("set-aside", "warning")
    assert f"{places.memory / name} cannot be read" in str(line["text"])
    assert f"kept as {places.memory / name}.aside_" in str(line["text"])


async def test_what_can_be_read_is_left_alone(places: Places, journal: Journal) -> None:
    memory = FileStorage(places.memory)
    memory.store(INCARNATION, b"17")
    memory.store(PEER, dumps(KnownPeer(3, 4)))
    memory.store(MEMORY, dumps(Remembered()))
    changes = Changes("orders", 1, halted=(Halted("port", 5.0),))
    memory.store(FILE, dump_entries([written_as(changes, None)]))
    backings = KernelBackings(FakeRunner({}), FileStorage(places.memory, each_bytes=4096))
    await backings.remember("orders.data", LastSeen(Backing("v", "a", 1, "s", 0), attached=True))
    before = {file.name: file.read_bytes() for file in places.memory.iterdir()}
    assert set(NAMES) <= set(before)
    keep_unreadable(places, journal)
    assert {file.name: file.read_bytes() for file in places.memory.iterdir()} == before
    assert names(journal) == []


def test_one_that_cannot_be_renamed_is_told_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Path:
        raise OSError(30, "Read-only file system")

    (tmp_path / FILE).write_bytes(b"{")
    monkeypatch.setattr(Path, "rename", refuse)
    told: list[str] = []
    set_aside_unreadable(tmp_path, READERS, told.append)
    (text,) = told
    assert "cannot be renamed either (Read-only file system)" in text


def test_what_the_disk_does_not_give_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    told: list[str] = []
    set_aside_unreadable(tmp_path, READERS, told.append)
    assert told == []
    assert (tmp_path / FILE).is_dir()


def test_the_daemon_looks_before_it_overwrites_anything(places: Places) -> None:
    for name in NAMES:
        (places.memory / name).write_bytes(NEWER)
    program = (sys.executable, "-m", "hapair.runtime.daemon", "--unprotected", "--node", "node1")
    line = (*program, "--root", str(places.root))
    one = subprocess.PIPE, subprocess.STDOUT
    with Started(line, stdout=one[0], stderr=one[1], text=True) as process:
        process.line("not-built")
        process.send_signal(signal.SIGTERM)
        process.ended()
    assert {name: asides(places, name) for name in NAMES} == {name: [NEWER] for name in NAMES}
    told = [json.loads(line)["name"] for line in places.history.read_text().splitlines()]
    assert told.count("set-aside") == len(NAMES)
