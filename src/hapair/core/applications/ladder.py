"""Bring an application down: from its highest layer on, rung by rung where something resists."""

from dataclasses import replace
from typing import Final

from hapair.core.applications import brake, items, nesting, unseen
from hapair.core.words.effects import Do, Layer
from hapair.core.words.item import Is, Item, ItemState
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.application import Application

# The stop ladder: what is tried, rung by rung, before the item is called stuck.
LADDER: Final[dict[Layer, tuple[Do, ...]]] = {
    Layer.PROGRAM: (Do.STOP_PROGRAM, Do.KILL_PROGRAM, Do.KILL_PROGRAM),
    Layer.ADDRESSED: (Do.REMOVE_ADDRESSES, Do.REMOVE_ADDRESSES),
    Layer.MOUNTED: (Do.UNMOUNT, Do.END_HOLDERS, Do.UNMOUNT, Do.END_HOLDERS, Do.UNMOUNT),
    # What holds the device besides its mount shows only now: another name space has it mounted.
    Layer.PROMOTED: (Do.DEMOTE, Do.DEMOTE, Do.END_HOLDERS, Do.DEMOTE, Do.END_HOLDERS, Do.DEMOTE),
    Layer.ATTACHED: (Do.TAKE_DOWN, Do.TAKE_DOWN),
}
FROZEN_RUNG: Final = 2  # Of a mount's ladder: from here on frozen writes are made to fail.


def is_stuck(state: NodeState, application: str) -> bool:
    return any(
        item_state.rung >= len(LADDER[item.layer])
        for item, item_state in state.items_of(application).items()
    )


def resistance(state: NodeState, application: str) -> str:
    """Say what the last stop could not bring down, and why; empty when everything went down."""
    return "; ".join(
        f"{item.resource or item.layer}: {item_state.last_error}"
        for item, item_state in state.items_of(application).items()
        if item_state.stuck
    )


def take_down(turn: Turn, application: Application, keep: Layer | None) -> None:
    """Ask for the next actions of a stop, down to and without the layer ``keep``."""
    name = application.name
    lowest = 0 if keep is None else items.ORDER.index(keep) + 1
    for layer in reversed(items.ORDER[lowest:]):
        waiting = [(i, s) for i, s in items.at(turn.state, name, layer) if not items.is_down(s)]
        for item, item_state in nesting.to_stop(turn.state, waiting):
            if item.layer is Layer.MOUNTED and item_state.rung >= FROZEN_RUNG:
                _give_up_frozen(turn, application)
            _climb(turn, application, item, item_state)
        if waiting:
            return


def give_way(turn: Turn, application: Application) -> None:
    """Stop at once, because the other side goes on: this node's clients must not be served.

    Addresses go first. Frozen writes will never be acknowledged here, so they are made to fail
    by giving up the disk: a process that hangs in one could not be ended otherwise. The disk is
    attached again as soon as everything is down.
    """
    name = application.name
    _give_up_frozen(turn, application)
    for item, item_state in items.at(turn.state, name, Layer.ADDRESSED):
        if not items.is_down(item_state):
            _climb(turn, application, item, item_state)
    for item, item_state in items.at(turn.state, name, Layer.PROGRAM):
        if not items.is_down(item_state) and not item_state.rung:
            turn.put_item(item, replace(item_state, rung=1))  # Nobody waits for a polite stop.
    take_down(turn, application, Layer.ATTACHED)


def _give_up_frozen(turn: Turn, application: Application) -> None:
    """Give up the disks whose writes the kernel froze; what a person froze waits for him."""
    for item, item_state in items.at(turn.state, application.name, Layer.ATTACHED):
        facts = turn.state.facts.get(item.resource)
        frozen = facts is not None and facts.suspended and not facts.held and not item_state.spent
        if brake.may_go_on(turn.state, item.resource):
            continue  # The kernel must not find the disk gone when it goes on.
        if frozen and not item_state.busy and item_state.retry_at_s <= turn.state.now_s:
            turn.act(item, Do.DETACH, items.stop_limit_s(application, item.layer))


def _climb(turn: Turn, application: Application, item: Item, item_state: ItemState) -> None:
    asked = item_state.doing is None and unseen.is_assumed(item, item_state)
    if item_state.busy and not asked:  # A stop waits for no look that may hang.
        polite = item_state.doing is Do.STOP_PROGRAM and item_state.rung > 0
        if item_state.doing is Do.START_PROGRAM or polite:
            # Do not wait for a start, or for a polite stop, that nobody wants any more.
            turn.put_item(item, replace(item_state, rung=1))
            turn.act(item, Do.KILL_PROGRAM, items.stop_limit_s(application, item.layer))
        return
    if item_state.known is Is.UNKNOWN:
        if item.layer in items.ORDER[2:]:
            turn.look(item)
        return  # What the kernel knows comes by itself.
    if item_state.waits and item_state.retry_at_s > turn.state.now_s:
        return
    ladder = LADDER[item.layer]
    if item_state.rung >= len(ladder):
        if item_state.retry_at_s > turn.state.now_s:
            return
        item_state = replace(item_state, rung=0)
        turn.put_item(item, item_state)
    turn.act(item, ladder[item_state.rung], items.stop_limit_s(application, item.layer))
