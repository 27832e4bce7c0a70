"""The cable plant: a process that carries Ethernet frames between the emulators' cards.

Every card is a connection on a unix socket of its own; ``links`` has the two ways in which
emulators hand over frames. All cards of a segment hear all frames, like on a hub: nothing is
learnt, so a card move is never measured wrongly, and nothing is lost while both ends listen.

The switch can also fail between two guests, in one direction: see ``Cut``. The list of cuts is set
as one JSON line on the socket ``control``; the answer is a line ``done``.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from hapair_lab import topology
from hapair_lab.links import LINKS, Link, StreamLink, listening
from hapair_lab.topology import Segment

CONTROL: Final = "control"
CONTROL_TIMEOUT_S: Final = 30.0  # For a host that is busy.


class Cut(NamedTuple):
    """Frames from ``source`` do not reach ``target`` on ``segment``."""

    source: str
    target: str
    segment: str


def socket_path(folder: Path, guest: str, card: str) -> Path:
    """Return the socket at which an emulator plugs in a card."""
    return folder / f"{guest}-{card}"


def write_cuts(cuts: frozenset[Cut]) -> bytes:
    """Return the cuts as the line that the control socket takes."""
    return json.dumps(sorted(cuts)).encode() + b"\n"


def read_cuts(line: bytes) -> frozenset[Cut]:
    """Read such a line; ValueError or TypeError if it is none."""
    return frozenset(Cut(*cut) for cut in json.loads(line))


@dataclass(slots=True, eq=False)
class Port:
    """One card's place in the plant."""

    guest: str
    segment: Segment
    listener: socket.socket
    link: Link | None = None


class Hub:
    """Carries frames until the process ends."""

    def __init__(self, folder: Path, link: type[Link] = StreamLink) -> None:
        self.cuts: frozenset[Cut] = frozenset()
        self._link = link
        self._selector = selectors.DefaultSelector()
        self._ports = [
            Port(
                guest.name,
                card.segment,
                listening(socket_path(folder, guest.name, card.name), link.socket_kind),
            )
            for guest in topology.GUESTS
            for card in guest.cards
            if card.segment is not None
        ]
        for port in self._ports:
            self._selector.register(port.listener, selectors.EVENT_READ, port)
        self._control = listening(folder / CONTROL)
        self._selector.register(self._control, selectors.EVENT_READ, None)

    def serve(self) -> None:
        """Carry frames for ever."""
        while True:
            self.turn()

    def turn(self, timeout_s: float | None = None) -> None:
        """Do what is to be done now; wait for it at most ``timeout_s``, or for ever."""
        for key, ready in self._selector.select(timeout_s):
            port = key.data
            if port is None:
                self._obey()
            elif key.fileobj is port.listener:
                self._plug_in(port)
            else:
                if ready & selectors.EVENT_WRITE:
                    self._flush(port)
                if ready & selectors.EVENT_READ:
                    self._carry_from(port)

    def close(self) -> None:
        """Pull out all cards and stop listening."""
        for port in self._ports:
            self._unplug(port)
            port.listener.close()
        self._control.close()
        self._selector.close()

    def _obey(self) -> None:
        """Take a new list of cuts from whoever connected to the control socket."""
        caller, _ = self._control.accept()
        with caller:
            caller.settimeout(1.0)
            try:
                with caller.makefile("rb") as lines:
                    self.cuts = read_cuts(lines.readline())
                caller.sendall(b"done\n")
            except (OSError, ValueError, TypeError) as error:
                print(f"hub: a control line was refused: {error}", file=sys.stderr)

    def _plug_in(self, port: Port) -> None:
        """A new emulator process takes the place of the old one."""
        link, _ = port.listener.accept()
        self._unplug(port)
        link.settimeout(0)
        port.link = self._link(link)
        self._selector.register(link, selectors.EVENT_READ, port)

    def _unplug(self, port: Port) -> None:
        if port.link is not None:
            self._selector.unregister(port.link.socket)
            port.link.socket.close()
        port.link = None

    def _carry_from(self, port: Port) -> None:
        if port.link is None:
            return
        try:
            frames = port.link.receive()
        except (OSError, ValueError):
            self._unplug(port)
            return
        if not frames:
            return
        for other in self._ports:
            if other is not port and other.link is not None and self._reaches(port, other):
                self._give(other, other.link, frames)

    def _reaches(self, source: Port, target: Port) -> bool:
        if source.segment is not target.segment:
            return False
        return Cut(source.guest, target.guest, source.segment) not in self.cuts

    def _give(self, port: Port, link: Link, frames: list[bytes]) -> None:
        was_idle = not link.is_behind()
        link.give(frames)
        if was_idle:
            self._flush(port)

    def _flush(self, port: Port) -> None:
        if port.link is None:
            return
        try:
            port.link.flush()
        except OSError:
            self._unplug(port)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if port.link.is_behind() else 0)
        self._selector.modify(port.link.socket, wanted, port)


def set_cuts(folder: Path, cuts: frozenset[Cut]) -> None:
    """Tell the running hub which directions are cut from now on; all others carry again."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.settimeout(CONTROL_TIMEOUT_S)
        control.connect(str(folder / CONTROL))
        control.sendall(write_cuts(cuts))
        with control.makefile("rb") as lines:
            if lines.readline() != b"done\n":
                raise OSError("the hub refused the list of cuts")


def main() -> None:
    """Run the hub of the lab whose sockets belong into the folder given as first argument.

    The second one says how the emulators hand over frames, see ``links.LINKS``.
    """
    Hub(Path(sys.argv[1]), LINKS[sys.argv[2]]).serve()


if __name__ == "__main__":
    main()
