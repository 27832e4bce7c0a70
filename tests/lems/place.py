"""Places on this machine for tests of Lems."""

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hapair.adapters.programs.groups import root_of_applications


@contextmanager
def group_of(name: str) -> Iterator[Path]:
    """Make a control group; what still lives in it at the end is killed."""
    root = root_of_applications().parents[1]
    group = root / f"lems-test-{os.getpid()}-{name}"
    group.mkdir()
    try:
        yield group
    finally:
        (group / "cgroup.kill").write_text("1")
        while "populated 1" in (group / "cgroup.events").read_text():
            pass
        group.rmdir()


def _fuse(folder: Path) -> int:
    """Open the kernel's door for FUSE; a container may lack its device file."""
    door = Path("/dev/fuse")
    if not door.exists():
        door = folder / "fuse"
        os.mknod(door, stat.S_IFCHR | 0o600, os.makedev(10, 229))
    return os.open(door, os.O_RDWR)


@contextmanager
def hanging() -> Iterator[Path]:
    """Mount a file system on which everything hangs in the kernel until the end of the block.

    It is one of FUSE whose server never answers; at the end whoever hangs gets an error.
    """
    with tempfile.TemporaryDirectory() as folder:
        server = _fuse(Path(folder))
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
        argv = ("mount", "--internal-only", "--types", "fuse", "--options", options, "hangs")
        subprocess.run((*argv, folder), check=True, pass_fds=(server,))
        try:
            yield Path(folder)
        finally:
            subprocess.run(("umount", "--lazy", folder), check=True)
            os.close(server)


@contextmanager
def living(group: Path, *argv: str, stdout: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Let a program run in a control group; without one given, one that sleeps."""
    with subprocess.Popen(argv or ("sleep", "1000"), stdout=stdout) as process:
        try:
            (group / "cgroup.procs").write_text(str(process.pid))
            yield process
        finally:
            process.kill()
