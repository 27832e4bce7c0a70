"""The steps of a job: small, idempotent, each with what takes it back."""

from dataclasses import dataclass
from enum import StrEnum

from hapair.model.application import Volume


class Work(StrEnum):
    CREATE_DATA_VOLUME = "create the logical volume of the data"
    REMOVE_DATA_VOLUME = "remove the logical volume of the data"
    CREATE_META_VOLUME = "create the logical volume of the DRBD meta-data"
    REMOVE_META_VOLUME = "remove the logical volume of the DRBD meta-data"
    WRITE_RESOURCE = "write the DRBD resource file"
    REMOVE_RESOURCE = "remove the DRBD resource file"
    WRITE_META_DATA = "write the DRBD meta-data"
    MAKE_MOUNT_POINT = "make the mount point"
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


@dataclass(frozen=True, slots=True)
class Step:
    node: str
    work: Work
    undo: tuple[Work, ...] = ()  # Done in this order when a later step fails; idempotent.
    volume: tuple[Volume, ...] = ()  # None or one.

    @property
    def text(self) -> str:
        what = f" {self.volume[0].resource}" if self.volume else ""
        return f"{self.node}: {self.work}{what}"
