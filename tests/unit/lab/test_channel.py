"""The host's end of an agent's line: what it does when the guest takes little, nothing, or ends."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from hapair_lab import channel as module
from hapair_lab.channel import Answer, Channel, GuestGoneError
from tests.processes import PATIENCE_S

WINDOW_BYTES = 64
QUIET_S = 0.05
LARGE = {"do": "put", "data": "x" * 10 * WINDOW_BYTES}
SMALL = {"do": "hello"}


class Guest:
    """The far end of the line, played by the test: it says what it took when it is told to."""

    def __init__(self, folder: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(folder / "agent"))
        self._listener.listen()
        self.channel = Channel("node1", folder / "agent", window_bytes=WINDOW_BYTES)
        self.line, _ = self._listener.accept()
        self._pool = ThreadPoolExecutor()

    def asked(self, request: Answer) -> Future[Future[Answer]]:
        """Ask in a thread: what has no room waits for it."""
        return self._pool.submit(self.channel.ask, request)

    def waited_for(self, request: Answer, timeout_s: float = PATIENCE_S) -> Future[Answer]:
        """Ask and wait for the answer in a thread."""
        return self._pool.submit(self.channel.answer, request, timeout_s)

    def hears(self) -> bytes:
        """Return all that comes before it is quiet."""
        self.line.settimeout(QUIET_S)
        heard = b""
        try:
            while data := self.line.recv(65536):
                heard += data
        except TimeoutError:
            pass
        return heard

    def hears_exactly(self, size: int) -> bytes:
        self.line.settimeout(PATIENCE_S)
        return self.line.recv(size, socket.MSG_WAITALL)

    def says(self, message: Answer) -> None:
        self.line.sendall(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        self.line.close()
        self._listener.close()
        self.channel.close()
        self._pool.shutdown()


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    guest = Guest(tmp_path)
    yield guest
    guest.close()


def whole_line(guest: Guest, said: bytes = b"") -> bytes:
    """Take a window at a time, and say so, until a line has ended; return what is in it."""
    guest.line.settimeout(PATIENCE_S)
    while not said.endswith(b"}\n"):
        part = guest.line.recv(WINDOW_BYTES)
        said += part
        guest.says({"took_bytes": len(part)})
    return said.splitlines()[-1]


def answered(guest: Guest, request: Answer, said: bytes = b"") -> bool:
    """Ask and answer; ``said`` is what came before. Tell whether the answer arrived."""
    asked = guest.asked(request)
    number = json.loads(whole_line(guest, said))["id"]
    guest.says({"id": number, "answers": number})
    return bool(asked.result(PATIENCE_S).result(PATIENCE_S)["answers"] == number)


def test_no_more_is_on_its_way_than_the_window(guest: Guest) -> None:
    asked = guest.asked(LARGE)
    first = guest.hears_exactly(WINDOW_BYTES)
    assert guest.hears() == b"", "nothing was taken yet"
    guest.says({"took_bytes": WINDOW_BYTES})
    second = guest.hears_exactly(WINDOW_BYTES)
    assert guest.hears() == b""
    guest.says({"took_bytes": WINDOW_BYTES})
    request = json.loads(whole_line(guest, first + second))
    guest.says({"id": request["id"], "written": True})
    assert asked.result(PATIENCE_S).result(PATIENCE_S)["written"] is True
    assert request["data"] == LARGE["data"]


def test_a_part_is_sent_only_as_a_whole_window_has_room(guest: Guest) -> None:
    asked = guest.asked(LARGE)
    guest.hears_exactly(WINDOW_BYTES)
    guest.says({"took_bytes": WINDOW_BYTES - 1})
    assert guest.hears() == b""
    guest.says({"took_bytes": 1})
    guest.hears_exactly(WINDOW_BYTES)
    guest.line.close()
    with pytest.raises(GuestGoneError):
        asked.result(PATIENCE_S).result(PATIENCE_S)


def test_more_credit_than_was_used_opens_the_window_no_wider(guest: Guest) -> None:
    """An agent that begins says so of all that was ever sent; more may come from earlier hosts."""
    assert answered(guest, SMALL)
    guest.says({"took_bytes": 2**32})
    guest.says({"took_bytes": WINDOW_BYTES})
    assert answered(guest, SMALL), "the credit was read before this answer"
    asked = guest.asked(LARGE)
    guest.hears_exactly(WINDOW_BYTES)
    assert guest.hears() == b""
    guest.says({"took_bytes": 2**32})
    guest.hears_exactly(WINDOW_BYTES)
    assert guest.hears() == b""
    guest.line.close()
    with pytest.raises(GuestGoneError):
        asked.result(PATIENCE_S).result(PATIENCE_S)


def test_a_guest_that_takes_nothing_is_given_up(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", QUIET_S)
    monkeypatch.setattr(module, "STANDS_STILL_S", 2 * QUIET_S)
    with pytest.raises(GuestGoneError, match="takes nothing"):
        guest.channel.ask(LARGE).result(0)
    assert guest.channel.is_open(), "it may take something later"


def test_what_was_half_sent_does_not_spoil_the_next_request(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as impatient:
        impatient.setattr(module, "AGAIN_S", QUIET_S)
        impatient.setattr(module, "STANDS_STILL_S", 2 * QUIET_S)
        guest.channel.ask(LARGE)
    half = guest.hears()  # And the words that it was asked for.
    guest.says({"took_bytes": len(half)})
    assert answered(guest, SMALL, said=half.rstrip(b"\n"))


def test_a_line_that_lost_what_was_said_of_it_goes_on(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window of a line that loses bytes, or the word of them, does not stay shut for ever."""
    monkeypatch.setattr(module, "AGAIN_S", QUIET_S)
    asked = guest.asked(LARGE)
    guest.hears_exactly(WINDOW_BYTES)
    guest.line.settimeout(PATIENCE_S)
    word = json.loads(guest.line.recv(WINDOW_BYTES))
    assert word["do"] == "hello"
    guest.says({"id": word["id"], "hello": "node1"})
    sent = json.loads(whole_line(guest))
    assert sent["data"] == LARGE["data"], "it is sent whole once more"
    guest.says({"id": sent["id"], "written": True})
    assert asked.result(PATIENCE_S).result(PATIENCE_S)["written"] is True


def test_a_late_word_opens_the_window_no_wider(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest that only stood still takes what was sent, and then answers."""
    monkeypatch.setattr(module, "AGAIN_S", 4 * QUIET_S)
    asked = guest.asked(LARGE)
    guest.hears_exactly(WINDOW_BYTES)
    guest.line.settimeout(PATIENCE_S)
    word = json.loads(guest.line.recv(WINDOW_BYTES))
    guest.says({"took_bytes": WINDOW_BYTES})
    guest.hears_exactly(WINDOW_BYTES)
    guest.says({"id": word["id"], "hello": "node1"})
    assert guest.hears() == b"", "what was sent meanwhile may not have been taken"
    guest.line.close()
    with pytest.raises(GuestGoneError):
        asked.result(PATIENCE_S).result(PATIENCE_S)


def test_who_waits_for_room_is_told_at_once_when_the_guest_loses_power(guest: Guest) -> None:
    asked = guest.asked(LARGE)
    guest.hears_exactly(WINDOW_BYTES)
    guest.line.close()
    with pytest.raises(GuestGoneError):
        asked.result(module.AGAIN_S).result(0)


def test_a_guest_that_is_gone_before_it_is_asked_is_an_answer_and_no_bug(guest: Guest) -> None:
    guest.line.close()
    for _ in range(20):
        with pytest.raises(GuestGoneError):
            guest.channel.ask(SMALL).result(PATIENCE_S)
    assert not guest.channel.answers_hello()


def test_a_connection_begins_with_the_end_of_what_an_earlier_one_left_half_sent(
    guest: Guest,
) -> None:
    guest.channel.ask(SMALL)
    said = guest.hears()
    assert said.startswith(b"\n")
    guest.says({"took_bytes": len(said)})
    guest.channel.ask(SMALL)
    assert not guest.hears().startswith(b"\n")


def test_a_line_that_echoes_has_not_answered(guest: Guest) -> None:
    """A guest that boots echoes until its agent has made the line raw."""
    answer = guest.channel.ask(SMALL)
    request = guest.hears().strip()
    guest.line.sendall(request + b"\n")
    assert guest.hears() == b""
    assert not answer.done()
    guest.says({"id": json.loads(request)["id"], "hello": "node1"})
    assert answer.result(PATIENCE_S)["hello"] == "node1"


@pytest.fixture
def lossy(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> Guest:
    """A line on which something was answered before, by the agent "a"."""
    monkeypatch.setattr(module, "AGAIN_S", QUIET_S)
    before = guest.asked(SMALL)
    number = json.loads(whole_line(guest))["id"]
    guest.says({"id": number, "agent": "a"})
    before.result(PATIENCE_S).result(PATIENCE_S)
    return guest


def test_an_answer_that_was_lost_is_asked_for_again(lossy: Guest) -> None:
    answer = lossy.waited_for(SMALL)
    lost = json.loads(whole_line(lossy))
    again = json.loads(whole_line(lossy))
    assert again == {"id": lost["id"], "do": "again"}
    lossy.says({"id": lost["id"], "agent": "a", "hello": "node1"})
    assert answer.result(PATIENCE_S)["hello"] == "node1"


def test_a_request_that_was_lost_is_sent_once_more(lossy: Guest) -> None:
    answer = lossy.waited_for(SMALL)
    lost = json.loads(whole_line(lossy))
    assert json.loads(whole_line(lossy))["do"] == "again"
    lossy.says({"id": lost["id"], "unknown": True, "agent": "a"})
    while (sent := json.loads(whole_line(lossy))) != lost:
        assert sent["do"] == "again"
    lossy.says({"id": lost["id"], "agent": "a", "hello": "node1"})
    assert answer.result(PATIENCE_S)["hello"] == "node1"


def test_what_an_earlier_agent_may_have_done_is_not_done_twice(lossy: Guest) -> None:
    """As a command that rebooted the guest. Nobody waits for its answer either."""
    answer = lossy.waited_for(SMALL, timeout_s=2 * PATIENCE_S)
    lost = json.loads(whole_line(lossy))
    lossy.says({"id": lost["id"], "unknown": True, "agent": "b"})
    with pytest.raises(GuestGoneError, match="started anew"):
        answer.result(PATIENCE_S)
    heard = [json.loads(line)["do"] for line in lossy.hears().splitlines() if line]
    assert SMALL["do"] not in heard
