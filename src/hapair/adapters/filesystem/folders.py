"""Folders on which file systems are mounted: made on both nodes as they are on one."""

import contextlib
import errno
import grp
import os
import pwd
import stat
from dataclasses import replace
from pathlib import Path
from typing import Final

from hapair.model.storage import Folder

FOR_EVERYBODY: Final = 0o755
LABELS: Final = ("security.selinux", "system.posix_acl_access", "system.posix_acl_default")


def folders_of(place: str) -> tuple[Folder, ...]:
    """Return what is known of a folder and of those above it that are there, the lowest last."""
    paths = [path for path in (*reversed(Path(place).parents), Path(place)) if path.is_dir()]
    found = [_folder(path) for path in paths if path != Path("/")]
    if found and found[-1].path == place:
        found[-1] = replace(found[-1], filled=_is_filled(place))
    return tuple(found)


def _is_filled(place: str) -> bool:
    with contextlib.suppress(OSError), os.scandir(place) as inside:
        return any(True for _ in inside)
    return False


def _folder(path: Path) -> Folder:
    was = path.stat()
    labels = []
    for name in LABELS:
        with contextlib.suppress(OSError):  # It has none, or its file system knows none.
            labels.append((name, os.getxattr(path, name).hex()))
    owner, group = str(was.st_uid), str(was.st_gid)
    with contextlib.suppress(KeyError):
        owner = pwd.getpwuid(was.st_uid).pw_name
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(was.st_gid).gr_name
    return Folder(str(path), stat.S_IMODE(was.st_mode), owner, group, tuple(labels))


def make_mount_point(place: str, like: tuple[Folder, ...] = ()) -> None:
    """Make the folder and those above it that are missing; OSError when that cannot be.

    Each gets the owner, mode and labels that ``like`` says, as far as this machine knows them.
    Else everybody may pass through it, whatever this process's umask is: a program that is not
    root's would find its data on the node where somebody made them by hand, and not on the other.
    """
    known = {each.path: each for each in like}
    folder = Path(place)
    for each in (*reversed(folder.parents), folder):
        with contextlib.suppress(FileExistsError):
            each.mkdir(0o700)
            each.chmod(FOR_EVERYBODY)
            if (model := known.get(str(each))) is not None:
                _make_like(each, model)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def remove_folders(made: tuple[Folder, ...]) -> None:
    """Remove folders that were made, the lowest first; what is used by now stays."""
    for each in reversed(made):
        with contextlib.suppress(OSError):
            Path(each.path).rmdir()


def _make_like(folder: Path, model: Folder) -> None:
    with contextlib.suppress(KeyError):  # That user is not known here: it stays root's.
        owner = int(model.owner) if model.owner.isdigit() else pwd.getpwnam(model.owner).pw_uid
        os.chown(folder, owner, -1)
    with contextlib.suppress(KeyError):
        group = int(model.group) if model.group.isdigit() else grp.getgrnam(model.group).gr_gid
        os.chown(folder, -1, group)
    folder.chmod(model.mode)
    for name, value in model.labels:
        with contextlib.suppress(OSError):
            os.setxattr(folder, name, bytes.fromhex(value))
