"""The steps of a job: small, idempotent, each with what takes it back."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hapair.model.application import Volume
from hapair.model.storage import Folder


class Work(StrEnum):
    SEE_EMPTY = "see that the logical volume of the data is empty"
    CREATE_DATA_VOLUME = "create the logical volume of the data"
    LEAVE_DATA_VOLUME = "leave the logical volume of the data to whoever needs it"
    REMOVE_DATA_VOLUME = "remove the logical volume of the data"
    CREATE_META_VOLUME = "create the logical volume of the DRBD meta-data"
    REMOVE_META_VOLUME = "remove the logical volume of the DRBD meta-data"
    WRITE_RESOURCE = "write the DRBD resource file"
    REMOVE_RESOURCE = "remove the DRBD resource file"
    WRITE_META_DATA = "write the DRBD meta-data"
    MAKE_MOUNT_POINT = "make the mount point"
    REMOVE_MOUNT_POINT = "remove the mount point if it was made"
    LEAVE_FSTAB = "take the file system out of /etc/fstab"
    RESTORE_FSTAB = "put the file system back into /etc/fstab"
    UNMOUNT_NATIVE = "unmount the file system"
    MOUNT_NATIVE = "mount the file system natively"
    BRING_UP = "start the replication"
    TAKE_DOWN = "stop the replication"
    MAKE_SOURCE = "declare this copy the valid one"
    DEMOTE = "make it Secondary"
    MOUNT = "mount the file system over DRBD"
    UNMOUNT = "unmount the file system from DRBD"
    INSTALL = "install the new configuration"
    INSTALL_FORMER = "install the former configuration"
    # Of a release, and of a build when an earlier release left something:
    HALT = "stop the application"
    RUN_AGAIN = "let the application run again"
    MOUNT_AGAIN = "let its data be mounted again"
    RETIRE_FSTAB = "say in /etc/fstab that a former copy is left there"
    FORGET = "forget whose it was, and what is known of the copy"


# Each of these takes back another one, and may be done again and again.
TAKES_BACK: Final = frozenset(
    {
        Work.LEAVE_DATA_VOLUME,
        Work.REMOVE_DATA_VOLUME,
        Work.REMOVE_META_VOLUME,
        Work.REMOVE_RESOURCE,
        Work.REMOVE_MOUNT_POINT,
        Work.RESTORE_FSTAB,
        Work.MOUNT_NATIVE,
        Work.TAKE_DOWN,
        Work.DEMOTE,
        Work.UNMOUNT,
        Work.INSTALL_FORMER,
        Work.RETIRE_FSTAB,
        Work.FORGET,
    }
)
# These are about the whole application; a step of all others says for which volume it is.
WITHOUT_VOLUME: Final = frozenset({Work.INSTALL, Work.HALT})


@dataclass(frozen=True, slots=True)
class Step:
    node: str
    work: Work
    undo: tuple[Work, ...] = ()  # Done in this order when a later step fails; idempotent.
    volume: tuple[Volume, ...] = ()  # None or one.
    folders: tuple[Folder, ...] = ()  # What those that a mount point lacks are to be like.

    @property
    def text(self) -> str:
        return self.undone(self.work)

    def undone(self, work: Work) -> str:
        """Name a work of this step, or one that takes it back, with its node and resource."""
        what = f" {self.volume[0].resource}" if self.volume else ""
        return f"{self.node}: {work}{what}"
