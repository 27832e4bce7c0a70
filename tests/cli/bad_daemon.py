"""Daemons that hang up, are silent or talk nonsense: each kind on a real unix socket."""

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from hapair.rpc.messages import (
    LINE_BYTES_MAX,
    Answer,
    JsonObject,
    Request,
    Result,
    dump_answer,
    parse_request,
)
from tests.cli.fake_daemon import FakeDaemon

Wrong = Callable[[socket.socket, str], None]  # What it does instead of answering a verb.

PROGRESS: Final = b'{"progress": {"text": "half way", "done": 1, "of": 2}}\n'
# Every member that any answer has, each of another kind than it should be.
WRONG_KINDS: Final[JsonObject] = {
    "local": 1, "nodes": "node1", "events": {}, "text": ["done"], "applications": 7,
    "application": None, "steps": "one", "split": "yes", "node": [],
}  # fmt: skip
# Every member that any answer has, as it should be: an answer to everything, so to nothing.
RIGHT_KINDS: Final[JsonObject] = {
    "local": "node1", "nodes": {}, "events": [], "text": "done", "applications": [],
    "application": "orders", "steps": [], "split": True, "node": "node1",
}  # fmt: skip


def says(*chunks: bytes) -> Wrong:
    def say(connection: socket.socket, _: str) -> None:
        for chunk in chunks:
            connection.sendall(chunk)

    return say


def says_json(value: object, **more: object) -> Wrong:
    content = {"ok": True, "result": value, **more}
    return says(json.dumps(content).encode() + b"\n")


def waits(connection: socket.socket, _: str) -> None:
    """Say nothing until the command has gone."""
    while connection.recv(4096):
        continue


def waits_after_progress(connection: socket.socket, verb: str) -> None:
    connection.sendall(PROGRESS)
    waits(connection, verb)


def answers_another(connection: socket.socket, verb: str) -> None:
    """Give the answer of a request that somebody else may have sent."""
    other = "events" if verb == "status" else "status"
    connection.sendall(dump_answer(Result(RIGHT_KINDS, other)))


def never_ends(connection: socket.socket, _: str) -> None:
    for _number in range(LINE_BYTES_MAX // 2**20 + 2):
        connection.sendall(b"x" * 2**20)


@dataclass(frozen=True, slots=True)
class Kind:
    wrong: Wrong
    codes: tuple[int, ...] = (3,)  # Of a command that got no better answer.
    reads: bool = True  # Else the connection is closed with the request unread.
    silent: bool = False
    # Of the commands, as a factor of their real time limits: 0.1 s instead of 10 s. What is late
    # because the machine is busy counts as no answer too.
    patience: float = 0.01


KINDS: Final = {
    "hangs up unread": Kind(says(), reads=False),
    "hangs up": Kind(says()),
    "hangs up after progress": Kind(says(PROGRESS)),
    "ends within a line": Kind(says(PROGRESS, b'{"ok": true, "result": {"text": "do')),
    "speaks otherwise": Kind(says(b"HTTP/1.1 200 OK\r\n\r\n")),
    "says bytes": Kind(says(b"\x00\xff\xfe\xed\xa0\x80\n")),
    "nests deeply": Kind(says(b'{"ok":' * 100_000, b"\n")),
    "says a list": Kind(says(b'[{"ok": true, "result": {}}]\n')),
    "says a number beyond all": Kind(says(b'{"ok": true, "result": {"text": "x", "n": 1e999}}\n')),
    "calls a list a result": Kind(says_json([RIGHT_KINDS])),
    "calls text true": Kind(says_json(RIGHT_KINDS, ok="true")),
    "says nothing at all": Kind(says_json({})),
    "says wrong kinds": Kind(says_json(WRONG_KINDS)),
    "says only an empty progress": Kind(says(b'{"progress": {}}\n', b"\n")),
    "answers another request": Kind(answers_another),
    "never ends its line": Kind(never_ends),
    "calls a failure done": Kind(
        says(b'{"ok": false, "error": "no", "mend": "do", "exit_code": 0}\n'),
        codes=(1, 4),
        patience=1.0,  # It shows that it lives, so a late answer would be one that is to come.
    ),
    "is silent": Kind(waits, silent=True, patience=0.004),
    "is silent after progress": Kind(waits_after_progress, silent=True, patience=0.004),
}


@dataclass
class BadDaemon(FakeDaemon):
    """Answers as it should for a while, then misbehaves."""

    kind: Kind = KINDS["hangs up"]
    good: int = 0  # How many requests it answers well; a ping is not counted.
    good_verbs: tuple[str, ...] = ()  # These it always answers well.
    wronged: set[str] = field(default_factory=set)  # The verbs that got no good answer.

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):  # The command has gone.
            line = b""
            while not line.endswith(b"\n"):
                line = connection.recv(2**16, socket.MSG_PEEK)
                if not line:  # The command has gone before it asked.
                    return
            request = parse_request(line)
            if self._is_wrong(request):
                self.wronged.add(request.verb)
                if self.kind.reads:
                    connection.recv(2**16)
                self.kind.wrong(connection, request.verb)
                return
            connection.recv(2**16)
            connection.sendall(dump_answer(self._answered(request, connection)))

    def _is_wrong(self, request: Request) -> bool:
        # Whoever comes first: a request may be served before another one that was sent before it.
        before = len(self.requests)
        if request.verb != "ping":
            self.requests.append(request)
        return before >= self.good and request.verb not in self.good_verbs

    def _answered(self, request: Request, connection: socket.socket) -> Answer:
        answer = self._answer(request, connection)
        return Result(answer.result, request.verb) if isinstance(answer, Result) else answer
