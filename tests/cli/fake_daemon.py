"""A scripted daemon on a real unix socket: commands cannot tell it from the real one."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from hapair.model.timeline import Happening
from hapair.rpc.history import happening_object
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


@dataclass(slots=True)
class Talk:
    """One connection, as the script of an answer sees it."""

    daemon: "FakeDaemon"
    args: JsonObject
    connection: socket.socket

    def send(self, answer: Answer) -> None:
        self.connection.sendall(dump_answer(answer))

    def progress(self, text: str, done: int | None = None, of: int | None = None) -> None:
        self.send(Progress(text, done, of))

    def wait_until_gone(self) -> None:
        """Return when the command has closed its end, e.g. after Ctrl-C."""
        while self.connection.recv(4096):
            continue
        self.daemon.gone.set()


Script = Callable[[Talk], JsonObject]  # Returns the result; raises RpcError to refuse.


@dataclass
class FakeDaemon:
    """Answers each verb by its script; remembers what was asked."""

    root: Path
    scripts: dict[str, Script] = field(default_factory=dict)
    history: list[Happening] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)  # Something but a question.
    _listening: socket.socket | None = None

    def answer(self, verb: str, result: JsonObject) -> None:
        self.scripts[verb] = lambda _: result

    def refuse(self, verb: str, error: RpcError) -> None:
        def script(_: Talk) -> JsonObject:
            raise error

        self.scripts[verb] = script

    def happens(self, name: str, text: str, application: str = "", severity: str = "info") -> None:
        """Write a line of the history, now."""
        number = len(self.history) + 1
        self.history.append(
            Happening(
                number, time.time(), float(number), "node1", name, text, application, severity
            )
        )

    def asked_for(self, verb: str) -> list[JsonObject]:
        """Return the arguments of each request for a verb, in their order."""
        return [request.args for request in self.requests if request.verb == verb]

    def __enter__(self) -> Self:
        place = self.root / "run/hapair/control.sock"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(place))
        self._listening.listen()
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._listening is not None
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        (self.root / "run/hapair/control.sock").unlink()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            line = connection.makefile("rb").readline()
            if not line:  # The command has gone before it asked.
                return
            request = parse_request(line)
            self.requests.append(request)
            if request.verb not in {"status", "events"}:
                self.asked.set()
            try:
                connection.sendall(dump_answer(self._answer(request, connection)))
            except OSError:
                return  # The command has gone.

    def _answer(self, request: Request, connection: socket.socket) -> Answer:
        script = self.scripts.get(request.verb)
        if script is not None:
            try:
                return Result(script(Talk(self, request.args, connection)))
            except RpcError as error:
                return error
        if request.verb == "events":
            return Result({"events": [happening_object(each) for each in tuple(self.history)]})
        return RpcError(f'the daemon does not know "{request.verb}"')
