"""The host's end of the lines of guests without virtio, with real sockets and without guests."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair_lab.relay import BACKLOG_MAX_BYTES, Relay, client_path, line_path

TURN_S = 1.0
TURNS_MAX = 100_000
OPEN_FILES = Path("/proc/self/fd")
LARGE = bytes(range(256)) * 8192


class Room:
    """A relay for two guests, and whoever is connected to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "relay"
        self.folder.mkdir()
        self.relay = Relay(self.folder, ("node1", "node2"))
        self._ends: list[socket.socket] = []

    def _connect(self, path: Path) -> socket.socket:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._ends.append(end)
        end.connect(str(path))
        end.settimeout(0)
        return end

    def guest(self, name: str = "node1") -> socket.socket:
        """Give a guest power."""
        end = self._connect(line_path(self.folder, name))
        self.relay.turn(TURN_S)
        return end

    def client(self, name: str = "node1") -> socket.socket:
        end = self._connect(client_path(self.folder, name))
        self.settle()
        return end

    def settle(self) -> None:
        """Let the relay do all that can be done now."""
        for _ in range(10):
            self.relay.turn(0)

    def has_socket(self, name: str = "node1") -> bool:
        return client_path(self.folder, name).exists()

    def carried(self, source: socket.socket, target: socket.socket, data: bytes) -> bytes:
        """Send all of ``data`` while the other end reads; return what it read."""
        got = b""
        for _ in range(TURNS_MAX):
            if data:
                data = data[sent(source, data) :]
            self.relay.turn(0)
            got += heard(target)
            if not data and not self.is_carrying(target):
                return got
        raise AssertionError("it does not end")

    def says(self, source: socket.socket, data: bytes) -> None:
        """Send all of ``data``, whether or not somebody reads it."""
        for _ in range(TURNS_MAX):
            data = data[sent(source, data) :]
            self.relay.turn(0)
            if not data:
                return
        raise AssertionError("the relay takes no more")

    def is_carrying(self, target: socket.socket) -> bool:
        """Tell whether something more comes, after all that can be done was done."""
        self.settle()
        try:
            return bool(target.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    def close(self) -> None:
        self.relay.close()
        for end in self._ends:
            end.close()


def sent(source: socket.socket, data: bytes) -> int:
    try:
        return source.send(data)
    except BlockingIOError:
        return 0


def heard(end: socket.socket) -> bytes:
    try:
        return end.recv(1024 * 1024)
    except BlockingIOError:
        return b""


def has_ended(end: socket.socket) -> bool:
    """Tell whether the relay closed this connection."""
    try:
        return end.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.close()


def test_there_is_a_socket_for_clients_as_long_as_the_guest_has_power(room: Room) -> None:
    assert not room.has_socket()
    guest = room.guest()
    assert room.has_socket()
    assert not room.has_socket("node2"), "each guest has a line of its own"
    guest.close()
    room.settle()
    assert not room.has_socket()
    room.guest()
    assert room.has_socket()


def test_bytes_go_both_ways(room: Room) -> None:
    guest, client = room.guest(), room.client()
    assert room.carried(client, guest, b"question\n") == b"question\n"
    assert room.carried(guest, client, b"answer\n") == b"answer\n"


def test_what_is_large_goes_both_ways_unchanged(room: Room) -> None:
    guest, client = room.guest(), room.client()
    assert room.carried(client, guest, LARGE) == LARGE
    assert room.carried(guest, client, LARGE) == LARGE


def test_lines_do_not_mix(room: Room) -> None:
    one, two = room.guest("node1"), room.guest("node2")
    for_one, for_two = room.client("node1"), room.client("node2")
    assert room.carried(one, for_one, b"from one\n") == b"from one\n"
    assert heard(for_two) == b""
    assert room.carried(for_two, two, b"for two\n") == b"for two\n"
    assert heard(one) == b""


def test_without_a_client_what_the_guest_says_is_lost_and_holds_it_up_in_nothing(
    room: Room,
) -> None:
    guest = room.guest()
    room.says(guest, 4 * LARGE)
    room.settle()
    client = room.client()
    assert heard(client) == b""
    assert room.carried(guest, client, b"now\n") == b"now\n"


def test_a_second_client_waits_until_the_first_has_gone(room: Room) -> None:
    guest, first = room.guest(), room.client()
    second = room.client()
    second.send(b"second\n")
    room.settle()
    assert heard(guest) == b""
    assert room.carried(first, guest, b"first\n") == b"first\n"
    assert room.carried(guest, first, b"for the first\n") == b"for the first\n"
    assert heard(second) == b""
    first.close()
    room.settle()
    assert heard(guest) == b"second\n"
    assert room.carried(guest, second, b"for the second\n") == b"for the second\n"


def test_all_clients_are_told_when_the_guest_loses_its_power(room: Room) -> None:
    guest, first = room.guest(), room.client()
    second = room.client()
    guest.close()
    room.settle()
    assert has_ended(first)
    assert has_ended(second)


def test_a_guest_that_has_power_again_takes_the_place_of_the_one_before(room: Room) -> None:
    """The end of the one before may be noticed late."""
    before = room.guest()
    client = room.client()
    after = room.guest()
    room.settle()
    assert has_ended(before)
    assert has_ended(client)
    new_client = room.client()
    assert room.carried(after, new_client, b"booted\n") == b"booted\n"


def test_end_and_beginning_of_a_guest_in_one_turn(room: Room) -> None:
    guest, client = room.guest(), room.client()
    guest.close()
    again = room.guest()
    room.settle()
    assert has_ended(client)
    assert room.carried(again, room.client(), b"booted\n") == b"booted\n"


def test_a_client_that_does_not_read_holds_up_neither_its_guest_nor_others(room: Room) -> None:
    guest, lazy = room.guest(), room.client()
    room.says(guest, b"x" * (2 * BACKLOG_MAX_BYTES))
    other, for_other = room.guest("node2"), room.client("node2")
    assert room.carried(other, for_other, b"hello\n") == b"hello\n"
    got = len(heard(lazy))
    while room.is_carrying(lazy):
        got += len(heard(lazy))
    assert BACKLOG_MAX_BYTES <= got < 2 * BACKLOG_MAX_BYTES, "kept, up to a bound"


def test_a_client_that_goes_while_something_waits_for_it_leaves_nothing_to_the_next(
    room: Room,
) -> None:
    guest, lazy = room.guest(), room.client()
    room.says(guest, LARGE)
    lazy.close()
    room.settle()
    client = room.client()
    assert heard(client) == b""
    assert room.carried(guest, client, b"now\n") == b"now\n"


def test_nothing_is_left_open_when_guests_and_clients_come_and_go(room: Room) -> None:
    def come_and_go() -> None:
        guest, client = room.guest(), room.client()
        client.close()
        guest.close()
        room.settle()

    come_and_go()
    before = len(list(OPEN_FILES.iterdir()))
    for _ in range(5):
        come_and_go()
    assert len(list(OPEN_FILES.iterdir())) == before
