"""What this version of hapair says to its peer, and what two versions may use together.

Two versions that follow each other work together. What is said grows by optional members, which an
older version passes over; whatever an older one would misread is a *feature*: it is used only while
both nodes say that they know it. A change that cannot be made in this way takes a higher protocol,
and one day a higher ``OLDEST``; a peer below it is refused by name, but is alive.
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields, replace
from typing import Any, ClassVar, Final, Protocol, TypeVar


class Said(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


T = TypeVar("T", bound=Said)

FORMER: Final = 1  # Of the versions that did not say which one they speak.
PROTOCOL: Final = 2
OLDEST: Final = FORMER  # The oldest protocol with which this version works.
# By name, for people: what a pair goes without until both nodes know it.
FEATURES: Final[Mapping[str, str]] = {
    "pages": "heartbeats that name any number of volumes at once",
    "failures": "failed starts are counted, and forgotten with time, on both nodes",
    "trials": "nothing is given to a node before it has proven that its disk takes it",
    "terms": "by whose word each node may act alone is compared, not concluded from a number",
    "maintenance": "what is in maintenance is left alone by both nodes",
    "wrote-nothing": "a copy whose peer lost its disk is known to be good after a restart",
}


@dataclass(frozen=True, slots=True)
class Speaks:
    """What a version says of itself. The defaults are those of one that says nothing of it."""

    protocol: int = FORMER
    oldest: int = FORMER
    features: tuple[str, ...] = ()


NEEDS: Final = "needs"
UNSAID: Final = Speaks()
OURS: Final = Speaks(PROTOCOL, OLDEST, tuple(FEATURES))


def needs(feature: str) -> Mapping[str, str]:
    """Return the metadata of a member that is said only to who knows the feature."""
    return {NEEDS: feature}


def as_known(said: T, theirs: Speaks) -> T:
    """Return what may be said to a version that speaks so: what it does not know, by default."""
    unknown: dict[str, Any] = {
        each.name: each.default
        for each in fields(said)
        if NEEDS in each.metadata and each.metadata[NEEDS] not in theirs.features
    }
    return replace(said, **unknown)


def work_together(first: Speaks, second: Speaks) -> bool:
    return first.protocol >= second.oldest and second.protocol >= first.oldest
