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


def hidden(ours: Mount, table: MountTable) -> str:
    """Say what was mounted over a folder above it, so that no path leads to it any more."""
    by_number = {mount.number: mount for mount in table.every}
    below: list[int] = []  # What it is mounted on, down to the root.
    each: Mount | None = ours
    while each is not None and each.number not in below:
        below.append(each.number)
        each = by_number.get(each.parent)
    for other in table.every:
        above = ours.mount_point.startswith(other.mount_point.rstrip("/") + "/")
        if above and other.number not in below and other.parent in below:
            point = shown(ours.mount_point)
            return f"{point} is hidden: {_named(other)} is mounted over it"
    return ""


def misplaced(device: str, mount_point: str, table: MountTable) -> str:
    """Say where the device is mounted that is not seen at its mount point."""
    point = shown(mount_point)
    if (over := table.at.get(mount_point)) is not None:
        return f"{point} is hidden: {_named(over)} is mounted over it"
    number = number_of(device)
    found = (each for each in table.every if number == each.device or device == each.source)
    places = dict.fromkeys(shown(each.mount_point) for each in found)
    return f"{point} is not there any more: it is mounted at {', '.join(places)}"


def _named(mount: Mount) -> str:
    return f"{shown(mount.source)} ({mount.kind}) on {shown(mount.mount_point)}"
