"""Whether two copies really went apart, and which side could give its writes up.

Nothing here discards anything: a person does, with the name of the victim typed.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hapair.core.words.rules import Rule, first_match
from hapair.model.data import Connection, Role, VolumeFacts
from hapair.model.divergence import Generations


class Relation(StrEnum):
    """How one copy's past stands to the other's, as DRBD's own handshake sees it."""

    EQUAL = "equal"
    FIRST_NEWER = "first-newer"
    SECOND_NEWER = "second-newer"
    DIVERGED = "diverged"  # A common past, and both have written since.
    UNRELATED = "unrelated"
    UNKNOWN = "unknown"


def relation(first: Generations | None, second: Generations | None) -> Relation:
    if first is None or second is None:
        return Relation.UNKNOWN
    if first.current == second.current:
        return Relation.EQUAL
    if first.current in (second.bitmap, *second.history):
        return Relation.SECOND_NEWER
    if second.current in (first.bitmap, *first.history):
        return Relation.FIRST_NEWER
    past = {number for number in (first.bitmap, *first.history) if number}
    met = any(number in past for number in (second.bitmap, *second.history))
    return Relation.DIVERGED if met else Relation.UNRELATED


@dataclass(frozen=True, slots=True)
class Half:
    """One side's view of one volume."""

    facts: VolumeFacts | None
    generations: Generations | None


@dataclass(frozen=True, slots=True)
class Pair:
    first: Half
    second: Half

    @property
    def facts(self) -> tuple[VolumeFacts | None, VolumeFacts | None]:
        return self.first.facts, self.second.facts

    @property
    def relation(self) -> Relation:
        return relation(self.first.generations, self.second.generations)


class Found(StrEnum):
    NOTHING = "nothing to resolve"
    SPLIT = "split brain"


def _connected(pair: Pair) -> bool:
    return any(facts is not None and facts.kernel_answers for facts in pair.facts)


def _refused(pair: Pair) -> bool:
    alone = Connection.STAND_ALONE
    return any(facts is not None and facts.connection is alone for facts in pair.facts)


SPLIT: Final[tuple[Rule[Pair, Found], ...]] = (
    Rule("connected", _connected, Found.NOTHING, "the two copies are connected"),
    Rule(
        "not-up",
        lambda p: any(facts is None for facts in p.facts),
        Found.NOTHING,
        "the volume is not up on both nodes; clform brings it up",
    ),
    Rule(
        "still-trying",
        # While copies that went apart try again to connect, neither side is StandAlone.
        lambda p: not _refused(p) and p.relation is not Relation.DIVERGED,
        Found.NOTHING,
        "both nodes still try to connect: DRBD did not refuse anything; look at the replication"
        " network",
    ),
    Rule(
        "past-unknown",
        lambda p: p.relation is Relation.UNKNOWN,
        Found.NOTHING,
        "DRBD does not tell the past of both copies; look at: drbdadm get-gi",
    ),
    Rule(
        "only-apart",
        lambda p: p.relation in (Relation.EQUAL, Relation.FIRST_NEWER, Relation.SECOND_NEWER),
        Found.NOTHING,
        "the copies did not go apart: at most one was written; on both nodes: drbdadm connect",
    ),
    Rule(
        "unrelated",
        lambda p: p.relation is Relation.UNRELATED,
        Found.NOTHING,
        "the copies have no common past, so this is no split brain: was a disk exchanged?",
    ),
    Rule("diverged", lambda _: True, Found.SPLIT, "both copies were written while apart"),
)


def judge(pair: Pair) -> Rule[Pair, Found]:
    return first_match(SPLIT, pair)


@dataclass(frozen=True, slots=True)
class Use:
    """Who uses the copies, to find the side that can give its writes up."""

    owner: str
    first: str  # Names of the nodes.
    second: str
    first_uses: bool = False  # Primary, mounted or running there.
    second_uses: bool = False


class Victim(StrEnum):
    NOBODY = "nobody"
    FIRST = "first"
    SECOND = "second"


VICTIMS: Final[tuple[Rule[Use, Victim], ...]] = (
    Rule(
        "both-use-it",
        lambda u: u.first_uses and u.second_uses,
        Victim.NOBODY,
        "both nodes use their copy: stop the application on one of them first",
    ),
    Rule("first-runs", lambda u: u.first_uses, Victim.SECOND, "the other side runs it"),
    Rule("second-runs", lambda u: u.second_uses, Victim.FIRST, "the other side runs it"),
    Rule("first-owns", lambda u: u.owner == u.first, Victim.SECOND, "the other side owns it"),
    Rule("second-owns", lambda u: u.owner == u.second, Victim.FIRST, "the other side owns it"),
    Rule("nobody-owns", lambda _: True, Victim.NOBODY, "no node runs or owns it: you must choose"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    proposed: str  # Empty: nobody can be proposed.
    because: str
    possible: tuple[str, ...]  # Who may be chosen: never a side that uses its copy.


def choose(use: Use) -> Choice:
    rule = first_match(VICTIMS, use)
    names = {Victim.NOBODY: "", Victim.FIRST: use.first, Victim.SECOND: use.second}
    sides = ((use.first, use.first_uses), (use.second, use.second_uses))
    possible = tuple(name for name, uses in sides if not uses)
    return Choice(names[rule.answer], rule.because, possible)


def may_lose_writes(facts: VolumeFacts | None, *, mounted: bool) -> str:
    """Return why the local copy must not be given up now; empty when it may.

    The node of the victim asks this itself, directly before it does it.
    """
    if facts is None:
        return "the volume is not up"
    if facts.role is not Role.SECONDARY or mounted:
        return "it is in use here: a side that runs is never the victim"
    if facts.kernel_answers:
        return "the copies are connected already"
    return ""
