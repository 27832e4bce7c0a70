"""Did the daemons stand still, or lose sight of each other, by their own doing?

Guests that get no time of a busy host stand still or creep, and their daemons then say so,
rightly. Two things tell that apart: a process that goes before all others in the guest, which is
late when the guest stands still; and what the host's kernel says of the guest's processes: how long
they waited for a processor. A guest that gets a part of one lets its first process be in time.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from hapair_lab.progress import say
from hapair_lab.recipe import PAYLOAD

PROGRAM: Final = "/usr/local/lib/hapair-lab/lateness.py"
LATENESS: Final = "/run/hapair-lab-lateness"
HISTORY: Final = "/var/lib/hapair/events.jsonl"
PAUSED: Final = "paused"
SILENT: Final = "detected"
PAUSE_S: Final = 0.5  # What a daemon calls standing still, with a detection time of one second.
DETECTION_S: Final = 1.0
WORTH_S: Final = 0.4  # So much of a silence has to be the host's.
SAMPLE_S: Final = 0.25
PROC: Final = Path("/proc")

Moments = list[tuple[float, float]]  # Each from and to, by the wall clock.


@dataclass
class Quiet:
    """Watches the nodes of a lab from ``begin`` on; a node that booted begins anew."""

    lab: Lab
    _since: dict[str, int] = field(default_factory=dict)  # The number of the last line before.
    _waited: dict[str, Moments] = field(default_factory=dict)  # For the host's processors.
    _over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def watching_the_host(self) -> Iterator[None]:
        """Note meanwhile how long the nodes' guests wait for a processor of the host."""
        watch = threading.Thread(target=self._watch_the_host, daemon=True)
        watch.start()
        try:
            yield
        finally:
            self._over.set()
            watch.join()

    def _watch_the_host(self) -> None:
        before: dict[int, int] = {}
        while not self._over.wait(SAMPLE_S):
            after: dict[int, int] = {}
            for node in self.lab.nodes:
                pid, now_s = node.emulator.process.pid() or 0, time.time()
                waited = _waited_ns(pid)
                if pid in before:
                    more_s = sum(ns - before.get(each, 0) for each, ns in waited.items()) / 1e9
                    self._waited.setdefault(node.name, []).append((now_s - more_s, now_s))
                after |= waited
            before = after

    def begin(self, *nodes: Machine) -> None:
        for node in nodes:
            node.put(PROGRAM, (PAYLOAD / "lateness.py").read_bytes())
            node.check(
                f"setsid python3 -I -S {PROGRAM} {LATENESS} </dev/null >/run/lateness.log 2>&1 &"
            )
            self.lab.wait_until(
                f"the lateness of {node.name} is measured",
                lambda node=node: "begun" in node.run(f"cat {LATENESS}").stdout,  # type: ignore[misc]
                timeout_s=PATIENCE_S,
            )
            lines = history(node)
            self._since[node.name] = int(lines[-1]["number"]) if lines else 0

    def disturbed(self) -> list[str]:
        """Return the pauses and silences that were the nodes' own; the host's are only shown."""
        late = {node.name: self._late(node) for node in self.lab.nodes}
        bound_s = DETECTION_S if _host_is_busy() else PAUSE_S
        own, excused = [], 0
        for node in self.lab.nodes:
            for line in history(node):
                number, at_s, text = int(line["number"]), float(line["wall_s"]), str(line["text"])
                if number <= self._since.get(node.name, 0):
                    continue
                if line["name"] == PAUSED:
                    theirs = _host_s(late[node.name], at_s - _paused_s(text) - PAUSE_S, at_s)
                    ours_s = _paused_s(text) - theirs
                elif line["name"] == SILENT:
                    begun_s = at_s - 2 * DETECTION_S
                    theirs = sum(_host_s(each, begun_s, at_s) for each in late.values())
                    ours_s = bound_s if theirs < WORTH_S else 0.0
                else:
                    continue
                if ours_s >= bound_s and ours_s > theirs:
                    own.append(f"{node.name}: {text} (the host: {theirs:.1f} s)")
                else:
                    excused += 1
        if excused:
            say(f"the host let the guests stand still: {excused} pauses or silences are not ours")
        return own

    def _late(self, node: Machine) -> tuple[Moments, Moments]:
        """Return when the guest stood still, and when it waited for a processor."""
        return _moments(node), self._waited.get(node.name, [])


def _host_is_busy() -> bool:
    """Tell whether guests run at half their speed: then only what makes a silence counts."""
    return os.getloadavg()[1] > 2 * (os.cpu_count() or 1)


def history(node: Machine) -> list[dict[str, Any]]:
    lines = []
    for text in node.get(HISTORY).decode(errors="replace").splitlines():
        try:
            lines.append(json.loads(text.strip("\0")))
        except ValueError:  # A power cut leaves half a line.
            continue
    return lines


def _waited_ns(pid: int) -> dict[int, int]:
    """Return how long a guest's kernel and its programs, which it starts, waited up to now."""
    waited = {}
    for task in PROC.glob(f"{pid}/task/*"):
        with contextlib.suppress(OSError):
            for each in (task.name, *(task / "children").read_text().split()):
                with contextlib.suppress(OSError):  # It has ended meanwhile.
                    waited[int(each)] = int((PROC / each / "schedstat").read_text().split()[1])
    return waited


def _moments(node: Machine) -> Moments:
    """Return when the guest stood still, each as (from, to) by the wall clock."""
    text = node.get(LATENESS).decode().replace("begun\n", "")
    found = (tuple(map(float, line.split())) for line in text.splitlines() if line.count(" ") == 1)
    return [(at_s - late_s, at_s) for at_s, late_s in found]


def _host_s(late: tuple[Moments, ...], begin_s: float, end_s: float) -> float:
    return max(_overlap(moments, begin_s, end_s) for moments in late)


def _overlap(moments: Moments, begin_s: float, end_s: float) -> float:
    return sum(max(0.0, min(end, end_s) - max(begin, begin_s)) for begin, end in moments)


def _paused_s(text: str) -> float:
    """Read "this node stood still for 1.2 s; ..."."""
    return float(text.partition(" stood still for ")[2].partition(" ")[0])
