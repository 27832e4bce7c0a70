"""What an administrator wrote in appconf.xml, as values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from hapair.model import timing
from hapair.model.cluster import Interface
from hapair.model.monitor import NO_MONITORS, Monitors


@dataclass(frozen=True, slots=True)
class Script:
    """An executable that is called with ``start`` or ``stop``."""

    path: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit, started and stopped unchanged."""

    name: str


@dataclass(frozen=True, slots=True)
class OcfAgent:
    """An OCF resource agent, run unchanged."""

    provider: str
    kind: str
    parameters: tuple[tuple[str, str], ...] = ()


Program: TypeAlias = Script | Unit | OcfAgent


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    network: str
    address: Interface


@dataclass(frozen=True, slots=True)
class TimeLimits:
    start_s: float = 60.0
    stop_s: float = 60.0
    mount_s: float = timing.MOUNT_S


@dataclass(frozen=True, slots=True)
class Application:
    name: str
    preferred: str  # The node that it runs on when both could run it.
    program: Program | None = None  # None: data and addresses only.
    autostart: bool = True
    failback: bool = False
    volume_groups: tuple[str, ...] = ()
    addresses: tuple[ServiceAddress, ...] = ()  # Ranges already expanded.
    limits: TimeLimits = TimeLimits()
    resets_node: bool = False  # When it cannot be stopped and the other node waits for it.
    monitors: Monitors = NO_MONITORS
    after: tuple[str, ...] = ()  # Applications that it starts after.
    with_: tuple[str, ...] = ()  # It runs on the same node as these.
    apart_from: tuple[str, ...] = ()  # It never runs on the same node as these.
    priority: int = 0  # The higher one has its turn first, and leads those of the same node.


class FileSystem(StrEnum):
    EXT4 = "ext4"
    XFS = "xfs"


@dataclass(frozen=True, slots=True)
class Volume:
    """One replicated file system of an application, as clbuildapp allocated it."""

    resource: str  # DRBD resource name: "<application>.<logical volume>".
    minor: int
    port: int
    volume_group: str
    logical_volume: str
    meta_volume: str  # Logical volume of the DRBD meta-data in the same group.
    size_bytes: int
    mount_point: str
    file_system: FileSystem
    mount_options: str = ""  # As in fstab, e.g. "noatime".

    def shares_disk_with(self, others: "tuple[Volume, ...]") -> bool:
        return any(
            (each.volume_group, each.logical_volume) == (self.volume_group, self.logical_volume)
            for each in others
        )

    @property
    def device(self) -> str:
        return f"/dev/drbd{self.minor}"

    @property
    def backing_device(self) -> str:
        return f"/dev/{self.volume_group}/{self.logical_volume}"

    @property
    def meta_device(self) -> str:
        return f"/dev/{self.volume_group}/{self.meta_volume}"


def map_name(group: str, name: str) -> str:
    """Return what LVM calls the device of a volume: a hyphen inside of a name is doubled."""
    return "-".join(each.replace("-", "--") for each in (group, name))
