"""Bring an application up or down, layer by layer.

Level-triggered: every turn looks at what is known of each item and asks for the next action.
So a chain may be interrupted anywhere, by a crash too, and the next look goes on from what
it finds. Start works on the lowest layer that is not up, stop on the highest that is not down.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from hapair.core.applications import brake
from hapair.core.copies import replication
from hapair.core.words.effects import Act, Do, Layer, Severity
from hapair.core.words.events import Looked
from hapair.core.words.state import Is, Item, ItemState, NodeState
from hapair.core.words.turn import Turn
from hapair.model import timing
from hapair.model.application import Application
from hapair.model.built import BuiltApplication
from hapair.model.data import Disk, Role
from hapair.model.outcome import Done, Outcome, Refused, Unknown

ORDER: Final = tuple(Layer)
START: Final = {
    Layer.ATTACHED: Do.BRING_UP,
    Layer.PROMOTED: Do.PROMOTE,
    Layer.MOUNTED: Do.MOUNT,
    Layer.ADDRESSED: Do.ADD_ADDRESSES,
    Layer.PROGRAM: Do.START_PROGRAM,
}
# The stop ladder: what is tried, rung by rung, before the item is called stuck.
LADDER: Final[dict[Layer, tuple[Do, ...]]] = {
    Layer.PROGRAM: (Do.STOP_PROGRAM, Do.KILL_PROGRAM, Do.KILL_PROGRAM),
    Layer.ADDRESSED: (Do.REMOVE_ADDRESSES, Do.REMOVE_ADDRESSES),
    Layer.MOUNTED: (Do.UNMOUNT, Do.END_HOLDERS, Do.UNMOUNT, Do.END_HOLDERS, Do.UNMOUNT),
    Layer.PROMOTED: (Do.DEMOTE, Do.DEMOTE, Do.DEMOTE),
    Layer.ATTACHED: (Do.TAKE_DOWN, Do.TAKE_DOWN),
}
# Said once when a whole layer is up during a start: the words of the failover timeline.
REACHED: Final = {
    Layer.PROMOTED: "promoted",
    Layer.MOUNTED: "mounted",
    Layer.ADDRESSED: "addresses",
    Layer.PROGRAM: "started",
}
FROZEN_RUNG: Final = 2  # Of a mount's ladder: from here on frozen writes are made to fail.
START_TRIES_MAX: Final = 3
RETRY_S: Final = 1.0
RETRY_DOUBLINGS_MAX: Final = 5  # Rare enough: a disk that stays away must not fill the history.
STUCK_RETRY_S: Final = 10.0


def items_of(built: BuiltApplication) -> tuple[Item, ...]:
    """Return the items that exist for an application, in the order of their start."""
    name = built.application.name
    items: list[Item] = []
    for layer in (Layer.ATTACHED, Layer.PROMOTED, Layer.MOUNTED):
        items += [Item(name, layer, volume.resource) for volume in built.volumes]
    if built.application.addresses:
        items.append(Item(name, Layer.ADDRESSED))
    if built.application.program is not None:
        items.append(Item(name, Layer.PROGRAM))
    return tuple(items)


def sync_items(turn: Turn) -> None:
    """Know an item for everything that is built; forget what no longer is."""
    state = turn.state
    items: dict[str, Mapping[Item, ItemState]] = {}
    for built in state.built.applications:
        old = state.items_of(built.application.name)
        items[built.application.name] = {i: old.get(i, ItemState()) for i in items_of(built)}
    turn.change(items=items)


def at(state: NodeState, application: str, layer: Layer) -> Iterator[tuple[Item, ItemState]]:
    for item, item_state in state.items_of(application).items():
        if item.layer is layer:
            yield item, item_state


def is_down(item_state: ItemState) -> bool:
    """Tell whether the item is down and stays so; an action under way may still bring it up."""
    return item_state.known is Is.DOWN and item_state.doing is None


def is_released(state: NodeState) -> bool:
    """Tell whether nothing of any application is up, not even the replication."""
    return all(is_down(item_state) for _, item_state in state.every_item())


def all_up(state: NodeState, application: str, layer: Layer) -> bool:
    return all(s.known is Is.UP for _, s in at(state, application, layer))


def is_stopped(state: NodeState, application: str) -> bool:
    """Tell whether everything above the replication is known to be down.

    The kernel itself must have said that it is no longer Primary: then everything that it said
    before, e.g. that it lost its peer while writing, has been read too.
    """
    for item, item_state in state.items_of(application).items():
        if item.layer is Layer.ATTACHED:
            continue
        facts = state.facts.get(item.resource)
        if not is_down(item_state) or (facts is not None and facts.role is Role.PRIMARY):
            return False
    return True


def is_stuck(state: NodeState, application: str) -> bool:
    return any(
        item_state.rung >= len(LADDER[item.layer])
        for item, item_state in state.items_of(application).items()
    )


def absorb_facts(turn: Turn) -> None:
    """ATTACHED and PROMOTED are what the kernel says, whoever caused it."""
    if not turn.state.facts_read:
        return  # It has not spoken yet: that a resource is not listed means nothing.
    for item, item_state in turn.state.every_item():
        if item.layer not in (Layer.ATTACHED, Layer.PROMOTED):
            continue
        facts = turn.state.facts.get(item.resource)
        if item_state.spent and facts is not None:
            continue
        if item.layer is Layer.ATTACHED:
            # A start that failed half-way leaves traces in the kernel; it is not up by that.
            up = facts is not None and not item_state.tries and not replication.is_bare(facts)
        else:
            up = facts is not None and facts.role is Role.PRIMARY
        known = Is.UP if up else Is.DOWN
        if item_state.known is not known and not item_state.busy:
            rung = item_state.rung if up else 0
            turn.put_item(item, replace(item_state, known=known, rung=rung, spent=False))


def find_given_up(turn: Turn) -> None:
    """Find the disks that a former daemon gave up or lost: they are to be attached anew."""
    for item, item_state in turn.state.every_item():
        facts = turn.state.facts.get(item.resource)
        if item.layer is not Layer.ATTACHED or facts is None or replication.is_bare(facts):
            continue
        serves = facts.role is Role.PRIMARY and facts.kernel_answers
        # What is frozen still has to be let go: it is given up once more.
        if facts.disk is Disk.DISKLESS and not (serves or facts.suspended):
            turn.put_item(item, replace(item_state, known=Is.PART, spent=True))


def absorb_look(turn: Turn, looked: Looked) -> None:
    """Take in what a look found."""
    known = {True: Is.UP, False: Is.DOWN, None: Is.PART}[looked.up]
    for item, item_state in turn.state.every_item():
        if item_state.busy == looked.effect_id:
            found = replace(item_state, known=known, busy=0, doing=None)
            if known is Is.PART:
                retry_at_s = turn.state.now_s + RETRY_S
                found = replace(found, tries=item_state.tries + 1, retry_at_s=retry_at_s)
            else:
                rung = 0 if known is Is.DOWN else item_state.rung
                tries = 0 if known is Is.UP else item_state.tries
                found = replace(found, tries=tries, rung=rung)
            turn.put_item(item, found)


def absorb_end(turn: Turn, effect_id: int, outcome: Outcome) -> None:
    """Take in how an action ended; the end of an action that was overtaken is ignored."""
    for item, item_state in turn.state.every_item():
        if item_state.busy == effect_id and item_state.doing is not None:
            free = replace(item_state, busy=0, doing=None)
            if item_state.doing is Do.DETACH:
                _detach_ended(turn, item, free, outcome)
            elif item_state.doing is START[item.layer]:
                _start_ended(turn, item, free, outcome)
            else:
                _stop_ended(turn, item, free, item_state.doing, outcome)


def _start_ended(turn: Turn, item: Item, item_state: ItemState, outcome: Outcome) -> None:
    match outcome:
        case Done():
            turn.put_item(item, ItemState(known=Is.UP))
        case Refused(why):
            _start_failed(turn, item, replace(item_state, known=Is.DOWN), why)
        case Unknown(why):
            # A start that may have happened is stopped before anything else is tried.
            known = Is.PART if item.layer is Layer.PROGRAM else Is.UNKNOWN
            _start_failed(turn, item, replace(item_state, known=known), why)


def _start_failed(turn: Turn, item: Item, item_state: ItemState, why: str) -> None:
    tries = item_state.tries + 1
    slower = 2.0 ** min(max(0, tries - START_TRIES_MAX), RETRY_DOUBLINGS_MAX)
    retry_at_s = turn.state.now_s + RETRY_S * slower
    turn.put_item(item, replace(item_state, tries=tries, retry_at_s=retry_at_s, last_error=why))
    doing = START[item.layer]
    if why != item_state.last_error:
        text = f"{doing} {item.resource} failed: {why}".replace("  ", " ")
        turn.note("start-failed", text, item.application, Severity.WARNING)
    final = item.layer in (Layer.PROGRAM, Layer.ADDRESSED) or tries >= START_TRIES_MAX
    if final and item.layer is not Layer.ATTACHED:
        _mark_failed_here(turn, item.application)
        turn.put_item(item, replace(turn.item(item), tries=0))


def _mark_failed_here(turn: Turn, application: str) -> None:
    state = turn.state
    record = state.record(application)
    if record is None or record.owner != state.me or state.me in record.failed_on:
        return
    version = record.version.after(state.stored.epoch)
    failed_on = (*record.failed_on, state.me)
    turn.put_record(replace(record, failed_on=failed_on, version=version))


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
        case Refused(why) | Unknown(why):
            rung = item_state.rung + 1
            # A start that was under way may have ended either way meanwhile: look again.
            unsure = isinstance(outcome, Unknown) or item_state.known is Is.DOWN
            # What is spent is known well enough: it is taken down once more.
            unsure = unsure and not item_state.spent
            known = Is.UNKNOWN if unsure else item_state.known
            error = replace(item_state, known=known, rung=rung, last_error=why)
            if rung >= len(LADDER[item.layer]):
                error = replace(error, retry_at_s=turn.state.now_s + STUCK_RETRY_S)
                text = f"{doing} {item.resource} failed on the last rung: {why}"
                turn.note("stuck", text, item.application, Severity.ALARM)
            turn.put_item(item, error)


def look_around(turn: Turn, application: str) -> bool:
    """Look at every item that is not known; return whether anything is still unknown."""
    unknown = False
    for item, item_state in turn.state.items_of(application).items():
        if item_state.known is Is.UNKNOWN:
            unknown = True
            if not item_state.busy and item.layer in ORDER[2:]:
                turn.look(item)  # What the kernel knows comes by itself.
    return unknown


def bring_up(turn: Turn, application: Application, top: Layer) -> None:
    """Ask for the next actions of a start, all items of one layer at once."""
    name = application.name
    if look_around(turn, name):
        return
    if top is not Layer.ATTACHED:
        _leave_ladder(turn, name)
    for layer in ORDER[: ORDER.index(top) + 1]:
        waiting = [(i, s) for i, s in at(turn.state, name, layer) if not _stays_up(i, s)]
        for item, item_state in waiting:
            if not item_state.busy and item_state.retry_at_s <= turn.state.now_s:
                _start(turn, application, item, item_state)
        if waiting:
            return


def _stays_up(item: Item, item_state: ItemState) -> bool:
    """Tell whether nothing that was asked for before can still bring the item down.

    What ends the holders of a mount would end a program that was started meanwhile.
    """
    return item_state.known is Is.UP and item_state.doing in (None, START[item.layer])


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
    limit_s = start_limit_s(application, item.layer)
    if item_state.spent:
        turn.act(item, Do.TAKE_DOWN, limit_s)
    elif item.layer is Layer.PROMOTED and not brake.may_promote(turn.state, item.resource):
        turn.change(claims=(*turn.state.claims, item.resource))  # The peer is told, and answers.
    elif item.layer is not Layer.PROGRAM or item_state.known is not Is.PART:
        turn.act(item, START[item.layer], limit_s)
    elif item_state.tries * RETRY_S < limit_s:
        turn.look(item)
    else:
        turn.act(item, Do.KILL_PROGRAM, stop_limit_s(application, item.layer))


def take_down(turn: Turn, application: Application, keep: Layer | None) -> None:
    """Ask for the next actions of a stop, down to and without the layer ``keep``."""
    name = application.name
    lowest = 0 if keep is None else ORDER.index(keep) + 1
    for layer in reversed(ORDER[lowest:]):
        waiting = [(i, s) for i, s in at(turn.state, name, layer) if not is_down(s)]
        for item, item_state in waiting:
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
    for item, item_state in tuple(at(turn.state, name, Layer.ADDRESSED)):
        if not is_down(item_state):
            _climb(turn, application, item, item_state)
    for item, item_state in tuple(at(turn.state, name, Layer.PROGRAM)):
        if not is_down(item_state) and not item_state.rung:
            turn.put_item(item, replace(item_state, rung=1))  # Nobody waits for a polite stop.
    take_down(turn, application, Layer.ATTACHED)


def _give_up_frozen(turn: Turn, application: Application) -> None:
    for item, item_state in tuple(at(turn.state, application.name, Layer.ATTACHED)):
        facts = turn.state.facts.get(item.resource)
        frozen = facts is not None and facts.suspended and not item_state.spent
        told_s = turn.state.told_at_s.get(item.resource)
        if told_s is not None and turn.state.now_s < told_s + timing.HANDLER_S:
            continue  # The handler was told to go on: its kernel must not find the disk gone.
        if frozen and not item_state.busy and item_state.retry_at_s <= turn.state.now_s:
            turn.act(item, Do.DETACH, stop_limit_s(application, item.layer))


def announce(turn: Turn) -> None:
    """Tell the neighbours where the addresses are: the peer may have claimed them (row 22)."""
    for item, item_state in turn.state.every_item():
        if item.layer is Layer.ADDRESSED and item_state.known is Is.UP and not item_state.busy:
            effect_id = turn.number()
            act = Act(effect_id, Do.ANNOUNCE_ADDRESSES, item.application, "", timing.ADDRESSES_S)
            turn.effects.append(act)


def is_spent(state: NodeState, application: str) -> bool:
    """Tell whether a disk was given up by force, so that nothing above it may stay up.

    A daemon that was started anew sees it by a Primary without its own disk and without the peer's:
    were the disk attached again, the writes that failed could go on beside those of the other side.
    """
    for item, item_state in at(state, application, Layer.ATTACHED):
        facts = state.facts.get(item.resource)
        if item_state.spent or (facts is not None and replication.is_without_data(facts)):
            return True
    return False


def runs_anything(state: NodeState) -> bool | None:
    """Tell whether anything above the replication is up or on its way; None: not known yet."""
    above = [s for item, s in state.every_item() if item.layer is not Layer.ATTACHED]
    if any(not is_down(each) and each.known is not Is.UNKNOWN for each in above):
        return True
    return None if any(each.known is Is.UNKNOWN for each in above) else False


def _climb(turn: Turn, application: Application, item: Item, item_state: ItemState) -> None:
    if item_state.busy:
        polite = item_state.doing is Do.STOP_PROGRAM and item_state.rung > 0
        if item_state.doing is Do.START_PROGRAM or polite:
            # Do not wait for a start, or for a polite stop, that nobody wants any more.
            turn.put_item(item, replace(item_state, rung=1))
            turn.act(item, Do.KILL_PROGRAM, stop_limit_s(application, item.layer))
        return
    if item_state.known is Is.UNKNOWN:
        if item.layer in ORDER[2:]:
            turn.look(item)
        return  # What the kernel knows comes by itself.
    ladder = LADDER[item.layer]
    if item_state.rung >= len(ladder):
        if item_state.retry_at_s > turn.state.now_s:
            return
        item_state = replace(item_state, rung=0)
        turn.put_item(item, item_state)
    turn.act(item, ladder[item_state.rung], stop_limit_s(application, item.layer))


def start_limit_s(application: Application, layer: Layer) -> float:
    match layer:
        case Layer.PROGRAM:
            return application.limits.start_s
        case Layer.MOUNTED:
            return timing.MOUNT_S
        case Layer.ATTACHED | Layer.PROMOTED:
            return timing.REPLICATION_S
        case Layer.ADDRESSED:
            return timing.ADDRESSES_S


def stop_limit_s(application: Application, layer: Layer) -> float:
    return (
        application.limits.stop_s if layer is Layer.PROGRAM else start_limit_s(application, layer)
    )


def note_progress(turn: Turn, before: NodeState) -> None:
    """Write a line when a layer has come up as a whole, and when an application has stopped."""
    for built in turn.state.built.applications:
        name = built.application.name
        earlier = before.items_of(name)
        if turn.state.items_of(name) is earlier:
            continue
        for layer, word in REACHED.items():
            was_down = any(s.known is Is.DOWN for _, s in at(before, name, layer))
            if was_down and all_up(turn.state, name, layer):
                turn.note(word, f"layer {layer} is up", name)
        was_up = any(s.known is Is.UP for i, s in earlier.items() if i.layer is not Layer.ATTACHED)
        if was_up and is_stopped(turn.state, name):
            turn.note("stopped", "everything of it is down on this node", name)
