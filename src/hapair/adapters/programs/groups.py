"""Control groups of applications, below a group that systemd delegated to us."""

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.adapters.shared.mounts import mount_info, mounts
from hapair.adapters.shared.spaces import UNIT_OF_APPLICATIONS, name_of

_IN_SLICE: Final = Path("hapair.slice") / UNIT_OF_APPLICATIONS
LOOK_INTERVAL_S: Final = 0.02
NAMED_MAX: Final = 20


def root_of_applications() -> Path:
    """Return the folder of ``hapair-apps.service`` in this machine's control groups."""
    for mount in mounts(mount_info()):
        if mount.kind == "cgroup2":
            return Path(mount.mount_point) / _IN_SLICE
    return Path("/sys/fs/cgroup") / _IN_SLICE


@dataclass(frozen=True, slots=True)
class Group:
    folder: Path

    @property
    def entrance(self) -> Path:
        """Return the file that moves whoever writes 0 to it into the group."""
        return self.folder / "cgroup.procs"

    def make(self) -> None:
        """Make the group; OSError when the delegated one above does not exist or is not ours."""
        with contextlib.suppress(FileExistsError):
            self.folder.mkdir()

    def remove(self) -> None:
        """Remove the group if nothing is in it; a group that stays does no harm."""
        for folder in reversed(self._folders()):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def populated(self) -> bool:
        """Tell whether a process lives in the group or below; the dead do not count."""
        try:
            return "populated 1" in (self.folder / "cgroup.events").read_text()
        except FileNotFoundError:
            return False

    def processes(self) -> tuple[int, ...]:
        found: list[int] = []
        for folder in self._folders():
            with contextlib.suppress(OSError):
                found += map(int, (folder / "cgroup.procs").read_text().split())
        return tuple(found)

    def named(self) -> str:
        """Return names and numbers of what lives in the group, for people."""
        return ", ".join(
            f"{name_of(pid) or 'ended'} ({pid})" for pid in self.processes()[:NAMED_MAX]
        )

    async def emptied(self, timeout_s: float) -> bool:
        """Wait until nothing lives in the group; False when something still does."""
        for _ in range(max(1, round(timeout_s / LOOK_INTERVAL_S))):
            if not self.populated():
                return True
            await asyncio.sleep(LOOK_INTERVAL_S)
        return not self.populated()

    def terminate(self) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill the whole group at once, also what it forks meanwhile (Linux 5.14)."""
        try:
            (self.folder / "cgroup.kill").write_text("1")
        except OSError:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _folders(self) -> list[Path]:
        return [self.folder, *(path for path in sorted(self.folder.rglob("*")) if path.is_dir())]
