"""Keeps the host's end of the agents' lines for guests that have no virtio port.

A User Mode Linux guest is born with a connected socket as its serial line, and whoever gave it may
end before the guest does. This process holds the other end, and passes it on: while a guest has
power there is a socket ``GUEST.agent`` as QEMU would make it, for one client after another. A
second line, ``GUEST.ssh``, is for ``cllab ssh``.
"""

from __future__ import annotations

import selectors
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hapair_lab import topology
from hapair_lab.links import listening

READ_BYTES: Final = 256 * 1024
BACKLOG_MAX_BYTES: Final = 4 * 1024 * 1024
READY: Final = "ready"


# The ends of the names of a guest's lines.
LINES: Final = ("agent", "ssh")


def line_path(folder: Path, name: str) -> Path:
    """Return the socket to which a serial line is connected when its guest gets power."""
    return folder / name


def client_path(folder: Path, name: str) -> Path:
    """Return the socket at which the host speaks to the agent on that line."""
    return folder.parent / name


@dataclass(slots=True, eq=False)
class End:
    """One end of a line: what waits to be sent to it."""

    link: socket.socket
    waiting: bytearray = field(default_factory=bytearray)


@dataclass(slots=True, eq=False)
class Line:
    """One line of a guest. Without a client, what the guest says is lost."""

    name: str
    listener: socket.socket
    client_listener: socket.socket | None = None
    guest_end: End | None = None
    client_end: End | None = None


class Relay:
    """Carries bytes until the process ends."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self._folder = folder
        self._selector = selectors.DefaultSelector()
        for name in names:
            line = Line(name, listening(line_path(folder, name)))
            self._selector.register(line.listener, selectors.EVENT_READ, line)

    def turn(self, timeout_s: float | None = None) -> None:
        """Do what is to be done now; wait for it at most ``timeout_s``, or for ever."""
        for key, ready in self._selector.select(timeout_s):
            line: Line = key.data
            if key.fileobj is line.listener:
                self._guest_comes(line)
            elif key.fileobj is line.client_listener:
                self._client_comes(line)
            elif line.guest_end is not None and key.fileobj is line.guest_end.link:
                self._serve(line, line.guest_end, line.client_end, ready)
            elif line.client_end is not None and key.fileobj is line.client_end.link:
                self._serve(line, line.client_end, line.guest_end, ready)

    def close(self) -> None:
        """End all lines."""
        for key in list(self._selector.get_map().values()):
            self._guest_goes(key.data)
            key.data.listener.close()
        self._selector.close()

    def _guest_comes(self, line: Line) -> None:
        link, _ = line.listener.accept()
        self._guest_goes(line)
        line.guest_end = self._end(line, link)
        line.client_listener = listening(client_path(self._folder, line.name))
        self._selector.register(line.client_listener, selectors.EVENT_READ, line)

    def _guest_goes(self, line: Line) -> None:
        self._drop(line.guest_end)
        line.guest_end = None
        self._client_goes(line)
        if line.client_listener is not None:
            self._selector.unregister(line.client_listener)
            line.client_listener.close()
            client_path(self._folder, line.name).unlink(missing_ok=True)
        line.client_listener = None

    def _client_comes(self, line: Line) -> None:
        """Take a client; others wait until it has gone."""
        if line.client_listener is None:
            return
        link, _ = line.client_listener.accept()
        self._selector.unregister(line.client_listener)
        line.client_end = self._end(line, link)

    def _client_goes(self, line: Line) -> None:
        if line.client_end is None:
            return
        self._drop(line.client_end)
        line.client_end = None
        if line.client_listener is not None:
            self._selector.register(line.client_listener, selectors.EVENT_READ, line)

    def _end(self, line: Line, link: socket.socket) -> End:
        link.settimeout(0)
        self._selector.register(link, selectors.EVENT_READ, line)
        return End(link)

    def _drop(self, end: End | None) -> None:
        if end is not None:
            self._selector.unregister(end.link)
            end.link.close()

    def _serve(self, line: Line, source: End, target: End | None, ready: int) -> None:
        """Carry from ``source`` what came, and to it what waits."""
        try:
            if ready & selectors.EVENT_WRITE:
                self._flush(line, source)
            if ready & selectors.EVENT_READ:
                data = source.link.recv(READ_BYTES)
                if not data:
                    raise ConnectionResetError
                if target is not None and len(target.waiting) < BACKLOG_MAX_BYTES:
                    target.waiting += data
                    self._flush(line, target)
        except BlockingIOError:
            return
        except OSError:
            if source is line.guest_end:
                self._guest_goes(line)
            else:
                self._client_goes(line)

    def _flush(self, line: Line, end: End) -> None:
        try:
            sent = end.link.send(end.waiting)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # Its end is noticed when it is read.
        del end.waiting[:sent]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if end.waiting else 0)
        self._selector.modify(end.link, wanted, line)


def main() -> None:
    """Run the relay of the lab whose sockets belong into the folder given as argument."""
    folder = Path(sys.argv[1])
    relay = Relay(folder, tuple(f"{g.name}.{line}" for g in topology.GUESTS for line in LINES))
    (folder / READY).touch()
    while True:
        relay.turn()
