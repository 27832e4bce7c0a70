"""Have the peer switched off, and believe only an agent that confirmed it (R3)."""

from dataclasses import replace
from typing import Final

from hapair.core.words.effects import FencePeer, Severity
from hapair.core.words.events import Fenced
from hapair.core.words.peer import FencingView
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn

RETRY_S: Final = 5.0
RETRY_DOUBLINGS_MAX: Final = 5  # At most every 160 s: an alarm stands there all the time.
# A node whose daemon is silent for so long counts as hung: systemd had time to restart it.
HUNG_S: Final = 60.0


def has_method(state: NodeState) -> bool:
    return bool(state.built.cluster.methods_against(state.peer_name))


def fence(turn: Turn) -> None:
    """Begin to switch the peer off, unless that is under way, done, or has just failed."""
    state = turn.state
    view = state.fencing
    if view.busy or view.proven or state.now_s < view.retry_at_s:
        return
    turn.change(fencing=replace(view, busy=True))
    turn.note("fencing", f"switching {state.peer_name} off", severity=Severity.WARNING)
    turn.effects.append(FencePeer())


def absorb(turn: Turn, fenced: Fenced) -> None:
    """Take the result in; what was proven before the peer was heard again is worth nothing."""
    view = turn.state.fencing
    if not view.busy:
        return
    if view.void:
        turn.change(fencing=FencingView())
        return
    if fenced.proven:
        turn.change(fencing=FencingView(proven=True, text=fenced.text))
        turn.note("fenced", f"{turn.state.peer_name} is off: {fenced.text}")
        return
    wait_s = RETRY_S * 2.0 ** min(view.tries, RETRY_DOUBLINGS_MAX)
    retry_at_s = turn.state.now_s + wait_s
    turn.change(fencing=FencingView(tries=view.tries + 1, retry_at_s=retry_at_s, text=fenced.text))
    text = f"{turn.state.peer_name} could not be switched off: {fenced.text}"
    turn.note("fencing-failed", text, severity=Severity.ALARM)


def forget(turn: Turn) -> None:
    """The peer was heard: whatever was proven about it is over.

    An agent that is under way is waited for, so that two never switch at the same time.
    """
    busy = turn.state.fencing.busy
    void = FencingView(busy=busy, void=busy)
    if turn.state.fencing != void:
        turn.change(fencing=void)


def doubt(turn: Turn) -> None:
    """The peer lives but does not hear this node: no proof holds, what is under way goes on."""
    if turn.state.fencing.proven:
        turn.change(fencing=replace(turn.state.fencing, proven=False))
