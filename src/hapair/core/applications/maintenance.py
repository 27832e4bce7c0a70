"""What is in maintenance is left as it is: not started, restarted, moved, taken over or given back.

What a person orders is done, and so is what safety needs: who loses the right stops. An expiry is
counted on this node's boot clock, from when it learnt of it, so a new daemon begins it anew; the
node whose time is over first tells the other one.
"""

from collections.abc import Iterable
from dataclasses import replace
from math import ceil
from typing import Final

from hapair.core.words.effects import Severity
from hapair.core.words.events import Maintain
from hapair.core.words.item import Learnt
from hapair.core.words.protocol import UNSAID
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.maintenance import Maintenance, Scope, place
from hapair.model.status import Version

FEATURE: Final = "maintenance"


def _of(state: NodeState, *places: str) -> Maintenance | None:
    """Return what holds of these places, the first of them first."""
    on = {each.of: each for each in state.stored.maintenance if each.on}
    return next((on[each] for each in places if each in on), None)


def holds(state: NodeState, application: str) -> Maintenance | None:
    """Return what keeps this node from doing anything about an application by itself."""
    if not state.stored.maintenance:
        return None
    mine = (place(Scope.NODE, state.me), place(Scope.APPLICATION, application))
    return _of(state, place(Scope.CLUSTER, ""), *mine)


def holds_there(state: NodeState, application: str) -> Maintenance | None:
    """Return what keeps the peer from starting an application."""
    if not state.stored.maintenance:
        return None
    theirs = (place(Scope.NODE, state.peer_name), place(Scope.APPLICATION, application))
    return _of(state, place(Scope.CLUSTER, ""), *theirs)


def left_s(state: NodeState, maintenance: Maintenance, now_s: float) -> float | None:
    """Return for how many seconds it goes on; None: until it is taken off."""
    if not maintenance.for_s:
        return None
    learnt = state.maintained.get(maintenance.of, Learnt(maintenance.version, now_s))
    return max(0.0, learnt.at_s + maintenance.for_s - now_s)


def order(turn: Turn, request_id: int, command: Maintain) -> None:
    """Begin or end a maintenance, or refuse it with the mend."""
    if refusal := _refusal(turn.state, command):
        turn.reply(request_id, refusal, accepted=False)
        return
    of = place(command.scope, command.name)
    before = next((each for each in turn.state.stored.maintenance if each.of == of), None)
    version = before.version if before is not None else Version(0, 0)
    said = Maintenance(
        of,
        version.after(turn.state.stored.epoch),
        command.on,
        ceil(command.for_s) if command.on else 0,
        command.reason,
        int(command.wall_s),
    )
    _put(turn, (said,))
    text = f"{of} is in maintenance" if command.on else f"{of} is no longer in maintenance"
    turn.note("maintenance", f"{text}{_because(said)}", _application(command), Severity.WARNING)
    turn.reply(request_id, text + _untold(turn.state), accepted=True)


def _because(said: Maintenance) -> str:
    until = f", for {said.for_s} s" if said.for_s else ""
    return f"{until}: {said.reason}" if said.reason else until


def _application(command: Maintain) -> str:
    return command.name if command.scope is Scope.APPLICATION else ""


def _refusal(state: NodeState, command: Maintain) -> str:
    known: Iterable[str] = {
        Scope.APPLICATION: state.built.by_name,
        Scope.NODE: state.built.cluster.nodes,
        Scope.CLUSTER: ("",),
    }[command.scope]
    if command.name not in known:
        return f"there is no {command.scope} {command.name}; see: clstat"
    moved = [
        name for name in state.moving if command.name in (name, *state.built.cluster.nodes, "")
    ]
    if command.on and moved:
        return f"{moved[0]} is being moved to {state.peer_name}; wait for it, see: clstat"
    return ""


def _untold(state: NodeState) -> str:
    """Say that the peer does not know of it, because it is away, or of a version without it."""
    theirs = state.peer.state
    speaks = theirs.speaks if theirs is not None else UNSAID
    if theirs is not None and FEATURE in speaks.features:
        return ""
    why = "does not answer" if theirs is None else "has a version without maintenance"
    return f"; {state.peer_name} {why}, and does not know of it"


def absorb(turn: Turn, theirs: tuple[Maintenance, ...]) -> None:
    """Take in what the peer says of it: the higher version wins."""
    ours = {each.of: each for each in turn.state.stored.maintenance}
    newer = tuple(
        each for each in theirs if each.of not in ours or _rank(each) > _rank(ours[each.of])
    )
    if newer:
        _put(turn, newer)


def _rank(said: Maintenance) -> tuple[Version, bool, int, str, int]:
    return said.version, said.on, said.for_s, said.reason, said.wall_s


def _put(turn: Turn, said: tuple[Maintenance, ...]) -> None:
    after = {each.of: each for each in (*turn.state.stored.maintenance, *said)}
    turn.store(maintenance=tuple(after[of] for of in sorted(after)))


def settle(turn: Turn) -> None:
    """Learn of what was said, and end what has expired."""
    state = turn.state
    learnt = {each.of: _learnt(state, each) for each in state.stored.maintenance}
    turn.change(maintained=learnt)
    for each in state.stored.maintenance:
        if each.on and left_s(turn.state, each, state.now_s) == 0.0:
            later = each.version.after(state.stored.epoch)
            _put(turn, (replace(each, version=later, on=False, for_s=0),))
            turn.note("maintenance", f"the maintenance of {each.of} has expired")


def _learnt(state: NodeState, said: Maintenance) -> Learnt:
    before = state.maintained.get(said.of)
    if before is not None and before.version == said.version:
        return before
    return Learnt(said.version, state.now_s)


def forget(turn: Turn, application: str) -> None:
    """Forget it of an application that was released."""
    of = place(Scope.APPLICATION, application)
    left = (each for each in turn.state.stored.maintenance if each.of != of)
    turn.store(maintenance=tuple(left))
