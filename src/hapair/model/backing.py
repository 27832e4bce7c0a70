"""What lies below DRBD: a logical volume, and who else may have written to it."""

from dataclasses import dataclass

from hapair.model.words import Word


@dataclass(frozen=True, slots=True)
class Backing:
    """A logical volume at one moment, as the kernel and its first blocks tell."""

    volume: str  # What names it for good, whatever it is called.
    activation: str  # Another one after each boot, and whenever it was activated again.
    written_sectors: int  # Written or discarded, by whomever, since it was activated.
    start: str = ""  # A digest of its first blocks; empty: not looked at.
    under_way: int = 0  # Requests that the disk has not answered yet.


@dataclass(frozen=True, slots=True)
class LastSeen:
    """What a volume looked like when DRBD was given it, or when DRBD last let it go."""

    backing: Backing
    attached: bool  # DRBD was given it, and is not known to have let it go in order.


class Trust(Word):
    """What becomes of a copy that was written behind DRBD."""

    NOBODY_KNOWS = "nobody knows"  # It is not attached before the peer's copy can replace it.
    ANEW = "anew"  # It is attached, and all of it comes from the peer.
    AS_IT_IS = "as it is"  # A person said so: all of the peer's comes from it.

    @classmethod
    def of_newer(cls) -> "Trust":
        return cls.NOBODY_KNOWS


@dataclass(frozen=True, slots=True)
class ForeignWrites:
    resource: str
    what: str  # Who wrote, as far as it can be found out: a sentence for people.
    trust: Trust = Trust.NOBODY_KNOWS
