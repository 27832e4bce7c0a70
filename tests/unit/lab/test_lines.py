"""Guests without virtio: agent and fence agent on a terminal, as on the guest's serial line."""

import contextlib
import fcntl
import gc
import json
import os
import pty
import select
import socket
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair_lab import uml
from hapair_lab.channel import Channel
from hapair_lab.machine import LINE_BYTES
from hapair_lab.payload import agent, fence_lab
from tests.processes import PATIENCE_S

OPEN_FILES = Path("/proc/self/fd")
SOON_S = 0.3


class Terminal:
    """A pair of terminals: the guest's programs open one, the host has the other."""

    def __init__(self) -> None:
        self.host, self._guest = pty.openpty()
        self.path = os.ttyname(self._guest)
        self._rest = b""

    def line(self) -> dict[str, object]:
        """Return the next line that the guest says and that is not empty."""
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self.host], [], [], PATIENCE_S)
            assert ready, "the guest says nothing"
            self._rest = (self._rest + os.read(self.host, 65536)).lstrip(b"\n")
        line, _, self._rest = self._rest.partition(b"\n")
        return dict(json.loads(line))

    def says(self, data: bytes) -> None:
        os.write(self.host, data)

    def says_to_nobody(self, data: bytes) -> None:
        """Return when it waits to be read: the kernel carries it over in its own time."""
        self.says(data)
        ready, _, _ = select.select([self._guest], [], [], PATIENCE_S)
        assert ready, "the line carries nothing"

    def hang_up(self) -> None:
        os.close(self._guest)
        os.close(self.host)


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Give the guest's programs a serial line, and no virtio ports."""
    terminal = Terminal()
    for program in (agent, fence_lab):
        monkeypatch.setattr(program, "LINE", terminal.path)
        monkeypatch.setattr(program, "PORTS", str(tmp_path / "no-virtio"))
    yield terminal
    with contextlib.suppress(OSError):
        terminal.hang_up()


@pytest.fixture
def served(terminal: Terminal) -> Iterator[Terminal]:
    """Run a real agent on the line; it ends when the line is hung up."""
    port = agent.open_port()

    def serve() -> None:
        with contextlib.suppress(OSError):  # An answer that nobody hears any more.
            agent.Agent(port).serve()

    thread = threading.Thread(target=serve)
    thread.start()
    yield terminal
    terminal.hang_up()
    thread.join(PATIENCE_S)
    os.close(port)
    assert not thread.is_alive()


def test_the_lines_are_those_that_the_host_plugs_in() -> None:
    assert f"/dev/ttyS{uml.AGENT_LINE}" == agent.LINE
    assert f"/dev/ttyS{uml.STRIP_LINE}" == fence_lab.LINE


def test_an_agent_on_a_line_says_what_it_took(served: Terminal) -> None:
    assert served.line() == {"took_bytes": agent.ALL_BYTES}, "what was sent before is gone"
    request = b'{"id": 1, "do": "hello"}\n'
    served.says(request)
    assert served.line() == {"took_bytes": len(request)}
    answer = served.line()
    assert answer == {"id": 1, "hello": os.uname().nodename, "agent": answer["agent"]}


def test_half_a_line_is_taken_too(served: Terminal) -> None:
    served.line()
    served.says(b'{"id": 1, "do"')
    assert served.line() == {"took_bytes": 14}
    served.says(b': "hello"}\n')
    assert served.line() == {"took_bytes": 11}
    assert served.line()["id"] == 1


def test_the_line_changes_no_byte(served: Terminal) -> None:
    """No echo, no signal, no end of file, no flow control, no other end of line."""
    served.line()
    rubbish = bytes(range(256)) + b"\r\n"
    served.says(rubbish)
    took = 0
    while took < len(rubbish):
        took += int(str(served.line()["took_bytes"]))
    assert took == len(rubbish)
    flags = termios.tcgetattr(served.host)
    assert not flags[tty.LFLAG] & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert not flags[tty.OFLAG] & termios.OPOST


def carry(link: socket.socket, terminal: int, ended: threading.Event) -> None:
    """Carry bytes between the host's socket and a terminal, as User Mode Linux does."""
    while not ended.is_set():
        ready, _, _ = select.select([link.fileno(), terminal], [], [], 0.05)
        if link.fileno() in ready:
            data = link.recv(4096)
            if not data:
                return
            os.write(terminal, data)
        if terminal in ready:
            link.sendall(os.read(terminal, 65536))


def test_what_is_large_passes_the_small_buffer_of_a_line(served: Terminal, tmp_path: Path) -> None:
    ended = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "agent"))
        listener.listen()
        channel = Channel("node1", tmp_path / "agent", window_bytes=LINE_BYTES)
        link, _ = listener.accept()
        with link:
            thread = threading.Thread(target=carry, args=(link, served.host, ended))
            thread.start()
            try:
                content = bytes(range(256)) * 1000
                channel.put(str(tmp_path / "file"), content, 0o600)
                assert (tmp_path / "file").read_bytes() == content
                assert channel.get(str(tmp_path / "file")) == content
            finally:
                ended.set()
                thread.join()
                channel.close()


def test_a_guest_with_virtio_ports_uses_none_of_its_lines(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert terminal.path == agent.LINE
    (tmp_path / "no-virtio").mkdir()
    monkeypatch.setattr(agent, "OPEN_TRIES_MAX", 1)
    with pytest.raises(SystemExit, match="no virtio port"):
        agent.open_port()
    with pytest.raises(fence_lab.StripError, match="no virtio port"):
        fence_lab.open_port(0.0)


def answers(terminal: Terminal, *, before: bytes = b"") -> threading.Thread:
    """Play the power strip for one request."""

    def play() -> None:
        request = terminal.line()
        terminal.says(before)
        terminal.says(json.dumps({"id": request["id"], "state": "off"}).encode() + b"\n")

    thread = threading.Thread(target=play)
    thread.start()
    return thread


def test_the_strip_is_asked_over_the_line(terminal: Terminal) -> None:
    strip = answers(terminal, before=b'rubbish\n{"id": 7, "state": "on"}\n')
    answer = fence_lab.ask({"action": "off", "plug": "node2"}, PATIENCE_S)
    strip.join()
    assert answer["state"] == "off"


def test_what_an_earlier_answer_left_on_the_line_is_not_read(terminal: Terminal) -> None:
    os.close(fence_lab.open_port(0.0))  # An agent that was killed before its answer came.
    terminal.says_to_nobody(b'{"id": 1, "state": "on"')
    strip = answers(terminal)
    assert fence_lab.ask({"action": "off"}, PATIENCE_S)["state"] == "off"
    strip.join()


def test_one_agent_at_a_time_has_the_line(terminal: Terminal) -> None:
    first = fence_lab.open_port(0.0)
    gc.collect()  # What tests before this one left open must not go meanwhile.
    before = len(list(OPEN_FILES.iterdir()))
    with pytest.raises(fence_lab.StripError, match="line to the strip"):
        fence_lab.ask({"action": "status"}, SOON_S)
    assert len(list(OPEN_FILES.iterdir())) == before
    os.close(first)
    strip = answers(terminal)
    assert fence_lab.ask({"action": "status"}, PATIENCE_S)["state"] == "off"
    strip.join()


def test_the_line_is_waited_for(terminal: Terminal) -> None:
    first = fence_lab.open_port(0.0)
    timer = threading.Timer(SOON_S, os.close, (first,))
    timer.start()
    strip = answers(terminal)
    assert fence_lab.ask({"action": "status"}, PATIENCE_S)["state"] == "off"
    strip.join()
    timer.join()


def test_a_strip_that_says_nothing_leaves_the_line_to_others(terminal: Terminal) -> None:
    with pytest.raises(fence_lab.StripError, match="timed out"):
        fence_lab.ask({"action": "status"}, SOON_S)
    line = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(line, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(line)
