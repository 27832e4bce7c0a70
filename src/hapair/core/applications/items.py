"""The items of an application: which there are, and what is known of each."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hapair.core.copies import replication
from hapair.core.words.effects import Layer
from hapair.core.words.item import Is, Item, ItemState
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model import timing
from hapair.model.application import Application
from hapair.model.built import BuiltApplication
from hapair.model.data import Disk, Role

ORDER: Final = tuple(Layer)
RETRY_S: Final = 1.0


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


def sync(turn: Turn) -> None:
    """Know an item for everything that is built; forget what no longer is."""
    state = turn.state
    items: dict[str, Mapping[Item, ItemState]] = {}
    for built in state.built.applications:
        old = state.items_of(built.application.name)
        items[built.application.name] = {i: old.get(i, ItemState()) for i in items_of(built)}
    turn.change(items=items)


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
        if facts is None and item_state.known is Is.UNKNOWN and turn.state.untold_until_s:
            continue
        if item.layer is Layer.ATTACHED:
            # A start that failed half-way leaves traces in the kernel; it is not up by that.
            up = facts is not None and not item_state.tries and not replication.is_bare(facts)
        else:
            up = facts is not None and facts.role is Role.PRIMARY
        known = Is.UP if up else Is.DOWN
        if item_state.known is not known and not item_state.busy:
            changed = replace(item_state, known=known, spent=False)
            turn.put_item(item, changed if up else replace(changed, rung=0, stuck=0))


def absorb_built(turn: Turn) -> None:
    """See what is built with what the kernel said last, which may be older than what is new."""
    if turn.state.facts_read:
        turn.change(untold_until_s=turn.state.now_s + timing.UNTOLD_S)
    absorb_facts(turn)


def settle(turn: Turn) -> None:
    """Believe that the kernel does not have what it has not told of for so long."""
    state = turn.state
    if state.untold_until_s and state.now_s >= state.untold_until_s:
        turn.change(untold_until_s=0.0)
        absorb_facts(turn)


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


def at(state: NodeState, application: str, layer: Layer) -> list[tuple[Item, ItemState]]:
    return [each for each in state.items_of(application).items() if each[0].layer is layer]


def is_down(item_state: ItemState) -> bool:
    """Tell whether the item is down and stays so; an action under way may still bring it up."""
    return item_state.known is Is.DOWN and item_state.doing is None


def is_free(item_state: ItemState) -> bool:
    """Tell whether the item can be started; a start waits for no look at what is down."""
    return not item_state.busy or is_down(item_state)


def is_released(state: NodeState) -> bool:
    """Tell whether nothing of any application is up, not even the replication."""
    return all(is_down(item_state) for _, item_state in state.every_item())


def all_up(state: NodeState, application: str, *layers: Layer) -> bool:
    return all(
        item_state.known is Is.UP
        for item, item_state in state.items_of(application).items()
        if item.layer in layers
    )


def has_mounts(state: NodeState, application: str) -> bool:
    """Tell whether nobody took a mount away from below it."""
    return not any(s.upkeep.missing for _, s in at(state, application, Layer.MOUNTED))


def is_unknown(state: NodeState, application: str) -> bool:
    """Tell whether something of it is still to be looked at."""
    return any(each.known is Is.UNKNOWN for each in state.items_of(application).values())


def is_stopped(state: NodeState, application: str) -> bool:
    """Tell whether everything above the replication is known to be down.

    The kernel itself must have said that it is no longer Primary: then everything that it said
    before, e.g. that it lost its peer while writing, has been read too.
    """
    for item, item_state in state.items_of(application).items():
        if item.layer is Layer.ATTACHED:
            continue
        if not is_down(item_state):
            return False
        facts = state.facts.get(item.resource)
        if facts is not None and facts.role is Role.PRIMARY:
            return False
    return True


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


def start_limit_s(application: Application, layer: Layer) -> float:
    match layer:
        case Layer.PROGRAM:
            return application.limits.start_s
        case Layer.MOUNTED:
            return application.limits.mount_s
        case Layer.ATTACHED | Layer.PROMOTED:
            return timing.REPLICATION_S
        case Layer.ADDRESSED:
            return timing.ADDRESSES_S


def stop_limit_s(application: Application, layer: Layer) -> float:
    match layer:
        case Layer.PROGRAM:
            return application.limits.stop_s
        case Layer.MOUNTED:
            return timing.MOUNT_S
        case _:
            return start_limit_s(application, layer)
