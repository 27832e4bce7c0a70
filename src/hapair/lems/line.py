"""The line to the daemon: lines of JSON both ways, and a new try whenever it breaks."""

import json
import select
import socket
from collections.abc import Callable, Mapping
from typing import Final

from hapair.lems.loop import Loop, boot_s

HEARD_BYTES_MAX: Final = 16 << 20  # All monitors with all that may be written of them.
WAITING_BYTES_MAX: Final = 4 << 20  # A daemon that takes nothing off the line is no daemon.
# The daemon listens ever more slowly to who says more. Of each of the long messages:
SAID_BYTES_S: Final = 128 * 1024.0
SAID_AT_ONCE_BYTES: Final = 128 * 1024
CHUNK_BYTES: Final = 1 << 16
TRY_FIRST_S: Final = 0.2
TRY_LAST_S: Final = 2.0

Message = Mapping[str, object]


class Pace:
    """How soon a long message may be said again."""

    def __init__(self) -> None:
        self._until_s = 0.0  # What was said is taken off the line by then.

    def said(self, size_bytes: int) -> None:
        self._until_s = max(self._until_s, boot_s()) + size_bytes / SAID_BYTES_S

    @property
    def wait_s(self) -> float:
        return max(0.0, self._until_s - boot_s() - SAID_AT_ONCE_BYTES / SAID_BYTES_S)


class Line:
    """Connects again and again; ``hello`` is called for each new connection."""

    def __init__(
        self, loop: Loop, path: str, hello: Callable[[], object], heard: Callable[[Message], object]
    ) -> None:
        self._loop = loop
        self._path = path
        self._hello = hello
        self._heard = heard
        self._socket: socket.socket | None = None
        self._in = bytearray()
        self._out = bytearray()
        self._waits = False  # For room on the line.
        self._pause_s = TRY_FIRST_S
        self.lost_s = boot_s()  # Since when there is no connection, if there is none.

    @property
    def connected(self) -> bool:
        return self._socket is not None

    def connect(self) -> None:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(0)
        try:
            made.connect(self._path)
        except OSError:
            made.close()
            self._loop.after(self._pause_s, self.connect)
            self._pause_s = min(TRY_LAST_S, self._pause_s * 2)
            return
        self._socket = made
        self._loop.watch(made.fileno(), self._ready)
        self._hello()

    def say(self, message: Message) -> int:
        """Send a message, or forget it while there is no connection; return its bytes."""
        if self._socket is None:
            return 0
        said = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        self._out += said
        self._flush()
        return len(said)

    def close(self) -> None:
        """Close it without another try."""
        if self._socket is not None:
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _ready(self) -> None:
        if self._out:
            self._flush()
        if (line := self._socket) is None:
            return
        try:
            content = line.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if not content:
            self._lost()
            return
        *lines, rest = (self._in + content).split(b"\n")
        self._in = rest
        if len(rest) > HEARD_BYTES_MAX:
            self._lost()
            return
        for each in lines:
            self._take(bytes(each))

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            self._lost()
            return
        if isinstance(message, dict):
            self._pause_s = TRY_FIRST_S
            self._heard(message)

    def _flush(self) -> None:
        line = self._socket
        if line is None:
            return
        try:
            del self._out[: line.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self._lost()
            return
        if len(self._out) > WAITING_BYTES_MAX:
            self._lost()
            return
        if self._waits != bool(self._out):
            self._waits = bool(self._out)
            waits = select.POLLOUT if self._waits else 0
            self._loop.watch(line.fileno(), self._ready, select.POLLIN | waits)

    def _lost(self) -> None:
        if self._socket is None:
            return
        self.close()
        self._in.clear()
        self._out.clear()
        self._waits = False
        self.lost_s = boot_s()
        self._loop.after(self._pause_s, self.connect)
        self._pause_s = min(TRY_LAST_S, self._pause_s * 2)
