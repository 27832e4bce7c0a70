"""A look at a program that failed says nothing: it is left alone, and looked at again.

Called down it would be started beside itself, and called partly up it would be killed in the end.
So it counts as running, and can be stopped, until a look tells.
"""

from dataclasses import replace
from typing import Final

from hapair.core.applications.items import RETRY_S
from hapair.core.words.effects import Layer, Severity
from hapair.core.words.item import Is, Item, ItemState, Upkeep
from hapair.core.words.turn import Turn

PAUSE_DOUBLINGS_MAX: Final = 5  # At most every 32 s: what does not run waits for it.
ALARM_AFTER: Final = 3  # Looks in a row; one or two may meet a busy machine.


def is_assumed(item: Item, item_state: ItemState) -> bool:
    """Tell whether a program counts as running only because nobody could look."""
    up = item.layer is Layer.PROGRAM and item_state.known is Is.UP
    return up and bool(item_state.upkeep.trouble)


def absorb(turn: Turn, item: Item, why: str) -> None:
    """Take in that a look told nothing; the next one comes later each time."""
    item_state = turn.item(item)
    tries = item_state.upkeep.tries + 1
    pause_s = RETRY_S * 2.0 ** min(tries - 1, PAUSE_DOUBLINGS_MAX)
    upkeep = Upkeep(trouble=why, tries=tries, again_at_s=turn.state.now_s + pause_s)
    turn.put_item(item, replace(item_state, known=Is.UP, busy=0, doing=None, upkeep=upkeep))
    if tries in (1, ALARM_AFTER):
        severity = Severity.WARNING if tries < ALARM_AFTER else Severity.ALARM
        text = f"{why}; it counts as running, and is looked at again"
        turn.note("not-seen", text, item.application, severity)


def tell(turn: Turn, item: Item, known: Is) -> None:
    """Say that a look told again what is so."""
    turn.note("seen-again", f"its program could be looked at again: {known}", item.application)


def settle(turn: Turn) -> None:
    """Look again at what counts as running although nobody saw it."""
    for built in turn.state.built.applications:
        item = Item(built.application.name, Layer.PROGRAM)
        item_state = turn.state.items_of(item.application).get(item)
        if item_state is None or item_state.busy or not is_assumed(item, item_state):
            continue
        if turn.state.now_s >= item_state.upkeep.again_at_s:
            turn.look(item)
