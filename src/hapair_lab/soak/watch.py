"""Watches both nodes all the time: who can write, who has mounted, where a program runs.

A sample is true at some moment between the question and the answer. What two samples in a row
say is taken to hold from the first answer to the second question. So an overlap of both nodes is
proven, and a planned move between two samples is none.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Final

from hapair_lab.channel import GuestGoneError
from hapair_lab.errors import LabError
from hapair_lab.machine import Machine
from hapair_lab.rules import BrokenRuleError, NodeSeen, one_writer

EVERY_S: Final = 0.3
ANSWER_TIMEOUT_S: Final = 3.0
LATE_S: Final = 1.5  # A sample that took longer, or a longer pause between two, proves nothing.
KEPT_S: Final = 30.0
READ_BYTES: Final = 65536
DRBD: Final = "/proc/drbd"
MOUNTS: Final = "/proc/mounts"
PROGRAMS: Final = "/sys/fs/cgroup/hapair.slice/hapair-apps.service/{}/cgroup.procs"
# A unit has its own group.
UNITS: Final = {
    "postgresql": "/sys/fs/cgroup/system.slice/system-postgresql.slice/"
    "postgresql@15-main.service/cgroup.procs"
}
ALONE: Final = ("StandAlone", "WFConnection", "Unconnected", "NetworkFailure", "Disconnecting")
DEVICE: Final = re.compile(
    # The letter of the protocol is missing while the connection is StandAlone.
    r"^ *(?P<minor>\d+): cs:(?P<connection>\S+) ro:(?P<role>\w+)/\S+ ds:(?P<disk>\w+)/\S+ "
    r"+(?:[ABC] +)?(?P<flags>\S+)",
    re.MULTILINE,
)


def programs_of(application: str) -> str:
    """Return the file with the numbers of the processes of an application."""
    return UNITS.get(application, PROGRAMS.format(application))


@dataclass(frozen=True, slots=True)
class Sample:
    """What one node said of itself, and when it was asked and answered (host's monotonic clock)."""

    seen: NodeSeen
    writing: NodeSeen  # Without what the kernel holds back.
    asked_s: float
    answered_s: float


def read_seen(
    node: str, texts: Mapping[str, str], applications: Sequence[str], *, held_by_kernel: bool
) -> NodeSeen:
    """Make sense of the files of a node.

    With ``held_by_kernel`` (``fencing resource-and-stonith``) a Primary whose writes are suspended
    cannot acknowledge one, and neither can one that still believes itself connected, because each
    write waits for the peer: such a side, its mounts and programs are no writers. Nor is one that
    has neither its disk nor its peer: what was frozen there ends with errors.
    """
    devices = tuple(DEVICE.finditer(texts.get(DRBD, "")))
    primary = tuple(f"drbd{d['minor']}" for d in devices if d["role"] == "Primary")
    held = {
        f"drbd{d['minor']}"
        for d in devices
        if held_by_kernel
        and (
            d["flags"].startswith("s")
            or d["connection"] == "Connected"
            or (d["disk"] == "Diskless" and d["connection"] in ALONE)
        )
    }
    mounted, holds = [], set()
    for line in texts.get(MOUNTS, "").splitlines():
        device, folder, _, options, *_ = line.split()
        name = device.removeprefix("/dev/")
        if device.startswith("/dev/drbd") and options.split(",")[0] == "rw":
            if name in held:
                holds.add(folder.rpartition("/")[2])
            else:
                mounted.append(folder)
    running = (name for name in applications if texts.get(programs_of(name), "").strip())
    return NodeSeen(
        node=node,
        primary=tuple(name for name in primary if name not in held),
        mounted=tuple(mounted),
        programs=tuple(name for name in running if name not in holds),
    )


@dataclass(slots=True)
class Run:
    """A time through which a fact surely held."""

    fact: tuple[str, str]
    since_s: float
    until_s: float
    answered_s: float


def facts_of(seen: NodeSeen) -> tuple[tuple[str, str], ...]:
    """Return what a node has, each with its sort."""
    return (
        *(("primary", name) for name in seen.primary),
        *(("mounted", name) for name in seen.mounted),
        *(("program", name) for name in seen.programs),
    )


@dataclass(slots=True)
class History:
    """The samples of both nodes, as the times through which each fact held."""

    runs: dict[str, list[Run]] = field(default_factory=dict)
    asked_s: dict[str, float] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        """Take in a sample of one node; BrokenRuleError when both nodes write.

        Raises:
            BrokenRuleError: both nodes surely had the same thing at the same moment.
        """
        if sample.answered_s - sample.asked_s > LATE_S:
            return
        node = sample.seen.node
        runs = self.runs.setdefault(node, [])
        for fact in facts_of(sample.writing):
            lately = sample.asked_s - LATE_S
            going_on = [r for r in runs if r.fact == fact and r.answered_s >= lately]
            if going_on:
                going_on[-1].until_s = sample.asked_s
                going_on[-1].answered_s = sample.answered_s
            else:
                at_s = sample.answered_s
                runs.append(Run(fact, at_s, at_s, at_s))
        self.asked_s[node] = sample.asked_s
        self.runs[node] = [r for r in runs if r.until_s > sample.asked_s - KEPT_S]
        at_s = min(self.asked_s.values())
        one_writer([self.seen_at(name, at_s) for name in sorted(self.runs)])

    def seen_at(self, node: str, at_s: float) -> NodeSeen:
        """Return what a node surely had at a moment."""
        facts = [run.fact for run in self.runs.get(node, ()) if run.since_s <= at_s <= run.until_s]

        def of(sort: str) -> tuple[str, ...]:
            return tuple(name for kind, name in facts if kind == sort)

        return NodeSeen(node, of("primary"), of("mounted"), of("program"))


class Watcher:
    """Samples the nodes in threads of its own, from ``start`` to ``stop``."""

    def __init__(
        self,
        nodes: Sequence[Machine],
        applications: Sequence[str],
        *,
        found: Callable[[str], None],
    ) -> None:
        self._nodes = tuple(nodes)
        self._applications = tuple(applications)
        self._found = found
        self._history = History()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._latest: dict[str, Sample] = {}
        self._threads = [
            threading.Thread(target=self._watch, args=(node,), name=f"watch {node.name}")
            for node in self._nodes
        ]
        self.samples = 0
        self.broken: list[str] = []  # One for each moment with two writable sides.

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def stop(self) -> None:
        """End, and wait until nothing is asked any more."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def latest(self, node: str) -> NodeSeen | None:
        """Return what a node said last, if that is not long ago."""
        with self._lock:
            sample = self._latest.get(node)
        if sample is None or time.monotonic() - sample.answered_s > ANSWER_TIMEOUT_S:
            return None
        return sample.seen

    def where(self, application: str) -> str:
        """Return the node where the program runs; empty when on none, or when not known."""
        for node in self._nodes:
            seen = self.latest(node.name)
            if seen is not None and application in seen.programs:
                return node.name
        return ""

    def _watch(self, node: Machine) -> None:
        while not self._ended.wait(EVERY_S):
            sample = self._ask(node)
            if sample is None:
                continue
            with self._lock:
                self.samples += 1
                self._latest[node.name] = sample
                try:
                    self._history.add(sample)
                except BrokenRuleError as error:
                    if str(error) not in self.broken[-1:]:
                        self.broken.append(str(error))
                        self._found(str(error))

    def _ask(self, node: Machine) -> Sample | None:
        paths = (DRBD, MOUNTS, *map(programs_of, self._applications))
        asked_s = time.monotonic()
        try:
            channel = node.channel()
            asked = [
                channel.ask({"do": "get", "path": path, "offset": 0, "size": READ_BYTES})
                for path in paths
            ]
            answers = [future.result(ANSWER_TIMEOUT_S) for future in asked]
        except (LabError, GuestGoneError, FutureTimeoutError):
            return None
        texts = {
            path: base64.b64decode(str(answer.get("data", ""))).decode(errors="replace")
            for path, answer in zip(paths, answers, strict=True)
        }
        seen, writing = (
            read_seen(node.name, texts, self._applications, held_by_kernel=held)
            for held in (False, True)
        )
        return Sample(seen, writing, asked_s, time.monotonic())
