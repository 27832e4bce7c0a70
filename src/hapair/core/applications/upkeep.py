"""What runs is looked at, not assumed: an address that somebody removed is put back.

Only while the application is to be up here, so never without the right, while it stops, or on a
node that is not the owner. That an address vanishes, or cannot be put back, stops nothing. What
becomes of a mount that somebody took away is said in ``mounts``.
"""

from dataclasses import replace
from typing import Final

from hapair.core.applications import items, mounts
from hapair.core.right import holding
from hapair.core.words.effects import Do, Layer, Severity
from hapair.core.words.events import Looked, Seen
from hapair.core.words.item import Is, Item, ItemState
from hapair.core.words.turn import Turn
from hapair.model import timing
from hapair.model.application import Application
from hapair.model.outcome import Done, Outcome

LOOKED_AT: Final = (Layer.MOUNTED, Layer.ADDRESSED)
AT_ONCE_MAX: Final = 5  # So often it is put back at once; then somebody fights.
PAUSE_S: Final = 1.0  # Doubled after each further try.
PAUSE_DOUBLINGS_MAX: Final = 5
CALM_S: Final = 60.0  # What has stayed for so long is forgotten.


def doubt(turn: Turn, seen: tuple[Seen, ...] | None) -> None:
    """Mark what may have changed to be looked at as soon as nothing works on it.

    What was seen is not believed: something may have been done to the item after it was read. An
    item that something works on may change after it was seen.
    """
    looks = None if seen is None else {(each.application, each.resource): each for each in seen}
    waiting = set(turn.state.unsure)
    unsure = (
        item
        for item, item_state in turn.state.every_item()
        if item.layer in LOOKED_AT
        and (
            looks is None
            or item in waiting
            or item_state.busy
            or _looks_otherwise(item, item_state, looks.get((item.application, item.resource)))
        )
    )
    turn.change(unsure=tuple(unsure))


def _looks_otherwise(item: Item, item_state: ItemState, seen: Seen | None) -> bool:
    """Tell whether a look would change what is known; one that nobody saw stays as it was."""
    if seen is None or item_state.known is not Is.UP:
        return False
    upkeep = item_state.upkeep
    if item.layer is Layer.MOUNTED:
        return mounts.looks_otherwise(upkeep, seen)
    found = (seen.up is not True, seen.trouble)
    return found != (upkeep.missing, upkeep.trouble) or upkeep.tries > 0


def settle(turn: Turn) -> None:
    """Look at the items in doubt that are thought to be up; what is not is looked at anyway."""
    waiting: list[Item] = []
    for item in turn.state.unsure:
        item_state = turn.state.items_of(item.application).get(item, ItemState())
        if item_state.busy:
            waiting.append(item)
        elif item_state.known is Is.UP:
            turn.look(item)
    turn.change(unsure=tuple(waiting))


def absorb_look(turn: Turn, item: Item, looked: Looked) -> None:
    """Take in what a look at an item that was thought to be up found."""
    if item.layer is Layer.MOUNTED:
        mounts.absorb_look(turn, item, looked)
        return
    item_state = turn.item(item)
    before = item_state.upkeep
    missing = looked.up is not True
    after = replace(before, missing=missing, trouble=looked.trouble)
    if not missing and before.tries and turn.state.now_s >= before.again_at_s + CALM_S:
        after = replace(after, tries=0, put_back=0)
        if before.put_back >= AT_ONCE_MAX:
            text = f"the addresses have stayed for {CALM_S:.0f} s: nobody removes them any more"
            turn.note("addresses-stay", text, item.application)
    turn.put_item(item, replace(item_state, busy=0, doing=None, upkeep=after))
    if not missing and looked.trouble and looked.trouble != before.trouble:
        turn.note("address-trouble", looked.trouble, item.application, Severity.WARNING)


def put_back(turn: Turn, application: Application) -> None:
    """Put the addresses of a running application back where some of them vanished."""
    for item, item_state in items.at(turn.state, application.name, Layer.ADDRESSED):
        due = item_state.upkeep.missing and turn.state.now_s >= item_state.upkeep.again_at_s
        if due and item_state.known is Is.UP and not item_state.busy:
            despite = holding.may_take_addresses(turn.state, item.application)
            turn.act(item, Do.RESTORE_ADDRESSES, timing.ADDRESSES_S, despite_peer=despite)


def absorb_end(turn: Turn, item: Item, item_state: ItemState, outcome: Outcome) -> None:
    """Take in how putting the addresses back ended; none of the answers makes a start fail."""
    before = item_state.upkeep
    tries = before.tries + 1
    failed = not isinstance(outcome, Done)
    error = "" if isinstance(outcome, Done) else outcome.why
    pause_s = items.RETRY_S if failed else 0.0
    if tries >= AT_ONCE_MAX:
        pause_s = PAUSE_S * 2.0 ** min(tries - AT_ONCE_MAX, PAUSE_DOUBLINGS_MAX)
    after = replace(before, tries=tries, again_at_s=turn.state.now_s + pause_s)
    if not failed:
        after = replace(after, missing=False, trouble="", put_back=before.put_back + 1)
    turn.put_item(item, replace(item_state, last_error=error, upkeep=after))
    if failed and error != item_state.last_error:
        text = f"{before.trouble}, and cannot be put back: {error}"
        turn.note("address-missing", text, item.application, Severity.ALARM)
    elif not failed and after.put_back < AT_ONCE_MAX:
        text = f"{before.trouble}: put back"
        turn.note("address-restored", text, item.application, Severity.WARNING)
    elif not failed and after.put_back == AT_ONCE_MAX:
        text = (
            f"{before.trouble}: put back for the {AT_ONCE_MAX}th time, and from now on less often"
        )
        turn.note("address-fought", text, item.application, Severity.ALARM)
