"""The node's history: in memory for questions, in a file for later, on stderr for the journal.

Writing happens in a thread of its own and is never waited for: neither a full disk nor a stuck
log service may delay a failover or a heartbeat.
"""

import json
import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from hapair.core.words.effects import Severity
from hapair.model.text import shown
from hapair.model.timeline import Happening
from hapair.ports.machine import Clock
from hapair.rpc.history import happening_object, read_happening
from hapair.rpc.messages import JsonObject, Malformed, parse_object

REMEMBERED_MAX: Final = 2000
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
UNWRITTEN_MAX: Final = 5000
FLUSH_TIMEOUT_S: Final = 2.0
# systemd reads the priority of a line from its beginning.
PRIORITY: Final = {"info": "<6>", "warning": "<4>", "alarm": "<2>"}

Follower = Callable[[Happening], None]
Show = Callable[[bytes], object]  # Of one line, for people or the journal.


def to_stderr(line: bytes) -> None:
    os.write(sys.stderr.fileno(), line)


class _Writer:
    """Appends lines to the file and to stderr, in a thread that may be left behind."""

    def __init__(self, file: Path, show: Show) -> None:
        self._file = file
        self._show = show
        self._lines: queue.Queue[tuple[str, str] | threading.Event | None] = queue.Queue(
            UNWRITTEN_MAX
        )
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def write(self, line: str, shown: str) -> None:
        try:
            self._lines.put_nowait((line, shown))
        except queue.Full:
            return  # The disk hangs, and history must not hold a decision up: the line is lost.

    def flush(self) -> None:
        on_disk = threading.Event()
        try:
            self._lines.put_nowait(on_disk)
        except queue.Full:
            return
        on_disk.wait(FLUSH_TIMEOUT_S)

    def close(self) -> None:
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(FLUSH_TIMEOUT_S)

    def _run(self) -> None:
        while (item := self._lines.get()) is not None:
            if isinstance(item, threading.Event):
                self._sync()
                item.set()
                continue
            line, shown = item
            try:
                self._show(shown.encode(errors="replace"))
                self._append(line.encode())
            except OSError:
                continue  # A full disk; the journal has its copy.

    def _sync(self) -> None:
        with suppress(OSError), self._file.open("ab") as file:
            os.fsync(file.fileno())

    def _append(self, line: bytes) -> None:
        with self._file.open("ab", buffering=0) as file:
            size_bytes = file.tell()
            file.write(line)
        if size_bytes > FILE_BYTES_MAX:
            self._file.replace(previous_file(self._file))


def previous_file(file: Path) -> Path:
    """Return where the lines before those of ``file`` are."""
    return file.with_suffix(".1.jsonl")


class Journal:
    def __init__(self, node: str, file: Path, clock: Clock, show: Show = to_stderr) -> None:
        self.node = node
        self._clock = clock
        self._remembered: deque[Happening] = deque(_read(file), maxlen=REMEMBERED_MAX)
        self._next = self._remembered[-1].number + 1 if self._remembered else 1
        self._writer = _Writer(file, show)
        self._followers: list[Follower] = []

    def add(
        self,
        name: str,
        text: str,
        *,
        application: str = "",
        severity: Severity = Severity.INFO,
        took_s: float | None = None,
        at_s: float | None = None,
    ) -> None:
        """Write a line; ``at_s`` is given when it tells of an earlier moment."""
        now_s = self._clock.boot_s()
        ago_s = 0.0 if at_s is None else now_s - at_s
        happening = Happening(
            number=self._next,
            wall_s=round(self._clock.wall_s() - ago_s, 3),
            at_s=round(now_s - ago_s, 4),
            node=self.node,
            name=name,
            text=text,
            application=application,
            severity=severity.value,
            took_s=None if took_s is None else round(took_s, 4),
        )
        self._next += 1
        self._remembered.append(happening)
        self._writer.write(json.dumps(happening_object(happening)) + "\n", _shown(happening))
        for follower in tuple(self._followers):
            follower(happening)

    @property
    def newest(self) -> int:
        """Return the number of the last line; 0: there is none."""
        return self._next - 1

    def since(self, number: int, limit: int) -> list[JsonObject]:
        """Return the newest ``limit`` lines whose number is greater than ``number``."""
        wanted = [happening for happening in self._remembered if happening.number > number]
        return [happening_object(happening) for happening in wanted[-limit:] if limit > 0]

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Hand every further line to ``follower`` until the returned function is called."""
        self._followers.append(follower)
        return lambda: self._followers.remove(follower)

    def flush(self) -> None:
        """Wait, bounded, until everything is on the disk: this machine is about to be reset."""
        self._writer.flush()

    def close(self) -> None:
        """Wait, bounded, until everything is written."""
        self._writer.close()


def _shown(happening: Happening) -> str:
    application = f"{happening.application}: " if happening.application else ""
    took = "" if happening.took_s is None else f" ({happening.took_s:.3f} s)"
    priority = PRIORITY.get(happening.severity, "") if "JOURNAL_STREAM" in os.environ else ""
    text = shown(happening.text.expandtabs(1).replace("\n", " | "))
    return f"{priority}{happening.name}: {application}{text}{took}\n"


def _read(file: Path) -> list[Happening]:
    """Read what former daemons wrote; a line that a crash cut in two is passed over."""
    found: list[Happening] = []
    for each in (previous_file(file), file):
        try:
            lines = each.read_bytes().splitlines()
        except OSError:
            continue
        for line in lines[-REMEMBERED_MAX:]:
            try:
                found.append(read_happening(parse_object(line)))
            except Malformed:
                continue
    return found
