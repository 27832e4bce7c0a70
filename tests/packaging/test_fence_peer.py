"""DRBD's handler against a daemon's socket that behaves well, badly, or not at all."""

import asyncio
import contextlib
import re
import socket
import subprocess
import threading
from pathlib import Path
from typing import Final, Self

import pytest

from hapair.adapters.clock import SystemClock
from hapair.rpc.messages import (
    Answer,
    JsonObject,
    Progress,
    Request,
    Result,
    RpcError,
    dump_answer,
    parse_request,
)
from hapair.runtime.control.server import ControlServer
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.verbs import Call, Verb
from tests.processes import PATIENCE_S
from tools.package_tree import ROOT

HANDLER: Final = ROOT / "packaging" / "helpers" / "fence-peer"
GO_ON_FENCED: Final = 7
GO_ON_OUTDATED: Final = 4
FROZEN: Final = 1
# Long enough for a busy machine where an answer comes, short where none does.
PATIENT_S: Final = PATIENCE_S
HASTY_S: Final = 0.3


def verdict(word: str, verb: str = "fence-peer") -> bytes:
    return dump_answer(Result({"verdict": word}, verb))


class FakeDaemon:
    """Answers one connection after the other with the given bytes, then closes it."""

    def __init__(self, place: Path, *answers: bytes | Answer) -> None:
        self.asked: list[Request] = []
        self._answers = tuple(
            answer if isinstance(answer, bytes) else dump_answer(answer) for answer in answers
        )
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(place))
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        for answer in self._answers:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                self.asked.append(parse_request(file.readline()))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(answer)  # The handler reads no more than one line.

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "s"


def command(place: Path, bound_s: float) -> tuple[str, ...]:
    return (str(HANDLER), str(bound_s), str(place), str(place.with_name("log")))


def handler(place: Path, bound_s: float, resource: str = "orders.data0") -> int:
    """Run the handler as drbdadm does and return its exit code."""
    run = subprocess.run(
        command(place, bound_s),
        env={"DRBD_RESOURCE": resource, "DRBD_MINOR": "10"},
        capture_output=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    assert (run.stdout, run.stderr) == (b"", b"")
    return run.returncode


@pytest.mark.parametrize(
    ("word", "code"),
    [("peer-fenced", GO_ON_FENCED), ("peer-outdated", GO_ON_OUTDATED), ("denied", FROZEN)],
)
class TestVerdicts:
    def test_a_verdict_becomes_the_exit_code(self, place: Path, word: str, code: int) -> None:
        with FakeDaemon(place, verdict(word)) as daemon:
            assert handler(place, PATIENT_S) == code
        assert daemon.asked == [Request("fence-peer", {"resource": "orders.data0"})]

    def test_a_former_daemon_does_not_say_what_it_answers(
        self, place: Path, word: str, code: int
    ) -> None:
        with FakeDaemon(place, verdict(word, verb="")):
            assert handler(place, PATIENT_S) == code

    async def test_the_daemons_own_server_is_understood(
        self, place: Path, word: str, code: int
    ) -> None:
        async def answered(_: Call) -> JsonObject:
            return {"verdict": word}

        journal = Journal("node1", place.with_name("events"), SystemClock(), show=lambda _: None)
        server = ControlServer(place, {"fence-peer": Verb(answered)}, journal)
        await server.open()
        assert await asyncio.to_thread(handler, place, PATIENT_S) == code
        await server.close()
        journal.close()


def test_progress_is_listened_to_until_the_verdict_comes(place: Path) -> None:
    answer = dump_answer(Progress("asking the witness")) * 2 + verdict("peer-fenced")
    with FakeDaemon(place, answer):
        assert handler(place, PATIENT_S) == GO_ON_FENCED


def test_a_daemon_that_is_being_restarted_is_waited_for(place: Path) -> None:
    """It is not there, then dies while it is asked, then answers."""
    run = subprocess.Popen(
        command(place, PATIENT_S),
        env={"DRBD_RESOURCE": "orders.data0"},
    )
    with FakeDaemon(place, b"", verdict("peer-fenced")):
        assert run.wait(2 * PATIENCE_S) == GO_ON_FENCED


@pytest.mark.parametrize(
    "first",
    [
        RpcError('the daemon does not know "fence-peer"'),
        verdict("peer-fenced", verb="status"),
        b"\n",
        pytest.param(b"nonsense\n" * 20000, id="nonsense without an end"),
        b'{"ok":true,"result":{"verdict":"peer-fenced"}',
        b'{"ok":true,"result":{"verdict":"peer-fenced","really":false}}\n',
        b'{"ok": true, "result": {"verdict": "peer-fenced"}}\n',
        b"\xff\xfe\n",
    ],
)
def test_whatever_is_no_verdict_is_asked_again(place: Path, first: bytes | Answer) -> None:
    with FakeDaemon(place, first, verdict("peer-outdated")) as daemon:
        assert handler(place, PATIENT_S) == GO_ON_OUTDATED
    assert len(daemon.asked) == 2


def test_without_a_daemon_the_writes_stay_frozen_after_the_bound(place: Path) -> None:
    assert handler(place, HASTY_S) == FROZEN
    line = place.with_name("log").read_text()
    assert re.search(r"orders\.data0 stays frozen \(exit 1 after \d", line)


def test_a_daemon_that_hangs_is_not_waited_for_longer_than_the_bound(place: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(place))
        listening.listen()
        assert handler(place, HASTY_S) == FROZEN


@pytest.mark.parametrize("resource", ["", 'a"}', "a b", "é", "a\n"])
def test_a_name_that_is_none_is_not_asked_for(place: Path, resource: str) -> None:
    with FakeDaemon(place, verdict("peer-fenced")) as daemon:
        assert handler(place, PATIENT_S, resource) == FROZEN
    assert daemon.asked == []


def test_arguments_that_are_wrong_leave_the_writes_frozen(place: Path) -> None:
    run = subprocess.run(
        (HANDLER, "soon", place), check=False, capture_output=True, timeout=2 * PATIENCE_S
    )
    assert (run.returncode, run.stderr) == (FROZEN, b"")


@pytest.mark.parametrize("helper", ["fence-peer", "resync-target"])
def test_it_loads_nothing_that_takes_long(helper: str) -> None:
    """They are on the way of every failover and every return of a node, once for each volume."""
    text = HANDLER.with_name(helper).read_text("utf-8")
    assert re.findall(r"^\s*(?:use|require|do)\b.*$", text, re.MULTILINE) == ["use strict;"]


@pytest.mark.parametrize("left", range(0, 4000, 97))
def test_one_that_was_cut_off_never_lets_writes_go_on(place: Path, left: int) -> None:
    """What a full disk or a power cut left of it: Perl ends with the last error of the system."""
    part = place.with_name("part")
    part.write_bytes(HANDLER.read_bytes()[:left])
    argv = ("perl", part, "0", place, place.with_name("log"))
    run = subprocess.run(argv, check=False, capture_output=True, timeout=PATIENCE_S)
    assert run.returncode not in {GO_ON_FENCED, GO_ON_OUTDATED}
