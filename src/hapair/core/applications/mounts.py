"""A mount of a running application that somebody took away, or that no longer serves.

A program on a folder without its mount writes into the root file system, where nothing is
replicated: it is stopped, and started again over the mount. The first time that is mended here;
soon once more, it counts as a start that failed here: the peer tries, or it takes ever longer.

What is mounted over it, or elsewhere, or has become read-only is only told. A start would not come
up again, a move would not get the volume free, and what the program has open is still replicated.
"""

from dataclasses import replace
from typing import Final

from hapair.core.applications import failures, items, ladder
from hapair.core.words.effects import Layer, Severity
from hapair.core.words.events import Looked, Seen
from hapair.core.words.item import UNHARMED, Is, Item, ItemState, Upkeep
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.application import Application

MENDED_HERE: Final = 1  # So often in a row; then it counts as a start that failed.
CALM_S: Final = failures.EXPIRES_S  # What has stayed for so long is forgotten.


def looks_otherwise(upkeep: Upkeep, seen: Seen) -> bool:
    """Tell whether a look would change what is known of a mount."""
    return (_is_lost(seen.up), seen.trouble) != (upkeep.missing, upkeep.trouble)


def absorb_look(turn: Turn, item: Item, looked: Looked) -> None:
    """Take in what a look at a mount that was thought to be up found."""
    item_state = turn.item(item)
    before = item_state.upkeep
    free = replace(item_state, busy=0, doing=None)
    if looked.blind:
        turn.put_item(item, free)
        return
    missing = _is_lost(looked.up)
    # Where the disk was given up by force, everything of it comes down anyway.
    spent = items.is_spent(turn.state, item.application)
    after = replace(before, missing=missing, trouble="" if spent else looked.trouble)
    if missing and not before.missing:
        after = _lost(turn, item, after, looked.wall_s)
    elif before.missing and not missing:
        turn.note("mounted-again", f"{item.resource} is mounted again", item.application)
    if after.trouble and after.trouble != before.trouble:
        turn.note("mount-trouble", after.trouble, item.application, Severity.ALARM)
    turn.put_item(item, replace(free, upkeep=after))


def _is_lost(up: bool | None) -> bool:  # noqa: FBT001 - as looks have it
    return up is False


def _lost(turn: Turn, item: Item, upkeep: Upkeep, wall_s: float) -> Upkeep:
    text = f"{item.resource} was unmounted by somebody while the application runs"
    turn.note("not-mounted", text, item.application, Severity.ALARM)
    now_s = turn.state.now_s
    tries = 1 + (upkeep.tries if now_s < upkeep.again_at_s else 0)
    if tries > MENDED_HERE:
        failures.mark(turn, item.application, wall_s)
    return replace(upkeep, tries=tries, again_at_s=now_s + CALM_S)


def stops_for_mount(turn: Turn, application: Application) -> bool:
    """Let a lost mount be mounted again; tell whether the program has to stop before that."""
    name = application.name
    lost = [
        (item, item_state)
        for item, item_state in items.at(turn.state, name, Layer.MOUNTED)
        if item_state.upkeep.missing and item_state.known is Is.UP
    ]
    if not lost:
        return False
    if not all(items.is_down(s) for _, s in items.at(turn.state, name, Layer.PROGRAM)):
        ladder.take_down(turn, application, Layer.ADDRESSED)
        return True
    for item, item_state in lost:
        if not item_state.busy:
            turn.put_item(item, replace(item_state, known=Is.DOWN))
    return False


def is_used(state: NodeState, item: Item, item_state: ItemState) -> bool:
    """Tell whether a program runs over a mount that is not seen at its place."""
    hidden = item.layer is Layer.MOUNTED and item_state.known is Is.PART
    programs = items.at(state, item.application, Layer.PROGRAM)
    return hidden and bool(programs) and all(each.known is Is.UP for _, each in programs)


def adopt(turn: Turn, item: Item, item_state: ItemState, trouble: str) -> None:
    """Leave a mount as a former daemon left it: it cannot be mounted again over what hides it."""
    upkeep = replace(item_state.upkeep, trouble=trouble)
    turn.put_item(item, ItemState(known=Is.UP, upkeep=upkeep))
    if trouble != item_state.upkeep.trouble:
        turn.note("mount-trouble", trouble, item.application, Severity.ALARM)


def doubt(turn: Turn, application: str) -> None:
    """Look at the mounts before a program that failed is started again: one may be lost unseen."""
    for item, item_state in items.at(turn.state, application, Layer.MOUNTED):
        turn.put_item(item, replace(item_state, known=Is.UNKNOWN))


def mounted(turn: Turn, item: Item, before: ItemState) -> Upkeep:
    """Return what is remembered of an item that a start brought up."""
    upkeep = before.upkeep
    if item.layer is not Layer.MOUNTED or not upkeep.missing:
        return UNHARMED
    text = f"{item.resource} is mounted again; what was written meanwhile lies below it"
    turn.note("mounted-again", text, item.application, Severity.WARNING)
    return replace(upkeep, missing=False)
