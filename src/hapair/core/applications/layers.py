"""Bring an application up, layer by layer.

Level-triggered: every turn looks at what is known of each item and asks for the next action.
So a chain may be interrupted anywhere, by a crash too, and the next look goes on from what
it finds. Start works on the lowest layer that is not up, stop (see ``ladder``) on the highest that
is not down.
"""

from dataclasses import replace
from typing import Final

from hapair.core.applications import brake, items, ladder, nesting, runs
from hapair.core.copies import doubts, replication
from hapair.core.right import hearing, holding
from hapair.core.words.effects import Act, Do, Layer
from hapair.core.words.item import Is, Item, ItemState
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model import timing
from hapair.model.application import Application
from hapair.model.backing import Trust

START: Final = {
    Layer.ATTACHED: Do.BRING_UP,
    Layer.PROMOTED: Do.PROMOTE,
    Layer.MOUNTED: Do.MOUNT,
    Layer.ADDRESSED: Do.ADD_ADDRESSES,
    Layer.PROGRAM: Do.START_PROGRAM,
}
# What else starts an item: a copy that was written behind DRBD.
STARTS_FOREIGN: Final = (Do.BRING_UP_ANEW, Do.BRING_UP_AS_IT_IS)
# Said once when a whole layer is up during a start: the words of the failover timeline.
REACHED: Final = {
    Layer.PROMOTED: "promoted",
    Layer.MOUNTED: "mounted",
    Layer.ADDRESSED: "addresses",
    Layer.PROGRAM: "started",
}


def bring_up(turn: Turn, application: Application, top: Layer) -> None:
    """Ask for the next actions of a start, all items of one layer at once.

    But a mount waits for those that enclose it. One that is there before them is unmounted, and
    what uses it is stopped: else they would hide it.
    """
    name = application.name
    if _look_around(turn, name):
        return
    if top is not Layer.ATTACHED:
        if nesting.is_out_of_order(turn.state, name):
            ladder.take_down(turn, application, Layer.PROMOTED)
            return
        _leave_ladder(turn, name)
    for layer in items.ORDER[: items.ORDER.index(top) + 1]:
        waiting = [
            (i, s)
            for i, s in items.at(turn.state, name, layer)
            if not _stays_up(i, s) or _is_attached_unasked(turn.state, i)
        ]
        for item, item_state in nesting.to_start(turn.state, waiting):
            if items.is_free(item_state) and item_state.retry_at_s <= turn.state.now_s:
                _start(turn, application, item, item_state)
        if waiting:
            return


def await_retry(turn: Turn, application: Application) -> None:
    """Keep what is up until the start is tried again, and end what is left of a program.

    What was found in part may be a start that outlived a former daemon: see ``_start``.
    """
    bring_up(turn, application, Layer.ATTACHED)
    for item, item_state in tuple(items.at(turn.state, application.name, Layer.PROGRAM)):
        if item_state.known is not Is.PART:
            continue
        if item_state.last_error:
            ladder.take_down(turn, application, Layer.ADDRESSED)
        elif items.is_free(item_state) and item_state.retry_at_s <= turn.state.now_s:
            _start(turn, application, item, item_state)


def _look_around(turn: Turn, application: str) -> bool:
    """Look at every item that is not known; return whether anything is still unknown."""
    unknown = False
    for item, item_state in turn.state.items_of(application).items():
        if item_state.known is Is.UNKNOWN:
            unknown = True
            if not item_state.busy and item.layer in items.ORDER[2:]:
                turn.look(item)  # What the kernel knows comes by itself.
    return unknown


def _stays_up(item: Item, item_state: ItemState) -> bool:
    """Tell whether nothing that was asked for before can still bring the item down.

    What ends the holders of a mount would end a program that was started meanwhile.
    """
    starts = (None, START[item.layer], *STARTS_FOREIGN)
    return item_state.known is Is.UP and item_state.doing in starts


def _leave_ladder(turn: Turn, application: str) -> None:
    """Forget how far the stop had come: what could not be stopped is wanted again."""
    for item, item_state in turn.state.items_of(application).items():
        if item_state.rung:
            turn.put_item(item, replace(item_state, rung=0))


def _start(turn: Turn, application: Application, item: Item, item_state: ItemState) -> None:
    """Start an item that is not up.

    A program that is up in part may be on its way up by a script that outlived a former daemon:
    it gets the time of a start, then it is killed and started anew.
    """
    limit_s = items.start_limit_s(application, item.layer)
    if item_state.spent or _is_attached_unasked(turn.state, item):
        turn.act(item, Do.TAKE_DOWN, limit_s)
    elif item.layer is Layer.ATTACHED:
        if (attaching := _attaching(turn.state, item)) is not None:
            turn.act(item, attaching, limit_s)
    elif item.layer is Layer.PROMOTED and not brake.may_promote(turn.state, item.resource):
        turn.change(claims=(*turn.state.claims, item.resource))  # The peer is told, and answers.
    elif item.layer is Layer.ADDRESSED:
        despite = holding.may_take_addresses(turn.state, item.application)
        runs.begin(turn, item)
        turn.act(item, Do.ADD_ADDRESSES, limit_s, despite_peer=despite)
    elif item.layer is not Layer.PROGRAM or item_state.known is not Is.PART:
        runs.begin(turn, item)
        turn.act(item, START[item.layer], limit_s)
    elif item_state.tries * items.RETRY_S < limit_s:
        turn.look(item)
    else:
        turn.act(item, Do.KILL_PROGRAM, items.stop_limit_s(application, item.layer))


def _attaching(state: NodeState, item: Item) -> Do | None:
    """Return how a copy is to be attached; None: it was written behind DRBD, and has to wait.

    The peer's copy replaces it as soon as the peer says that its own is current; also when a person
    said that this one is good, and that could not be carried out before: nobody need decide then.
    """
    found = state.stored.foreign_to.get(item.resource)
    if found is None or found.trust is Trust.ANEW:  # Then it counts as empty already.
        return Do.BRING_UP
    if hearing.agreed(state) and doubts.is_current_there(state, item.resource):
        return Do.BRING_UP_ANEW
    return Do.BRING_UP_AS_IT_IS if found.trust is Trust.AS_IT_IS else None


def _is_attached_unasked(state: NodeState, item: Item) -> bool:
    """Tell whether a copy that was written behind DRBD is attached although nothing was decided.

    By hand, or by an action of which nobody knows how it ended.
    """
    if item.layer is not Layer.ATTACHED or not replication.has_disk(state, item.resource):
        return False
    return _attaching(state, item) is not Do.BRING_UP and items.is_stopped(state, item.application)


def announce(turn: Turn) -> None:
    """Tell the neighbours where the addresses are: the peer may have claimed them (row 22)."""
    for item, item_state in turn.state.every_item():
        if item.layer is Layer.ADDRESSED and item_state.known is Is.UP and not item_state.busy:
            effect_id = turn.number()
            act = Act(effect_id, Do.ANNOUNCE_ADDRESSES, item.application, "", timing.ADDRESSES_S)
            turn.effects.append(act)


def note_progress(turn: Turn, before: NodeState) -> None:
    """Write a line when a layer has come up as a whole, and when an application has stopped."""
    for built in turn.state.built.applications:
        name = built.application.name
        earlier = before.items_of(name)
        if turn.state.items_of(name) is earlier:
            continue
        for layer, word in REACHED.items():
            was_down = any(s.known is Is.DOWN for _, s in items.at(before, name, layer))
            if was_down and items.all_up(turn.state, name, layer):
                turn.note(word, f"layer {layer} is up", name)
        was_up = any(s.known is Is.UP for i, s in earlier.items() if i.layer is not Layer.ATTACHED)
        if was_up and items.is_stopped(turn.state, name):
            turn.note("stopped", "everything of it is down on this node", name)
