"""What runs in the guests, run here: agent and channel, the server and its client."""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair_lab.channel import Channel, GuestGoneError
from hapair_lab.errors import LabError
from hapair_lab.ledger import missing, parse_record
from hapair_lab.payload.agent import Agent
from hapair_lab.payload.client import SPEAKS, Client, Stopped, ask_for_ever
from hapair_lab.payload.server import cut_torn_line
from hapair_lab.recipe import PAYLOAD
from tests.ports import free_port
from tests.processes import PATIENCE_S

LINES_WANTED = 5


class Port:
    """A socket in the place of the virtio port, with a real agent behind it."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        link, _ = self._listener.accept()
        with link, link.makefile("rb") as lines:
            agent = Agent(link.fileno())
            for line in lines:
                agent.handle(line)

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    port = Port(tmp_path / "agent")
    channel = Channel("node1", tmp_path / "agent")
    yield channel
    channel.close()
    port.close()


def test_a_command_brings_back_how_it_ended(channel: Channel) -> None:
    finished = channel.run(
        ["sh", "-c", "cat; echo said >&2; exit 7"], timeout_s=PATIENCE_S, stdin=b"given"
    )
    assert (finished.exit_code, finished.stdout, finished.stderr) == (7, "given", "said\n")
    assert not finished.ok


def test_a_command_that_does_not_end_is_killed(channel: Channel) -> None:
    limit_s, said = 0.3, ""
    while not said:  # A busy host may not have begun it in time.
        finished = channel.run(["sh", "-c", "echo begun; sleep 600"], timeout_s=limit_s)
        assert finished.timed_out
        limit_s, said = 3 * limit_s, finished.stdout
    assert said == "begun\n"


def test_what_a_command_leaves_in_the_background_holds_up_nobody(channel: Channel) -> None:
    finished = channel.run(["sh", "-c", "sleep 1000 & echo $!"], timeout_s=PATIENCE_S)
    assert not finished.timed_out
    os.kill(int(finished.stdout), signal.SIGKILL)


def test_commands_run_side_by_side(channel: Channel, tmp_path: Path) -> None:
    goes_on = tmp_path / "goes-on"
    argv = ["sh", "-c", f"until [ -e {goes_on} ]; do sleep 0.05; done"]
    slow = channel.ask({"do": "run", "argv": argv, "timeout_s": PATIENCE_S})
    assert channel.run(["echo", "quick"], timeout_s=PATIENCE_S).stdout == "quick\n"
    assert not slow.done()
    goes_on.touch()
    assert slow.result(PATIENCE_S)["exit_code"] == 0


def test_a_command_that_does_not_exist_is_an_error(channel: Channel) -> None:
    with pytest.raises(LabError, match="no-such-command"):
        channel.run(["no-such-command"], timeout_s=PATIENCE_S)


def test_large_files_go_and_come_unchanged(channel: Channel, tmp_path: Path) -> None:
    content = bytes(range(256)) * 2000
    path = tmp_path / "new" / "folder" / "file"
    channel.put(str(path), content, 0o640)
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o640
    assert channel.get(str(path)) == content
    channel.put(str(path), b"", 0o640)
    assert channel.get(str(path)) == b""


def test_a_server_in_the_guest_is_asked_without_a_process(channel: Channel, tmp_path: Path) -> None:
    place = tmp_path / "server"
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        link, _ = listener.accept()
        with link, link.makefile("rb") as lines:
            heard.append(lines.readline())
            link.sendall(b"first\nsecond\n")

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(place))
        listener.listen()
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        assert channel.ask_server(str(place), b"question\n", timeout_s=PATIENCE_S) == b"first\n"
        server.join()
    assert heard == [b"question\n"]
    with pytest.raises(LabError, match="refused"):
        channel.ask_server(str(place), b"question\n", timeout_s=PATIENCE_S)


def test_rubbish_and_unknown_requests_do_no_harm(channel: Channel) -> None:
    assert channel.answers_hello()
    with pytest.raises(LabError, match="unknown request"):
        channel.answer({"do": "dance"}, PATIENCE_S)
    assert channel.answers_hello()


def test_who_waits_is_told_when_the_connection_ends(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "agent"))
        listener.listen()
        channel = Channel("node1", tmp_path / "agent")
        answer = channel.ask({"do": "hello"})
        link, _ = listener.accept()
        link.close()
        with pytest.raises(GuestGoneError):
            answer.result(PATIENCE_S)
        channel.close()


def test_a_torn_last_line_is_cut_off_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"1 a\n2 b\n3 tor")
    assert cut_torn_line(path) == 5
    assert path.read_bytes() == b"1 a\n2 b\n"
    assert cut_torn_line(path) == 0
    path.write_bytes(b"torn")
    assert cut_torn_line(path) == 4
    assert path.read_bytes() == b""


def test_the_client_goes_on_when_the_server_is_killed_and_starts_again(tmp_path: Path) -> None:
    """Nothing acknowledged is lost, and the break shows in the record."""
    lines, log, port = tmp_path / "lines", tmp_path / "log", str(free_port())
    lines.write_bytes(b"0 torn")
    server_argv = (sys.executable, str(PAYLOAD / "server.py"), str(lines), port)
    client_argv = (sys.executable, str(PAYLOAD / "client.py"), "--address", "127.0.0.1")
    options = ("--port", port, "--log", str(log), "--pause-s", "0.01")

    def wait_for(acknowledged: int) -> None:
        while not log.exists() or log.read_text().count("ok ") < acknowledged:
            assert client.poll() is None

    with subprocess.Popen(server_argv, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith(b"listening")
        client = subprocess.Popen((*client_argv, *options))
        try:
            wait_for(LINES_WANTED)
        finally:
            server.kill()
    with subprocess.Popen(server_argv, stdout=subprocess.PIPE) as server:
        try:
            wait_for(4 * LINES_WANTED)
            client.send_signal(signal.SIGTERM)
            assert client.wait(PATIENCE_S) == 0
        finally:
            client.kill()
            client.wait()
            server.kill()
    record = parse_record(log.read_text())
    assert record.numbers == tuple(range(1, len(record.numbers) + 1))
    assert len(record.numbers) >= 4 * LINES_WANTED
    assert missing(record, lines.read_text()) == ()


@pytest.mark.parametrize(("speaks", "tried"), [("lines", [1, 2, 2, 3]), ("redis", [1, 2, 3, 4])])
def test_only_to_the_own_server_a_line_is_sent_again(speaks: str, tried: list[int]) -> None:
    """Else nobody could tell a write that is there twice from one that was asked for twice."""
    sent: list[int] = []

    class Answered(Client):
        sends_again = SPEAKS[speaks].sends_again

        def try_once(self, number: int) -> bool:
            if len(sent) == len(tried):
                raise Stopped
            sent.append(number)
            return len(sent) != 2

    log = io.StringIO()
    with pytest.raises(Stopped):
        ask_for_ever(Answered(("", 0), 0.0, 0.0), log, 0.0)
    assert sent == tried
    assert [int(line.split()[1]) for line in log.getvalue().splitlines()] == tried[:1] + tried[2:]


@pytest.mark.parametrize(
    ("speaks", "answers", "is_acknowledged"),
    [
        ("mail", ("250 2.1.0 Ok\n", "250 2.1.5 Ok\n", "354 End\n", "250 2.0.0 Ok: queued\n"), True),
        ("mail", ("250-more\n250 2.1.0 Ok\n", "250 Ok\n", "354 End\n", "250 Ok\n"), True),
        ("mail", ("452 4.3.1 Insufficient system storage\n",), False),
        ("mail", ("250 Ok\n", "250 Ok\n", "354 End\n", "451 4.3.0 Error: queue file\n"), False),
        ("mail", ("250 Ok\n", "250 Ok\n", "354 End\n", ""), False),
        ("samba", ('Try "help"\nputting file a as \\7 (0.1 kb/s) (average 0.1 kb/s)\n',), True),
        ("samba", ("putting file a as \\7 NT_STATUS_DISK_FULL closing remote file \\7\n",), False),
        ("samba", ("putting file a as \\7 ",), False),
    ],
)
def test_only_what_says_that_it_is_stored_is_an_acknowledgement(
    speaks: str, answers: tuple[str, ...], *, is_acknowledged: bool
) -> None:
    ours, its = socket.socketpair()

    def answer() -> None:
        for said in answers:
            its.recv(1000)
            its.sendall(said.encode())
        its.shutdown(socket.SHUT_WR)

    server = threading.Thread(target=answer)
    server.start()
    with ours, its:
        assert SPEAKS[speaks](("", 0), 1.0, 1.0).write(ours, 7) is is_acknowledged
        server.join()


@pytest.fixture
def line() -> Iterator[socket.socket]:
    """A line to an agent, without a channel."""
    near, far = socket.socketpair()
    with near, far:
        agent = Agent(far.fileno())
        lines = far.makefile("rb")

        def serve() -> None:
            for each in lines:
                agent.handle(each)

        serving = threading.Thread(target=serve)
        serving.start()
        near.settimeout(PATIENCE_S)
        yield near
        near.shutdown(socket.SHUT_RDWR)
        serving.join()
        lines.close()


def test_an_agent_does_once_what_it_is_asked_twice(line: socket.socket, tmp_path: Path) -> None:
    answers = line.makefile()
    request = {"id": 7, "do": "put", "path": f"{tmp_path}/x", "mode": 0o644, "append": True}
    asked = json.dumps({**request, "data": base64.b64encode(b"one").decode()}).encode() + b"\n"
    line.sendall(b'{"id": 7, "do": "again"}\n')
    assert json.loads(answers.readline())["unknown"] is True
    told = []
    for said in (asked, asked, b'{"id": 7, "do": "again"}\n'):
        line.sendall(said)
        told.append(json.loads(answers.readline()))
    assert told[0] == told[1] == told[2]
    assert (tmp_path / "x").read_text() == "one"
