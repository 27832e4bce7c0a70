"""Is there room for a lab: in memory for guests that keep theirs in files, and on the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hapair_lab import topology
from hapair_lab.acceleration import Acceleration
from hapair_lab.errors import LabError
from hapair_lab.folders import cache_folder, runs_folder
from hapair_lab.tools import CLEAN
from hapair_lab.uml_kernel import MEMORY_FOLDER

MIB: Final = 1024**2
GIB: Final = 1024**3
# What the guests of a lab write in a long scenario: the disks themselves are full of holes.
DISK_BYTES: Final = GIB
MEMORY_BYTES: Final = sum(guest.memory_mib for guest in topology.GUESTS) * MIB


def memory_places() -> int:
    """Return how many labs of guests that keep their memory in files this host has room for.

    None where those files must not be executable, as guests' programs lie in them.
    """
    memory = Path(MEMORY_FOLDER)
    if not memory.exists() or os.statvfs(memory).f_flag & os.ST_NOEXEC:
        return 0
    return shutil.disk_usage(memory).total // MEMORY_BYTES


def refuse_without_room(
    acceleration: Acceleration, free_in: Callable[[Path], int] | None = None
) -> None:
    """Refuse a lab that would run out of room: its guests would die without a word.

    Raises:
        LabError: It says how much is free where, and how much is needed.
    """
    runs, memory = runs_folder(), Path(MEMORY_FOLDER)
    look = free_in or free_bytes
    if (free := look(runs)) < DISK_BYTES:
        raise LabError(
            f"a lab needs {DISK_BYTES / GIB:g} GiB in {runs}, {free // MIB} MiB are free",
            hint=CLEAN,
        )
    if acceleration is Acceleration.UML and (free := look(memory)) < MEMORY_BYTES:
        raise LabError(
            f"the guests keep {MEMORY_BYTES // MIB} MiB of memory in {memory},"
            f" {free // MIB} MiB are free",
            hint=f"mount -o remount,size=4G {memory} (of a container: --shm-size=4g)",
        )


def host_room() -> str:
    """Say how much is free on the host, for who reads what a failure left."""
    places = (runs_folder(), Path(MEMORY_FOLDER))
    return "host: " + ", ".join(f"{free_bytes(at) / GIB:.1f} GiB free in {at}" for at in places)


def free_bytes(folder: Path) -> int:
    """Return how much may still be written there; nothing where there is no such folder."""
    return shutil.disk_usage(folder).free if folder.exists() else 0


def no_room(error: OSError) -> str:
    """Say what to do about a disk that became full."""
    where = error.filename or cache_folder()
    return str(LabError(f"no space is left on the disk of {where}", hint=CLEAN))
