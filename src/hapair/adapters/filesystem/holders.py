"""Find and end the processes that hold a device. Blocking code: call it in a forked child."""

import contextlib
import os
import signal
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.adapters.shared.mounts import Mount

PROC: Final = Path("/proc")
LOOK_INTERVAL_S: Final = 0.05
SHOWN_MAX: Final = 20
_INIT: Final = 1
Tell = Callable[[str], None]  # Takes what was done, for people.


@dataclass(frozen=True, slots=True)
class Holder:
    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.pid})"


def holders(mount: Mount, spared: frozenset[int]) -> tuple[Holder, ...]:
    """Return the processes that use the device of ``mount``, without those of ``spared``."""
    found = []
    for entry in os.scandir(PROC):
        if not entry.name.isdigit() or int(entry.name) in spared | {_INIT}:
            continue
        process = Path(entry.path)
        with contextlib.suppress(OSError):  # It ended while we looked.
            if holds(process, mount):
                name = (process / "comm").read_bytes().decode(errors="replace").strip()
                found.append(Holder(int(entry.name), name))
    return tuple(found)


def holds(process: Path, mount: Mount) -> bool:
    """Tell whether the process has its folder, root, program, an open file or a map there.

    The device itself may be open, too.
    """
    links: list[Path] = [process / name for name in ("cwd", "root", "exe")]
    with contextlib.suppress(OSError):
        links += (process / "fd").iterdir()
    return any(_leads_into(link, mount) for link in links) or _maps(process, mount)


def _leads_into(link: Path, mount: Mount) -> bool:
    try:
        found = link.stat()
    except OSError:
        return _text_leads_into(link, mount)
    device = found.st_rdev if stat.S_ISBLK(found.st_mode) else found.st_dev
    return (os.major(device), os.minor(device)) == mount.device


def _text_leads_into(link: Path, mount: Mount) -> bool:
    """Compare the link's text: a file system that was shut down refuses even stat."""
    try:
        target = str(link.readlink())
    except OSError:
        return False
    inside = target == mount.mount_point or target.startswith(mount.mount_point + "/")
    return inside and bool(mount.mount_point)


def _maps(process: Path, mount: Mount) -> bool:
    try:
        lines = (process / "maps").read_bytes().split(b"\n")
    except OSError:
        return False
    major, minor = mount.device
    wanted = f"{major:02x}:{minor:02x}".encode()
    return any(line.split(maxsplit=4)[3:4] == [wanted] for line in lines)


def end(
    mount: Mount, spared: frozenset[int], tell: Tell, *, term_s: float, kill_s: float
) -> tuple[Holder, ...]:
    """TERM the holders of ``mount``, KILL those left after ``term_s``; return who still holds it.

    Each process is looked at again directly before its signal, which goes through a handle of
    that very process: a number that was given to another process in between is never hit.
    """
    found = holders(mount, spared)
    for number, wait_s in ((signal.SIGTERM, term_s), (signal.SIGKILL, kill_s)):
        if not found:
            break
        signalled = [holder for holder in found if _signal(holder, mount, number)]
        if signalled:
            tell(f"{number.name} to {listed(signalled)}")
        until_s = time.monotonic() + wait_s
        while (found := holders(mount, spared)) and time.monotonic() < until_s:
            time.sleep(LOOK_INTERVAL_S)
    return found


def _signal(holder: Holder, mount: Mount, number: signal.Signals) -> bool:
    try:
        handle = os.pidfd_open(holder.pid)
    except OSError:
        return False
    try:
        if not holds(PROC / str(holder.pid), mount):
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def listed(found: Iterable[Holder]) -> str:
    names = [str(holder) for holder in found]
    more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
    return ", ".join(names[:SHOWN_MAX]) + more
