"""Where the lab keeps things: images and snapshots in the cache, running labs beside them.

Unix socket paths may be 107 bytes long, so running labs live in a short folder.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

SOCKET_PATH_MAX_BYTES: Final = 107
# Tells one start of the host from the next.
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def cache_folder() -> Path:
    """Return ``$XDG_CACHE_HOME/hapair`` (default ``~/.cache/hapair``), created if missing."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "hapair"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def runs_folder() -> Path:
    """Return the folder of running labs below the cache, private to the user."""
    folder = cache_folder() / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def new_run_folder(prefix: str = "lab") -> Path:
    """Return a new empty folder for one running lab."""
    return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=runs_folder()))
