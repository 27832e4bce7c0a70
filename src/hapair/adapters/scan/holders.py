"""Which processes have something open."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from hapair.adapters.shared.spaces import name_of

T = TypeVar("T")


def holders(root: Path, wanted: Mapping[str, T]) -> dict[T, str]:
    """Return the name of a process that has each of the wanted things open.

    Keys of ``wanted`` are what a link of /proc/PID/fd says, e.g. "socket:[17301]" or "/dev/null".
    The kernel's own sockets have no holder.
    """
    found: dict[T, str] = {}
    for folder in (root / "proc").glob("[0-9]*") if wanted else ():
        # Processes come and go while we look.
        with contextlib.suppress(OSError), os.scandir(folder / "fd") as descriptors:
            for descriptor in descriptors:
                thing = wanted.get(str(Path(descriptor.path).readlink()))
                if thing is not None:
                    found[thing] = name_of(int(folder.name), root / "proc")
    return found
