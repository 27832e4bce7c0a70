"""The processes of a service, as /proc and the control groups tell them."""

import contextlib
import os
import pwd
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from hapair.adapters.shared.mounts import mount_info, mounts
from hapair.adapters.shared.spaces import PROC, name_of, pids
from hapair.model.service import SeenProcess
from hapair.model.text import shown

PROCESSES_MAX: Final = 4096
COMMAND_SIGNS_MAX: Final = 200
# Fields of /proc/PID/stat behind the name, which may hold anything.
_PARENT: Final = 1
_BEGAN: Final = 19


def in_group(path: str) -> tuple[int, ...]:
    """Return the processes of a control group and of those below it, at most PROCESSES_MAX."""
    found: list[int] = []
    for folder in _roots():
        for place, _, files in os.walk(folder / path.lstrip("/")):
            if "cgroup.procs" in files and len(found) < PROCESSES_MAX:
                with contextlib.suppress(OSError, ValueError):
                    text = Path(place, "cgroup.procs").read_text(encoding="ascii")
                    found += map(int, text.split())
    return tuple(dict.fromkeys(found))[:PROCESSES_MAX]


def _roots() -> tuple[Path, ...]:
    """Return where systemd's control groups are mounted, in either version."""
    every = tuple(mounts(mount_info()))
    unified = [Path(each.mount_point) for each in every if each.kind == "cgroup2"]
    older = [Path(each.mount_point) for each in every if each.kind == "cgroup"]
    return (*unified, *(each for each in older if each.name == "systemd"))


def named(names: Iterable[str]) -> tuple[int, ...]:
    """Return the processes whose name is one of these."""
    wanted = frozenset(names)
    return tuple(pid for pid in pids() if name_of(pid) in wanted)


def with_children(roots: Iterable[int]) -> tuple[int, ...]:
    """Return these processes and all that they started and that has not been orphaned."""
    children: dict[int, list[int]] = {}
    for pid in pids():
        with contextlib.suppress(OSError, ValueError, IndexError):
            children.setdefault(int(_stat(pid)[_PARENT]), []).append(pid)
    found = dict.fromkeys(roots)
    queue = list(found)
    while queue and len(found) < PROCESSES_MAX:
        for child in children.get(queue.pop(), []):
            if child not in found:
                found[child] = None
                queue.append(child)
    return tuple(found)


def seen(numbers: Iterable[int]) -> tuple[SeenProcess, ...]:
    """Return what is known of the processes that are still there, in the order of their numbers."""
    found = []
    for pid in sorted(numbers):
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = _stat(pid)
            words = (PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            command = shown(b" ".join(words).decode(errors="replace"))[:COMMAND_SIGNS_MAX]
            account = _account((PROC / str(pid)).stat().st_uid)
            age_s = _uptime_s() - int(stat[_BEGAN]) / os.sysconf("SC_CLK_TCK")
            parent = int(stat[_PARENT])
            found.append(SeenProcess(pid, parent, name_of(pid), command, account, max(age_s, 0.0)))
    return tuple(found)


def _stat(pid: int) -> list[bytes]:
    return (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()


def _uptime_s() -> float:
    return float((PROC / "uptime").read_text(encoding="ascii").split()[0])


def _account(number: int) -> str:
    try:
        return shown(pwd.getpwuid(number).pw_name)
    except KeyError:
        return str(number)
