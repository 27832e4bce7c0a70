"""Resyncs: room for a snapshot before one begins, and what to do when one stands still."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hapair.core.words.rules import Rule
from hapair.model.data import SYNCING, VolumeFacts

MIB: Final = 2**20
KEPT_FREE_PERCENT: Final = 5  # Of a group: it must stay able to hold what an administrator needs.
SHARE_PERCENT: Final = 20  # Of a volume: how much of it usually changes while a resync runs.
OVERHEAD_PERCENT: Final = 10  # Of the data: what the snapshot's own table needs.
MARGIN_BYTES: Final = 16 * MIB


@dataclass(frozen=True, slots=True)
class Room:
    """A volume and the group that it lies in."""

    volume_bytes: int
    group_bytes: int
    free_bytes: int
    extent_bytes: int
    out_of_sync_bytes: int  # What the resync will overwrite at least.


def snapshot_bytes(room: Room, *, whole: bool = False) -> int:
    """Return the size of a snapshot that survives the resync; 0 when there is no room.

    ``whole`` asks for one that can never overflow, because it will be kept: what the group has
    is taken when it is less than that and still enough for the resync.
    """
    largest = _with_overhead(room.volume_bytes)
    least = min(_with_overhead(room.out_of_sync_bytes), largest)
    wanted = largest if whole else max(room.volume_bytes * SHARE_PERCENT // 100, least)
    usable = room.free_bytes - room.group_bytes * KEPT_FREE_PERCENT // 100
    usable -= usable % room.extent_bytes
    if usable < least:
        return 0
    return min(usable, -(-wanted // room.extent_bytes) * room.extent_bytes)


def _with_overhead(size_bytes: int) -> int:
    return size_bytes + size_bytes * OVERHEAD_PERCENT // 100 + MARGIN_BYTES


def goes_first(facts: VolumeFacts, before: tuple[VolumeFacts | None, ...]) -> str:
    """Return the resource whose resync runs while this one waits for its turn; empty: none does.

    ``before`` are those that go before it. When all of them wait too, or none is resynchronised,
    nothing will ever end the waiting: the two nodes hold it back for different reasons.
    """
    if not facts.waits:
        return ""
    running = (each for each in before if each and each.connection in SYNCING and not each.waits)
    return next((each.resource for each in running), "")


STALL_S: Final = 120.0  # Longer than DRBD itself needs to notice that its peer is gone.
# A resync that stands still although its connection was made anew no longer holds up the others.
# Each node measures this, because each of them can hold a resync back.
RELEASE_S: Final = 2 * STALL_S


class Cure(StrEnum):
    NOTHING = "nothing"
    RECONNECT = "reconnect"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Standstill:
    """One resync, as the receiving node sees it. Nothing here ever gives up data."""

    target: bool  # This copy is the one that is being completed.
    still_s: float  # Since fewer bytes were missing than before.
    waits: bool = False  # Another resync, which runs, goes first.
    reconnected: bool = False  # Its connection was made anew once already.


STALLS: Final[tuple[Rule[Standstill, Cure], ...]] = (
    Rule("not-receiving", lambda s: not s.target, Cure.NOTHING, "no resync is received here"),
    Rule("waits", lambda s: s.waits, Cure.NOTHING, "another resync goes first"),
    Rule(
        "progressing",
        lambda s: s.still_s < STALL_S,
        Cure.NOTHING,
        "the resync made progress a moment ago",
    ),
    Rule(
        "stalled",
        lambda s: not s.reconnected,
        Cure.RECONNECT,
        "the resync made no progress for long: this one connection is made anew, once",
    ),
    Rule(
        "still-stalled",
        lambda _: True,
        Cure.ALARM,
        "the resync stands still although its connection was made anew",
    ),
)
