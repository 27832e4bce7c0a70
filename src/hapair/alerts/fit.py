"""How much a receiver takes at once: what it refuses is told in less, and given up at last.

An outbox keeps its first letter until that is taken. One that is refused whatever is tried would
keep everything behind it back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from hapair.core.alerts.outbox import LETTER_MAX, Outbox
from hapair.model.alerts import Message

BARE: Final = "its text was refused; see: clalert, clevents"
WHY_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Fit:
    """What the answers of one receiver have told."""

    receiver: str
    messages: int = LETTER_MAX  # In its next letter, at most.
    bare: Message | None = None  # It was refused alone, and is told without its text.
    given_up: int = 0  # Messages that it took in no form;
    given_up_s: float = 0.0  # the last one, by the wall clock,
    why: str = ""  # and what was said to it.
    quiet: bool = False  # Nothing was taken since that was reported.


def cut(fit: Fit, messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return what of the messages goes into the next letter."""
    first = messages[0]
    if first == fit.bare:
        return (replace(first, text=BARE, to_do=""),)
    return tuple(messages[: fit.messages])


def taken(fit: Fit) -> Fit:
    return replace(fit, messages=min(2 * fit.messages, LETTER_MAX), bare=None, quiet=False)


def not_taken(fit: Fit, count: int) -> Fit:
    """Let the next letter be smaller than one of ``count`` messages: it may be taken in time."""
    return replace(fit, messages=max(count // 2, 1))


def refused(
    fit: Fit, box: Outbox, count: int, why: str, now_s: float
) -> tuple[Fit, Outbox, Message | None]:
    """Do without what was refused for good; return the message that is given up now, if one is.

    The next letter counts it among what was left out.
    """
    smaller = not_taken(fit, count)
    if count > 1 or not box.waiting:
        return smaller, box, None
    first, *others = box.waiting
    if first != fit.bare:
        return replace(smaller, bare=first), box, None
    left = replace(box, waiting=tuple(others), left_out=box.left_out + 1)
    done = replace(
        smaller,
        bare=None,
        given_up=fit.given_up + 1,
        given_up_s=now_s,
        why=why[:WHY_MAX],
        quiet=True,
    )
    return done, left, first
