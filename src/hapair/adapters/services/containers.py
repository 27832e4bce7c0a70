"""Processes in containers: what they call ``/data`` is another folder for everybody else."""

import contextlib
from collections.abc import Iterator

from hapair.adapters.shared.mounts import Mount, MountTable, mount_info, mount_table
from hapair.adapters.shared.spaces import PROC
from hapair.model.nesting import lies_inside
from hapair.model.service import SeenProcess


def in_containers(processes: tuple[SeenProcess, ...]) -> tuple[SeenProcess, ...]:
    """Return those that have another root than we have."""
    own = _root(mount_table())
    return tuple(each for each in processes if _root(_table(each)) not in (None, own))


def volumes_of(process: SeenProcess) -> Iterator[tuple[str, str]]:
    """Yield the folders of this machine that are mounted in the container, and where.

    Its root is none of them: what is stored there is lost with the container.
    """
    own = mount_table().every
    for mount in _table(process).every:
        if mount.mount_point != "/" and (here := _place(mount, own)):
            yield here, f"the container of {process.name} has it as {mount.mount_point}"


def _table(process: SeenProcess) -> MountTable:
    """Return its mounts; none of one that has ended."""
    with contextlib.suppress(OSError):
        return MountTable.of(mount_info(PROC / str(process.pid) / "mountinfo"))
    return MountTable.of("")


def _root(table: MountTable) -> tuple[tuple[int, int], str] | None:
    mount = table.reached("/")
    return None if mount is None else _whole(mount)


def _whole(mount: Mount) -> tuple[tuple[int, int], str]:
    return mount.device, mount.root


def _place(mount: Mount, own: tuple[Mount, ...]) -> str:
    """Return where we see the folder that is mounted there; empty: nowhere."""
    for each in own:
        if each.device == mount.device and lies_inside(mount.root, each.root):
            inside = mount.root.removeprefix(each.root).lstrip("/")
            return f"{each.mount_point.rstrip('/')}/{inside}"
        if _whole(each) == _whole(mount):
            return each.mount_point
    return ""
