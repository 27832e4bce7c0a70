"""One end of the pair of sockets between the daemon and its heart. Nothing here ever waits."""

import socket
from collections.abc import Iterator
from typing import Final

from hapair.adapters.heartbeat.words import Frame, Frames

UNSENT_BYTES_MAX: Final = 1 << 23  # More than comes until a heart whose daemon hangs falls silent.
CHUNK_BYTES: Final = 1 << 18
CHUNKS_AT_ONCE: Final = 64


class Channel:
    def __init__(self, end: socket.socket) -> None:
        end.settimeout(0.0)
        self.end = end
        self.open = True  # Until the other side is gone.
        self._unsent = bytearray()
        self._frames = Frames()

    @property
    def waits(self) -> bool:
        """Tell whether something is to be flushed as soon as there is room."""
        return bool(self._unsent)

    def send(self, frame: bytes) -> None:
        """Send it now or later; drop it when too much waits already."""
        if len(self._unsent) <= UNSENT_BYTES_MAX:
            self._unsent += frame
        self.flush()

    def flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self.end.send(self._unsent[:CHUNK_BYTES])]
        except BlockingIOError:
            return
        except OSError:
            self.open = False

    def read(self) -> Iterator[Frame]:
        """Yield the frames that have come."""
        for _ in range(CHUNKS_AT_ONCE):
            try:
                chunk = self.end.recv(CHUNK_BYTES)
            except BlockingIOError:
                return
            except OSError:
                chunk = b""
            if not chunk:
                self.open = False
                return
            yield from self._frames.cut(chunk)

    def close(self) -> None:
        self.open = False
        self.end.close()
