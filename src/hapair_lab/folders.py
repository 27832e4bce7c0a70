"""Where the lab keeps things: images and snapshots in the cache, running labs beside them.

Unix socket paths may be 107 bytes long, so running labs live in a short folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from hapair_lab.errors import LabError

SOCKET_PATH_MAX_BYTES: Final = 107
# Tells one start of the host from the next.
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
# What separates words, or parts of words, on the command lines of kernels and emulators.
SEPARATORS: Final = " \t\n,:'\""
CACHE_HINT: Final = "set XDG_CACHE_HOME to another folder"


def cache_folder() -> Path:
    """Return ``$XDG_CACHE_HOME/hapair`` (default ``~/.cache/hapair``), created if missing.

    Raises:
        LabError: Nothing can be written there, or no kernel can be told a path in it.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "hapair"
    if any(separator in str(folder) for separator in SEPARATORS):
        why = "has a blank, a comma, a colon or a quotation mark in its path"
        raise LabError(f"the cache {str(folder)!r} {why}", hint=CACHE_HINT)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"the cache {folder} cannot be made: {error}", hint=CACHE_HINT) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LabError(f"nothing can be written to the cache {folder}", hint=CACHE_HINT)
    return folder


def age_s(path: Path, now_s: float | None = None) -> float:
    """Return the seconds since it was last used; none where it has just been moved or removed."""
    try:
        used_s = path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
    return (time.time() if now_s is None else now_s) - used_s


def discard(folder: Path) -> None:
    """Remove a folder of the cache that others may know: whole, or not at all.

    It is put aside first. Else a removal that is killed would leave half of it, which looks like
    something to be used. What it leaves aside goes with ``cllab clean``.
    """
    aside = Path(tempfile.mkdtemp(prefix="tmp-removed-", dir=cache_folder()))
    with contextlib.suppress(FileNotFoundError):  # Another program may have been faster.
        folder.rename(aside / folder.name)
    shutil.rmtree(aside, ignore_errors=True)


def runs_folder() -> Path:
    """Return the folder of running labs below the cache, private to the user."""
    folder = cache_folder() / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def new_run_folder(prefix: str = "lab") -> Path:
    """Return a new empty folder for one running lab."""
    return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=runs_folder()))
