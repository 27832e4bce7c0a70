"""What the control group uses, and what the kernel killed in it for want of memory."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hapair.lems.answers import Answer, Said, good, unknown
from hapair.lems.files import read_if_there
from hapair.lems.loop import boot_s
from hapair.lems.probes.processes import pids_in
from hapair.lems.probes.units import UnitState, ask_unit
from hapair.model.monitor import ResourcesProbe, Trouble

PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")
MEGABYTE: Final = 1 << 20
ROOT: Final = "/sys/fs/cgroup"


@dataclass(slots=True)
class Resources:
    probe: ResourcesProbe
    group: str
    unit: str = ""
    trouble: Trouble | None = None
    _used: tuple[float, int] | None = None  # When, and microseconds of processors until then.
    _killed: int | None = None
    _counting: str = ""  # The group whose killed processes the kernel counts.
    _pids: frozenset[int] = field(default_factory=frozenset)

    def ask(self) -> Said:
        if self.unit and not (self.group and Path(self.group).is_dir()):
            return ask_unit(self.unit, self._of_unit)
        return self.look()  # The kernel has all of it in memory.

    def asked(self) -> str:
        return self.group

    def close(self) -> None:
        """Keep nothing open."""

    def _of_unit(self, state: UnitState) -> Said:
        if not state.group:
            return unknown(f"{self.unit} is {state}")
        self.group = ROOT + state.group
        return self.look()

    def look(self) -> Answer:
        pids = frozenset(pids_in(self.group))
        gone, self._pids = self._pids - pids, pids
        memory, cpu = self._memory(pids), self._cpu()
        perf = {"memory": f"{memory}B", "cpu": f"{cpu}%"}
        if self._was_killed(gone) and self.probe.out_of_memory:
            text = "the kernel killed a process for want of memory"
            return Answer("failed", text, perf=perf, certain=True)
        if self.probe.memory_bytes and memory > self.probe.memory_bytes:
            limit = self.probe.memory_bytes // MEGABYTE
            return Answer("failed", f"{memory // MEGABYTE} MiB in use, limit {limit}", perf=perf)
        if self.probe.cpu_percent and cpu > self.probe.cpu_percent:
            text = f"{cpu} % of a processor in use, limit {self.probe.cpu_percent}"
            return Answer("failed", text, perf=perf)
        return good(f"{memory // MEGABYTE} MiB, {cpu} % of a processor", perf)

    def _memory(self, pids: frozenset[int]) -> int:
        """Return bytes that are no mere cache; without a controller, those of its processes."""
        used = _number(f"{self.group}/memory.current")
        if used is not None:
            return used - _member(f"{self.group}/memory.stat", "inactive_file")
        return sum(map(_own_memory, pids))

    def _cpu(self) -> int:
        """Return percent of one processor since the last look."""
        now = boot_s(), _member(f"{self.group}/cpu.stat", "usage_usec")
        before, self._used = self._used, now
        if before is None or now[0] <= before[0]:
            return 0
        return round((now[1] - before[1]) / (now[0] - before[0]) / 10_000)

    def _was_killed(self, gone: frozenset[int]) -> bool:
        """Without a controller of its own the count is that of a group with others in it."""
        self._counting = self._counting or _counting(self.group)
        killed = _member(f"{self._counting}/memory.events", "oom_kill")
        before, self._killed = self._killed, killed
        if before is None or killed <= before:
            return False
        return self._counting == self.group or bool(gone)


def _counting(group: str) -> str:
    folders = (Path(group), *Path(group).parents)
    return str(next((each for each in folders if (each / "memory.events").exists()), group))


def _number(place: str) -> int | None:
    text = read_if_there(place).strip()
    return int(text) if text.isdigit() else None


def _member(place: str, name: str) -> int:
    for line in read_if_there(place).splitlines():
        word, _, value = line.partition(" ")
        if word == name:
            return int(value)
    return 0


def _own_memory(pid: int) -> int:
    words = read_if_there(f"/proc/{pid}/statm").split()
    return (int(words[1]) - int(words[2])) * PAGE_BYTES if words else 0
