"""What keeps a mounted file system from serving, as the kernel's list of mounts shows it."""

from typing import Final

from hapair.adapters.filesystem.options import READ_ONLY
from hapair.adapters.shared.mounts import Mount, MountTable, number_of
from hapair.model.text import shown

# What a file system shows after an error; the kernel tells nobody of it.
STOPPED: Final = frozenset({READ_ONLY, "emergency_ro", "shutdown"})


def read_only(ours: Mount, table: MountTable, asked: str) -> str:
    """Say that nothing can be written to it although the options ``asked`` do not say so."""
    found = STOPPED & set(table.options.get(ours.number, "").split(","))
    if found and READ_ONLY not in asked.split(","):
        return f"{ours.source} on {shown(ours.mount_point)} has become read-only"
    return ""


def misplaced(device: str, mount_point: str, table: MountTable) -> str:
    """Say where the device is mounted that is not seen at its mount point."""
    point, number = shown(mount_point), number_of(device)
    found = [each for each in table.every if number == each.device or device == each.source]
    over = table.reached(mount_point)
    is_there = any(each.mount_point == mount_point for each in found)
    if over is not None and (is_there or over.mount_point == mount_point):
        return f"{point} is hidden: {_named(over)} is mounted over it"
    places = dict.fromkeys(shown(each.mount_point) for each in found)
    return f"{point} is not there any more: it is mounted at {', '.join(places)}"


def _named(mount: Mount) -> str:
    return f"{shown(mount.source)} ({mount.kind}) on {shown(mount.mount_point)}"
