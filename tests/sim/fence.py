"""What the fence-peer handler's exit code does to a side, and what comes of it."""

from dataclasses import dataclass
from typing import Final

from hapair.model.data import Disk, Role
from hapair.model.outcome import Outcome, Unknown
from tests.sim.sides import RANK, Side

# How often DRBD 8.4 asks before it gives a promotion up.
PROMOTION_TRIES: Final = 4
# What the exit code of a handler says about the peer's copy; every other code says nothing.
PEER_DISK_AFTER: Final = {
    3: Disk.INCONSISTENT,
    4: Disk.OUTDATED,
    5: Disk.OUTDATED,
    7: Disk.OUTDATED,
}
PEER_IS_UNREACHABLE: Final = 5
PEER_IS_PRIMARY: Final = 6


@dataclass(frozen=True, slots=True)
class LetGo:
    """Frozen writes that ended: known to the client as done, or as failed."""

    acknowledged: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()


# What ``promote`` returns while the kernel waits for its handler; ``fenced`` goes on with it.
NEEDS_FENCE: Final = Unknown("the promotion waits for the fence-peer handler")


@dataclass(frozen=True, slots=True)
class Answered:
    """What the end of a handler did."""

    let_go: LetGo = LetGo()
    # How the promotion that waited ended; None: none waited, or the handler runs once more.
    promoted: Outcome | None = None


def believe(side: Side, exit_code: int) -> None:
    """Change the states of the disks as the kernel does after this exit code."""
    if exit_code == PEER_IS_PRIMARY:
        if side.role is Role.SECONDARY:  # A Primary refuses to outdate itself.
            side.disk = min(side.disk, Disk.OUTDATED, key=lambda disk: RANK[disk])
    elif exit_code != PEER_IS_UNREACHABLE or side.disk is Disk.UP_TO_DATE:
        side.peer_disk = PEER_DISK_AFTER.get(exit_code, side.peer_disk)
