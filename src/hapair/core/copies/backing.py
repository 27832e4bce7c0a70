"""Was a volume written behind DRBD? The kernel counts what is written to it since its activation.

Nothing but DRBD has a reason to write to the volume below it. So the count stands still from the
moment at which DRBD lets it go, and begins with nothing at each activation. Across boots that this
daemon has not seen only the volume's first blocks can tell: each mount that may write changes them.
DRBD's meta-data lies elsewhere and says the same of any volume of the name, so another volume in
the place of the one that it had is as foreign as one that was written.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hapair.core.words.rules import Rule, first_match
from hapair.model.backing import Backing, LastSeen


@dataclass(frozen=True, slots=True)
class Comparison:
    before: LastSeen | None
    now: Backing

    @property
    def other_volume(self) -> bool:
        return self.before is not None and self.before.backing.volume != self.now.volume

    @property
    def same_activation(self) -> bool:
        return self.before is not None and self.before.backing.activation == self.now.activation

    @property
    def given(self) -> bool:
        """Tell whether DRBD was given it in this activation, and is not known to have let it go."""
        return self.attached and self.same_activation and not self.other_volume

    @property
    def attached(self) -> bool:
        return self.before is not None and self.before.attached

    @property
    def differs(self) -> bool:
        return self.before is not None and self.before.backing.start != self.now.start

    @property
    def more_sectors(self) -> int:
        """Return how much was written since it was seen, or since it was activated."""
        if self.before is None or not self.same_activation:
            return self.now.written_sectors
        return self.now.written_sectors - self.before.backing.written_sectors


class Found(StrEnum):
    NOTHING = "nothing"
    FOREIGN = "written by somebody else"


FOREIGN: Final[tuple[Rule[Comparison, Found], ...]] = (
    Rule(
        "not-remembered",
        lambda c: c.before is None,
        Found.NOTHING,
        "nothing is remembered of this volume",
    ),
    Rule(
        "other-volume",
        lambda c: c.other_volume,
        Found.FOREIGN,
        "it is another volume than the one that DRBD had: it was made anew, renamed or restored",
    ),
    Rule(
        "never-let-go",
        lambda c: c.given,
        Found.NOTHING,
        "DRBD had it since it was activated: what was written is DRBD's own",
    ),
    Rule(
        "written-since-activation",
        lambda c: not c.same_activation and c.more_sectors != 0,
        Found.FOREIGN,
        "it was written since it was activated, before DRBD was given it",
    ),
    Rule(
        "written-since-let-go",
        lambda c: c.more_sectors != 0,
        Found.FOREIGN,
        "it was written since DRBD let it go",
    ),
    Rule(
        "first-blocks-differ",
        lambda c: not c.attached and c.differs,
        Found.FOREIGN,
        "its first blocks are not those that DRBD left: it was written while this daemon did not"
        " watch, from a rescue system for example",
    ),
    Rule("untouched", lambda _: True, Found.NOTHING, "nobody wrote to it since DRBD let it go"),
)


def judge(before: LastSeen | None, now: Backing) -> Rule[Comparison, Found]:
    return first_match(FOREIGN, Comparison(before, now))


def without_drbd(before: LastSeen | None, now: Backing) -> LastSeen | None:
    """Return what to remember of a volume that DRBD is seen not to have, whoever took it away.

    Up to now it may be DRBD that wrote, from now on it is not; except for what the disk has not
    answered yet.
    """
    if Comparison(before, now).given and not now.under_way:
        return LastSeen(now, attached=False)
    return before
