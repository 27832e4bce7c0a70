"""What must be stored can be stored on a full disk, with the real kernel."""

import ctypes
import errno
import subprocess
import sys
from pathlib import Path

import pytest

from hapair.adapters.files import FileStorage
from hapair.adapters.shared import reserved
from hapair.adapters.shared.reserved import ROOM_BYTES, spare_of

NAME = "state.json"


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path, reserved={NAME: ROOM_BYTES})


def read(storage: FileStorage) -> bytes:
    content = storage.load(NAME)
    assert content is not None
    return content.rstrip(b"\n")


def test_the_file_and_its_spare_take_turns(storage: FileStorage, tmp_path: Path) -> None:
    seen = set()
    for number in range(5):
        storage.store(NAME, b"%d" % number)
        assert read(storage) == b"%d" % number
        seen.add((tmp_path / NAME).stat().st_ino)
    assert len(seen) == 2, "no block is taken, none is given back"
    assert {path.name for path in tmp_path.iterdir()} == {NAME, f".{NAME}.spare"}
    assert all(path.stat().st_size == ROOM_BYTES for path in tmp_path.iterdir())
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir())


def test_a_shorter_content_leaves_nothing_of_the_longer_one(storage: FileStorage) -> None:
    for content in (b"x" * 5000, b"y" * 4000, b"z"):
        storage.store(NAME, content)
    assert read(storage) == b"z"


def test_what_outgrows_its_room_gets_more(storage: FileStorage, tmp_path: Path) -> None:
    storage.store(NAME, b"small")
    storage.store(NAME, b"x" * (ROOM_BYTES + 1))
    assert read(storage) == b"x" * (ROOM_BYTES + 1)
    assert spare_of(tmp_path / NAME).stat().st_size == 2 * ROOM_BYTES


def test_the_file_of_a_former_version_is_taken_over(storage: FileStorage, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"former")
    assert read(storage) == b"former"
    storage.store(NAME, b"new")
    assert read(storage) == b"new"
    assert spare_of(tmp_path / NAME).stat().st_size == ROOM_BYTES


def test_a_crash_at_any_moment_leaves_the_old_content_or_the_new(
    storage: FileStorage, tmp_path: Path
) -> None:
    storage.store(NAME, b"old")
    spare_of(tmp_path / NAME).write_bytes(b"half of the n".ljust(ROOM_BYTES, b"\0"))
    assert read(storage) == b"old"
    storage.store(NAME, b"new")
    assert read(storage) == b"new"


def test_forgetting_gives_the_room_back(storage: FileStorage, tmp_path: Path) -> None:
    storage.store(NAME, b"content")
    storage.forget(NAME)
    assert list(tmp_path.iterdir()) == []


class NoExchange:
    """A kernel, or a file system, that does not know it."""

    def renameat2(self, *_: object) -> int:
        ctypes.set_errno(errno.EINVAL)
        return -1


def test_a_file_system_that_exchanges_no_names_stores_all_the_same(
    storage: FileStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.store(NAME, b"old")
    monkeypatch.setattr(reserved, "_LIBC", NoExchange())
    for content in (b"new", b"newer"):
        storage.store(NAME, content)
        assert read(storage) == content
        assert (tmp_path / NAME).stat().st_size == ROOM_BYTES, "in the room that was taken"


def test_who_has_no_room_at_all_says_why(storage: FileStorage, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(OSError, match="directory"):
        storage.store(NAME, b"content")


def test_where_the_kernel_knows_no_such_call_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reserved._exchange(tmp_path / "one", tmp_path / "other")  # noqa: SLF001


FULL = """
import errno, sys
from pathlib import Path
from hapair.adapters.files import FileStorage
folder = Path(sys.argv[1])
storage = FileStorage(folder, reserved={"state.json": 65536})
storage.store("state.json", b"before")
with (folder / "flood").open("wb", buffering=0) as flood:
    for size in (1 << 20, 1):
        try:
            while True:
                flood.write(b"x" * size)
        except OSError as error:
            assert error.errno == errno.ENOSPC
try:
    storage.store("state.json", b"x" * 70000)  # More than there is room for.
except OSError as error:
    assert error.errno == errno.ENOSPC
with (folder / "flood").open("ab", buffering=0) as flood:  # Takes whatever that gave back.
    try:
        while True:
            flood.write(b"x")
    except OSError as error:
        assert error.errno == errno.ENOSPC
for number in range(50):
    storage.store("state.json", b"%d" % number)
    assert storage.load("state.json").rstrip() == b"%d" % number
try:
    storage.store("other", b"x" * 65536)
except OSError as error:
    assert error.errno == errno.ENOSPC
    print("full")
"""


# What is remembered of a volume before DRBD is given it: a node that boots with a full disk has to
# attach its copies.
FULL_OF_BACKINGS = """
import asyncio, errno, sys
from pathlib import Path
from hapair.model.backing import Backing, LastSeen
from hapair.model.outcome import Done
from hapair.runtime.places import Places
from hapair.runtime.wiring import make_hands
from tests.sim.stage import ONE_APPLICATION
from tests.sim.settings import built_from
places = Places(Path(sys.argv[1]))
places.memory.mkdir(parents=True)
async def main():
    backing = make_hands(places, built_from(ONE_APPLICATION, 1).cluster, "node1").backing
    def seen(number):
        return LastSeen(Backing("volume", "boot", number, "digest", 0), attached=True)
    assert await backing.remember("orders.data0", seen(0)) == Done()
    with (places.memory / "flood").open("wb", buffering=0) as flood:
        for size in (1 << 20, 1):
            try:
                while True:
                    flood.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC
    for number in range(20):
        assert await backing.remember("orders.data0", seen(number)) == Done(), "full"
        assert await backing.last_seen("orders.data0") == seen(number)
    print("full")
asyncio.run(main())
"""


# A daemon that is started anew on a full disk must not take the number of the one before.
FULL_AT_THE_START = """
import errno, sys
from pathlib import Path
from hapair.runtime.daemon import new_incarnation
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.lineage import PEER
from hapair.runtime.places import Places
from hapair.runtime.wiring import wire
places = Places(Path(sys.argv[1]))
places.memory.mkdir(parents=True)
wiring = wire(places, protected=False)
journal = Journal("node1", places.memory / "history", wiring.clock)
def start():
    before = wiring.storage.load("incarnation")
    ours = new_incarnation(wiring, journal)
    assert wiring.storage.load("incarnation") not in (None, before)
    return ours
numbers = [start()]
wiring.storage.store(PEER, b"{}")
with (places.memory / "flood").open("wb", buffering=0) as flood:
    for size in (1 << 20, 1):
        try:
            while True:
                flood.write(b"x" * size)
        except OSError as error:
            assert error.errno == errno.ENOSPC
numbers += [start() for _ in range(20)]
assert numbers == sorted(set(numbers))
for number in range(20):
    wiring.storage.store(PEER, b"%d" % number)
print("full")
"""


@pytest.mark.parametrize(
    "program",
    [FULL, FULL_OF_BACKINGS, FULL_AT_THE_START],
    ids=["state", "backings", "incarnation"],
)
def test_a_disk_that_is_full_to_its_last_byte_takes_it(tmp_path: Path, program: str) -> None:
    script = f"mount -t tmpfs -o size=2m none {tmp_path} && exec {sys.executable} - {tmp_path}"
    ran = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        input=program,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("full\n", "", 0)
