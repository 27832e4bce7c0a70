"""A guest of User Mode Linux as the lab sees it: the kernel is a little program here."""

import gc
import json
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hapair_lab import cow, relay, strip, topology, uml
from hapair_lab.acceleration import Acceleration
from hapair_lab.emulator import EmulatorPlan
from hapair_lab.errors import LabError
from hapair_lab.images import Image
from hapair_lab.topology import NODE1, OUTSIDE, GuestPlan
from hapair_lab.uml import Uml, card_words, disk_words
from tests.processes import PATIENCE_S

# Says what it was started with, speaks on its lines as a guest does, and runs until it is killed.
KERNEL = f"""#!{sys.executable} -IS
import json, os, sys, time
words = dict(word.partition("=")[::2] for word in sys.argv[1:])
for name in ("con0", "con1", "ssl1", "ssl2", "ssl3"):
    os.write(int(words[name].rpartition(":")[2]), f"from {{name}}\\n".encode())
if os.fork() == 0:
    time.sleep(600)
environment = {{name: os.environ.get(name) for name in ("HOME", "TMPDIR", "LD_PRELOAD")}}
with open(os.environ["HOME"] + "/started.part", "w") as started:
    json.dump([sys.argv[1:], environment], started)
os.rename(os.environ["HOME"] + "/started.part", os.environ["HOME"] + "/started")
time.sleep(600)
"""


@dataclass
class Hand:
    """The agent in the guest; it tells what it was asked to do."""

    carriers: list[Mapping[str, bool]] = field(default_factory=list)
    halted: int = 0
    on_halt: Callable[[], None] = lambda: None

    def set_carriers(self, cards: Mapping[str, bool]) -> None:
        self.carriers.append(dict(cards))

    def halt(self) -> None:
        self.halted += 1
        self.on_halt()

    def wait_until_booted(self) -> None:
        return


def plan_of(folder: Path, guest: GuestPlan) -> EmulatorPlan:
    return EmulatorPlan(
        guest=guest,
        folder=folder,
        image=Image(folder / "image", "1"),
        acceleration=Acceleration.UML,
        ssh_port=0,
        dies_with_parent=True,
    )


class Bench:
    """A guest that is off, and the lab's folder with what stands beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = plan_of(folder, NODE1)
        for each in (self.plan.image.folder, folder / "relay", folder / "strip"):
            each.mkdir()
        self.plan.image.kernel.write_text(KERNEL)
        self.plan.image.kernel.chmod(0o755)
        self.plan.image.root_disk.write_bytes(b"the root disk")
        self.hand = Hand()
        self.uml = Uml(self.plan, self.hand)
        self.lines: list[socket.socket] = []  # The agent's, the power strip's, the one for ssh.
        self._plants = [
            self._listen(path)
            for path in (
                relay.line_path(folder / "relay", f"{NODE1.name}.agent"),
                strip.socket_path(folder / "strip", NODE1.name),
                relay.line_path(folder / "relay", f"{NODE1.name}.ssh"),
            )
        ]

    def _listen(self, path: Path) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(PATIENCE_S)
        return listener

    def start(self) -> None:
        """Give power, and wait until the kernel has spoken."""
        self.uml.create_disks(None)
        self.uml.start()
        self.lines = [plant.accept()[0] for plant in self._plants]
        started = self.folder / "started"
        while not started.exists():
            assert self.uml.is_running(), self.uml.process.last_words()
        self.words, self.environment = json.loads(started.read_text())
        for line in self.lines:
            line.settimeout(PATIENCE_S)

    def close(self) -> None:
        self.uml.kill()
        for each in (*self._plants, *self.lines):
            each.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_disks_are_named_in_the_order_of_their_letters(bench: Bench) -> None:
    bench.uml.create_disks(None)
    root, data, spare = disk_words(bench.plan)
    assert root == f"ubd0={bench.folder}/node1-root.ubd,{bench.folder}/image/root.img"
    assert data == f"ubd1={bench.folder}/node1-data.ubd"
    assert spare == f"ubd2={bench.folder}/node1-spare.ubd"
    assert [disk.device for disk in NODE1.disks] == ["/dev/vdb", "/dev/vdc"]


@pytest.mark.parametrize("guest", topology.GUESTS, ids=lambda guest: guest.name)
def test_the_cables_of_the_command_line_are_those_that_the_guest_counts(
    tmp_path: Path, guest: GuestPlan
) -> None:
    """The guest reads its cards with the numbers of their cables from a file of its image."""
    words = card_words(plan_of(tmp_path, guest))
    cards = (line.split() for line in topology.card_lines(guest).splitlines())
    cables = {cable: name for name, _, cable in cards if cable != "-"}
    assert len(words) == len(cables)
    for word in words:
        vector, _, settings = word.partition(":")
        card = cables[vector.removeprefix("vec")]
        assert f"dst={tmp_path}/hub/{guest.name}-{card}," in settings


def test_new_data_disks_are_empty_and_take_no_space(bench: Bench) -> None:
    bench.uml.create_disks(None)
    for disk in NODE1.disks:
        stat = bench.plan.disk_path(disk.name).stat()
        assert (stat.st_size, stat.st_blocks) == (disk.size_bytes, 0)
    assert not bench.plan.disk_path("root").exists(), "the kernel makes the copy on write"


def test_disks_on_a_snapshot_begin_as_they_were_in_it(bench: Bench, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    for disk in NODE1.disks:
        (saved / f"node1-{disk.name}.ubd").write_text(disk.name)
    bench.uml.create_disks(None)
    bench.uml.create_disks(saved)
    for disk in NODE1.disks:
        assert bench.plan.disk_path(disk.name).read_text() == disk.name
        assert (saved / f"node1-{disk.name}.ubd").exists()


def test_only_the_root_disk_is_a_copy_on_write(bench: Bench, tmp_path: Path) -> None:
    """The kernel reads wrong sectors where requests are smaller than a page."""
    bench.uml.create_disks(None)
    root, *others = disk_words(bench.plan)
    assert "," in root
    assert not any("," in word for word in others)
    saved = tmp_path / "saved"
    saved.mkdir()
    for disk in NODE1.disks:
        (saved / f"node1-{disk.name}.ubd").touch()
    bench.uml.create_disks(saved)
    root, *others = disk_words(bench.plan)
    assert root == f"ubd0={bench.plan.disk_path('root')},{saved}/node1-root.ubd"
    assert not any("," in word for word in others)


def cow_disk(path: Path, backing: Path, sector: bytes) -> None:
    """Write what the kernel would: one sector of one is here."""
    path.write_bytes(
        cow.HEADER.pack(
            cow.MAGIC, cow.VERSION, 0, len(sector), len(sector), 1, 0, str(backing).encode()
        )
        + b"\x01"
        + sector
    )


def test_a_snapshot_gets_whole_disks(bench: Bench, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    bench.uml.create_disks(None)
    cow_disk(bench.plan.disk_path("root"), bench.plan.image.root_disk, b"what was written")
    bench.plan.disk_path("data").write_bytes(b"data")
    bench.uml.keep_disks(saved)
    assert (saved / "node1-root.ubd").read_bytes() == b"what was written"
    assert (saved / "node1-data.ubd").read_bytes() == b"data"
    assert bench.plan.image.root_disk.read_bytes() == b"the root disk"


def test_a_guest_that_never_had_power_keeps_the_disks_that_it_stood_on(
    bench: Bench, tmp_path: Path
) -> None:
    saved, parent = tmp_path / "saved", tmp_path / "parent"
    for folder in (saved, parent):
        folder.mkdir()
    for name in bench.plan.disk_names():
        (parent / f"node1-{name}.ubd").write_text(name)
    bench.uml.create_disks(parent)
    bench.uml.keep_disks(saved)
    for name in bench.plan.disk_names():
        assert (saved / f"node1-{name}.ubd").read_text() == name
        assert (parent / f"node1-{name}.ubd").exists()


def test_what_a_guest_is_started_with(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uml, "NO_FLUSH", bench.folder / "no such library")
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    bench.uml.set_cable("pub1", plugged=False)
    bench.start()
    words = bench.words
    assert words[0] == "mem=512M"
    assert "systemd.hostname=node1" in words
    assert "systemd.machine_id=00000000000000000000000000000001" in words
    assert "lab.pulled=pub1" in words
    assert f"lab.guest={bench.folder}/node1.guest" in words
    assert set(disk_words(bench.plan)) | set(card_words(bench.plan)) <= set(words)
    expected = {"HOME": str(bench.folder), "TMPDIR": "/dev/shm", "LD_PRELOAD": None}
    assert bench.environment == expected
    with pytest.raises(LabError, match="already powered on"):
        bench.uml.start()


def test_flushes_of_a_guest_end_in_the_hosts_cache_where_the_library_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = bench.folder / "no_flush.so"
    library.touch()
    monkeypatch.setattr(uml, "NO_FLUSH", library)
    bench.start()
    assert bench.environment["LD_PRELOAD"] == str(library)


def test_the_lines_of_a_guest_lead_where_they_belong(bench: Bench) -> None:
    bench.start()
    said = [line.recv(64) for line in bench.lines]
    assert said == [b"from ssl1\n", b"from ssl2\n", b"from ssl3\n"]
    assert bench.plan.path("console").read_text() == "from con0\n"
    assert bench.plan.path("journal").read_text() == "from con1\n"


def test_without_power_all_processes_of_the_guest_are_gone(bench: Bench) -> None:
    """Its programs hold its lines too: that all end says that none is left."""
    bench.start()
    bench.uml.kill()
    assert not bench.uml.is_running()
    for line in bench.lines:
        while line.recv(64):
            pass


def test_nothing_of_a_guest_stays_open_in_the_lab(bench: Bench) -> None:
    files = Path("/proc/self/fd")
    gc.collect()  # What tests before this one left open must not go meanwhile.
    before = len(list(files.iterdir()))
    bench.start()
    assert len(list(files.iterdir())) == before + len(bench.lines), "the ends that this test took"


def test_a_reset_is_the_power_off_and_on(bench: Bench) -> None:
    bench.start()
    first = bench.uml.process.pid()
    bench.uml.reset()
    assert bench.uml.is_running()
    assert bench.uml.process.pid() != first


def until_it_is_frozen(uml: Uml) -> None:
    while not uml.is_paused():
        assert uml.is_running()


def test_a_guest_is_frozen_and_thawed(bench: Bench) -> None:
    bench.start()
    assert not bench.uml.is_paused()
    bench.uml.pause()
    until_it_is_frozen(bench.uml)
    assert bench.uml.is_running()
    bench.uml.set_cable("priv0", plugged=False)
    assert bench.hand.carriers == [], "a frozen guest sees nothing"
    bench.uml.resume()
    assert not bench.uml.is_paused()
    seen = {"pub0": True, "pub1": True, "priv0": False, "priv1": True}
    assert bench.hand.carriers == [seen], "now it does"


def test_what_needs_power_says_so(bench: Bench) -> None:
    assert not bench.uml.is_paused()
    for act in (bench.uml.pause, bench.uml.resume):
        with pytest.raises(LabError, match="node1 is powered off") as error:
            act()
        assert error.value.hint == "cllab power on node1"


def test_a_cable_stays_pulled_when_the_power_goes(bench: Bench) -> None:
    bench.uml.set_cable("pub0", plugged=False)
    bench.uml.set_cable("priv0", plugged=False)
    bench.uml.set_cable("pub0", plugged=False)
    assert sorted(bench.uml.pulled_cards()) == ["priv0", "pub0"]
    bench.uml.set_cable("pub0", plugged=True)
    assert bench.uml.pulled_cards() == ("priv0",)
    assert Uml(bench.plan, Hand()).pulled_cards() == ("priv0",), "any process sees it"
    assert bench.hand.carriers == [], "there is nobody to be told"


def test_a_guest_that_has_booted_is_told_of_its_cables(bench: Bench) -> None:
    bench.uml.set_cable("pub1", plugged=False)
    bench.uml.has_booted()
    seen = {"pub0": True, "pub1": False, "priv0": True, "priv1": True}
    assert bench.hand.carriers == [seen]


def test_a_running_guest_sees_at_once_that_a_cable_is_pulled(bench: Bench) -> None:
    bench.start()
    bench.uml.set_cable("pub0", plugged=False)
    bench.uml.set_cable("pub0", plugged=True)
    assert bench.hand.carriers == [{"pub0": False}, {"pub0": True}]


def test_a_snapshot_is_taken_of_a_guest_that_was_halted(bench: Bench, tmp_path: Path) -> None:
    bench.start()
    bench.hand.on_halt = bench.uml.kill
    bench.uml.pause()
    bench.uml.begin_saving()
    bench.uml.save(tmp_path)
    assert bench.hand.halted == 1
    assert not bench.uml.is_running()


def test_a_disk_cannot_be_unplugged_and_the_mend_is_told(bench: Bench) -> None:
    with pytest.raises(LabError, match="cannot be unplugged") as error:
        bench.uml.unplug_disk("data")
    assert "HAPAIR_LAB_GUESTS=qemu" in error.value.hint


def test_outside_has_one_cable_and_no_data_disk(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, OUTSIDE)
    Uml(plan, Hand()).create_disks(None)
    assert len(card_words(plan)) == 1
    assert len(disk_words(plan)) == 1
