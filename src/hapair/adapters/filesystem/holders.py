"""Find and end the processes that hold a device. Blocking code: call it in a forked child."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from hapair.adapters.filesystem import calls, checks
from hapair.adapters.filesystem.sockets import bound_on
from hapair.adapters.shared.mounts import Mount
from hapair.adapters.shared.spaces import PROC, Process, pids, process_of

LOOK_INTERVAL_S: Final = 0.05
SHOWN_MAX: Final = 20
INIT: Final = 1
Tell = Callable[[str], None]  # Takes what was done, for people.


def holders(mount: Mount, spared: frozenset[int]) -> tuple[Process, ...]:
    """Return the processes that use the device of ``mount``, without those of ``spared``."""
    found = []
    sockets = bound_on(mount.device)
    for pid in pids():
        if pid in spared | {INIT}:
            continue
        with contextlib.suppress(OSError):  # It ended while we looked.
            if holds(PROC / str(pid), mount, sockets):
                found.append(process_of(pid))
    return tuple(found)


def holds(process: Path, mount: Mount, sockets: frozenset[str] = frozenset()) -> bool:
    """Tell whether the process has its folder, root, program, an open file or a map there.

    Or one of the ``sockets`` whose names lie there. The device itself may be open, too.
    """
    links = [f"{process}/{name}" for name in ("cwd", "root", "exe")]
    opened: list[str] = []
    with contextlib.suppress(OSError):
        opened = [each.path for each in os.scandir(f"{process}/fd")]
    return (
        any(_leads_into(link, mount, sockets) for link in (*links, *opened))
        or _maps(process, mount)
        or (not opened and any(holds(each, mount, sockets) for each in _threads(process)))
    )


def _threads(process: Path) -> tuple[Path, ...]:
    """Return the threads of a process: when its first one has ended, only they show its files."""
    with contextlib.suppress(OSError):
        return tuple((process / "task").iterdir())
    return ()


def _leads_into(link: str, mount: Mount, sockets: frozenset[str]) -> bool:
    try:
        found = calls.target(link)
        named = bool(sockets) and str(Path(link).readlink()) in sockets
    except OSError:
        return _text_leads_into(link, mount)
    return named or (found.is_device or found.lies_on) == mount.device


def _text_leads_into(link: str, mount: Mount) -> bool:
    """Compare the link's text: a file system that was shut down refuses even stat."""
    try:
        target = str(Path(link).readlink())
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
) -> tuple[Process, ...]:
    """TERM the holders of ``mount``, KILL those left after ``term_s``; return who still holds it.

    A check of the file system is not killed: it would leave a repair half done.
    Each process is looked at again directly before its signal, which goes through a handle of
    that very process: a number that was given to another process in between is never hit.
    """
    found = holders(mount, spared)
    for number, wait_s in ((signal.SIGTERM, term_s), (signal.SIGKILL, kill_s)):
        if not found:
            break
        sockets = bound_on(mount.device)
        hit = [e for e in found if number is not signal.SIGKILL or e.name not in checks.NAMES]
        signalled = [each for each in hit if _signal(each, mount, sockets, number)]
        if signalled:
            tell(f"{number.name} to {listed(signalled)}")
        until_s = time.monotonic() + wait_s
        while (found := holders(mount, spared)) and time.monotonic() < until_s:
            time.sleep(LOOK_INTERVAL_S)
    return found


def _signal(holder: Process, mount: Mount, sockets: frozenset[str], number: signal.Signals) -> bool:
    try:
        handle = os.pidfd_open(holder.pid)
    except OSError:
        return False
    try:
        if not holds(PROC / str(holder.pid), mount, sockets):
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def listed(found: Iterable[Process]) -> str:
    names = [str(holder) for holder in found]
    more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
    return ", ".join(names[:SHOWN_MAX]) + more
