"""DRBD's words for the state of a replicated volume, and what we conclude from them."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    PRIMARY = "Primary"
    SECONDARY = "Secondary"
    UNKNOWN = "Unknown"


class Disk(StrEnum):
    UP_TO_DATE = "UpToDate"
    CONSISTENT = "Consistent"
    OUTDATED = "Outdated"
    INCONSISTENT = "Inconsistent"
    NEGOTIATING = "Negotiating"
    ATTACHING = "Attaching"
    DETACHING = "Detaching"
    FAILED = "Failed"
    DISKLESS = "Diskless"
    UNKNOWN = "DUnknown"


class Connection(StrEnum):
    """Only the differences that matter to us; the adapter maps DRBD's many words to these."""

    STAND_ALONE = "StandAlone"  # Does not even try: DRBD refused the peer's data, or was told to.
    CONNECTING = "Connecting"  # Tries to reach the peer.
    CONNECTED = "Connected"  # Every write goes to both copies.
    SYNC_SOURCE = "SyncSource"  # Connected, the peer's copy is being completed from ours.
    SYNC_TARGET = "SyncTarget"  # Connected, our copy is being completed from the peer's.


SYNCING = (Connection.SYNC_SOURCE, Connection.SYNC_TARGET)
REPLICATING = (Connection.CONNECTED, *SYNCING)


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What the local kernel says about one DRBD resource at one moment."""

    resource: str
    role: Role
    peer_role: Role
    disk: Disk
    peer_disk: Disk
    connection: Connection
    suspended: bool = False  # The kernel has frozen the writes, because it lost its peer.
    out_of_sync_bytes: int = 0
    sync_done: float | None = None  # 0.0 to 1.0 while a resync runs, else None.
    held: bool = False  # An administrator has frozen them (drbdadm suspend-io).
    waits: bool = False  # Its resync is held back, here or by the peer, while another one runs.
    overdue: bool = False  # Writes are here, and the peer answers none of them: its disk hangs.

    @property
    def kernel_answers(self) -> bool:
        """Tell whether the peer's kernel is proven alive by this connection."""
        return self.connection in REPLICATING

    @property
    def differs(self) -> bool:
        """Tell whether the copies are known to differ, though every write goes to both.

        A comparison (``drbdadm verify``) found it: only the next connection completes one of them.
        What is written beside a disk that is lost is counted as well, but there nothing differs.
        """
        both = Disk.UP_TO_DATE is self.disk is self.peer_disk
        return both and self.connection is Connection.CONNECTED and self.out_of_sync_bytes > 0

    @property
    def current(self) -> bool:
        """Tell whether this copy is good, as far as this kernel can know.

        Attached without its peer it calls itself Consistent: it was UpToDate, and the peer may
        have gone on. Whether it did is for the decision core to know (see its ``doubts``).
        """
        if self.disk is Disk.CONSISTENT:
            return not self.kernel_answers
        return self.disk is Disk.UP_TO_DATE and self.connection is not Connection.SYNC_TARGET
