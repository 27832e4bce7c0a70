"""One machine of a world: its volumes, mounts, fstab and DRBD get into each other's way."""

# ruff: noqa: ARG002 - a port says more than a stand-in needs.

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from hapair.core.words.stored import Stored
from hapair.model.application import Volume
from hapair.model.built import Built
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.storage import (
    Folder,
    GroupStorage,
    LogicalVolume,
    NativeMount,
    Obstacle,
    Place,
    VolumeUse,
)
from tests.fakes.storage import FakeLogicalVolumes
from tests.jobs.material import HERE, MOUNT, THERE

NATIVE: Final = "native"
OVER_DRBD: Final = "DRBD"
PLAIN: Final = "plain line"
LEFT_OUT: Final = "left out"
RETIRED: Final = "of a former copy"


@dataclass
class Volumes(FakeLogicalVolumes):
    """Volumes that cannot be removed while DRBD or a mount holds them."""

    held: Callable[[], bool] = lambda: False
    hidden: bool = False  # There is data that only a look at every byte finds.
    meanwhile: Callable[[], None] = lambda: None  # What others do right before such a look.

    async def look(
        self, group: str, volume: LogicalVolume, *, whole: bool = False
    ) -> LogicalVolume:
        return replace(volume, nameless=whole and self.hidden)

    async def guard(self, group: str, name: str) -> Outcome:
        self.meanwhile()
        return await super().guard(group, name)

    async def remove(self, group: str, name: str) -> Outcome:
        volume = (await self.group(group)).volume(name)
        if self.held() and volume is not None and not volume.origin:
            return Refused(f"{group}/{name} is in use")
        return await super().remove(group, name)


@dataclass
class Host:
    """One machine; a loss of power leaves its volumes, its files and its fstab."""

    name: str
    fstab: str = ""
    mount: str = ""  # What lies at the mount point.
    drbd: Role | None = None
    frozen: bool = False
    files: dict[str, Volume] = field(default_factory=dict)
    on: bool = True
    other: "Host | None" = None
    ways: tuple[Folder, ...] = ()  # Folders on the way to its mount points.
    uses_at_boot: tuple[Obstacle, ...] = ()
    no_place: tuple[Obstacle, ...] = ()
    made_like: tuple[Folder, ...] = ()  # What a mount point was to be made like.
    stored: Stored = field(default_factory=Stored)  # What its core keeps on its disk.
    volumes: Volumes = field(init=False)

    def __post_init__(self) -> None:
        group = THERE if self.name == "node2" else replace(HERE, mounts=())
        self.volumes = Volumes({"vg_orders": group}, held=lambda: self.drbd is not None)

    def lose_power(self) -> None:
        self.on, self.mount, self.drbd, self.frozen = False, "", None, False
        self.part()

    def boot(self) -> None:
        """A boot mounts what is in fstab, unless somebody left it out."""
        self.on = True
        if self.fstab == PLAIN and self.exists("data"):
            self.mount = NATIVE

    def part(self) -> None:
        """The kernels lose each other: a Primary waits for somebody's word."""
        if self.other is not None and self.other.drbd is Role.PRIMARY:
            self.other.frozen = True

    def looks(self) -> tuple[object, ...]:
        """Return all that an administrator would find changed."""
        group = self.volumes.groups["vg_orders"]
        volumes = tuple(sorted((v.name, v.size_bytes, v.ours) for v in group.volumes))
        files = tuple(sorted(self.files))
        guarded = tuple(sorted(self.volumes.guarded))
        return (volumes, guarded, files, self.drbd, self.frozen, self.mount, self.fstab)

    def exists(self, name: str) -> bool:
        return self.volumes.groups["vg_orders"].volume(name) is not None


@dataclass
class Natives:
    host: Host

    def mounts(self, group: GroupStorage) -> tuple[NativeMount, ...]:
        return (MOUNT,) if self.host.mount == NATIVE else ()

    def uses(self, group: GroupStorage) -> tuple[VolumeUse, ...]:
        return ()

    def boot_uses(
        self, place: Place, beside: tuple[Place, ...], program: str
    ) -> tuple[Obstacle, ...]:
        return self.host.uses_at_boot

    def in_the_way(self, place: Place, *, elsewhere: bool) -> tuple[Obstacle, ...]:
        return self.host.no_place

    def mounted(self, volume: Volume) -> bool:
        return self.host.mount == NATIVE

    def left_out(self, volume: Volume) -> bool:
        return self.host.fstab == LEFT_OUT

    async def mount(self, volume: Volume) -> Outcome:
        if self.host.mount == NATIVE:
            return Done()
        there = self.host.exists(volume.logical_volume)
        if self.host.mount or self.host.drbd is not None or not there:
            return Refused("mount: the device is busy")
        self.host.mount = NATIVE
        return Done()

    async def unmount(self, volume: Volume) -> Outcome:
        if self.host.mount == NATIVE:
            self.host.mount = ""
        return Done()

    async def leave_fstab(self, volume: Volume) -> Outcome:
        self.host.fstab = LEFT_OUT if self.host.fstab == PLAIN else self.host.fstab
        return Done()

    async def restore_fstab(self, volume: Volume) -> Outcome:
        self.host.fstab = PLAIN if self.host.fstab == LEFT_OUT else self.host.fstab
        return Done()

    def folders(self, place: str) -> tuple[Folder, ...]:
        return self.host.ways

    async def retire(self, volume: Volume) -> Outcome:
        self.host.fstab = RETIRED if self.host.fstab == LEFT_OUT else self.host.fstab
        return Done()

    def make_mount_point(self, volume: Volume, like: tuple[Folder, ...] = ()) -> Outcome:
        self.host.made_like = like
        return Done()

    def remove_mount_point(self, made: tuple[Folder, ...]) -> Outcome:
        self.host.made_like = tuple(each for each in self.host.made_like if each not in made)
        return Done()


@dataclass
class Mounts:
    host: Host

    def mounted(self, volume: Volume) -> bool:
        return self.host.mount == OVER_DRBD

    async def mount(self, volume: Volume, *, timeout_s: float) -> Outcome:
        if self.host.mount == NATIVE or self.host.drbd is not Role.PRIMARY:
            return Refused("it cannot be mounted")
        self.host.mount = OVER_DRBD
        return Done()

    async def unmount(self, volume: Volume, *, timeout_s: float) -> Outcome:
        if self.host.mount == NATIVE:
            return Refused("/dev/vg_orders/data is mounted there, not our device")
        if self.host.mount == OVER_DRBD and self.host.frozen:
            return Unknown("it hangs")
        self.host.mount = ""
        return Done()


@dataclass
class Kernel:
    host: Host

    def facts(self, resource: str) -> VolumeFacts | None:
        if self.host.drbd is None:
            return None
        up = self.host.other is not None and self.host.other.drbd is not None
        connection = Connection.CONNECTED if up else Connection.CONNECTING
        disk = Disk.UP_TO_DATE
        return VolumeFacts(resource, self.host.drbd, Role.UNKNOWN, disk, disk, connection)

    async def bring_up(self, volume: Volume, *, timeout_s: float) -> Outcome:
        there = self.host.exists(volume.logical_volume) and self.host.exists(volume.meta_volume)
        if volume.resource not in self.host.files or not there or self.host.mount == NATIVE:
            return Unknown("drbdadm adjust ended with 1")
        if self.host.fstab == PLAIN:
            return Unknown("systemd mounted the bare volume again")
        self.host.drbd = self.host.drbd or Role.SECONDARY
        self.host.volumes.guarded.discard(volume.logical_volume)
        return Done()

    async def take_down(self, volume: Volume, *, timeout_s: float) -> Outcome:
        if self.host.mount == OVER_DRBD or self.host.drbd is Role.PRIMARY:
            return Refused("it is held open")
        if self.host.drbd is not None:
            self.host.part()
        self.host.drbd = None
        return Done()

    async def promote(self, volume: Volume, *, timeout_s: float, force: bool = False) -> Outcome:
        if self.host.drbd is None or self.host.other is None or self.host.other.drbd is None:
            return Refused("the peer cannot be fenced")
        self.host.drbd = Role.PRIMARY
        return Done()

    async def demote(self, volume: Volume, *, timeout_s: float) -> Outcome:
        if self.host.mount == OVER_DRBD or self.host.frozen:
            return Refused("it is held open")
        self.host.drbd = Role.SECONDARY
        return Done()

    async def resume(self, volume: Volume, *, timeout_s: float) -> Outcome:
        self.host.frozen = False
        return Done()


@dataclass
class Files:
    host: Host

    def write(self, built: Built, volume: Volume) -> Outcome:
        self.host.files[volume.resource] = volume
        return Done()

    def remove(self, volume: Volume) -> Outcome:
        self.host.files.pop(volume.resource, None)
        return Done()

    def described(self) -> tuple[Volume | str, ...]:
        return tuple(self.host.files.values())

    async def make_meta_data(self, volume: Volume) -> Outcome:
        return Done() if self.host.exists(volume.meta_volume) else Refused("no such device")
