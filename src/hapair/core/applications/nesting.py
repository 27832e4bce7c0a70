"""The order of mounts that lie inside one another: outer ones come first and go last."""

from hapair.core.applications import items
from hapair.core.words.effects import Layer
from hapair.core.words.item import Is, Item, ItemState
from hapair.core.words.state import NodeState

Items = list[tuple[Item, ItemState]]


def to_start(state: NodeState, waiting: Items) -> Items:
    """Return those of a layer's items that wait for no other one of them."""
    down = {item.resource for item, _ in waiting}
    return [(i, s) for i, s in waiting if not down.intersection(_enclosing(state, i))]


def to_stop(state: NodeState, waiting: Items) -> Items:
    """Return those of a layer's items inside which no other one of them is.

    One that is hidden by what encloses it, or mounted elsewhere, keeps nothing: it may be reached
    only when that is gone.
    """
    kept = {r for i, s in waiting if s.known is not Is.PART for r in _enclosing(state, i)}
    return [(item, item_state) for item, item_state in waiting if item.resource not in kept]


def is_out_of_order(state: NodeState, application: str) -> bool:
    """Tell whether a mount is there before one that encloses it, which would hide it.

    So it is too where the enclosing one is hidden itself, and was refused to be mounted once more.
    """
    known = {item.resource: s for item, s in items.at(state, application, Layer.MOUNTED)}
    late = {
        resource
        for resource, s in known.items()
        if s.known is Is.DOWN or (s.known is Is.PART and s.last_error)
    }
    return any(
        not items.is_down(known[inner]) and not late.isdisjoint(outer)
        for inner, outer in state.built.application(application).enclosing.items()
    )


def _enclosing(state: NodeState, item: Item) -> tuple[str, ...]:
    if item.layer is not Layer.MOUNTED:
        return ()
    return state.built.application(item.application).enclosing.get(item.resource, ())
