"""The daemon's side of the line, small: it listens, keeps what it hears, and says what it is told.

with Daemon(path) as daemon:
    daemon.talk("parent").say({"fork": "orders"})
    lems = daemon.talk("orders")
"""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

WAIT_S: Final = 20.0

Message = dict[str, Any]


class Talk:
    """One connection, known by its hello."""

    def __init__(self, line: socket.socket, news: threading.Condition) -> None:
        self._line = line
        self._news = news
        self.heard: list[Message] = []
        self.open = True

    @property
    def name(self) -> str:
        hello = self.heard[0] if self.heard else {}
        return str(hello.get("application", hello.get("hello", "")))

    def say(self, message: Message) -> None:
        self._line.sendall(json.dumps(message).encode() + b"\n")

    def wait(self, wanted: Callable[[Message], bool], *, since: int = 0) -> Message:
        """Return the first message from number ``since`` on that is wanted."""
        found: list[Message] = []

        def there() -> bool:
            found[:] = [each for each in self.heard[since:] if wanted(each)]
            return bool(found)

        with self._news:
            if not self._news.wait_for(there, WAIT_S):
                raise AssertionError(f"it was not said; last: {self.heard[-3:]}")
        return found[0]

    def wait_closed(self) -> None:
        with self._news:
            assert self._news.wait_for(lambda: not self.open, WAIT_S)

    def findings(self, wanted: Callable[[list[Message]], bool], *, since: int = 0) -> list[Message]:
        def there(message: Message) -> bool:
            return "findings" in message and wanted(message["findings"]["findings"])

        listed: list[Message] = self.wait(there, since=since)["findings"]["findings"]
        return listed

    def state(self, name: str, wanted: Callable[[Message], bool], *, since: int = 0) -> Message:
        """Return the state of a monitor as soon as it is wanted."""

        def of(message: Message) -> list[Message]:
            monitors = message.get("states", {}).get("monitors", [])
            return [each for each in monitors if each["name"] == name and wanted(each)]

        return of(self.wait(lambda message: bool(of(message)), since=since))[0]

    def read(self) -> None:
        with suppress(ConnectionError), self._line, self._line.makefile("rb") as lines:
            for line in lines:
                with self._news:
                    self.heard.append(json.loads(line))
                    self._news.notify_all()
        with self._news:
            self.open = False
            self._news.notify_all()

    def close(self) -> None:
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)


class Daemon:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._news = threading.Condition()
        self.talks: list[Talk] = []
        self._threads: list[threading.Thread] = []
        self._server = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        self._server.bind(str(self._path))
        self._server.listen(512)
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._path.unlink(missing_ok=True)
        for each in self.talks:
            each.close()
        for thread in self._threads:
            thread.join()

    def talk(self, name: str, *, number: int = 0) -> Talk:
        """Return the connection of a Lems, or of the ``parent``; the so many-th one."""
        found: list[Talk] = []

        def there() -> bool:
            found[:] = [each for each in self.talks if each.name == name]
            return len(found) > number

        with self._news:
            assert self._news.wait_for(there, WAIT_S), f"{name} did not come"
        return found[number]

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            talk = Talk(line, self._news)
            self.talks.append(talk)
            self._start(talk.read)

    def _start(self, call: Callable[[], None]) -> None:
        thread = threading.Thread(target=call)
        thread.start()
        self._threads.append(thread)
