"""What clbuildapp sees of an application's volume groups on one node. Facts only."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hapair.model.agent import ProgramAgent
from hapair.model.node_facts import PhysicalVolume
from hapair.model.unit import ProgramUnit
from hapair.model.words import Word

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
    identity: str = ""  # LVM's UUID: another volume may take the name over.
    objection: str = ""  # Why no data can be kept on it, e.g. "is a thin pool".
    pool: str = ""  # From which it gets its blocks as they are written; empty when it has them.

    @property
    def why_not_free(self) -> str:
        """Say what is on it; empty only when it was really looked at and is really empty."""
        if self.origin:
            return f"is a snapshot of {self.origin}"
        if self.objection:
            return self.objection
        if self.in_use:
            return "is in use"
        if self.inactive:
            return "is inactive: what it holds cannot be seen"
        if self.content or self.nameless:
            return f"holds {self.content or 'data of a kind that is not recognised'}"
        return ""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on the way to a mount point; users by name, which differ in number by machine."""

    path: str
    mode: int
    owner: str  # The number of one that has no name.
    group: str
    labels: tuple[tuple[str, str], ...] = ()  # SELinux label and access lists, in hexadecimal.
    filled: bool = False  # Something lies in it. Told of a mount point.


class AccountKind(StrEnum):
    USER = "user"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Account:
    """A user or a group; files know it by its number alone."""

    kind: AccountKind
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a volume is mounted, or is to be on the other node."""

    device: str
    mount_point: str
    names: tuple[str, ...] = ()  # What fstab may call the file system, e.g. "LABEL=data".


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What only a person may take out of a volume's way on a node."""

    mount_point: str  # Of the volume.
    what: str  # Is so of it, e.g. "is also used at a boot by ...".
    mend: str


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
    folders: tuple[Folder, ...] = ()  # The mount point and those above it, the lowest last.
    within: str = "/"  # The mount point of the file system that it is mounted in.
    within_late: bool = False  # Nothing mounts that one before the applications start.
    hidden_by: str = ""  # The mount point of what was mounted over a folder above it.
    inside: tuple[str, ...] = ()  # The mount points of what is mounted inside it.
    owners: tuple[Account, ...] = ()  # Of the uppermost files in it.
    called: tuple[str, ...] = ()  # Other names of its mount point in fstab, by symbolic links.
    names: tuple[str, ...] = ()  # What fstab may call it wherever it is, e.g. "LABEL=data".
    features: tuple[str, ...] = ()  # Which not every kernel knows, by the names of its tools.


class UseKind(Word):
    LUKS = "LUKS"
    CRYPT = "encryption without LUKS"
    INTEGRITY = "dm-integrity"
    VERITY = "dm-verity"
    PARTITION = "partition"
    PHYSICAL_VOLUME = "physical volume"
    MAP = "another device-mapper map"
    BCACHE = "bcache"
    MD = "md"
    DRBD = "DRBD"
    LOOP = "loop device"
    SWAP = "swap space"
    FILE_SYSTEM = "file system over several devices"
    PART = "part of another file system"
    SPACE = "mount in another name space"
    EXPORT = "export"
    PROCESS = "process that writes"
    OTHER = "something else"

    @classmethod
    def of_newer(cls) -> "UseKind":
        return cls.OTHER


@dataclass(frozen=True, slots=True)
class VolumeUse:
    """What has a volume of the group, other than a file system mounted straight from it."""

    logical_volume: str
    kind: UseKind
    name: str  # E.g. of the device that lies on it, or of the process that has it open.
    mount_points: tuple[str, ...] = ()  # Of what lies on it, however many devices are between.


@dataclass(frozen=True, slots=True)
class Release:
    """A program or the kernel, and its version in its own words."""

    name: str
    version: str


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
    uses: tuple[VolumeUse, ...] = ()
    taken_names: tuple[str, ...] = ()  # Of volumes that LVM hides, or remembers.

    @property
    def sector_bytes(self) -> int:
        """Return the least that can be written to all of its volumes; 0: not known."""
        return max((each.sector_bytes for each in self.physical_volumes), default=0)

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
    folders: tuple[Folder, ...] = ()  # What is there of the places that were asked for.
    accounts: tuple[Account, ...] = ()  # Of the node's own files. Earlier versions tell none.
    releases: tuple[Release, ...] = ()
    kernel_options: tuple[str, ...] = ()  # Features that a kernel has only when built with them.
    wall_s: float | None = None  # When it was looked at, by the clock of that node.
    obstacles: tuple[Obstacle, ...] = ()  # To the places that were asked for.

    def version(self, name: str) -> str:
        """Return the version of a program, or of the kernel; empty when it is not known."""
        return next((each.version for each in self.releases if each.name == name), "")

    unit: ProgramUnit | None = None  # The application's program, where that is one.
    agent: ProgramAgent | None = None  # The same of an OCF agent.

    def group(self, name: str) -> GroupStorage:
        """Return the facts of a group; one that does not exist when nothing is known of it."""
        found = (group for group in self.groups if group.name == name)
        return next(found, GroupStorage(name, exists=False))
