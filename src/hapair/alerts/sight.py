"""What of the daemon's answer is a cause: what clstat shows under NEEDS YOU, and nothing else."""

from collections.abc import Mapping
from typing import Final

from hapair.cli.pages.advice import ADVICE
from hapair.cli.pages.attention import Weight, findings
from hapair.cli.pages.status import read_status
from hapair.config.codec import DamagedError, decode
from hapair.core.alerts.book import Book, Cause, Open
from hapair.model.alerts import Level
from hapair.model.built import Built
from hapair.model.timeline import Happening
from hapair.rpc.history import read_happening
from hapair.rpc.messages import JsonObject, Malformed

# What somebody does just now, and waits for himself.
UNDER_WAY: Final = frozenset({"builds", "takes-back"})
# Lines of the history with which a cause begins; it is told as long as it holds.
BEGINNINGS: Final = frozenset(ADVICE)


def causes_of(status: JsonObject) -> tuple[Cause, ...]:
    return tuple(
        Cause(
            f"{each.about} {each.name}",
            Level.ALARM if each.weight is Weight.ALARM else Level.WARNING,
            each.about,
            each.text,
            each.to_do,
        )
        for each in findings(read_status(status))
        if each.name not in UNDER_WAY
    )


def opens_of(board: object) -> tuple[Open, ...] | None:
    """Return what the other node's process says; None when it says nothing that is understood."""
    if not isinstance(board, Mapping):
        return None
    try:
        return decode(Book, board.get("book")).opens
    except DamagedError:
        return None


def lines_of(events: object) -> tuple[Happening, ...]:
    found: list[Happening] = []
    for each in events if isinstance(events, list) else ():
        try:
            found.append(read_happening(each))
        except Malformed:
            continue
    return tuple(found)


def last_steps(built: Built) -> dict[str, str]:
    """Return the step with which the start of an application without a program is complete."""
    return {
        one.application.name: "addresses" if one.application.addresses else "mounted"
        for one in built.applications
        if one.application.program is None
    }
