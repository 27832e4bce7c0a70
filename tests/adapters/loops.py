"""Loop devices under the names of DRBD devices that no development machine has."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from hapair.model.application import FileSystem, Volume

MINOR = 4000 + 2 * (os.getpid() % 100_000)  # Tests may run beside one another.
SIZE_BYTES = 16 << 20


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def volume_at(mount_point: Path, *, minor: int = MINOR, resource: str = "orders.data") -> Volume:
    return Volume(
        resource=resource,
        minor=minor,
        port=7701,
        volume_group="vg",
        logical_volume="data",
        meta_volume="data_meta",
        size_bytes=SIZE_BYTES,
        mount_point=str(mount_point),
        file_system=FileSystem.EXT4,
        mount_options="noatime",
    )


def make_image(folder: Path) -> Path:
    """Return a file that holds an empty ext4."""
    file = folder / "image"
    file.touch()
    os.truncate(file, SIZE_BYTES)
    run("mkfs.ext4", "-q", str(file))
    return file


@contextlib.contextmanager
def loop_device(image: Path, node: Path) -> Iterator[None]:
    """Make ``node`` the block device of ``image``."""
    loop = run("losetup", "--find", "--show", str(image))
    number = Path(loop).stat().st_rdev
    os.mknod(node, 0o60600, number)
    try:
        yield
    finally:
        node.unlink()
        run("losetup", "--detach", loop)
