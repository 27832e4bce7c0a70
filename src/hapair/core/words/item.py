"""What a node knows of the parts of its applications."""

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

from hapair.core.words.effects import Do, Layer
from hapair.model.monitor import Finding
from hapair.model.status import Version


class Is(StrEnum):
    """What is known about one item of an application."""

    UNKNOWN = "unknown"
    DOWN = "down"
    PART = "in part"  # Some of it is up: a start or a stop was interrupted, or goes on.
    UP = "up"


@dataclass(frozen=True, slots=True, order=True)
class Item:
    application: str
    layer: Layer
    resource: str = ""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What became of an item after it had come up."""

    missing: bool = False  # Some of it went away, and nobody here asked for that.
    trouble: str = ""  # What is wrong with it, for people.
    tries: int = 0  # How often it was tried to put it back since it last stayed.
    put_back: int = 0  # How often that succeeded.
    again_at_s: float = 0.0  # It is not put back before.


UNHARMED: Final = Upkeep()


@dataclass(frozen=True, slots=True, order=True)
class Failed:
    """A failed start, as this node learnt of it."""

    count: int
    at_s: float


@dataclass(frozen=True, slots=True)
class ItemState:
    known: Is = Is.UNKNOWN
    busy: int = 0  # The effect_id that works on it; 0 when nothing does.
    doing: Do | None = None  # The action of ``busy``; None while it is only looked at.
    rung: int = 0  # How far up the stop ladder this item is.
    stuck: int = 0  # How often the ladder came to its end since the item was down last.
    tries: int = 0  # Failed attempts since the last success.
    waits: int = 0  # How often in a row it could not even be attempted.
    retry_at_s: float = 0.0
    last_error: str = ""
    spent: bool = False  # Its disk was given up by force: everything of it comes down first.
    upkeep: Upkeep = UNHARMED
    full: tuple[str, ...] = ()  # Its start failed, and these file systems had no room left.


@dataclass(frozen=True, slots=True)
class Health:
    """What the monitors of an application say, and what was begun because of it."""

    run: int = 0  # Which run the findings are about.
    findings: tuple[Finding, ...] = ()
    wall_s: float = 0.0  # When they came, for people.
    begun: int = 0  # The last run about whose failure something was begun to be done.
    stops: Layer | None = None  # What lies above this layer comes down before it is started again.
    silent: str = ""  # Why nobody watches it, although somebody should.
    silent_since_s: float = 0.0
    told: bool = False  # That the silence lasts.
    held_at_s: float = -inf  # When its writes were last held back by DRBD.


@dataclass(frozen=True, slots=True)
class Learnt:
    """When this daemon learnt of a version of something."""

    version: Version
    at_s: float


@dataclass(frozen=True, slots=True)
class Trial:
    """The peer was asked to store a number, so that it finds out whether its disk takes it."""

    number: int = 0  # 0: nothing is asked.
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StrayLook:
    """Which program was last looked at that is to be down here, and when the next one is due."""

    application: str = ""
    again_at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reconnects:
    """How often a resource that gave its peer up was told to try again."""

    tries: int = 0
    again_at_s: float = 0.0
    counts_until_s: float = 0.0  # Until then these tries count, whatever became of the last one.
