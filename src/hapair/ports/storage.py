"""Volumes and files that a build makes, changes or looks at."""

from typing import Protocol

from hapair.model.application import Volume
from hapair.model.built import Built
from hapair.model.divergence import ChangedFile
from hapair.model.outcome import Outcome
from hapair.model.storage import (
    Folder,
    GroupStorage,
    LogicalVolume,
    NativeMount,
    Obstacle,
    Place,
    VolumeUse,
)


class FileLooks(Protocol):
    """Look at files without changing anything."""

    async def open(self, volume: Volume, snapshot: str, folder: str) -> Outcome:
        """Mount a snapshot of the volume's group read-only at ``folder``, which is made."""
        ...

    async def close(self, folder: str) -> Outcome:
        """Unmount it and remove the folder; Done also when there is none."""
        ...

    async def changed_since(
        self, folder: str, wall_s: float, *, limit: int
    ) -> tuple[ChangedFile, ...] | None:
        """Return the newest files changed since then; None when it could not be found out."""
        ...


class LogicalVolumes(Protocol):
    """LVM, for building and for snapshots: nothing here is on the path of a failover."""

    async def group(self, name: str) -> GroupStorage:
        """Return what lies in a group, without mounts; of an unknown one that it does not exist.

        What its volumes hold is left UNSEEN. All who ask at the same time are answered by one look
        at LVM, which begins after they asked.
        """
        ...

    async def look(
        self, group: str, volume: LogicalVolume, *, whole: bool = False
    ) -> LogicalVolume:
        """Return a volume of a group with what it holds, whatever can be read of it.

        Data of an unknown kind is looked for in some places only, with ``whole`` in every byte:
        that may take minutes, and what takes longer is not free.
        """
        ...

    async def create(self, group: str, name: str, size_bytes: int) -> Outcome:
        """Make a linear volume of at least this size; Refused when the name is taken."""
        ...

    async def guard(self, group: str, name: str) -> Outcome:
        """Let nobody open the volume for writing until DRBD is given it, or it is disowned.

        Who has it open already is not kept from writing.
        """
        ...

    async def disown(self, group: str, name: str) -> Outcome:
        """Take our tag and guard from a volume: it is none of ours then. Done also when it is not.

        One that is in use keeps its guard.
        """
        ...

    async def remove(self, group: str, name: str) -> Outcome:
        """Remove a volume of ours that is not in use, with snapshots of ours; Done without it.

        Refused when it is not ours, or has a snapshot of somebody else's: nothing is removed.
        """
        ...

    async def snapshot(self, group: str, origin: str, name: str, size_bytes: int) -> Outcome:
        """Keep the present content of ``origin``, as long as at most that much is overwritten.

        From its making on it has the tag by which we know that it is ours.
        """
        ...

    async def remove_snapshots(self, group: str, *names: str) -> Outcome:
        """Remove snapshots of ours together; Done also when there is nothing.

        Refused when one of them is none: then nothing is removed.
        """
        ...


class NativeMounts(Protocol):
    """File systems as they are before DRBD: mounted straight from the logical volume."""

    def mounts(self, group: GroupStorage) -> tuple[NativeMount, ...]:
        """Return what is mounted straight from volumes of the group, each mount once."""
        ...

    def uses(self, group: GroupStorage) -> tuple[VolumeUse, ...]:
        """Return what else has volumes of the group that LVM calls open.

        Nothing of a volume that is mounted straight from it.
        """
        ...

    def boot_uses(
        self, place: Place, beside: tuple[Place, ...], program: str
    ) -> tuple[Obstacle, ...]:
        """Return what a boot does with a volume, and we may not change.

        ``beside``: where the application's other volumes are; ``program``: the unit that it starts.
        """
        ...

    def in_the_way(self, place: Place, *, elsewhere: bool) -> tuple[Obstacle, ...]:
        """Return why a mount at a place is not, or would not be, seen there by everybody.

        ``elsewhere``: it is mounted on the other node, and nothing is to be there.
        """
        ...

    async def mount(self, volume: Volume) -> Outcome:
        """Mount the backing device where it was; Done also when it already is."""
        ...

    async def unmount(self, volume: Volume) -> Outcome:
        """Unmount the backing device; Refused, with the holders named, when it is in use."""
        ...

    async def leave_fstab(self, volume: Volume) -> Outcome:
        """Let nothing mount the bare volume: neither a boot nor systemd. Done also if nothing does.

        Refused when something does that only a person may change.
        """
        ...

    async def restore_fstab(self, volume: Volume) -> Outcome:
        """Let fstab mount it again as before; Done also when it never did."""
        ...

    async def retire(self, volume: Volume) -> Outcome:
        """Let a former copy be any volume: writable, and said to be one where fstab names it.

        What we left out of fstab stays so. Done also when there is nothing to do.
        """
        ...

    def mounted(self, volume: Volume) -> bool:
        """Tell whether the bare volume is mounted here, wherever."""

    def left_out(self, volume: Volume) -> bool:
        """Tell whether a line of fstab would mount it here, had we not left it out."""

    def folders(self, place: str) -> tuple[Folder, ...]:
        """Return the folder and those above it, as far as they are there."""

    def make_mount_point(self, volume: Volume, like: tuple[Folder, ...] = ()) -> Outcome:
        """Make what is missing of the way to the mount point, with owner, mode and labels."""
        ...

    def remove_mount_point(self, made: tuple[Folder, ...]) -> Outcome:
        """Remove folders that were made for a mount point, but for what is used by now."""
        ...


class ReplicationFiles(Protocol):
    """DRBD's resource files and meta-data on this node's disks."""

    def write(self, built: Built, volume: Volume) -> Outcome:
        """Write the file; Done also when it already says the same."""
        ...

    def remove(self, volume: Volume) -> Outcome: ...
    def described(self) -> tuple[Volume | str, ...]:
        """Return the volumes of all resource files of ours; the name of one that does not say it.

        OSError when one cannot be read.
        """

    async def make_meta_data(self, volume: Volume) -> Outcome:
        """Write fresh meta-data: this copy counts as empty until it has met a valid one."""
        ...
