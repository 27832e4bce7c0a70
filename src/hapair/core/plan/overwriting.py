"""What is in the way of making the copy on the other node: nothing of value is overwritten."""

from collections.abc import Iterator

from hapair.core.copies.loss import amount_text, long_text
from hapair.core.plan.layers import told
from hapair.model.application import Volume
from hapair.model.problem import Problem
from hapair.model.storage import GroupStorage, LogicalVolume, NodeStorage


def names_taken(volume: Volume, storage: NodeStorage, *, with_data: bool) -> Iterator[Problem]:
    """Return whose name on a node is taken: of the meta-data, and ``with_data`` of the copy."""
    group = storage.group(volume.volume_group)
    names = (volume.meta_volume, *((volume.logical_volume,) if with_data else ()))
    for name in names:
        path = f"{group.name}/{name}"
        mend = f"give it another name on {storage.node}: lvrename {path} NAME, and in /etc/fstab"
        if name in group.taken_names:
            what = f"{path} is a name that LVM keeps for a hidden or a removed volume"
            mend = f"see lvs --all --history {group.name}; else give the volume another name"
            yield Problem(storage.node, "volume", what, mend)
        elif name == volume.meta_volume and group.volume(name) is not None:
            mend = f"if an unfinished build left it: clbuildapp --abandon; else {mend}"
            yield Problem(storage.node, "volume", f"{path} exists already", mend)


def copy_in_the_way(volume: Volume, peer: NodeStorage) -> Iterator[Problem]:
    """Return why the volume that is there cannot be taken: it counts only when plainly empty."""
    group = peer.group(volume.volume_group)
    there = group.volume(volume.logical_volume)
    if there is None:
        return
    path = f"{group.name}/{there.name}"
    mend = f"save what you need of it, then on {peer.node}: lvremove {path}"
    if there.inactive:
        mend = f"look at it: lvchange --activate y --ignoreactivationskip {path}; {mend}"
    if why := _why_not_free(group, there):
        what = f"{path} exists and {why}{_size_and_age(there, peer, before=' ')}"
        yield Problem(peer.node, "volume", what, mend)
    elif there.size_bytes != volume.size_bytes:
        what = f"{path} has {there.size_bytes} bytes instead of {volume.size_bytes}"
        yield Problem(peer.node, "volume", what, mend)


def _why_not_free(group: GroupStorage, there: LogicalVolume) -> str:
    mounts = (m.mount_point for m in group.mounts if m.logical_volume == there.name)
    uses = [f"mounted on {mount_point}" for mount_point in mounts]
    uses += [told(use) for use in group.uses if use.logical_volume == there.name]
    snapshots = [each.name for each in group.snapshots(there.name)]
    if not there.why_not_free and snapshots:
        return f"has the snapshot {', '.join(snapshots)}"
    return there.why_not_free + (f" ({'; '.join(uses)})" if uses else "")


def taken(volume: Volume, peer: NodeStorage) -> tuple[str, ...]:
    """Say which volume of the other node is overwritten; nothing when one is made."""
    there = peer.group(volume.volume_group).volume(volume.logical_volume)
    if there is None:
        return ()
    path = f"{volume.volume_group}/{there.name}"
    about = _size_and_age(there, peer, before="")
    return (f"{path} on {peer.node} {about} is empty and is overwritten",)


def without_blocks(volume: Volume, storage: NodeStorage) -> tuple[str, ...]:
    """Warn of a volume that may find no room for what is written to it."""
    group = storage.group(volume.volume_group)
    there = group.volume(volume.logical_volume)
    if there is None or not there.pool:
        return ()
    path, pool = (f"{group.name}/{name}" for name in (there.name, there.pool))
    mend = "watch that (lvs): when it runs full, this copy fails like a dead disk"
    return (f"{path} on {storage.node} has its blocks from the pool {pool}: {mend}",)


def _size_and_age(there: LogicalVolume, peer: NodeStorage, *, before: str) -> str:
    aged = ""
    if peer.wall_s is not None and there.made_wall_s is not None:
        aged = f", made {long_text(max(peer.wall_s - there.made_wall_s, 0))} ago"
    return f"{before}({amount_text(there.size_bytes)}{aged})"
