"""The causes that are there or were told: what is told now, and by which of the two nodes.

Both nodes see the same causes. While they hear of each other the first node of the configuration
tells them; what the other one has told it does not tell again. A node that hears nothing of the
other one tells by itself: rather twice than never.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from zlib import crc32

from hapair.model.alerts import Kind, Level, Message

HOLD_S: Final = 5.0  # What is over before was never there: a failover passes through many states.
GRACE_S: Final = 15.0  # After which the second node tells what the first one sees as well.
CLEAR_S: Final = 10.0  # What comes back within this was not over.
OPEN_MAX: Final = 50  # More causes at once are told as one.
MORE: Final = "more"
FIRST_NUMBER: Final = 10_000
FOR_EVER_S: Final = float(2**52)  # Until the cause is over.


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that a person should look at, as long as it holds."""

    key: str  # Stays the same while its text changes, and is the same on both nodes.
    level: Level
    about: str
    text: str
    to_do: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Somebody looks after it."""

    at_s: float = 0.0  # Of two answers the later one counts.
    until_s: float = 0.0
    text: str = ""  # Who, and why.


NO_ANSWER: Final = Answer()


@dataclass(frozen=True, slots=True)
class Open:
    """A cause that is there, or was told and is not told to be over. Times are wall clock."""

    cause: Cause
    number: int  # Follows from the key: it is the same on both nodes, and when it comes back.
    since_s: float
    gone_s: float | None = None  # Since when it is not seen any more.
    told_by: str = ""  # A node; empty: nobody was told yet.
    told_s: float = 0.0
    answer: Answer = NO_ANSWER


@dataclass(frozen=True, slots=True)
class Book:
    opens: tuple[Open, ...] = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known at one moment."""

    me: str
    first: bool  # This node is the first one of the configuration.
    now_s: float
    seen: tuple[Cause, ...]
    theirs: tuple[Open, ...] | None  # The other node's book; None: nothing is heard of it.
    repeat_s: float


def decide(book: Book, sight: Sight) -> tuple[Book, tuple[Message, ...]]:
    """Return the book as it is now, and what is to be told."""
    noted = _merged(_noted(book, sight), sight)
    kept: list[Open] = []
    told: list[Message] = []
    for each in noted.opens:
        kind = _due(each, sight)
        if kind is not None:
            told.append(_message(each, kind, sight))
        if kind in {Kind.BEGIN, Kind.REPEAT}:
            kept.append(replace(each, told_by=sight.me, told_s=sight.now_s))
        elif kind is None and not _is_dropped(each, sight):
            kept.append(each)
    return replace(noted, opens=tuple(kept)), tuple(told)


def number_of(key: str) -> int:
    """Return the five digits by which people answer a cause."""
    return FIRST_NUMBER + crc32(key.encode()) % (9 * FIRST_NUMBER)


def answered(book: Book, numbers: Sequence[int], answer: Answer) -> Book:
    """Return the book in which these are answered: they are not repeated for a while."""
    return replace(
        book,
        opens=tuple(
            replace(each, answer=answer) if each.number in numbers else each for each in book.opens
        ),
    )


def _bounded(seen: tuple[Cause, ...]) -> tuple[Cause, ...]:
    if len(seen) <= OPEN_MAX:
        return seen
    alarms_first = sorted(seen, key=lambda cause: cause.level is not Level.ALARM)
    text = f"{len(seen) - OPEN_MAX + 1} more things need a person"
    more = Cause(MORE, alarms_first[OPEN_MAX - 1].level, "cluster", text, "clstat shows them")
    return (*alarms_first[: OPEN_MAX - 1], more)


def _noted(book: Book, sight: Sight) -> Book:
    """Note what is seen for the first time, and what is not seen any more."""
    seen = {cause.key: cause for cause in _bounded(sight.seen)}
    opens = []
    for each in book.opens:
        cause = seen.pop(each.cause.key, None)
        told_s = min(each.told_s, sight.now_s)  # A clock that was set back.
        since_s = min(each.since_s, sight.now_s)
        gone_s = None
        if cause is None:
            gone_s = sight.now_s if each.gone_s is None else min(each.gone_s, sight.now_s)
        opens.append(
            replace(each, cause=cause or each.cause, told_s=told_s, since_s=since_s, gone_s=gone_s)
        )
    opens += [Open(cause, number_of(cause.key), sight.now_s) for cause in seen.values()]
    return Book(tuple(opens))


def _merged(book: Book, sight: Sight) -> Book:
    theirs = {each.cause.key: each for each in sight.theirs or ()}
    opens = tuple(
        _merged_one(each, theirs[each.cause.key], sight) if each.cause.key in theirs else each
        for each in book.opens
    )
    return replace(book, opens=opens)


def _merged_one(mine: Open, other: Open, sight: Sight) -> Open:
    """Take over what the other node did about it: that it told it, and that it was answered."""
    if other.answer.at_s > mine.answer.at_s:
        mine = replace(mine, answer=other.answer)
    # Both told it while they heard nothing of each other: the first node goes on with it.
    yields = mine.told_by in {"", sight.me} and not (sight.first and mine.told_by)
    if other.told_by and yields:
        told_s = min(max(mine.told_s, other.told_s), sight.now_s)
        mine = replace(mine, told_by=other.told_by, told_s=told_s)
    return mine


def _due(each: Open, sight: Sight) -> Kind | None:
    """Return what this node is to tell of a cause now."""
    if not _is_mine(each, sight):
        return None
    if each.gone_s is not None:
        return Kind.OVER if each.told_by and sight.now_s - each.gone_s >= CLEAR_S else None
    if not each.told_by:
        return Kind.BEGIN if sight.now_s - each.since_s >= HOLD_S else None
    unanswered = each.answer.until_s <= sight.now_s
    return Kind.REPEAT if unanswered and sight.now_s - each.told_s >= sight.repeat_s else None


def _is_mine(each: Open, sight: Sight) -> bool:
    if sight.theirs is None or each.told_by == sight.me:
        return True
    return not each.told_by and (sight.first or sight.now_s - each.since_s >= GRACE_S)


def _is_dropped(each: Open, sight: Sight) -> bool:
    """Tell whether nobody needs to be told any more that it is over."""
    if each.gone_s is None:
        return False
    if not each.told_by:
        return True
    told_over = each.told_by != sight.me and sight.theirs is not None
    return told_over and each.cause.key not in {other.cause.key for other in sight.theirs or ()}


def _message(each: Open, kind: Kind, sight: Sight) -> Message:
    cause = each.cause
    return Message(
        kind,
        cause.level,
        cause.about,
        cause.text,
        sight.now_s,
        sight.me,
        "" if kind is Kind.OVER else cause.to_do,
        each.number,
    )
