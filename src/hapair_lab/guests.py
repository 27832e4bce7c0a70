"""Which kind of guests a lab has: User Mode Linux where it works, QEMU else.

The variable ``HAPAIR_LAB_GUESTS`` (``uml`` or ``qemu``) decides; without it a kernel of User Mode
Linux is probed by booting it.
"""

from __future__ import annotations

import functools
import os
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Final

from hapair_lab.errors import LabError
from hapair_lab.folders import cache_folder
from hapair_lab.images import busybox_in
from hapair_lab.progress import say
from hapair_lab.room import memory_places
from hapair_lab.tools import check_tools
from hapair_lab.uml_kernel import MEMORY_FOLDER, UmlKernel, working_kernel

VARIABLE: Final = "HAPAIR_LAB_GUESTS"


class Guests(StrEnum):
    """A kind of guests."""

    QEMU = "qemu"
    UML = "uml"


def wanted() -> Guests | None:
    """Return the kind that the variable names, or None; LabError if there is no such kind."""
    named = os.environ.get(VARIABLE) or None
    try:
        return Guests(named) if named is not None else None
    except ValueError as error:
        raise LabError(f"{VARIABLE} is {named!r}", hint="use qemu or uml") from error


@functools.cache
def has_memory() -> bool:
    """Tell whether one lab could ever run; what others use at the moment is another matter."""
    if memory_places() > 0:
        return True
    say(f"{MEMORY_FOLDER} is too small for User Mode Linux, or noexec: the guests will be QEMU's")
    return False


def uml_kernel(kind: Guests | None = None) -> UmlKernel | None:
    """Return the kernel of User Mode Linux guests, or None where the guests are QEMU's.

    ``kind`` is asked for before anything else is looked at.

    Raises:
        LabError: User Mode Linux was asked for and does not work here.
    """
    named = kind or wanted()
    if named is Guests.QEMU or (named is None and not has_memory()):
        return None
    check_tools()
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        kernel = working_kernel(lambda: busybox_in(Path(folder)))
    if kernel is None and named is Guests.UML:
        raise LabError("no User Mode Linux boots on this machine", hint=f"{VARIABLE}=qemu")
    return kernel
