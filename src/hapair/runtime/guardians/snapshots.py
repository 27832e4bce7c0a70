"""Snapshots of volumes on this node: how large, under which names, and which are still there.

Ours is what has hapair's LVM tag, which it gets with its making; the name only says what for. One
of such a name without the tag is a person's, or a version made it that set none. Nothing tells
the two apart, so it counts as the person's: it is never removed, taken for a state that we kept or
shown as one, and where the name is wanted, its being there is told.
"""

import time
from dataclasses import dataclass, replace
from typing import Final

from hapair.core.copies.resync import Room, snapshot_bytes
from hapair.model.application import Volume
from hapair.model.divergence import KeptSnapshot
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.storage import GroupStorage, LogicalVolume
from hapair.ports.data import Connections
from hapair.ports.storage import FileLooks, LogicalVolumes, ReplicationFiles

BEFORE_RESYNC: Final = "_before_resync"
SPLIT: Final = "_split_"
FOREIGN: Final = "_foreign_"  # Written behind DRBD.
LOOK: Final = "_look"
HALF_MADE: Final = ("", "DM_snapshot_cow")  # What blkid finds in a snapshot that was not completed.


@dataclass(frozen=True, slots=True)
class RepairTools:
    """What a split brain and a resync need of this machine; nothing of it is fast."""

    volumes: LogicalVolumes
    connections: Connections
    looks: FileLooks
    files: ReplicationFiles


def before_resync_name(volume: Volume) -> str:
    return f"{volume.logical_volume}{BEFORE_RESYNC}"


def split_name(volume: Volume, wall_s: float) -> str:
    return f"{volume.logical_volume}{SPLIT}{_stamp(wall_s)}"


def foreign_name(volume: Volume, wall_s: float) -> str:
    return f"{volume.logical_volume}{FOREIGN}{_stamp(wall_s)}"


def _stamp(wall_s: float) -> str:
    return time.strftime("%Y%m%d_%H%M%S", time.localtime(wall_s))


def look_name(volume: Volume) -> str:
    return f"{volume.logical_volume}{LOOK}"


async def kept_snapshots(volumes: LogicalVolumes, volume: Volume) -> tuple[KeptSnapshot, ...]:
    """Return the snapshots of ours that keep an older state; none when LVM does not tell."""
    try:
        group = await volumes.group(volume.volume_group)
    except ValueError:
        return ()
    prefix = volume.logical_volume
    ours = tuple(f"{prefix}{kind}" for kind in (BEFORE_RESYNC, SPLIT, FOREIGN))
    return tuple(
        KeptSnapshot(volume.resource, group.name, found.name, found.made_wall_s)
        for found in group.snapshots(volume.logical_volume)
        if found.ours and found.name.startswith(ours)
    )


async def make_snapshot(
    volumes: LogicalVolumes, volume: Volume, name: str, room: int, *, whole: bool = False
) -> Outcome:
    """Keep the volume's present content; ``room`` is how many bytes will be overwritten at least.

    Done also when it is there already. Refused when the group has no room: nothing changed.
    """
    try:
        group = await volumes.group(volume.volume_group)
        outcome, _ = await make_snapshot_in(volumes, group, volume, name, room, whole=whole)
    except ValueError as error:
        return Unknown(str(error))
    return outcome


async def make_snapshot_in(
    volumes: LogicalVolumes,
    group: GroupStorage,
    volume: Volume,
    name: str,
    room: int,
    *,
    whole: bool = False,
) -> tuple[Outcome, GroupStorage]:
    """Do it in a group that was just looked at, and return what it is like afterwards.

    ValueError when LVM gives no answer that makes sense.
    """
    if (found := group.volume(name)) is not None:
        if found.ours and found.origin == volume.logical_volume:
            return Done("it is there already"), group
        removed = await _remove_half_made(volumes, volume, found)
        if not isinstance(removed, Done):
            return removed, group
        group = await volumes.group(volume.volume_group)
    size_bytes = snapshot_bytes(_room(group, volume.size_bytes, room), whole=whole)
    if not group.exists or not size_bytes:
        return Refused(_no_room(group)), group
    outcome = await volumes.snapshot(group.name, volume.logical_volume, name, size_bytes)
    made = LogicalVolume(name, size_bytes, origin=volume.logical_volume, ours=True)
    free_bytes = group.free_bytes - size_bytes
    return outcome, replace(group, free_bytes=free_bytes, volumes=(*group.volumes, made))


async def make_brief_snapshot(volumes: LogicalVolumes, volume: Volume, name: str) -> Outcome:
    """Keep a content that nobody writes, only to look at it; one left behind is replaced."""
    try:
        group = await volumes.group(volume.volume_group)
        if (found := group.volume(name)) is not None:
            if found.ours and found.origin == volume.logical_volume:
                removed = await volumes.remove_snapshots(volume.volume_group, name)
            else:
                removed = await _remove_half_made(volumes, volume, found)
            if not isinstance(removed, Done):
                return removed
            group = await volumes.group(volume.volume_group)
        size_bytes = snapshot_bytes(_room(group, 0, 0))
        if not group.exists or not size_bytes:
            return Refused(_no_room(group))
        return await volumes.snapshot(group.name, volume.logical_volume, name, size_bytes)
    except ValueError as error:
        return Unknown(str(error))


async def _remove_half_made(
    volumes: LogicalVolumes, volume: Volume, found: LogicalVolume
) -> Outcome:
    """Remove what a power loss left of a snapshot in the making: it keeps nothing."""
    found = await volumes.look(volume.volume_group, found)
    kept_something = found.origin or found.in_use or found.content not in HALF_MADE
    if kept_something or not found.ours:
        what = f"{volume.volume_group}/{found.name}"
        return Refused(
            f"{what} exists and is none of our snapshots: lvremove it if nobody needs it"
        )
    return await volumes.remove(volume.volume_group, found.name)


async def drop_snapshot(volumes: LogicalVolumes, volume: Volume, name: str) -> Outcome:
    return await drop_snapshots(volumes, volume.volume_group, name)


async def drop_snapshots(volumes: LogicalVolumes, group: str, *names: str) -> Outcome:
    """Remove snapshots of ours together; where one of them is none, nothing is removed."""
    try:
        return await volumes.remove_snapshots(group, *names)
    except ValueError as error:
        return Unknown(str(error))


def _room(group: GroupStorage, volume_bytes: int, out_of_sync_bytes: int) -> Room:
    return Room(
        volume_bytes=volume_bytes,
        group_bytes=group.size_bytes,
        free_bytes=group.free_bytes,
        extent_bytes=max(group.extent_bytes, 1),
        out_of_sync_bytes=out_of_sync_bytes,
    )


def _no_room(group: GroupStorage) -> str:
    free_mib = group.free_bytes >> 20
    return f"volume group {group.name} has no room for a snapshot ({free_mib} MiB are free)"
