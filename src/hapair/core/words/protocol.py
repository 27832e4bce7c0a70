"""What this version of hapair says to its peer, and what two versions may use together.

Two versions that follow each other work together. What is said grows by optional members, which an
older version passes over; whatever an older one would misread is a *feature*: it is used only while
both nodes say that they know it. A change that cannot be made in this way takes a higher protocol,
and one day a higher ``OLDEST``; a peer below it is refused by name, but is alive.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FORMER: Final = 1  # Of the versions that did not say which one they speak.
PROTOCOL: Final = 2
OLDEST: Final = FORMER  # The oldest protocol with which this version works.
# By name, for people: what a pair goes without until both nodes know it.
FEATURES: Final[Mapping[str, str]] = {
    "pages": "heartbeats that name any number of volumes at once",
    "failures": "failed starts are counted, and forgotten with time, on both nodes",
    "trials": "nothing is given to a node before it has proven that its disk takes it",
    "wrote-nothing": "a copy whose peer lost its disk is known to be good after a restart",
}


@dataclass(frozen=True, slots=True)
class Speaks:
    """What a version says of itself. The defaults are those of one that says nothing of it."""

    protocol: int = FORMER
    oldest: int = FORMER
    features: tuple[str, ...] = ()


UNSAID: Final = Speaks()
OURS: Final = Speaks(PROTOCOL, OLDEST, tuple(FEATURES))


def in_common(first: Speaks, second: Speaks) -> tuple[str, ...]:
    """Return the features that both know: these, and no others, are used."""
    return tuple(each for each in first.features if each in second.features)


def work_together(first: Speaks, second: Speaks) -> bool:
    return first.protocol >= second.oldest and second.protocol >= first.oldest
