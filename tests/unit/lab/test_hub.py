"""The cable plant, with real sockets and without emulators."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair_lab.hub import CONTROL, Cut, Hub, read_cuts, socket_path, write_cuts
from hapair_lab.links import (
    BACKLOG_MAX_BYTES,
    LINKS,
    PACKETS_AT_ONCE,
    Link,
    PacketLink,
    StreamLink,
)

TURN_S = 1.0
QUIET_S = 0.05


class Plant:
    """A hub and the far ends of the cables that are plugged in."""

    def __init__(self, folder: Path, link: type[Link]) -> None:
        self.folder = folder
        self.hub = Hub(folder, link)
        self.ends: list[socket.socket] = []
        self._link = link

    def frame(self, content: bytes) -> bytes:
        """Return a frame as the emulators of this plant send and hear it."""
        return stream_frame(content) if self._link is StreamLink else content

    def plug(self, guest: str, card: str) -> socket.socket:
        end = socket.socket(socket.AF_UNIX, self._link.socket_kind)
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


@pytest.fixture(params=list(LINKS.values()), ids=list(LINKS))
def plant(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Plant]:
    plant = Plant(tmp_path, request.param)
    yield plant
    plant.close()


@pytest.fixture
def stream_plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path, StreamLink)
    yield plant
    plant.close()


@pytest.fixture
def packet_plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path, PacketLink)
    yield plant
    plant.close()


def stream_frame(content: bytes) -> bytes:
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
    plant.send(sender, plant.frame(b"hello"))
    assert [hears(end) for end in same] == [plant.frame(b"hello")] * 3
    assert hears(other) == b""
    assert hears(sender) == b""


def test_frames_that_arrive_in_pieces_leave_whole(stream_plant: Plant) -> None:
    sender, receiver = stream_plant.plug("node1", "pub0"), stream_plant.plug("node2", "pub0")
    both = stream_frame(b"first") + stream_frame(b"second")
    stream_plant.send(sender, both[:12])
    assert hears(receiver) == stream_frame(b"first")
    stream_plant.send(sender, both[12:])
    assert hears(receiver) == stream_frame(b"second")


def test_a_cut_stops_one_direction_only(plant: Plant) -> None:
    one, two = plant.plug("node1", "pub0"), plant.plug("node2", "pub0")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.connect(str(plant.folder / CONTROL))
        control.sendall(write_cuts(frozenset({Cut("node1", "node2", "public")})))
        plant.hub.turn(TURN_S)
        assert control.recv(64) == b"done\n"
    plant.send(one, plant.frame(b"lost"))
    assert hears(two) == b""
    plant.send(two, plant.frame(b"kept"))
    assert hears(one) == plant.frame(b"kept")


def test_a_new_emulator_takes_the_place_of_the_old_one(plant: Plant) -> None:
    sender = plant.plug("node1", "pub0")
    old = plant.plug("node2", "pub0")
    new = plant.plug("node2", "pub0")
    plant.send(sender, plant.frame(b"hello"))
    assert hears(new) == plant.frame(b"hello")
    assert old.recv(64) == b"", "the old connection is closed"


def test_a_guest_that_does_not_read_holds_up_nobody(plant: Plant) -> None:
    sender = plant.plug("node1", "pub0")
    frozen, awake = plant.plug("node2", "pub0"), plant.plug("outside", "pub0")
    content = plant.frame(b"x" * 60_000)
    heard = 0
    for _ in range(3 * BACKLOG_MAX_BYTES // len(content) + 10):
        plant.send(sender, content)
        while data := hears(awake):
            heard += len(data)
    assert heard > 2 * BACKLOG_MAX_BYTES
    assert frozen.recv(4) == content[:4]


def test_an_impossible_length_unplugs_the_card(stream_plant: Plant) -> None:
    sender = stream_plant.plug("node1", "pub0")
    stream_plant.send(sender, b"\xff\xff\xff\xff rubbish")
    assert sender.recv(64) == b""


def test_packets_stay_apart_and_in_order(packet_plant: Plant) -> None:
    sender, receiver = packet_plant.plug("node1", "pub0"), packet_plant.plug("node2", "pub0")
    packets = [f"packet {number}".encode() for number in range(PACKETS_AT_ONCE + 10)]
    sender.settimeout(0)  # With a time limit it would wait for much room.
    for packet in packets:
        sender.send(packet)
    packet_plant.hub.turn(TURN_S)
    packet_plant.hub.turn(TURN_S)
    assert [hears(receiver) for _ in packets] == packets


def test_the_last_frames_of_a_guest_are_carried_before_its_card_is_unplugged(plant: Plant) -> None:
    sender, receiver = plant.plug("node1", "pub0"), plant.plug("node2", "pub0")
    sender.sendall(plant.frame(b"last words"))
    sender.close()
    plant.hub.turn(TURN_S)
    assert hears(receiver) == plant.frame(b"last words")
    plant.hub.turn(TURN_S)
    new = plant.plug("node1", "pub0")
    plant.send(receiver, plant.frame(b"welcome"))
    assert hears(new) == plant.frame(b"welcome")


def test_a_card_that_goes_while_frames_wait_for_it_holds_up_nobody(plant: Plant) -> None:
    sender = plant.plug("node1", "pub0")
    frozen, awake = plant.plug("node2", "pub0"), plant.plug("outside", "pub0")
    content = plant.frame(b"x" * 60_000)
    for _ in range(10):
        plant.send(sender, content)
        while hears(awake):
            pass
    frozen.close()
    plant.hub.turn(TURN_S)
    plant.send(sender, plant.frame(b"hello"))
    assert hears(awake) == plant.frame(b"hello")


def test_a_refused_control_line_changes_nothing(
    plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = plant.plug("node1", "pub0"), plant.plug("node2", "pub0")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.connect(str(plant.folder / CONTROL))
        control.sendall(b"nonsense\n")
        plant.hub.turn(TURN_S)
        assert control.recv(64) == b""
    assert "refused" in capsys.readouterr().err
    plant.send(one, plant.frame(b"carried"))
    assert hears(two) == plant.frame(b"carried")


def test_a_list_of_cuts_survives_writing_and_reading() -> None:
    cuts = frozenset({Cut("node1", "node2", "public"), Cut("node2", "node1", "private")})
    assert read_cuts(write_cuts(cuts)) == cuts
    with pytest.raises((TypeError, ValueError)):
        read_cuts(b'["not a cut"]')
