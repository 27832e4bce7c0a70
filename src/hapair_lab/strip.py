"""The power strip: a process that switches guests off and on when another guest asks for it.

Every guest has a serial line to it (the virtio port ``hapair.fence``); ``payload/fence_lab.py`` is
the fence agent that speaks on it. One JSON object per line in both directions:

    {"id": 1, "action": "status", "plug": "node1"}   -> {"id": 1, "state": "on"}
    {"id": 2, "action": "off", "plug": "node1"}      -> {"id": 2, "state": "off"}
    {"id": 3, "action": "list"}                      -> {"id": 3, "plugs": ["node1", "node2"]}
    anything that it cannot or will not do           -> {"id": .., "error": "why"}

The strip itself can fail, see ``Manner``: set as one JSON line on the socket ``control``; the
answer is a line ``done``.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from hapair_lab.links import listening

PORT: Final = "hapair.fence"
CONTROL: Final = "control"
READ_BYTES: Final = 4096
LINE_MAX_BYTES: Final = 64 * 1024
CONTROL_TIMEOUT_S: Final = 30.0
AGENT: Final = Path(__file__).parent / "payload" / "fence_lab.py"
AGENT_PATH: Final = "/usr/sbin/fence_lab"

Message = dict[str, object]


class Manner(StrEnum):
    """How the strip behaves."""

    WORKS = "works"
    DEAD = "dead"  # It has no power itself: no answer, nothing switches.
    REFUSES = "refuses"  # It answers, with an error.


@dataclass(frozen=True, slots=True)
class Setting:
    """How the strip behaves, and how long it takes for each request."""

    manner: Manner = Manner.WORKS
    delay_s: float = 0.0

    def line(self) -> bytes:
        return json.dumps({"manner": self.manner, "delay_s": self.delay_s}).encode() + b"\n"


def read_setting(line: bytes) -> Setting:
    """Read what ``Setting.line`` made; ValueError, KeyError or TypeError if it is none."""
    content = json.loads(line)
    return Setting(Manner(content["manner"]), float(content["delay_s"]))


class Outlet(Protocol):
    """What hangs on one plug."""

    def is_on(self) -> bool: ...
    def power_off(self) -> None: ...
    def power_on(self, *, wait: bool) -> None: ...


def socket_path(folder: Path, guest: str) -> Path:
    """Return the socket at which an emulator plugs in its line to the strip."""
    return folder / guest


def set_strip(folder: Path, setting: Setting) -> None:
    """Tell the running strip how to behave from now on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.settimeout(CONTROL_TIMEOUT_S)
        control.connect(str(folder / CONTROL))
        control.sendall(setting.line())
        with control.makefile("rb") as lines:
            if lines.readline() != b"done\n":
                raise OSError("the power strip refused the setting")


@dataclass(slots=True, eq=False)
class Line:
    """The line of one guest."""

    guest: str
    listener: socket.socket
    link: socket.socket | None = None
    received: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Waiting:
    due_s: float
    line: Line
    request: Message


class Strip:
    """Serves until the process ends."""

    def __init__(
        self,
        folder: Path,
        outlets: Mapping[str, Outlet],
        *,
        guests: tuple[str, ...],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.setting = Setting()
        self._outlets = outlets
        self._now_s = now_s
        self._waiting: list[Waiting] = []
        self._selector = selectors.DefaultSelector()
        self._lines = [Line(guest, listening(socket_path(folder, guest))) for guest in guests]
        for line in self._lines:
            self._selector.register(line.listener, selectors.EVENT_READ, line)
        self._control = listening(folder / CONTROL)
        self._selector.register(self._control, selectors.EVENT_READ, None)

    def serve(self) -> None:
        """Switch for ever."""
        while True:
            self.turn()

    def turn(self, timeout_s: float | None = None) -> None:
        """Do what is to be done now; wait for it at most ``timeout_s``, or for ever."""
        if self._waiting:
            due_in_s = max(min(each.due_s for each in self._waiting) - self._now_s(), 0.0)
            timeout_s = due_in_s if timeout_s is None else min(due_in_s, timeout_s)
        for key, _ in self._selector.select(timeout_s):
            line = key.data
            if line is None:
                self._obey()
            elif key.fileobj is line.listener:
                self._plug_in(line)
            elif key.fileobj is line.link:  # Not a link that was just replaced.
                self._read(line)
        self._do_what_is_due()

    def close(self) -> None:
        """End all lines and stop listening."""
        for line in self._lines:
            self._unplug(line)
            line.listener.close()
        self._control.close()
        self._selector.close()

    def _obey(self) -> None:
        caller, _ = self._control.accept()
        with caller:
            caller.settimeout(1.0)
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                with caller.makefile("rb") as lines:
                    self.setting = read_setting(lines.readline())
                caller.sendall(b"done\n")

    def _plug_in(self, line: Line) -> None:
        link, _ = line.listener.accept()
        self._unplug(line)
        link.settimeout(1.0)
        line.link = link
        self._selector.register(link, selectors.EVENT_READ, line)

    def _unplug(self, line: Line) -> None:
        if line.link is not None:
            self._selector.unregister(line.link)
            line.link.close()
        line.link = None
        line.received.clear()

    def _read(self, line: Line) -> None:
        if line.link is None:
            return
        try:
            data = line.link.recv(READ_BYTES)
        except OSError:
            data = b""
        line.received += data
        if not data or len(line.received) > LINE_MAX_BYTES:
            self._unplug(line)
            return
        *whole, rest = line.received.split(b"\n")
        line.received = rest
        for text in whole:
            self._take(line, bytes(text))

    def _take(self, line: Line, text: bytes) -> None:
        """Note a request; anything else is the rest of one that was cut short, and is dropped."""
        with contextlib.suppress(ValueError):
            request = json.loads(text)
            if isinstance(request, dict) and self.setting.manner is not Manner.DEAD:
                due_s = self._now_s() + self.setting.delay_s
                self._waiting.append(Waiting(due_s, line, request))

    def _do_what_is_due(self) -> None:
        now_s = self._now_s()
        due = [each for each in self._waiting if each.due_s <= now_s]
        self._waiting = [each for each in self._waiting if each.due_s > now_s]
        for each in due:
            if self.setting.manner is not Manner.DEAD:
                answer = {"id": each.request.get("id"), **self._answer(each.request)}
                self._send(each.line, answer)

    def _send(self, line: Line, answer: Message) -> None:
        """Answer; the asker may have lost its power, perhaps by this very request."""
        if line.link is not None:
            with contextlib.suppress(OSError):
                line.link.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, request: Message) -> Message:
        if self.setting.manner is Manner.REFUSES:
            return {"error": "the strip is locked"}
        action, plug = request.get("action"), str(request.get("plug"))
        if action == "list":
            return {"plugs": sorted(self._outlets)}
        outlet = self._outlets.get(plug)
        if outlet is None:
            return {"error": f"there is no plug {plug}: {', '.join(sorted(self._outlets))}"}
        match action:
            case "off" if outlet.is_on():
                outlet.power_off()
            case "on" if not outlet.is_on():
                outlet.power_on(wait=False)
            case "on" | "off" | "status":
                pass
            case _:
                return {"error": f"unknown action {action}"}
        return {"state": "on" if outlet.is_on() else "off"}
