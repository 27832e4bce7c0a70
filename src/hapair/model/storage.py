"""What clbuildapp sees of an application's volume groups on one node. Facts only."""

from dataclasses import dataclass
from typing import Final

from hapair.model.node_facts import PhysicalVolume
from hapair.model.unit import ProgramUnit

UNSEEN: Final = "something that nobody has looked at"


@dataclass(frozen=True, slots=True)
class LogicalVolume:
    name: str
    size_bytes: int
    content: str = ""  # What it holds, e.g. "ext4", or UNSEEN; empty when nothing is recognised.
    nameless: bool = False  # It holds data, of a kind that is not recognised.
    inactive: bool = False  # Nobody can look at it.
    in_use: bool = False  # Something holds the device open.
    origin: str = ""  # Of a snapshot: the volume whose former content it keeps.
    made_wall_s: float | None = None
    ours: bool = False  # It has the tag of what hapair makes.

    @property
    def why_not_free(self) -> str:
        """Say what is on it; empty only when it was really looked at and is really empty."""
        if self.in_use:
            return "is in use"
        if self.inactive:
            return "is inactive: what it holds cannot be seen"
        if self.content or self.nameless:
            return f"holds {self.content or 'data of a kind that is not recognised'}"
        return ""


@dataclass(frozen=True, slots=True)
class NativeMount:
    """A file system of the group that is mounted straight from its logical volume."""

    logical_volume: str
    mount_point: str
    file_system: str
    options: str = ""
    journal: bool = True
    in_fstab: bool = False  # Earlier versions tell it.
    holders: tuple[str, ...] = ()  # What uses it, e.g. "bash (4711)".
    freeing: tuple[str, ...] = ()  # What a person types to end that, e.g. "umount /export".
    elsewhere: tuple[str, ...] = ()  # Parts of it that lie on other devices, e.g. "log".
    lost_options: tuple[str, ...] = ()  # In force now, and not to be had over DRBD.
    other_mounters: tuple[str, ...] = ()  # What else mounts it, e.g. a unit's file.


@dataclass(frozen=True, slots=True)
class GroupStorage:
    name: str
    exists: bool
    extent_bytes: int = 0
    free_bytes: int = 0
    volumes: tuple[LogicalVolume, ...] = ()
    mounts: tuple[NativeMount, ...] = ()
    identity: str = ""  # LVM's UUID.
    physical_volumes: tuple[PhysicalVolume, ...] = ()
    objection: str = ""  # Why nothing can be made in it now.

    @property
    def size_bytes(self) -> int:
        """Return about how large the group is: what is free and what its volumes take."""
        return self.free_bytes + sum(volume.size_bytes for volume in self.volumes)

    def snapshots(self, origin: str) -> tuple[LogicalVolume, ...]:
        return tuple(volume for volume in self.volumes if volume.origin == origin)

    def volume(self, name: str) -> LogicalVolume | None:
        return next((volume for volume in self.volumes if volume.name == name), None)


@dataclass(frozen=True, slots=True)
class NodeStorage:
    node: str
    groups: tuple[GroupStorage, ...]
    missing_tools: tuple[str, ...] = ()
    program_error: str = ""  # Why the application's program cannot be run there,
    program_mend: str = ""  # and what to do about it, where more is known than that.
    file_systems: tuple[str, ...] = ()  # Types that this kernel can mount and check.
    unit: ProgramUnit | None = None  # The application's program, where that is one.

    def group(self, name: str) -> GroupStorage:
        """Return the facts of a group; one that does not exist when nothing is known of it."""
        found = (group for group in self.groups if group.name == name)
        return next(found, GroupStorage(name, exists=False))
