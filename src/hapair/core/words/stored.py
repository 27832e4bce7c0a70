"""What a node keeps on its disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hapair.core.words.events import WitnessTie
from hapair.model.backing import ForeignWrites
from hapair.model.maintenance import Maintenance
from hapair.model.status import Record

NO_TIE: Final = WitnessTie()


@dataclass(frozen=True, slots=True)
class Terms:
    """By whose word this node may act alone, and whether the peer has the same terms."""

    words: tuple[str, ...] = ()  # The kind of arbitration and its witnesses; none: never noted.
    since: int = 0  # The generation of the configuration that brought them to this node.
    shared: bool = True  # The nodes were together with them, or never had others.
    number: int = 0  # How often they changed.


FIRST_TERMS: Final = Terms()


@dataclass(frozen=True, slots=True)
class RunCount:
    """How often an application was begun to be started on this node."""

    application: str
    number: int
    failed: int = 0  # The last of them that failed, and was counted as such.


@dataclass(frozen=True, slots=True)
class Stored:
    """What must survive a crash of the daemon and of the node."""

    formed: bool = False  # Told to be a member (clform) and not halted since.
    formed_boot_id: str = ""  # The boot in which it was told so.
    joined_boot_id: str = ""  # The boot in which it last acted together or with a right.
    epoch: int = 0
    ahead: int = 0  # The newest epoch in which the peer said to act alone.
    holds_right: bool = False  # This node may act alone: nobody can be ahead of it.
    records: tuple[Record, ...] = ()
    behind: tuple[str, ...] = ()  # Resources whose local copy is known to miss writes.
    # Resources whose local copy may miss writes: the peer could have gone on without this node.
    unproven: tuple[str, ...] = ()
    # The same, but only because this node was away. A witness that grants proves them: then
    # nobody acted alone meanwhile.
    away: tuple[str, ...] = ()
    # Copies here that have had no disk since the peer's were known to have every write.
    wrote_nothing: tuple[str, ...] = ()
    peer_misses: tuple[str, ...] = ()  # Resources whose copy at the peer had no disk meanwhile.
    foreign: tuple[ForeignWrites, ...] = ()  # Local copies that were written behind DRBD.
    asked: int = 0  # The highest epoch for which a witness was asked.
    ceded: bool = False  # Left in order: the peer may act alone without asking any witness.
    tie: WitnessTie = NO_TIE
    rounds: int = 0  # How many losses of the witness were counted, see WitnessTie.
    terms: Terms = FIRST_TERMS
    stored_for: int = 0  # The last number that the peer asked to be stored.
    incarnation: int = 0  # The last one that this node took after it had stood still.
    runs: tuple[RunCount, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()  # Also what is off: the peer may not know it yet.
    # Follow from the members above, so they are neither compared nor stored.
    by_application: Mapping[str, Record] = field(init=False, repr=False, compare=False)
    doubtful: frozenset[str] = field(init=False, repr=False, compare=False)
    foreign_to: Mapping[str, ForeignWrites] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_application = {record.application: record for record in self.records}
        object.__setattr__(self, "by_application", by_application)
        foreign_to = {each.resource: each for each in self.foreign}
        object.__setattr__(self, "foreign_to", foreign_to)
        doubtful = frozenset((*self.behind, *self.unproven, *self.away, *foreign_to))
        object.__setattr__(self, "doubtful", doubtful)
