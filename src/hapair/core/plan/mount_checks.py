"""Where a file system is mounted: for whom it is, and how the nodes differ on the way there."""

from collections.abc import Iterator
from typing import Final

from hapair.model.application import Volume
from hapair.model.nesting import lies_inside
from hapair.model.problem import Problem
from hapair.model.storage import Account, AccountKind, Folder, NodeStorage

PASSES: Final = 0o111  # Who may go through a folder: its owner, its group, others.
OTHERS: Final = 0o001
# What a node needs at these places it needs whether an application runs on it or not.
OF_THE_SYSTEM: Final = frozenset(
    {"/", "/bin", "/boot", "/boot/efi", "/dev", "/efi", "/etc", "/lib", "/lib64", "/proc", "/root",
     "/run", "/sbin", "/sys", "/usr", "/var", "/var/cache", "/var/lib", "/var/log", "/var/spool",
     "/tmp", "/var/tmp"}  # noqa: S108 - Named, not used.
)  # fmt: skip
# Nor may what hapair keeps, here and inside, be away for a moment: the note of a build, for one.
OF_HAPAIR: Final = (
    "/cmbackup", "/etc/cluster", "/etc/drbd.d", "/run/hapair", "/usr/lib/hapair", "/var/lib/hapair",
)  # fmt: skip


def is_of_the_node(place: str) -> bool:
    """Tell whether the node itself needs what is mounted at a place."""
    ours = any(place == each or lies_inside(place, each) for each in OF_HAPAIR)
    return ours or place in OF_THE_SYSTEM


def folders_for(volume: Volume, here: NodeStorage) -> tuple[Folder, ...]:
    """Return what the folders of a mount point are like on the node where it is mounted."""
    mounts = here.group(volume.volume_group).mounts
    found = (m.folders for m in mounts if m.logical_volume == volume.logical_volume)
    return next(found, ())


def folders_to_make(volume: Volume, here: NodeStorage, peer: NodeStorage) -> tuple[Folder, ...]:
    """Return the folders that the mount point lacks on the peer, as they are here."""
    there = {folder.path for folder in peer.folders}
    return tuple(each for each in folders_for(volume, here) if each.path not in there)


def hidden_there(
    added: tuple[Volume, ...], here: NodeStorage, peer: NodeStorage
) -> Iterator[Problem]:
    """Warn where a program would look for its data in vain on the peer, or what is hidden there."""
    filled = {folder.path for folder in peer.folders if folder.filled}
    for volume in added:
        place = volume.mount_point
        if place in filled:
            what = f"{place} is not empty: what lies in that folder is hidden by the mount"
            mend = "move it to another place, if anybody needs it"
            yield Problem(peer.node, "mount point", what, mend, warning=True)
        mounts = here.group(volume.volume_group).mounts
        for mount in (each for each in mounts if each.mount_point == place):
            for name in mount.called:
                what = f"{name} of {here.node}'s /etc/fstab is {place}, by a symbolic link"
                mend = f"if a program calls it {name}: make the same link on {peer.node}"
                yield Problem(peer.node, "mount point", what, mend, warning=True)


def owners_that_differ(
    added: tuple[Volume, ...], here: NodeStorage, peer: NodeStorage
) -> Iterator[Problem]:
    """Warn of who owns data here, and would not own it on the peer: files know only numbers.

    Whom a directory service tells to the nodes is in the files of neither.
    """
    there = {(each.kind, each.name): each.number for each in peer.accounts}
    told: set[Account] = set()
    for volume in added:
        mounts = here.group(volume.volume_group).mounts
        for owner in (o for m in mounts if m.mount_point == volume.mount_point for o in m.owners):
            number = there.get((owner.kind, owner.name))
            if not there or owner in told or number == owner.number:
                continue
            if number is None and owner not in here.accounts:
                continue
            told.add(owner)
            has = "is not known" if number is None else f"has number {number}"
            what = f"{owner.name}, which owns files in {volume.mount_point}, {has}, and on"
            what += f" {here.node} number {owner.number}: those files would not be its own"
            work, of = ("user", "-u") if owner.kind is AccountKind.USER else ("group", "-g")
            mend = f"{work}{'add' if number is None else 'mod'} {of} {owner.number} {owner.name}"
            yield Problem(peer.node, owner.kind, what, mend, warning=True)


def ways_that_differ(
    added: tuple[Volume, ...], here: NodeStorage, peer: NodeStorage
) -> Iterator[Problem]:
    """Warn of folders that let a program pass here, and not on the peer: they are not changed.

    The mount point itself is not looked at: what is mounted on it says who may enter.
    """
    there = {folder.path: folder for folder in peer.folders}
    told: set[str] = set()
    for volume in added:
        for folder in folders_for(volume, here):
            other = there.get(folder.path)
            if folder.path in told or folder.path == volume.mount_point or other is None:
                continue
            if _locks_out(folder, other):
                told.add(folder.path)
                what = (
                    f"{folder.path} is {_shown(other)}, and {_shown(folder)} on {here.node}: a"
                    f" program may not reach {volume.mount_point} there"
                )
                mend = f"on {peer.node}: chmod {folder.mode:04o} {folder.path}"
                if (folder.owner, folder.group) != (other.owner, other.group):
                    mend += f"; chown {folder.owner}:{folder.group} {folder.path}"
                yield Problem(peer.node, "mount point", what, mend, warning=True)


def _locks_out(here: Folder, there: Folder) -> bool:
    """Tell whether somebody may pass here who may not pass there."""
    if there.mode & PASSES & here.mode != here.mode & PASSES:
        return True
    owned = (here.owner, here.group) == (there.owner, there.group)
    return not owned and not there.mode & OTHERS


def _shown(folder: Folder) -> str:
    return f"{folder.owner}:{folder.group} {folder.mode:04o}"
