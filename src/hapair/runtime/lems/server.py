"""The socket of Lems: root alone may speak, and nobody may say more than is good."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from hapair.core.words.effects import Severity
from hapair.ports.machine import Clock
from hapair.ports.programs import Grip
from hapair.rpc.messages import Malformed
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.lems.wire import LINE_BYTES_MAX, Found, States, Word, read_word

CREDENTIALS: Final = struct.Struct("3i")
CONNECTIONS_MAX: Final = 1024  # 200 applications, and what is being replaced.
UNSENT_BYTES_MAX: Final = 4 * 1024 * 1024
# Of each connection. Who says more is listened to more slowly, and is silent at last.
LINES_S: Final = 20.0
BYTES_S: Final = 256 * 1024.0
AT_ONCE_S: Final = 10.0  # So many seconds' worth may come at once.


@dataclass(frozen=True, slots=True)
class Caller:
    user: int
    pid: int


def caller_of(connection: socket.socket) -> Caller:
    """Return who connected, according to the kernel."""
    content = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    pid, user, _ = CREDENTIALS.unpack(content)
    return Caller(user, pid)


@dataclass(slots=True)
class Budget:
    """What may come: it fills with time, and a word that empties it is waited for."""

    lines: float = LINES_S * AT_ONCE_S
    bytes_: float = BYTES_S * AT_ONCE_S
    at_s: float = 0.0

    def wait_s(self, size_bytes: int, now_s: float) -> float:
        """Take a line of this size out of it; return how long to wait before the next one."""
        spent_s = max(0.0, now_s - self.at_s)
        self.at_s = now_s
        self.lines = min(self.lines + spent_s * LINES_S, LINES_S * AT_ONCE_S) - 1
        self.bytes_ = min(self.bytes_ + spent_s * BYTES_S, BYTES_S * AT_ONCE_S) - size_bytes
        return max(0.0, -self.lines / LINES_S, -self.bytes_ / BYTES_S)


class Line:
    """One connection, of a Lems or of the parent of all."""

    def __init__(self, writer: asyncio.StreamWriter, pid: int, grip: Grip, now_s: float) -> None:
        self._writer = writer
        self.pid = pid
        self._grip = grip
        self.heard_s = now_s  # When it said something for the last time.
        self.version = ""
        self.application = ""  # Whose Lems it is.
        self.told_of: object = None  # From what it was told what to watch.
        self.found: Found | None = None  # What it found last, of whatever run.
        self.states: States | None = None

    @property
    def open(self) -> bool:
        return not self._writer.is_closing()

    def send(self, word: bytes) -> None:
        """Send without waiting; who does not read is cut off."""
        if self._writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self._writer.transport.abort()
        elif self.open:
            self._writer.write(word)

    def drop(self) -> None:
        """End the connection, not the process."""
        self._writer.transport.abort()

    def kill(self) -> None:
        """End the process at the other end, whatever it does, and the connection."""
        self._grip.kill()
        self.drop()


class Listener(Protocol):
    def heard(self, line: Line, word: Word) -> None: ...
    def gone(self, line: Line) -> None: ...


class LemsServer:
    def __init__(
        self,
        place: Path,
        listener: Listener,
        journal: Journal,
        clock: Clock,
        grip: Callable[[int], Grip],
        identify: Callable[[socket.socket], Caller] = caller_of,
    ) -> None:
        self._place = place
        self._listener = listener
        self._journal = journal
        self._clock = clock
        self._grip = grip
        self._identify = identify
        self._connections: set[asyncio.StreamWriter] = set()
        self._malformed = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; a socket that a killed daemon left behind is replaced."""
        self._place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._place.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        mask = os.umask(0o177)
        try:
            listening.bind(str(self._place))
        finally:
            os.umask(mask)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listening, limit=LINE_BYTES_MAX, backlog=CONNECTIONS_MAX
        )

    async def close(self) -> None:
        """Stop listening. Lems go on: they connect to the next daemon."""
        if self._server is not None:
            self._server.close()
        for each in tuple(self._connections):
            each.transport.abort()
        self._place.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = self._identify(writer.get_extra_info("socket"))
        self._connections.add(writer)
        try:
            if caller.user in {0, os.geteuid()} and len(self._connections) <= CONNECTIONS_MAX:
                with suppress(ProcessLookupError):  # It has ended already.
                    await self._listen(reader, writer, caller.pid)
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _listen(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int
    ) -> None:
        grip, budget = self._grip(pid), Budget(at_s=self._clock.boot_s())
        line = Line(writer, pid, grip, self._clock.boot_s())
        try:
            while content := await reader.readuntil(b"\n"):
                line.heard_s = self._clock.boot_s()
                self._listener.heard(line, read_word(content))
                wait_s = budget.wait_s(len(content), line.heard_s)
                await asyncio.sleep(wait_s)
        except (Malformed, asyncio.LimitOverrunError) as error:
            self._tell_malformed(str(error))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            grip.close()
            self._listener.gone(line)

    def _tell_malformed(self, why: str) -> None:
        """Tell it once: who says such things says them again and again."""
        self._malformed += 1
        if self._malformed == 1:
            text = f"what a Lems says is not understood, and its connection was closed: {why}"
            self._journal.add("malformed", text, severity=Severity.WARNING)
