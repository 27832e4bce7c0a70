"""Files as a build writes them: whole, on the disk, with their mode."""

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hapair.durable import replace_durably, sync_folder
from hapair.model.built import Built
from hapair.model.cluster import Cluster
from hapair.model.secret import for_root_only
from hapair.runtime.places import Places

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
FOLDER_MODE = 0o755
PRIVATE_FOLDER_MODE = 0o700
# No file is there; perhaps something else, such as a folder or a link in a circle.
NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
WRITTEN_BYTES_MAX = 4 * 1024**2  # More is not read: the parser refuses much smaller files.
OTHERS = 0o077  # What anybody but the owner may do with a file.
BUSY = "another clbuild or clrestore works on this node now"
BUSY_MEND = "wait until it has ended, then try again"


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file below the root that is written, or removed. Bytes are kept as Latin-1 text."""

    path: str  # Relative to the root, e.g. "etc/cluster/clconf.xml".
    text: str = ""
    mode: int = PUBLIC_MODE
    remove: bool = False

    @property
    def content(self) -> bytes:
        return to_bytes(self.text)


# For drbdadm, one per replicated volume, from the content of the cluster key; KeysError without it.
ResourceFiles = Callable[[Built, bytes], tuple[NewFile, ...]]


def superfluous(places: Places, files: Iterable[NewFile]) -> tuple[NewFile, ...]:
    """Return the removal of all DRBD resource files of ours that are not among ``files``."""
    kept = {file.path for file in files}
    present = sorted(places.drbd_resources.glob("hapair-*.res"))
    paths = [str(file.relative_to(places.root)) for file in present]
    return tuple(NewFile(path, remove=True) for path in paths if path not in kept)


def to_text(content: bytes) -> str:
    """Carry any bytes through JSON, unchanged."""
    return content.decode("latin-1")


def to_bytes(text: str) -> bytes:
    return text.encode("latin-1")


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # Else a pipe is waited for.


def read_regular(path: Path, *, bytes_max: int = -1) -> bytes:
    """Return a file's content, or the first ``bytes_max`` of it.

    OSError when it cannot be read, also for a pipe or a device: reading one may never end.
    """
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        return file.read(bytes_max)


def read_written(path: Path) -> bytes:
    """Return what an administrator wrote, as far as any parser reads it; OSError as above."""
    return read_regular(path, bytes_max=WRITTEN_BYTES_MAX)


def read_or_empty(path: Path, *, bytes_max: int = -1) -> bytes:
    """Return a file's content; nothing when no file is there. OSError when it cannot be read."""
    try:
        return read_regular(path, bytes_max=bytes_max)
    except OSError as error:
        if error.errno in NO_FILE:
            return b""
        raise OSError(error.errno, error.strerror, str(path)) from None


def mode_of(path: Path) -> int:
    """Return a file's permissions; 0 when it is not there."""
    try:
        return path.stat().st_mode & 0o777
    except OSError as error:
        if error.errno in NO_FILE:
            return 0
        raise


def mode_for(cluster: Cluster) -> int:
    """Return the mode of files that hold the cluster's configuration, as it came from clconf.xml.

    Parameters of fence agents are for root only.
    """
    return PRIVATE_MODE if for_root_only(cluster) else PUBLIC_MODE


def write_durably(path: Path, content: bytes, mode: int) -> None:
    """Replace ``path`` as ``replace_durably`` does, in folders that are made for it."""
    make_folders(path.parent)
    beside = path.with_name(f".{path.name}.hapair-new")
    replace_durably(path, content, beside, lambda descriptor: os.fchmod(descriptor, mode))


def make_folders(folder: Path) -> None:
    """Make a folder and those above it. The one of the keys is for root alone."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(PRIVATE_FOLDER_MODE if folder.name == "keys" else FOLDER_MODE, exist_ok=True)
    sync_folder(folder.parent)


def remove_durably(path: Path) -> None:
    """Remove a file, if it is there, and the folder that became empty by it."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        sync_folder(path.parent)


class BusyError(Exception):
    """Another clbuild or clrestore works on this node."""


@contextlib.contextmanager
def only_builder(places: Places) -> Iterator[None]:
    """Hold this node's build lock; BusyError at once when somebody else does.

    The kernel drops the lock with the process, however that ends.
    """
    places.run.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(places.run / "build.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError from None
        yield
    finally:
        os.close(descriptor)


def is_building(places: Places) -> bool:
    """Tell whether clbuild or clbuildapp is at work here, or has to be taken back first."""
    return places.job.exists() or somebody_builds(places)


def somebody_builds(places: Places) -> bool:
    """Tell whether somebody holds the build lock; its file is not made by this."""
    try:
        descriptor = os.open(places.run / "build.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
