"""The host's end of the agent's port: runs commands in a guest without logging in.

Several commands may run at once; a thread reads the answers and gives each to who waits for it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair_lab.errors import LabError

CHUNK_BYTES: Final = 128 * 1024
CONNECT_TIMEOUT_S: Final = 60.0
RETRY_S: Final = 0.05
HELLO_TIMEOUT_S: Final = 1.0
AGAIN_S: Final = 5.0  # A serial line may have lost the request or its answer.
STANDS_STILL_S: Final = 60.0  # So long a guest may take nothing, on a host that does much else.
GRACE_S: Final = 20.0  # A guest that is slow to answer after the time limit of a command.

Answer = Mapping[str, object]


class GuestGoneError(LabError):
    """The guest lost power, or was reset, while something was asked of it."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ran in a guest to its end, or to its time limit."""

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """Tell whether the command ended with exit code 0."""
        return self.exit_code == 0


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that waits for its answer, and the agent that it was sent to, if that is known."""

    data: bytes
    agent: object
    future: Future[Answer]


def _text(answer: Answer, name: str) -> str:
    return base64.b64decode(str(answer.get(name, ""))).decode(errors="replace")


class Channel:
    """A connection to the agent of one guest."""

    def __init__(
        self,
        guest: str,
        path: Path,
        *,
        window_bytes: int | None = None,
        is_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """Connect to the agent.

        Args:
            guest: Its name, for messages.
            path: The socket at which the guest's port, or line, is reached.
            window_bytes: How much may be on its way to an agent that says what it took. A serial
                line of User Mode Linux stands still for ever when its buffer was once full.
            is_on: Tells whether the guest has power: nobody waits for one that has none.
        """
        self._guest = guest
        self._path = path
        self._window_bytes = window_bytes
        self._is_on = is_on
        self._on_its_way_bytes = 0
        self._probe: int | None = None  # The word that a guest which takes nothing was asked for.
        self._has_ended = False
        self._took = threading.Condition()
        self._waiting: dict[int, _Asked] = {}
        self._agent: object = None  # Which one answered last.
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        # The end of a line that an earlier host, or a request that found no room, left half sent.
        self._line_end = b"\n"
        # Numbers differ between connections, so that an answer to an old one is never taken.
        self._number = time.time_ns()
        self._socket = self._connect()
        self._reader = threading.Thread(target=self._read, name=f"channel {guest}", daemon=True)
        self._reader.start()

    def _connect(self) -> socket.socket:
        deadline_s = time.monotonic() + CONNECT_TIMEOUT_S
        while True:
            attempt = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                attempt.connect(str(self._path))
            except OSError as error:
                attempt.close()
                if time.monotonic() > deadline_s or not self._is_on():
                    raise GuestGoneError(f"{self._guest} is not reached: {error}") from error
                time.sleep(RETRY_S)
            else:
                return attempt

    def _read(self) -> None:
        with contextlib.suppress(OSError), self._socket.makefile("rb") as lines:
            for line in lines:
                self._take(line)
        with self._took:
            self._has_ended = True
            self._took.notify_all()  # Nobody will say any more what was taken.
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for asked in waiting.values():
            asked.future.set_exception(GuestGoneError(f"{self._guest} lost power or was closed"))

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return  # The tail of an answer that an earlier host asked for.
        if not isinstance(message, dict):
            return
        if isinstance(message.get("took_bytes"), int):
            with self._took:
                left = self._on_its_way_bytes - message["took_bytes"]
                self._on_its_way_bytes = max(left, 0)  # Some may have come from an earlier host.
                self._took.notify()
        if "hello" in message:
            with self._took:
                if message.get("id") == self._probe:
                    self._on_its_way_bytes = 0
                    self._took.notify()
        # A serial line that nobody has made raw yet, as while a guest boots, echoes what it gets.
        is_echo = "do" in message
        if not isinstance(message.get("id"), int) or is_echo:
            return
        if message.get("unknown"):
            self._send_once_more(message["id"], message.get("agent"))
            return
        with self._lock:
            self._agent = message.get("agent")
            asked = self._waiting.pop(message["id"], None)
        if asked is not None:
            asked.future.set_result(message)

    def _send_once_more(self, number: int, agent: object) -> None:
        """Send a request that was lost. Another agent cannot know what the one before did."""
        with self._lock:
            asked = self._waiting.get(number)
            if asked is None or agent is None or asked.agent is None:
                return
            if agent != asked.agent:
                del self._waiting[number]
        if agent != asked.agent:
            gone = f"{self._guest} was started anew before it answered"
            asked.future.set_exception(GuestGoneError(gone))
            return
        threading.Thread(target=self._try_to_send, args=(asked.data,), daemon=True).start()

    def _try_to_send(self, data: bytes) -> None:
        """Send what is asked for again later, should it not arrive."""
        with self._sending, contextlib.suppress(OSError):
            self._send(b"\n" + data)

    def ask(self, request: Mapping[str, object]) -> Future[Answer]:
        """Send a request; the answer comes into the future."""
        return self._ask(request)[1]

    def _ask(self, request: Mapping[str, object]) -> tuple[int, Future[Answer]]:
        future: Future[Answer] = Future()
        with self._lock:
            self._number += 1
            number = self._number
            data = json.dumps({"id": number, **request}).encode() + b"\n"
            self._waiting[number] = _Asked(data, self._agent, future)
        with self._sending:
            try:
                self._send(self._line_end + data)
                self._line_end = b""
            except OSError as error:
                self._line_end = b"\n"
                with self._lock:
                    nobody_told = self._waiting.pop(number, None) is not None
                if nobody_told:  # Else who reads saw the end first.
                    future.set_exception(GuestGoneError(f"{self._guest} is not reached: {error}"))
        return number, future

    def _send(self, data: bytes) -> None:
        """Send all; OSError when the guest is gone, or takes nothing for a long time."""
        if self._window_bytes is None:
            self._socket.sendall(data)
            return
        while not self._went_out(data, self._window_bytes):
            data = b"\n" + data

    def _went_out(self, data: bytes, window_bytes: int) -> bool:
        """Send all, a window at a time; False when the line was asked amid it what it took."""
        for start in range(0, len(data), window_bytes):
            part = data[start : start + window_bytes]
            if not self._has_room(len(part), window_bytes):
                return False
            self._socket.sendall(part)
        return True

    def _has_room(self, size_bytes: int, window_bytes: int) -> bool:
        """Wait until so much may be sent, which is then on its way.

        A line that loses bytes loses what was said of them too, and the window would stay shut for
        ever. So a guest that is quiet is asked for a word: with its answer, all that was sent
        before it has been taken, or is lost. What was half sent is spoilt by that, and False.
        """

        def may_go_on() -> bool:
            return self._has_ended or self._on_its_way_bytes + size_bytes <= window_bytes

        until_s = time.monotonic() + STANDS_STILL_S
        was_asked = False
        with self._took:
            while not self._took.wait_for(may_go_on, AGAIN_S):
                if time.monotonic() > until_s:
                    raise TimeoutError(f"it takes nothing for {STANDS_STILL_S:.0f} s")
                was_asked = True
                self._probe = time.time_ns()
                probe = {"id": self._probe, "do": "hello"}
                self._socket.sendall(b"\n" + json.dumps(probe).encode() + b"\n")
            self._probe = None  # A later answer says nothing of what is sent from now on.
            if self._has_ended:
                raise ConnectionResetError("its line has ended")
            if not was_asked:
                self._on_its_way_bytes += size_bytes
        return not was_asked

    def answer(self, request: Mapping[str, object], timeout_s: float) -> Answer:
        """Send a request and wait for its answer; LabError if the agent could not do it."""
        number, future = self._ask(request)
        answer = self._awaited(number, future, timeout_s)
        if "error" in answer:
            raise LabError(f"{self._guest}: {answer['error']}")
        return answer

    def _awaited(self, number: int, future: Future[Answer], timeout_s: float) -> Answer:
        """Wait for an answer, and ask for it again on a line that may lose it."""
        until_s = time.monotonic() + timeout_s
        again = json.dumps({"id": number, "do": "again"}).encode() + b"\n"
        while True:
            left_s = until_s - time.monotonic()
            try:
                return future.result(min(left_s, AGAIN_S) if self._window_bytes else left_s)
            except FutureTimeoutError as error:
                if left_s > AGAIN_S:
                    self._try_to_send(again)
                    continue
                with self._lock:
                    self._waiting.pop(number, None)
                said = f"{self._guest} gave no answer within {timeout_s} s"
                raise GuestGoneError(said) from error

    def answers_hello(self) -> bool:
        """Tell whether the agent runs and answers at once."""
        try:
            return "hello" in self.answer({"do": "hello"}, HELLO_TIMEOUT_S)
        except GuestGoneError:
            return False

    def run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b"") -> Finished:
        """Run a command; after ``timeout_s`` it is killed and the result says so."""
        request = {
            "do": "run",
            "argv": list(argv),
            "timeout_s": timeout_s,
            "stdin": base64.b64encode(stdin).decode(),
        }
        answer = self.answer(request, timeout_s + GRACE_S)
        return Finished(
            exit_code=int(str(answer["exit_code"])),
            stdout=_text(answer, "stdout"),
            stderr=_text(answer, "stderr"),
            timed_out=bool(answer.get("timed_out", False)),
        )

    def put(self, path: str, content: bytes, mode: int) -> None:
        """Write a file in the guest."""
        for start in range(0, max(len(content), 1), CHUNK_BYTES):
            data = base64.b64encode(content[start : start + CHUNK_BYTES]).decode()
            append = start > 0
            request = {"do": "put", "path": path, "mode": mode, "data": data, "append": append}
            self.answer(request, GRACE_S)

    def get(self, path: str, offset: int = 0) -> bytes:
        """Read a file of the guest, from ``offset`` on."""
        content = b""
        while True:
            at = offset + len(content)
            request = {"do": "get", "path": path, "offset": at, "size": CHUNK_BYTES}
            part = base64.b64decode(str(self.answer(request, GRACE_S)["data"]))
            content += part
            if len(part) < CHUNK_BYTES:
                return content

    def ask_server(self, path: str, line: bytes, timeout_s: float) -> bytes:
        """Send a line to a server behind a socket in the guest; return the first line it says."""
        data = base64.b64encode(line).decode()
        request = {"do": "ask", "path": path, "data": data, "timeout_s": timeout_s}
        return base64.b64decode(str(self.answer(request, timeout_s + GRACE_S)["data"]))

    def set_clock(self, wall_clock_s: float) -> None:
        """Set the guest's wall clock, e.g. after it was restored from a snapshot."""
        self.answer({"do": "clock", "wall_clock_s": wall_clock_s}, GRACE_S)

    def is_open(self) -> bool:
        """Tell whether the emulator still holds its end."""
        return self._reader.is_alive()

    def close(self) -> None:
        """Close the connection; the agent waits for the next."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._socket.close()
