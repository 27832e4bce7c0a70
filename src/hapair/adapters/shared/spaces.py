"""Mount name spaces: which there are, what is mounted in them, and what leaves them by itself.

A mount of a container, or of a service with a name space of its own, holds a device as well as one
of ours does, and no list of ours shows it.
"""

import contextlib
import os
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.adapters.shared.mounts import Mount, mount_info, mounts
from hapair.model.text import shown

PROC: Final = Path("/proc")
UNIT_OF_APPLICATIONS: Final = "hapair-apps.service"
# Without a session of their own, people's programs lie in these; stopping them ends no program.
LOGINS: Final = ("ssh.", "sshd.", "ssh@", "sshd@")
SERVICES: Final = "system.slice"  # Where systemd has what an administrator stops by its unit.


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    name: str
    unit: str  # The path of its control group.

    def __str__(self) -> str:
        where = posixpath.basename(self.unit)
        return f"{self.name} ({self.pid}{f' of {where}' if where else ''})"

    @property
    def end(self) -> str:
        """What a person types to end it: with its unit, which might start it again."""
        path = self.unit.split("/")
        units = [each for each in path if each.endswith((".service", ".scope"))]
        is_service = SERVICES in path and units and not units[0].startswith(LOGINS)
        return f"systemctl stop {units[0]}" if is_service else f"kill {self.pid}"


@dataclass(frozen=True, slots=True)
class Space:
    """One mount name space other than ours, and who lives in it."""

    pids: tuple[int, ...]
    mounts: tuple[Mount, ...]


def pids(proc: Path = PROC) -> Iterator[int]:
    return (int(entry.name) for entry in os.scandir(proc) if entry.name.isdigit())


def name_in(place: Path) -> str:
    """Return a name that the kernel keeps in a file, which is any bytes, as one line; OSError."""
    return shown(place.read_bytes().decode(errors="replace").strip())


def name_of(pid: int, proc: Path = PROC) -> str:
    """Return a process's name, which is any bytes, as one line; empty when it has ended."""
    with contextlib.suppress(OSError):
        return name_in(proc / str(pid) / "comm")
    return ""


def process_of(pid: int, proc: Path = PROC) -> Process:
    """Return how people know a process; what cannot be read any more is left out."""
    unit = ""
    with contextlib.suppress(OSError):
        lines = (proc / str(pid) / "cgroup").read_bytes().decode(errors="replace").splitlines()
        unit = next((line[3:] for line in lines if line.startswith("0::")), "")
    return Process(pid, name_of(pid, proc) or "ended", shown(unit))


def own_mounts(proc: Path = PROC) -> tuple[Mount, ...]:
    return tuple(mounts(mount_info(proc / "self/mountinfo")))


def other_spaces(proc: Path = PROC) -> Iterator[Space]:
    """Return the name spaces in which a process lives; the list of each is read once.

    A name space that is kept by a file or a descriptor alone is not found: only who enters it could
    tell what is mounted there.
    """
    lives: dict[str, list[int]] = {}
    for pid in pids(proc):
        with contextlib.suppress(OSError):
            lives.setdefault(str((proc / str(pid) / "ns/mnt").readlink()), []).append(pid)
    lives.pop(str((proc / "self/ns/mnt").readlink()), None)
    for found in lives.values():
        # Who lives in a folder of it sees a part of the list; the first may have ended meanwhile.
        for pid in sorted(found, key=lambda each: not _sees_all(proc / str(each))):
            with contextlib.suppress(OSError):
                text = mount_info(proc / str(pid) / "mountinfo")
                yield Space(tuple(found), tuple(mounts(text)))
                break


def _sees_all(process: Path) -> bool:
    try:
        return str((process / "root").readlink()) == "/"
    except OSError:
        return False


def leaving_with(
    ours: Mount, here: tuple[Mount, ...], spaces: tuple[Space, ...]
) -> Callable[[Mount, tuple[Mount, ...]], bool]:
    """Return what tells of another mount, and the list it is in, whether it goes with ours.

    The kernel takes away what is mounted at the same place of each mount that belongs to the peer
    group of the one below ours, or follows it, however indirectly (mount_namespaces(7)). It leaves
    those inside which something else is mounted.
    """
    below = next((each for each in here if each.number == ours.parent), None)
    groups = _followed(below, (here, *(space.mounts for space in spaces)))
    go_before = {(each.device, each.root) for each in here if each.parent == ours.number}

    def goes(mount: Mount, beside: tuple[Mount, ...]) -> bool:
        parent = next((each for each in beside if each.number == mount.parent), None)
        if below is None or parent is None or not groups & {parent.shared, parent.master}:
            return False
        inside = (each for each in beside if each.parent == mount.number)
        kept = any(
            each.mount_point != mount.mount_point and (each.device, each.root) not in go_before
            for each in inside
        )
        return not kept and _place(mount, parent) == _place(ours, below)

    return goes


def _followed(below: Mount | None, lists: tuple[tuple[Mount, ...], ...]) -> set[int]:
    """Return the peer groups in which what happens in the group of ``below`` happens too."""
    groups = {below.shared} - {0} if below is not None else set[int]()
    every = [mount for each in lists for mount in each if mount.shared and mount.master]
    while more := {each.shared for each in every if each.master in groups} - groups:
        groups |= more
    return groups


def _place(mount: Mount, parent: Mount) -> tuple[tuple[int, int], str]:
    inside = posixpath.relpath(mount.mount_point, parent.mount_point)
    return parent.device, posixpath.normpath(posixpath.join(parent.root, inside))
