"""What a node told to be over. One that was away does not tell again what the other one told.

A node that comes back knows what it had told, and sees that it does not hold any more: so it would
tell that it is over, although the other node did while it was away.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from hapair.config.codec import DamagedError, decode
from hapair.core.alerts.book import Book
from hapair.model.alerts import Kind, Message

OVERS_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Over:
    number: int  # Of the cause.
    at_s: float  # Wall clock of the node that told it.


@dataclass(frozen=True, slots=True)
class Overs:
    each: tuple[Over, ...] = ()

    def with_told(self, messages: Iterable[Message]) -> "Overs":
        told = (Over(each.number, each.at_s) for each in messages if each.kind is Kind.OVER)
        return Overs((*self.each, *told)[-OVERS_MAX:])


NONE: Final = Overs()


def overs_of(board: object) -> Overs:
    """Return what the other node's process says; one of an older version says nothing."""
    if not isinstance(board, Mapping):
        return NONE
    try:
        return decode(Overs, board.get("overs"))
    except DamagedError:
        return NONE


def without_told(book: Book, theirs: Overs, before: Container[int]) -> Book:
    """Leave out of a book what the other node told to be over since this one told it.

    ``before`` are the numbers of causes that were told before this process began and that it has
    not seen: only about these it may have missed something.
    """
    told_s = {each.number: each.at_s for each in theirs.each}
    opens = tuple(
        each
        for each in book.opens
        if each.number not in before or told_s.get(each.number, 0.0) <= each.told_s
    )
    return replace(book, opens=opens)
