"""The tools of the host that the lab uses: are they there, and how they are run."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hapair_lab.errors import LabError
from hapair_lab.folders import cache_folder
from hapair_lab.progress import say

# Each tool of the host and the Debian package that it comes from.
TOOLS: Final = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "ssh-keygen": "openssh-client",
    "patchelf": "patchelf",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
BUILD_TIMEOUT_S: Final = 1800
CLEAN: Final = "cllab clean --older 1d removes snapshots that were not used for a day"
SYSTEM_FOLDERS: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def check_tools() -> None:
    """Refuse, naming the packages to install, when a tool of the host is missing."""
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}"
    missing = sorted(
        {package for tool, package in TOOLS.items() if not shutil.which(tool, path=path)}
    )
    if missing:
        raise LabError(
            f"the lab needs Debian packages that are not installed: {' '.join(missing)}",
            hint=f"apt-get install --no-install-recommends {' '.join(missing)}",
        )


@contextmanager
def locked(name: str, *, waiting: str = "") -> Iterator[None]:
    """Hold a lock among all labs of this user, so that a thing is built once.

    Whoever has to wait for it is told what for, if ``waiting`` says it.
    """
    with (cache_folder() / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                say(waiting)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_tool(*argv: str, cwd: Path | None = None) -> str:
    """Run a tool of the host to its end and return what it printed; LabError if it fails."""
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}"}
    finished = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment,
        timeout=BUILD_TIMEOUT_S,
    )
    if finished.returncode != 0:
        ending = "\n".join(finished.stderr.strip().splitlines()[-15:])
        hint = CLEAN if os.strerror(errno.ENOSPC) in ending else ""
        raise LabError(
            f"{argv[0]} ended with exit code {finished.returncode}:\n{ending}", hint=hint
        )
    return finished.stdout
