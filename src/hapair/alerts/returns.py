"""Causes that come and go. A night of that wakes nobody more often than one that stays.

A cause that is over is remembered for a while, with its answer. When it comes back meanwhile it is
told once more, as one that comes and goes, unless somebody has answered it; from then on it stays
open until it has been away for that while.
"""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from hapair.core.alerts.book import CLEAR_S, Book, Open, Sight, decide
from hapair.model.alerts import Kind, Message

REMEMBERED_S: Final = 3600.0
REMEMBERED_MAX: Final = 100  # Twice as many as are open at once.


@dataclass(frozen=True, slots=True)
class Known:
    """A cause that somebody was told of. Times are wall clock."""

    open: Open  # As it was in the book last.
    since_s: float  # It began for the first time.
    gone_s: float | None = None  # It is not seen since then.
    returns: int = 0  # How often it came back after it was over.

    @property
    def key(self) -> str:
        return self.open.cause.key


@dataclass(frozen=True, slots=True)
class Returns:
    each: tuple[Known, ...] = ()

    def counts(self) -> list[object]:
        """Return how often each one that comes and goes came back, by its number."""
        back = (each for each in self.each if each.returns)
        return [{"number": each.open.number, "returns": each.returns} for each in back]


NONE: Final = Returns()


def decide_steadily(
    returns: Returns, book: Book, sight: Sight
) -> tuple[Returns, Book, tuple[Message, ...]]:
    """Decide what is told, as ``decide`` does, of causes that come and go as well."""
    known = _noted(returns, sight)
    back = {each.key: each for each in known if each.returns}
    opens = {each.cause.key: each for each in book.opens if each.cause.key in back}
    gone = {key for key, each in back.items() if each.gone_s is not None}
    held = [each for key, each in opens.items() if key in gone and each.told_by]
    answered = [
        replace(each.open, gone_s=None)
        for key, each in back.items()
        if key not in gone and key not in opens and each.open.answer.until_s > sight.now_s
    ]
    decided, messages = decide(
        replace(book, opens=(*book.opens, *answered)),
        replace(sight, seen=(*sight.seen, *(each.cause for each in held))),
    )
    early = {each.number for each in messages if each.kind is Kind.REPEAT}
    early &= {each.number for each in held}
    untold = {each.cause.key: each for each in held if each.number in early}
    decided = replace(
        decided, opens=tuple(untold.get(each.cause.key, each) for each in decided.opens)
    )
    numbers = {each.open.number: each for each in back.values()}
    told = tuple(
        _worded(each, numbers.get(each.number)) for each in messages if each.number not in early
    )
    return _remembered(known, decided), decided, told


def _noted(returns: Returns, sight: Sight) -> list[Known]:
    """Note what is there, what is gone, and what came back; leave out what is forgotten."""
    now_s = sight.now_s
    seen = {cause.key for cause in sight.seen}
    known = []
    for each in returns.each:
        gone_s = now_s if each.gone_s is None else min(each.gone_s, now_s)
        away_s = now_s - gone_s
        if each.key in seen:
            known.append(replace(each, gone_s=None, returns=each.returns + (away_s >= CLEAR_S)))
        elif away_s < REMEMBERED_S:
            known.append(replace(each, gone_s=gone_s))
    return known


def _worded(message: Message, known: Known | None) -> Message:
    if known is None:
        return message
    times = "once" if known.returns == 1 else f"{known.returns} times"
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(known.since_s))
    text = f"{message.text} (it comes and goes: back {times} since {since})"
    return replace(message, text=text)


def _remembered(known: Iterable[Known], book: Book) -> Returns:
    """Return what is known, with what was told for the first time and all that was answered."""
    told = {each.cause.key: each for each in book.opens if each.told_by}
    kept = [replace(each, open=told.pop(each.key, each.open)) for each in known]
    kept += [Known(each, each.since_s) for each in told.values() if each.gone_s is None]
    kept.sort(key=lambda each: math.inf if each.gone_s is None else each.gone_s)
    return Returns(tuple(kept[-REMEMBERED_MAX:]))
