"""How emulators hand Ethernet frames to the cable plant.

QEMU (``-netdev stream``) uses a stream socket on which each frame is preceded by its length, User
Mode Linux (``transport=bess``) a socket of packets, one frame each. What a guest that does not read
cannot take is dropped after ``BACKLOG_MAX_BYTES``.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections import deque
from pathlib import Path
from typing import ClassVar, Final

BACKLOG_MAX_BYTES: Final = 256 * 1024
READ_BYTES: Final = 256 * 1024
LENGTH_BYTES: Final = 4
FRAME_MAX_BYTES: Final = 70_000
# So many packets are read before others have their turn.
PACKETS_AT_ONCE: Final = 64


def whole_frames_bytes(data: bytes | bytearray) -> int:
    """Return how many bytes at the beginning of ``data`` are complete frames.

    Raises:
        ValueError: A length is impossible; the connection is of no use any more.
    """
    end = 0
    while end + LENGTH_BYTES <= len(data):
        length = int.from_bytes(data[end : end + LENGTH_BYTES], "big")
        if length > FRAME_MAX_BYTES:
            raise ValueError(f"a frame of {length} bytes")
        if end + LENGTH_BYTES + length > len(data):
            break
        end += LENGTH_BYTES + length
    return end


class Link(ABC):
    """The connection of one card; ``socket`` does not block."""

    socket_kind: ClassVar[socket.SocketKind]

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection

    @abstractmethod
    def receive(self) -> list[bytes]:
        """Return what came and is whole, to be given to links of the same kind.

        Raises:
            OSError: The emulator ended, or unplugged the card.
            ValueError: What it sent are no frames; the connection is of no use any more.
        """

    @abstractmethod
    def give(self, frames: list[bytes]) -> None:
        """Queue what ``receive`` of another link returned."""

    @abstractmethod
    def flush(self) -> None:
        """Send as much of the queue as the emulator takes; OSError when it ended."""

    @abstractmethod
    def is_behind(self) -> bool:
        """Tell whether something is queued."""


class StreamLink(Link):
    """Frames with their lengths before them, in pieces of any size."""

    socket_kind = socket.SOCK_STREAM

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self._received = bytearray()
        self._waiting = bytearray()

    def receive(self) -> list[bytes]:
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionResetError
        self._received += data
        end = whole_frames_bytes(self._received)
        frames = bytes(self._received[:end])
        del self._received[:end]
        return [frames] if frames else []

    def give(self, frames: list[bytes]) -> None:
        for each in frames:
            # All that was read at once may be longer, and who listens loses nothing.
            if not self._waiting or len(self._waiting) + len(each) <= BACKLOG_MAX_BYTES:
                self._waiting += each

    def flush(self) -> None:
        try:
            sent = self.socket.send(self._waiting)
        except BlockingIOError:
            return
        del self._waiting[:sent]

    def is_behind(self) -> bool:
        return bool(self._waiting)


class PacketLink(Link):
    """One frame in each packet."""

    socket_kind = socket.SOCK_SEQPACKET

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0

    def receive(self) -> list[bytes]:
        frames: list[bytes] = []
        while len(frames) < PACKETS_AT_ONCE:
            try:
                frame = self.socket.recv(FRAME_MAX_BYTES)
            except BlockingIOError:
                break
            if not frame:
                if not frames:
                    raise ConnectionResetError
                break  # Its end is seen again when these have been carried.
            frames.append(frame)
        return frames

    def give(self, frames: list[bytes]) -> None:
        for frame in frames:
            if self._waiting_bytes + len(frame) <= BACKLOG_MAX_BYTES:
                self._waiting.append(frame)
                self._waiting_bytes += len(frame)

    def flush(self) -> None:
        while self._waiting:
            try:
                self.socket.send(self._waiting[0])
            except BlockingIOError:
                return
            self._waiting_bytes -= len(self._waiting.popleft())

    def is_behind(self) -> bool:
        return bool(self._waiting)


LINKS: Final[dict[str, type[Link]]] = {"stream": StreamLink, "packets": PacketLink}


def listening(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """Listen at a place that does not exist before whoever finds it there can connect."""
    coming = path.with_name(f".{path.name}")
    coming.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(str(coming))
    listener.listen()
    listener.settimeout(0)
    coming.rename(path)
    return listener
