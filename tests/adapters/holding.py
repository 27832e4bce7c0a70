"""What holds a device, and what is said of it."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hapair.adapters.filesystem.adapter import MountedFileSystems
from hapair.model.application import Volume
from hapair.model.built import BuiltApplication
from tests.adapters.loops import run
from tests.processes import PATIENCE_S
from tests.sim.settings import application

ORDERS = application("orders")
# A holder that ignores SIGTERM is killed after half of it; a sixth of it is for its end.
KILLED_S = 20.0


@contextlib.contextmanager
def running(
    *argv: str, ready: Callable[[int], bool] = lambda _: True, cwd: Path | None = None
) -> Iterator[int]:
    """Run a program until the end of the block, from the moment when it is ready."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, cwd=cwd) as process:
        try:
            until_s = time.monotonic() + PATIENCE_S
            while not ready(process.pid):
                assert time.monotonic() < until_s
                time.sleep(0.02)
            yield process.pid
        finally:
            process.kill()


def in_own_space(pid: int) -> bool:
    apart = Path(f"/proc/{pid}/ns/mnt").readlink() != Path("/proc/self/ns/mnt").readlink()
    return apart and is_asleep(pid)


def bind(volume: Volume, folder: str, at: Path) -> None:
    (Path(volume.mount_point) / folder).mkdir(exist_ok=True)
    at.mkdir()
    run("mount", "--bind", str(Path(volume.mount_point) / folder), str(at))


def mount_a_file(volume: Volume, inside: Path) -> tuple[str, Path]:
    """Mount a file system that lies in a file of the volume; return its loop device and the file.

    Nobody takes either back here.
    """
    image = Path(volume.mount_point) / "disk.img"
    image.touch()
    os.truncate(image, 4 << 20)
    loop = run("losetup", "--find", "--show", str(image))
    run("mkfs.ext4", "-q", loop)
    inside.mkdir()
    run("mount", loop, str(inside))
    return loop, image


async def named(file_systems: MountedFileSystems, volume: Volume, *others: Volume) -> list[str]:
    own = BuiltApplication(ORDERS, (volume, *others), "")
    looked = await file_systems.held(volume, own, timeout_s=PATIENCE_S)
    assert not looked.not_looked_at
    return [each.what for each in looked.found]


def is_asleep(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
