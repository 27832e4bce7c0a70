"""The sides of a replicated resource, and how two of them are compared when they meet."""

from dataclasses import dataclass, field
from typing import Final

from hapair.model.data import REPLICATING, Connection, Disk, Role, VolumeFacts

BLOCK_BYTES: Final = 4096
SPLIT_BRAIN: Final = 100
UNRELATED: Final = 1000
FULL_SYNC: Final = 2
HISTORY_LENGTH: Final = 2
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
    broken: bool = False  # The backing disk gives errors: it cannot be attached.
    role: Role = Role.SECONDARY
    disk: Disk = Disk.DISKLESS
    connection: Connection = Connection.CONNECTING
    peer_role: Role = Role.UNKNOWN
    peer_disk: Disk = Disk.UNKNOWN
    suspended: bool = False
    crashed_primary: bool = False
    exposed: int = 0  # The identifier of the data that a diskless Primary has shown.
    unprotected_writes: int = 0
    pending: list[int] = field(default_factory=list)  # Written here, not yet on the peer.

    @property
    def replicating(self) -> bool:
        return self.configured and self.connection in REPLICATING

    @property
    def attached(self) -> bool:
        return self.configured and self.disk not in (Disk.DISKLESS, Disk.NEGOTIATING)

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
