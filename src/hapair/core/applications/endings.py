"""What becomes of an item when a look at it, or an action on it, has ended."""

from dataclasses import replace
from typing import Final

from hapair.core.applications import elsewhere, failures, items, mounts, unseen, upkeep
from hapair.core.applications.items import RETRY_S
from hapair.core.applications.ladder import LADDER
from hapair.core.applications.layers import START, STARTS_FOREIGN
from hapair.core.copies import doubts
from hapair.core.right import holding
from hapair.core.words.effects import Do, Layer, Severity
from hapair.core.words.events import Ended, Looked
from hapair.core.words.item import UNHARMED, Is, Item, ItemState
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.backing import Trust
from hapair.model.outcome import Done, Foreign, HeldByPeer, NotNow, Outcome, Refused, Unknown
from hapair.model.status import Standing

START_TRIES_MAX: Final = 3
START_WAITS_MAX: Final = 30  # About half a minute.
STOP_WAITS_MAX: Final = 3  # Another node may wait for the stop.
RETRY_DOUBLINGS_MAX: Final = 5  # Rare enough: a disk that stays away must not fill the history.
STUCK_RETRY_S: Final = 10.0
STUCK_DOUBLINGS_MAX: Final = 3  # So the stop goes on soon after the holder has gone.


def absorb_looks(turn: Turn, answers: tuple[Looked, ...]) -> None:
    """Take in what looks found."""
    by_effect = {looked.effect_id: looked for looked in answers}
    for item, item_state in turn.state.every_item():
        if (looked := by_effect.get(item_state.busy)) is None:
            continue
        program = item.layer is Layer.PROGRAM
        if program and item_state.known is Is.DOWN:
            elsewhere.absorb(turn, item, looked)
            continue
        if program and looked.trouble:
            unseen.absorb(turn, item, looked.trouble)
            continue
        if item_state.known is Is.UP and not program:
            upkeep.absorb_look(turn, item, looked)
            continue
        known = {True: Is.UP, False: Is.DOWN, None: Is.PART}[looked.up]
        if unseen.is_assumed(item, item_state):
            unseen.tell(turn, item, known)
        kept = UNHARMED if program else item_state.upkeep
        found = replace(item_state, known=known, busy=0, doing=None, upkeep=kept)
        if known is Is.PART:
            retry_at_s = turn.state.now_s + RETRY_S
            found = replace(found, tries=item_state.tries + 1, retry_at_s=retry_at_s)
        else:
            tries = 0 if known is Is.UP else item_state.tries
            found = replace(found, tries=tries)
            if known is Is.DOWN:
                found = replace(found, rung=0, stuck=0)
        turn.put_item(item, found)


def absorb_ends(turn: Turn, ends: tuple[Ended, ...]) -> None:
    """Take in how actions ended; the end of an action that was overtaken is ignored."""
    by_effect = {ended.effect_id: ended for ended in ends}
    for item, item_state in turn.state.every_item():
        ended = by_effect.get(item_state.busy)
        if ended is None or item_state.doing is None:
            continue
        outcome = ended.outcome
        free = replace(item_state, busy=0, doing=None)
        if item_state.doing is Do.DETACH:
            _detach_ended(turn, item, free, outcome)
        elif item_state.doing is Do.RESTORE_ADDRESSES:
            upkeep.absorb_end(turn, item, free, outcome)
        elif item_state.doing in (START[item.layer], *STARTS_FOREIGN):
            _foreign_ended(turn, item, item_state.doing, outcome)
            _start_ended(turn, item, free, ended)
        else:
            _stop_ended(turn, item, free, item_state.doing, outcome)
    if not all(isinstance(ended.outcome, Done) for ended in ends):
        items.absorb_facts(turn)  # What was done is newer than the known facts.


def _foreign_ended(turn: Turn, item: Item, doing: Do, outcome: Outcome) -> None:
    """Take in what an attachment found out about, or did to, a copy written behind DRBD."""
    match outcome:
        case Foreign(why):
            doubts.find_foreign(turn, item.resource, why)
        case Done() if doing is Do.BRING_UP_ANEW:
            doubts.decide_foreign(turn, item.resource, Trust.ANEW)
        case Done() if doing is Do.BRING_UP_AS_IT_IS:
            doubts.forget_foreign(turn, item.resource)
        case _:
            pass


def _start_ended(turn: Turn, item: Item, item_state: ItemState, ended: Ended) -> None:
    outcome = ended.outcome
    if isinstance(outcome, Done):
        kept = mounts.mounted(turn, item, item_state)
        turn.put_item(item, ItemState(known=Is.UP, upkeep=kept))
        return
    if isinstance(outcome, Refused) and mounts.is_used(turn.state, item, item_state):
        mounts.adopt(turn, item, item_state, outcome.why)
        return
    known = Is.DOWN
    if isinstance(outcome, Unknown):
        # A start that may have happened is stopped before anything else is tried.
        known = Is.PART if item.layer is Layer.PROGRAM else Is.UNKNOWN
    elif item_state.known is Is.PART and item.layer in upkeep.LOOKED_AT:
        known = Is.UNKNOWN  # What was there in part still is, and has to be taken down.
    if item.layer is Layer.PROGRAM:
        mounts.doubt(turn, item.application)
    failed = replace(item_state, known=known, last_error=outcome.why, full=ended.full)
    if outcome.why != item_state.last_error:
        text = f"{START[item.layer]} {item.resource} failed: {outcome.why}".replace("  ", " ")
        turn.note("start-failed", text, item.application, Severity.WARNING)
    if item.layer is not Layer.ATTACHED and _means_nothing(turn.state, item, item_state, outcome):
        turn.put_item(item, _waits(turn, failed))
    elif failed.full:
        turn.put_item(item, _waits_for_room(turn, failed))
    else:
        _start_failed(turn, item, replace(failed, waits=0), ended.wall_s)


def _means_nothing(
    state: NodeState, item: Item, item_state: ItemState, outcome: Refused | Unknown
) -> bool:
    """Tell whether it only has to be tried again: nothing was learnt about the application.

    A node that lacks the means for long cannot run it just now, whatever the reason.
    """
    if isinstance(outcome, NotNow):
        return item_state.waits < START_WAITS_MAX
    waits = state.standing is Standing.ALONE and holding.peer_may_have_addresses(state)
    # What was begun before this time ended, and ends after it, is tried again in the other way.
    waits = waits or holding.may_take_addresses(state, item.application)
    return waits and isinstance(outcome, HeldByPeer)


def _waits(turn: Turn, item_state: ItemState) -> ItemState:
    retry_at_s = turn.state.now_s + RETRY_S
    return replace(item_state, waits=item_state.waits + 1, retry_at_s=retry_at_s)


def _waits_for_room(turn: Turn, item_state: ItemState) -> ItemState:
    """The other node has the same data: it is tried here again, ever more slowly."""
    tries = item_state.tries + 1
    return replace(item_state, tries=tries, retry_at_s=_later_s(turn, tries))


def _later_s(turn: Turn, doublings: int) -> float:
    """Return when it is tried again, after a pause that was doubled so often."""
    slower = 2.0 ** min(max(0, doublings), RETRY_DOUBLINGS_MAX)
    return turn.state.now_s + RETRY_S * slower


def _start_failed(turn: Turn, item: Item, item_state: ItemState, wall_s: float) -> None:
    tries = item_state.tries + 1
    retry_at_s = _later_s(turn, tries - START_TRIES_MAX)
    counts = item.layer in (Layer.PROGRAM, Layer.ADDRESSED) or tries >= START_TRIES_MAX
    counts = counts and item.layer is not Layer.ATTACHED
    turn.put_item(item, replace(item_state, tries=0 if counts else tries, retry_at_s=retry_at_s))
    if counts:
        failures.mark(turn, item.application, wall_s)


def _detach_ended(turn: Turn, item: Item, item_state: ItemState, outcome: Outcome) -> None:
    match outcome:
        case Done():
            turn.put_item(item, replace(item_state, known=Is.PART, spent=True))
            text = f"the disk of {item.resource} was given up, so that its frozen writes fail"
            turn.note("detached", text, item.application, Severity.WARNING)
        case Refused(why) | Unknown(why):
            again = replace(item_state, retry_at_s=turn.state.now_s + RETRY_S, last_error=why)
            turn.put_item(item, again)


def _stop_ended(turn: Turn, item: Item, item_state: ItemState, doing: Do, outcome: Outcome) -> None:
    match outcome:
        case Done() if doing is not Do.END_HOLDERS:
            turn.put_item(item, ItemState(known=Is.DOWN))
        case Done(note):
            if note:
                turn.note("holders-ended", note, item.application, Severity.WARNING)
            turn.put_item(item, replace(item_state, rung=item_state.rung + 1))
        case NotNow(why) if item_state.waits < STOP_WAITS_MAX:
            # The next rung is harder: a lack of means on this node is no reason to climb it.
            turn.put_item(item, replace(_waits(turn, item_state), last_error=why))
        case Refused(why) | Unknown(why):
            rung = item_state.rung + 1
            # A start that was under way may have ended either way meanwhile: look again.
            unsure = isinstance(outcome, Unknown) or item_state.known is Is.DOWN
            # What is spent is known well enough: it is taken down once more.
            unsure = unsure and not item_state.spent
            # Of a program that is dead already a stop may fail: nothing is stuck by that.
            ends = len(LADDER[item.layer])
            unsure = unsure or (item.layer is Layer.PROGRAM and rung == ends - 1)
            known = Is.UNKNOWN if unsure else item_state.known
            error = replace(item_state, known=known, rung=rung, waits=0, last_error=why)
            if rung >= ends:
                error = _stuck(turn, item, error, doing)
            turn.put_item(item, error)


def _stuck(turn: Turn, item: Item, item_state: ItemState, doing: Do) -> ItemState:
    """Say what resists, and wait longer each time before the ladder is climbed again."""
    text = f"{doing} {item.resource} failed on the last rung: {item_state.last_error}"
    turn.note("stuck", text, item.application, Severity.ALARM)
    pause_s = STUCK_RETRY_S * 2.0 ** min(item_state.stuck, STUCK_DOUBLINGS_MAX)
    retry_at_s = turn.state.now_s + pause_s
    return replace(item_state, stuck=item_state.stuck + 1, retry_at_s=retry_at_s)
