"""What is known of two copies that went apart."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Generations:
    """DRBD's identifiers of one copy's past. Equal numbers were made by the same event.

    The lowest bit, which only tells the role, is cleared.
    """

    current: int
    bitmap: int  # Where this copy began to write alone; 0: it did not.
    history: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangedFile:
    path: str  # Below the file system's root.
    size_bytes: int
    changed_wall_s: float


@dataclass(frozen=True, slots=True)
class KeptSnapshot:
    """A snapshot of an older state of a volume that is still there."""

    resource: str
    volume_group: str
    name: str
    made_wall_s: float | None
