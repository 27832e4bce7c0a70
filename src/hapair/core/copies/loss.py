"""What the use of this node's copies might lose, as far as it is known (R2)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hapair.core.words.rules import Rule, first_match

MINUTE_S: Final = 60
HOUR_S: Final = 3600
DAY_S: Final = 86400
KIBI: Final = 1024
# DRBD and the heartbeats notice the same death at different moments.
SAME_MOMENT_S: Final = 10.0


class Worth(StrEnum):
    """What a copy can be used for."""

    COMPLETE = "complete"  # No acknowledged write is known to be missing.
    DOUBTFUL = "doubtful"  # It may be used, and may miss writes.
    UNUSABLE = "unusable"  # Nothing starts from it.


@dataclass(frozen=True, slots=True)
class Copy:
    """One local copy. The ages are for people: they come from the wall clock."""

    resource: str
    attached: bool = True
    current: bool = True  # As far as this kernel can know.
    connected: bool = False  # The peer's kernel answers on the replication link.
    primary: bool = False  # This node is the one that writes it.
    behind: bool = False  # Known to miss writes.
    unproven: bool = False  # Not compared with the peer's copy since this node lost sight of it.
    peer_could_go_on: bool = False  # The peer had the right to write alone, or could take it.
    equal_ago_s: float | None = None  # Since both copies were last known to be equal.
    connected_ago_s: float | None = None
    heard_ago_s: float | None = None  # Since the peer was heard on any network.
    missing_bytes: int | None = None  # None: not known.

    @property
    def outlived_s(self) -> float:
        """Return how much longer the peer was heard than the replication lasted."""
        if self.connected_ago_s is None or self.heard_ago_s is None:
            return 0.0
        return self.connected_ago_s - self.heard_ago_s


PEER_COULD_GO_ON: Final = "peer-could-go-on"
COPIES: Final[tuple[Rule[Copy, Worth], ...]] = (
    Rule(
        "still-connected",
        lambda c: c.connected,
        Worth.COMPLETE,
        "the peer's kernel still answers here, so the peer is not down",
    ),
    Rule("not-attached", lambda c: not c.attached, Worth.UNUSABLE, "this copy is not attached"),
    Rule(
        "not-current",
        lambda c: not c.current,
        Worth.UNUSABLE,
        "this copy was never completed: nothing starts from it",
    ),
    Rule(
        "behind",
        lambda c: c.behind,
        Worth.UNUSABLE,
        "this copy misses writes that were made on the peer alone: nothing starts from it",
    ),
    Rule(
        "unproven",
        lambda c: c.unproven,
        Worth.DOUBTFUL,
        "the peer may have written alone since the two copies were last known to be equal",
    ),
    Rule(
        "peer-outlived-replication",
        lambda c: c.outlived_s > SAME_MOMENT_S,
        Worth.DOUBTFUL,
        "the peer was still heard after the replication had ended, and may have written then",
    ),
    Rule(
        PEER_COULD_GO_ON,
        lambda c: c.peer_could_go_on,
        Worth.DOUBTFUL,
        "the peer could go on writing alone after the connection was lost",
    ),
    Rule("written-here", lambda c: c.primary, Worth.COMPLETE, "this node writes it"),
    Rule(
        "equal-to-the-end",
        lambda _: True,
        Worth.COMPLETE,
        "every acknowledged write up to the loss of the connection is here",
    ),
)


@dataclass(frozen=True, slots=True)
class CopyEstimate:
    resource: str
    worth: Worth
    rule: str
    because: str
    equal_ago_s: float | None
    missing_bytes: int | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What would become of one application if the peer were stated to be down."""

    application: str
    starts: bool
    text: str  # One sentence for the person who has to decide.
    at_most_s: float | None  # How much time's writes may be missing; None: not known.
    copies: tuple[CopyEstimate, ...]


def estimate(application: str, copies: Sequence[Copy], *, wanted: bool) -> Estimate:
    """Judge all copies of an application; the worst one decides."""
    judged = tuple(_judge(copy) for copy in copies)
    unusable = [copy for copy in judged if copy.worth is Worth.UNUSABLE]
    doubtful = [copy for copy in judged if copy.worth is Worth.DOUBTFUL]
    at_most_s = _longest_s(unusable or doubtful)
    if unusable:
        text = f"{application} stays down: its copy here {_missing(unusable, at_most_s)}"
    elif not wanted:
        text = f"{application} is halted and stays so; {_lost(application, doubtful, at_most_s)}"
    else:
        text = _lost(application, doubtful, at_most_s)
    return Estimate(application, wanted and not unusable, text, at_most_s, judged)


def _judge(copy: Copy) -> CopyEstimate:
    rule = first_match(COPIES, copy)
    return CopyEstimate(
        copy.resource, rule.answer, rule.name, rule.because, copy.equal_ago_s, copy.missing_bytes
    )


def _longest_s(copies: Sequence[CopyEstimate]) -> float | None:
    """Return the age of the oldest copy; None when one age is not known; 0 without copies."""
    ages_s = [copy.equal_ago_s for copy in copies]
    known_s = [age_s for age_s in ages_s if age_s is not None]
    return max(known_s, default=0.0) if len(known_s) == len(ages_s) else None


def _lost(application: str, doubtful: Sequence[CopyEstimate], at_most_s: float | None) -> str:
    if not doubtful:
        return f"nothing that was acknowledged is known to be missing from {application}"
    unless = ""
    if all(copy.rule == PEER_COULD_GO_ON for copy in doubtful):
        unless = ", unless the peer went down when the connection was lost"
    if at_most_s is None:
        return (
            f"how many writes to {application} may be lost is not known: there is no record of"
            " when its copies were equal"
        )
    return f"at most {long_text(at_most_s)} of writes to {application} may be lost{unless}"


def _missing(unusable: Sequence[CopyEstimate], at_most_s: float | None) -> str:
    known = [copy.missing_bytes for copy in unusable if copy.missing_bytes is not None]
    sizes = f" ({amount_text(sum(known))} known)" if any(known) else ""
    if at_most_s is None:
        return f"misses writes{sizes}, it is not known since when"
    return f"misses the writes of up to {long_text(at_most_s)}{sizes}"


def long_text(span_s: float) -> str:
    """Write a span rounded up in one unit: this much at most."""
    for unit_s, name in ((MINUTE_S, "minute"), (HOUR_S, "hour")):
        number = max(math.ceil(span_s / unit_s), 1)
        if number <= 2 * (HOUR_S // MINUTE_S if unit_s == MINUTE_S else DAY_S // HOUR_S):
            return f"{number} {name}{'' if number == 1 else 's'}"
    return f"{math.ceil(span_s / DAY_S)} days"


def amount_text(size_bytes: int) -> str:
    size, unit = size_bytes / KIBI, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if size < KIBI:
            break
        size, unit = size / KIBI, larger
    return f"{size:.1f} {unit}"
