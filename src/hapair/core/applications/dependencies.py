"""What an application waits for, or goes after, because of other applications.

Nobody waits for who waits for him. Order waits only for what is on its way up, and not for what
failed. Applications of the same node follow the one that leads them, which follows nobody; of two
that keep apart the one that has its turn later gives way. What runs is never stopped to wait.
"""

from collections.abc import Iterator
from typing import Final

from hapair.core.applications import failures, placement
from hapair.core.applications.placement import View
from hapair.core.copies import replication
from hapair.model.status import Phase, Wanted

# Rows of the goal table with which it comes up in a moment, as far as one knows.
ON_ITS_WAY: Final = (
    "run",
    "after",
    "peer-primary",
    "peer-runs",
    "peer-lease",
    "peer-back",
    "awaits-connection",
    "preferred-elsewhere",
)


def _others(v: View, names: tuple[str, ...]) -> Iterator[View]:
    """Yield those of them that are wanted; the application itself is none of them."""
    for name in names:
        built = v.state.built.by_name[name]
        other = placement.view(v.state, built.application)
        if name != v.application.name and other.wanted is Wanted.UP:
            yield other


def awaited(v: View) -> str:
    """Return what it starts after and is still on its way up, here or there; empty: nothing."""
    after = v.state.built.dependencies.after.get(v.application.name, ())
    return next((each.application.name for each in _others(v, after) if _comes_up(each)), "")


def _comes_up(other: View) -> bool:
    if other.mine:
        return _is_on_its_way(other) and not other.complete
    there = other.peer is not None and other.peer.phase is Phase.STARTING
    return other.together and there and not other.failed_there


def _is_on_its_way(other: View) -> bool:
    row = other.state.reasons.get(f"{other.application.name}/goal", ON_ITS_WAY[0])
    return not other.failed_here and row in ON_ITS_WAY


def keeps_apart(v: View) -> str:
    """Return what is here, or has its turn before it here, and must not be beside it."""
    name, dependencies = v.application.name, v.state.built.dependencies
    apart = dependencies.apart.get(name, ())
    earlier = dependencies.order[: dependencies.order.index(name)] if apart else ()
    for each in _others(v, apart):
        first = each.application.name in earlier
        here = not each.stopped and (v.stopped or first)
        comes = first and _is_on_its_way(each) and not awaited(each)
        if each.mine and (here or comes):
            return each.application.name
    return ""


def _led(v: View) -> View | None:
    """Return the application that leads it, if that runs on the peer."""
    group = v.state.built.dependencies.together.get(v.application.name, ())
    lead = next(_others(v, group[:1]), None)
    if lead is None or lead.mine or not lead.together or lead.peer is None:
        return None
    return lead if lead.peer.phase in (Phase.RUNNING, Phase.STARTING) else None


def leads(v: View) -> bool:
    """Tell whether it chooses the node: the others of its group follow."""
    group = v.state.built.dependencies.together.get(v.application.name, ())
    return group[:1] in ((), (v.application.name,))


def may_return(v: View) -> bool:
    """Tell whether its group, which it leads, is here as a whole, and had no cause to leave there.

    One that failed there would take it along again at once, and so would one that is on its way.
    """
    group = v.state.built.dependencies.together.get(v.application.name, ())
    those = (v, *_others(v, group))
    return leads(v) and not any(
        each.left_there or each.failed_there or (each.together and _is_leaving_there(each))
        for each in those
    )


def _is_leaving_there(other: View) -> bool:
    return not other.mine and (other.peer is None or other.peer.phase is not Phase.RUNNING)


def fellows(v: View) -> tuple[View, ...]:
    """Return what belongs on its node, and to this one now."""
    group = v.state.built.dependencies.together.get(v.application.name, ())
    return tuple(each for each in _others(v, group) if each.mine)


def peer_takes(v: View) -> bool:
    """Tell whether the peer, whose disks answer, can have it with all that belong on its node."""
    group = (v, *fellows(v))
    hangs = any(replication.overdue(v.state, each.application.name) for each in group)
    return not hangs and all(placement.peer_has_all(each) for each in group)


def shut_out(v: View) -> str:
    """Return what is more important and down, because this group is here, and others are there."""
    apart = v.state.built.dependencies.apart
    barred = {name for each in (v, *fellows(v)) for name in apart.get(each.application.name, ())}
    for each in _others(v, tuple(sorted(barred))):
        waits = each.mine and each.state.reasons.get(f"{each.application.name}/goal") == "apart"
        above = each.application.priority > v.application.priority
        rests = each.record is not None and failures.gave_up(each.state, each.record)
        if waits and above and not rests and not peer_takes(each):
            return each.application.name
    return ""


def goes_along(v: View) -> bool:
    """Tell whether it goes to the peer because others of its node run there, or go there."""
    going = _led(v) is not None or any(each.moving or each.failed_here for each in fellows(v))
    return going and peer_takes(v)


def unmet(v: View) -> str:
    """Say what is demanded of it and cannot be had now, for people; empty: nothing."""
    if lead := _led(v):
        return f"it belongs on the node of {lead.application.name}, which is {v.state.peer_name}"
    if other := keeps_apart(v):
        return f"it must not be on one node with {other}, which is here"
    if other := awaited(v):
        return f"it starts after {other}, which is on its way up"
    return ""
