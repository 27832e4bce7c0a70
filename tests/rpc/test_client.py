"""Asking the daemon, and everything that can go wrong with it."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hapair.rpc.client import ROOT_VARIABLE, call
from hapair.rpc.messages import DaemonDown, ExitCode, JsonObject, Progress, RpcError
from tests.processes import PATIENCE_S

Serve = Callable[[socket.socket], None]


def wait_for(event: threading.Event) -> None:
    assert event.wait(PATIENCE_S)


class Daemon:
    """Serves one connection in a thread as a test says."""

    def __init__(self, root: Path) -> None:
        self.root = root
        place = root / "run/hapair/control.sock"
        place.parent.mkdir(parents=True)
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(place))
        self.asked = b""

    def serve(self, then: Serve) -> None:
        self.listening.listen()

        def run() -> None:
            connection, _ = self.listening.accept()
            with connection:
                self.asked = connection.recv(100_000)
                then(connection)

        threading.Thread(target=run, daemon=True).start()

    def answer(self, *chunks: bytes) -> None:
        def then(connection: socket.socket) -> None:
            for chunk in chunks:
                connection.sendall(chunk)

        self.serve(then)


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    made = Daemon(tmp_path)
    yield made
    made.listening.close()


def test_a_result_comes_back(daemon: Daemon) -> None:
    daemon.answer(b'{"ok": true, "result": {"x": 1}}\n')
    assert call("reload", {"y": 2}) == {"x": 1}
    assert daemon.asked == b'{"verb":"reload","args":{"y":2}}\n'


def test_progress_is_handed_over_also_when_it_comes_in_pieces(daemon: Daemon) -> None:
    seen: list[Progress] = []
    daemon.answer(
        b'{"progress": {"te',
        b'xt": "half", "done": 1, "of": 2}}\n{"ok": tr',
        b'ue, "result": {}}\n',
    )
    assert call("reload", on_progress=seen.append) == {}
    assert seen == [Progress("half", 1, 2)]


def test_a_refusal_is_raised(daemon: Daemon) -> None:
    daemon.answer(b'{"ok": false, "error": "no", "mend": "do", "exit_code": 3}\n')
    with pytest.raises(RpcError) as caught:
        call("form")
    assert (caught.value.error, caught.value.mend) == ("no", "do")
    assert caught.value.exit_code is ExitCode.NOT_NOW


def test_without_a_daemon_the_mend_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(DaemonDown) as caught:
        call("status")
    assert "systemctl start hapaird" in caught.value.mend
    assert caught.value.exit_code is ExitCode.NOT_NOW


def test_a_daemon_that_left_its_socket_behind_is_down(daemon: Daemon) -> None:
    with pytest.raises(DaemonDown, match="refused"):
        call("status")
    assert daemon.asked == b""


def test_a_daemon_that_ends_before_it_answers_is_told(daemon: Daemon) -> None:
    daemon.answer(b'{"progress": {"text": "x"}}\n')
    with pytest.raises(DaemonDown, match="before it answered"):
        call("move")


def test_no_answer_in_time_goes_on(daemon: Daemon) -> None:
    over = threading.Event()
    daemon.serve(lambda _: wait_for(over))
    with pytest.raises(RpcError, match="no answer in time") as caught:
        call("move", timeout_s=0.05)
    over.set()
    assert caught.value.exit_code is ExitCode.UNFINISHED


def test_ctrl_c_is_noticed_although_it_does_not_interrupt_the_waiting(daemon: Daemon) -> None:
    """A signal just before the system call does not interrupt it, nor one to another thread."""
    over, ended = threading.Event(), threading.Event()
    by_itself: list[bool] = []

    def interrupt(_: socket.socket) -> None:
        over.wait(0.2)  # By now the other thread waits; where it does not, this test is easier.
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        by_itself.append(over.wait(PATIENCE_S))
        ended.set()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    daemon.serve(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            call("watch")
    finally:
        signal.signal(signal.SIGINT, before)
        over.set()
    wait_for(ended)
    assert by_itself == [True], "only the end of the connection woke it"


MORE_THAN_IS_READ: JsonObject = {"text": "x" * 4_000_000}


def test_a_daemon_that_ends_before_it_has_read_all_is_told(daemon: Daemon) -> None:
    daemon.answer()
    with pytest.raises(DaemonDown, match="before it answered"):
        call("move", MORE_THAN_IS_READ)


def test_why_a_request_was_not_read_to_its_end_is_told(daemon: Daemon) -> None:
    daemon.answer(b'{"ok": false, "error": "too long", "mend": "", "exit_code": 1}\n')
    with pytest.raises(RpcError, match="too long"):
        call("move", MORE_THAN_IS_READ)


def test_an_answer_in_a_strange_language_is_told(daemon: Daemon) -> None:
    daemon.answer(b"hello\n")
    with pytest.raises(RpcError, match="not understood"):
        call("status")


def test_commands_start_fast() -> None:
    """The client may not load what takes long to load."""
    program = "import sys, hapair.rpc.client; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"asyncio", "logging", "ssl", "pathlib", "hapair.core", "subprocess"}
