"""The cable plant, with real sockets and without emulators."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair_lab.hub import CONTROL, Cut, Hub, read_cuts, socket_path, write_cuts
from hapair_lab.links import BACKLOG_MAX_BYTES, whole_frames_bytes

TURN_S = 1.0
QUIET_S = 0.05


class Plant:
    """A hub and the far ends of the cables that are plugged in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub = Hub(folder)
        self.ends: list[socket.socket] = []

    def plug(self, guest: str, card: str) -> socket.socket:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        end.settimeout(QUIET_S)
        end.connect(str(socket_path(self.folder, guest, card)))
        self.hub.turn(TURN_S)
        self.ends.append(end)
        return end

    def send(self, end: socket.socket, data: bytes) -> None:
        end.sendall(data)
        self.hub.turn(TURN_S)

    def close(self) -> None:
        self.hub.close()
        for end in self.ends:
            end.close()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path)
    yield plant
    plant.close()


def frame(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def hears(end: socket.socket) -> bytes:
    try:
        return end.recv(65536)
    except TimeoutError:
        return b""


def test_a_frame_reaches_all_other_cards_of_its_segment_and_no_other(plant: Plant) -> None:
    sender = plant.plug("node1", "pub0")
    same = [plant.plug("node1", "pub1"), plant.plug("node2", "pub0"), plant.plug("outside", "pub0")]
    other = plant.plug("node2", "priv0")
    plant.send(sender, frame(b"hello"))
    assert [hears(end) for end in same] == [frame(b"hello")] * 3
    assert hears(other) == b""
    assert hears(sender) == b""


def test_frames_that_arrive_in_pieces_leave_whole(plant: Plant) -> None:
    sender, receiver = plant.plug("node1", "pub0"), plant.plug("node2", "pub0")
    both = frame(b"first") + frame(b"second")
    plant.send(sender, both[:12])
    assert hears(receiver) == frame(b"first")
    plant.send(sender, both[12:])
    assert hears(receiver) == frame(b"second")


def test_a_cut_stops_one_direction_only(plant: Plant) -> None:
    one, two = plant.plug("node1", "pub0"), plant.plug("node2", "pub0")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.connect(str(plant.folder / CONTROL))
        control.sendall(write_cuts(frozenset({Cut("node1", "node2", "public")})))
        plant.hub.turn(TURN_S)
        assert control.recv(64) == b"done\n"
    plant.send(one, frame(b"lost"))
    assert hears(two) == b""
    plant.send(two, frame(b"kept"))
    assert hears(one) == frame(b"kept")


def test_a_new_emulator_takes_the_place_of_the_old_one(plant: Plant) -> None:
    sender = plant.plug("node1", "pub0")
    old = plant.plug("node2", "pub0")
    new = plant.plug("node2", "pub0")
    plant.send(sender, frame(b"hello"))
    assert hears(new) == frame(b"hello")
    assert old.recv(64) == b"", "the old connection is closed"


def test_a_guest_that_does_not_read_holds_up_nobody(plant: Plant) -> None:
    sender = plant.plug("node1", "pub0")
    frozen, awake = plant.plug("node2", "pub0"), plant.plug("outside", "pub0")
    content = frame(b"x" * 60_000)
    heard = 0
    for _ in range(3 * BACKLOG_MAX_BYTES // len(content) + 10):
        plant.send(sender, content)
        while data := hears(awake):
            heard += len(data)
    assert heard > 2 * BACKLOG_MAX_BYTES
    assert frozen.recv(4) == content[:4]


def test_an_impossible_length_unplugs_the_card(plant: Plant) -> None:
    sender = plant.plug("node1", "pub0")
    plant.send(sender, b"\xff\xff\xff\xff rubbish")
    assert sender.recv(64) == b""


def test_the_end_of_the_whole_frames_is_found() -> None:
    assert whole_frames_bytes(b"") == 0
    assert whole_frames_bytes(frame(b"ab") + b"\0\0") == 6
    assert whole_frames_bytes(frame(b"ab") + frame(b"c")) == 11


def test_a_list_of_cuts_survives_writing_and_reading() -> None:
    cuts = frozenset({Cut("node1", "node2", "public"), Cut("node2", "node1", "private")})
    assert read_cuts(write_cuts(cuts)) == cuts
    with pytest.raises((TypeError, ValueError)):
        read_cuts(b'["not a cut"]')
