"""Processes of the application: in its control group, or the main process of its unit.

Of those that match so many are watched as have to live: the end of one of them is told by the
kernel at once. Others come and go unnoticed between two looks.
"""

import os
import re
import select
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from hapair.lems.answers import Answer, Said, failed, good
from hapair.lems.files import READ_BYTES_MAX, passing_over_what_is_gone, read, regular
from hapair.lems.probes.units import UnitState, ask_unit
from hapair.model.monitor import ProcessProbe, Trouble

CGROUPS: Final = "/sys/fs/cgroup"
LOOKS_MAX: Final = 8  # Until none ended between two system calls.


@dataclass(slots=True)
class Processes:
    probe: ProcessProbe
    group: str  # The folder of the control group; of a unit it is asked for.
    unit: str = ""
    seen: bool = False  # Something lived in the group.
    trouble: Trouble | None = None  # A disk hangs; that is for the monitor of the file systems.
    _living: dict[int, int] = field(default_factory=dict)  # Descriptor by number, oldest first.
    _stale: list[int] = field(default_factory=list)  # Descriptors that the loop may still watch.

    def ask(self) -> Said:
        while self._stale:
            os.close(self._stale.pop())
        if self.unit and not self._living:
            return ask_unit(self.unit, self._of_unit)
        # The command line lies in memory of the process: where its disk hangs, so does who reads.
        return self.look if self.probe.match or self.probe.pid_file else self.look()

    def asked(self) -> str:
        return self.unit or self.group

    def close(self) -> None:
        for descriptor in (*self._living.values(), *self._stale):
            os.close(descriptor)
        self._living.clear()
        self._stale.clear()

    @property
    def _any(self) -> bool:
        return not (self.probe.match or self.probe.name or self.probe.pid_file)

    def _of_unit(self, state: UnitState) -> Said:
        if not state.running:
            return failed(f"{self.unit} is {state}", certain=True)
        if state.group:
            self.group = CGROUPS + state.group
        if self._any:
            if state.main == 0:
                return good(f"{self.unit} is {state}, without a main process")
            self._watch([state.main])
            if all(map(has_ended, self._living.values())):
                return failed(f"process {state.main} of {self.unit} has ended", certain=True)
        return self.look

    def look(self) -> Said:
        if self.unit and self._any:
            return self._main()
        found = self._found()
        number = len(found)
        if number >= self.probe.least:
            self.seen = True
            if self.probe.most and number > self.probe.most:
                return failed(f"{number} {self._words()}, more than {self.probe.most}")
            return self._good(f"{number} {self._words()}")
        if self._any and not self.seen:
            return good("the program left no process behind")
        fewer = f"{number} {self._words()}, fewer than {self.probe.least}"
        return failed(fewer if number else f"no {self._words()}", certain=True)

    def _found(self) -> list[int]:
        """Return those that match; of those that have to live each is watched by then."""
        for _ in range(LOOKS_MAX):
            found = [pid for pid in pids_in(self.group) if self._matches(pid)]
            needed = found[: self.probe.least]
            self._watch(needed)
            if all(pid in self._living for pid in needed):
                return found
        return []

    def _main(self) -> Said:
        """A unit may have another main process, e.g. after an upgrade without a break: ask."""
        for pid, descriptor in self._living.items():
            if not has_ended(descriptor):
                return self._good(f"process {pid} of {self.unit}")
        self._watch([])
        return ask_unit(self.unit, self._of_unit)

    def _good(self, text: str) -> Answer:
        return Answer("good", text, living=tuple(self._living.values()))

    def _words(self) -> str:
        probe = self.probe
        which = (probe.name, probe.match and f"matching {probe.match}", probe.pid_file)
        return " ".join(("processes", *filter(None, which)))

    def _matches(self, pid: int) -> bool:
        probe = self.probe
        if probe.pid_file and pid_written_in(probe.pid_file) != pid:
            return False
        with passing_over_what_is_gone(), suppress(ValueError):
            if probe.name and name_of(pid) != probe.name:
                return False
            return not probe.match or re.search(probe.match, command_line(pid)) is not None
        return False

    def _watch(self, wanted: list[int]) -> None:
        """Have a descriptor of each of these; one that has ended has none."""
        for pid in [p for p, d in self._living.items() if p not in wanted or has_ended(d)]:
            self._stale.append(self._living.pop(pid))
        for pid in wanted:
            if pid not in self._living:
                with suppress(ProcessLookupError):
                    self._living[pid] = os.pidfd_open(pid)


def has_ended(descriptor: int) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(0))


def pids_in(folder: str) -> Iterator[int]:
    """Yield the processes of a control group and of those below it, the oldest first in each."""
    with passing_over_what_is_gone():
        yield from map(int, read(f"{folder}/cgroup.procs").split())
        below = [each.path for each in os.scandir(folder) if each.is_dir(follow_symlinks=False)]
        for each in below:
            yield from pids_in(each)


def pid_written_in(place: str) -> int | None:
    """Return the number in a PID file, which may be empty for a moment; OSError if unreadable."""
    with suppress(FileNotFoundError, ValueError, IndexError), regular(place) as file:
        return int(os.read(file, READ_BYTES_MAX).split()[0])
    return None


def name_of(pid: int) -> str:
    told = read(f"/proc/{pid}/stat")
    return told[told.index("(") + 1 : told.rindex(")")]


def command_line(pid: int) -> str:
    return read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
