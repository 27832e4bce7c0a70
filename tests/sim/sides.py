"""The sides of a replicated resource, and how two of them are compared when they meet."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from hapair.model.data import REPLICATING, Connection, Disk, Role, VolumeFacts

BLOCK_BYTES: Final = 4096
SPLIT_BRAIN: Final = 100
UNRELATED: Final = 1000
FULL_SYNC: Final = 2
HISTORY_LENGTH: Final = 2
JUST_CREATED: Final = 0  # The identifier in meta-data that were made anew.
# In DRBD's own order: everything before a word of this list is worse than it.
QUALITY: Final = (
    Disk.DISKLESS,
    Disk.ATTACHING,
    Disk.DETACHING,
    Disk.FAILED,
    Disk.NEGOTIATING,
    Disk.INCONSISTENT,
    Disk.OUTDATED,
    Disk.UNKNOWN,
    Disk.CONSISTENT,
    Disk.UP_TO_DATE,
)
RANK: Final = {disk: rank for rank, disk in enumerate(QUALITY)}


class Fencing(StrEnum):
    """DRBD's option of that name: what a Primary does that loses its peer."""

    DONT_CARE = "dont-care"  # It goes on writing.
    RESOURCE_AND_STONITH = "resource-and-stonith"  # It freezes writes and asks a handler.


class Asked(StrEnum):
    """Why the kernel runs the fence-peer handler at the moment."""

    LOSS = "loss"  # A Primary is without its peer; nothing else waits for the answer.
    PROMOTION = "promotion"  # ``drbdsetup primary`` waits for the answer.


@dataclass(slots=True)
class Meta:
    """The meta-data area of one backing disk; it survives everything."""

    current: int
    bitmap: int = 0
    history: tuple[int, ...] = ()
    consistent: bool = True
    was_up_to_date: bool = True
    primary: bool = False  # Was Primary, or diskless Primary's only disk, when last written.
    crashed_primary: bool = False
    peer_outdated: bool = False

    def remember(self, identifier: int) -> None:
        if identifier:
            self.history = (identifier, *self.history)[:HISTORY_LENGTH]


@dataclass(slots=True)
class Side:
    node: str
    meta: Meta
    data: set[int] = field(default_factory=set)
    configured: bool = False
    given_up: bool = False  # Detached by force, or about to be.
    foreign: bool = False  # Somebody wrote to the backing disk behind DRBD.
    broken: bool = False  # The backing disk gives errors: it cannot be attached.
    unseen: bool = False  # No daemon saw that it broke while the peer's copy had every write.
    role: Role = Role.SECONDARY
    disk: Disk = Disk.DISKLESS
    connection: Connection = Connection.CONNECTING
    peer_role: Role = Role.UNKNOWN
    peer_disk: Disk = Disk.UNKNOWN
    suspended: bool = False
    overdue: bool = False  # The peer's disk hangs, and writes wait for it.
    crashed_primary: bool = False
    exposed: int = 0  # The identifier of the data that a diskless Primary has shown.
    unprotected_writes: int = 0
    pending: list[int] = field(default_factory=list)  # Written here, not yet on the peer.
    blocked: list[int] = field(default_factory=list)  # Came while frozen: on no disk yet.
    asked: Asked | None = None
    tries: int = 0  # How often this promotion has asked.

    @property
    def replicating(self) -> bool:
        return self.configured and self.connection in REPLICATING

    @property
    def attached(self) -> bool:
        return self.configured and self.disk not in (Disk.DISKLESS, Disk.NEGOTIATING)

    def empty(self) -> None:
        """Make the meta-data anew: the copy counts as empty."""
        self.meta = Meta(current=JUST_CREATED, consistent=False, was_up_to_date=False)
        self.foreign = False

    def outrun(self, identifier: int) -> None:
        """Make a generation whose blocks are all missing on the peer."""
        self.meta.bitmap = self.meta.bitmap or self.meta.current
        self.meta.current = identifier
        self.foreign = False

    def settle_disk(self, fencing: Fencing) -> None:
        """Take the state of the disk from its meta-data."""
        meta = self.meta
        self.given_up = False
        self.disk = Disk.INCONSISTENT
        if meta.consistent:
            self.disk = Disk.CONSISTENT if meta.was_up_to_date else Disk.OUTDATED
            # The peer cannot have newer data, or the resource is set not to care.
            trusted = self.peer_disk is Disk.OUTDATED or fencing is Fencing.DONT_CARE
            if self.disk is Disk.CONSISTENT and trusted:
                self.disk = Disk.UP_TO_DATE
        self.crashed_primary = meta.crashed_primary or (
            meta.primary and self.role is not Role.PRIMARY
        )

    def write_flags(self) -> None:
        """Keep the present states in the meta-data."""
        if not self.attached or self.broken:
            return
        meta = self.meta
        meta.crashed_primary = self.crashed_primary
        meta.primary = self.role is Role.PRIMARY or (
            self.peer_role is Role.PRIMARY and RANK[self.peer_disk] < RANK[Disk.INCONSISTENT]
        )
        meta.consistent = RANK[self.disk] > RANK[Disk.INCONSISTENT]
        meta.was_up_to_date = RANK[self.disk] > RANK[Disk.OUTDATED]
        meta.peer_outdated = self.peer_disk in (Disk.OUTDATED, Disk.INCONSISTENT)

    def forget_waiting(self) -> None:
        self.suspended = False
        self.asked = None
        self.pending.clear()
        self.blocked.clear()

    def facts(self, resource: str) -> VolumeFacts:
        syncing = self.connection in (Connection.SYNC_SOURCE, Connection.SYNC_TARGET)
        return VolumeFacts(
            resource=resource,
            role=self.role,
            peer_role=self.peer_role,
            disk=self.disk,
            peer_disk=self.peer_disk,
            connection=self.connection,
            suspended=self.suspended,
            overdue=self.overdue,
            out_of_sync_bytes=self.unprotected_writes * BLOCK_BYTES,
            sync_done=0.5 if syncing else None,
        )


def compare(mine: Side, theirs: Side) -> int:
    """Compare the generation identifiers of two sides, as the kernel's uuid_compare does.

    Returns 0 (equal), 1 or 2 (mine is the source of a resync; 2: of everything), -1 or -2
    (mine is the target), 100 (split brain), 1000 (unrelated data).
    """
    me, peer = mine.meta, theirs.meta
    if me.current == peer.current:
        return _compare_equal(mine, theirs)
    if JUST_CREATED in (me.current, peer.current):  # Rules 20 and 30.
        return FULL_SYNC if peer.current == JUST_CREATED else -FULL_SYNC
    if me.current == peer.bitmap:  # Rule 50.
        return -1
    if me.current in peer.history:  # Rule 60.
        return -FULL_SYNC
    if me.bitmap == peer.current:  # Rule 70.
        return 1
    if peer.current in me.history:  # Rule 80.
        return FULL_SYNC
    related = {me.bitmap, *me.history} & {peer.bitmap, *peer.history} - {0}
    return SPLIT_BRAIN if related else UNRELATED  # Rules 90 and 100.


def _compare_equal(mine: Side, theirs: Side) -> int:
    """Rules 36, 37, 40 and 41: the same current identifier on both sides."""
    if mine.meta.bitmap and not theirs.meta.bitmap:
        return 1
    if theirs.meta.bitmap and not mine.meta.bitmap:
        return -1
    if not mine.crashed_primary and not theirs.crashed_primary:
        return 0
    if Role.PRIMARY in (mine.role, theirs.role):
        if mine.role is theirs.role:
            return SPLIT_BRAIN
        return 1 if mine.role is Role.PRIMARY else -1
    return 1 if mine.crashed_primary else -1
