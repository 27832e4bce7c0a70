"""How frames are taken from emulators and given to them: one card alone."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair_lab.links import (
    BACKLOG_MAX_BYTES,
    FRAME_MAX_BYTES,
    LINKS,
    PACKETS_AT_ONCE,
    Link,
    PacketLink,
    StreamLink,
    listening,
    whole_frames_bytes,
)

CONTENT = b"x" * 10_000


class Card:
    """A link and the emulator's end of it."""

    def __init__(self, kind: type[Link]) -> None:
        ours, self.emulator = socket.socketpair(socket.AF_UNIX, kind.socket_kind)
        ours.settimeout(0)
        self.emulator.settimeout(0)
        self.link = kind(ours)

    def gets(self) -> list[bytes]:
        """Return all that the emulator can read at the moment."""
        got = []
        try:
            while data := self.emulator.recv(FRAME_MAX_BYTES):
                got.append(data)
        except BlockingIOError:
            pass
        return got

    def close(self) -> None:
        self.link.socket.close()
        self.emulator.close()


@pytest.fixture(params=list(LINKS.values()), ids=list(LINKS))
def card(request: pytest.FixtureRequest) -> Iterator[Card]:
    card = Card(request.param)
    yield card
    card.close()


@pytest.fixture
def stream() -> Iterator[Card]:
    card = Card(StreamLink)
    yield card
    card.close()


@pytest.fixture
def packets() -> Iterator[Card]:
    card = Card(PacketLink)
    yield card
    card.close()


def frame(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def test_the_end_of_the_whole_frames_is_found() -> None:
    assert whole_frames_bytes(b"") == 0
    assert whole_frames_bytes(frame(b"ab") + b"\0\0") == 6
    assert whole_frames_bytes(frame(b"ab") + frame(b"c")) == 11


def test_nothing_that_came_is_no_frame_and_no_end(card: Card) -> None:
    assert card.link.receive() == []


def test_the_end_of_an_emulator_is_an_error(card: Card) -> None:
    card.emulator.close()
    with pytest.raises(ConnectionResetError):
        card.link.receive()


def test_an_emulator_that_ended_takes_nothing_more(card: Card) -> None:
    card.emulator.close()
    card.link.give([CONTENT])
    with pytest.raises(OSError, match="Broken pipe"):
        card.link.flush()


def test_what_an_emulator_does_not_take_is_kept_up_to_a_bound(card: Card) -> None:
    given = 10 * BACKLOG_MAX_BYTES // len(CONTENT)
    for _ in range(given):
        card.link.give([CONTENT])
        card.link.flush()
    assert card.link.is_behind()
    got = b""
    while card.link.is_behind():
        got += b"".join(card.gets())
        card.link.flush()
    got += b"".join(card.gets())
    assert len(got) % len(CONTENT) == 0, "frames are dropped whole"
    assert BACKLOG_MAX_BYTES - len(CONTENT) < len(got) < given * len(CONTENT)


def test_what_was_dropped_leaves_room_for_what_comes_later(card: Card) -> None:
    for _ in range(10 * BACKLOG_MAX_BYTES // len(CONTENT)):
        card.link.give([CONTENT])
    while card.link.is_behind():
        card.link.flush()
        card.gets()
    card.link.give([b"later"])
    card.link.flush()
    assert card.gets() == [b"later"]


def test_a_frame_in_pieces_is_given_on_when_it_is_whole(stream: Card) -> None:
    whole = frame(b"first") + frame(b"second")
    came = []
    for byte in whole:
        stream.emulator.send(bytes([byte]))
        came += stream.link.receive()
    assert came == [frame(b"first"), frame(b"second")]


def test_an_idle_card_takes_all_that_was_read_at_once(stream: Card) -> None:
    """A read may bring more than the bound, with the rest of the read before it."""
    batch = frame(CONTENT) * (BACKLOG_MAX_BYTES // len(CONTENT) + 2)
    assert len(batch) > BACKLOG_MAX_BYTES
    stream.link.give([batch])
    got = b""
    while stream.link.is_behind():
        stream.link.flush()
        got += b"".join(stream.gets())
    assert got == batch


def test_what_is_no_frame_is_refused(stream: Card) -> None:
    stream.emulator.send((FRAME_MAX_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(ValueError, match="a frame of"):
        stream.link.receive()


def test_each_packet_is_one_frame(packets: Card) -> None:
    for content in (b"first", b"second", CONTENT):
        packets.emulator.send(content)
    assert packets.link.receive() == [b"first", b"second", CONTENT]
    packets.link.give([b"first", CONTENT])
    packets.link.flush()
    assert packets.gets() == [b"first", CONTENT]


def test_others_have_their_turn_when_one_card_says_much(packets: Card) -> None:
    for _ in range(PACKETS_AT_ONCE + 1):
        packets.emulator.send(b"much")
    assert len(packets.link.receive()) == PACKETS_AT_ONCE
    assert len(packets.link.receive()) == 1


def test_the_last_packets_come_before_the_end(packets: Card) -> None:
    packets.emulator.send(b"last")
    packets.emulator.close()
    assert packets.link.receive() == [b"last"]
    with pytest.raises(ConnectionResetError):
        packets.link.receive()


def test_who_finds_the_place_can_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAIL: on a busy host whoever waits for the file is refused before somebody listens there."""
    place, seen = tmp_path / "control", []
    listen = socket.socket.listen

    def slowly(each: socket.socket) -> None:
        seen.append(place.exists())
        listen(each)

    monkeypatch.setattr(socket.socket, "listen", slowly)
    with listening(place), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.connect(str(place))
    assert seen == [False]
