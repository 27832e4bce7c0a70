"""Nothing is given to a node that cannot take note of it, nor stopped for that unasked.

A disk that takes nothing is found by a store; an idle node stores once in 45 s. So whoever gives an
application away has the peer store something just before: a number, which the peer says when it
is on its disk (states are published after they are stored).
"""

from typing import Final

from hapair.core.right import hearing
from hapair.core.words.events import PeerState
from hapair.core.words.item import Trial
from hapair.core.words.state import NO_TRIAL, NodeState
from hapair.core.words.turn import Turn

FEATURE: Final = "trials"
# A peer whose disk hangs says so after 5 s, in its heartbeats: then it takes nothing anyway.
ANSWERS_WITHIN_S: Final = 10.0


def passed(turn: Turn) -> bool:
    """Tell whether the peer has just stored what it was asked to; ask it, if nobody has.

    A machine that goes down gives what it has in any case: it cannot go on here.
    """
    state = turn.state
    if state.leave is not None and state.leave.shutdown:
        return True
    theirs = state.peer.state
    if theirs is not None and not state.trial.number and _knows(theirs):
        turn.change(trial=Trial(theirs.stored_for + 1, state.now_s))
    return _answered(turn.state)


def _knows(theirs: PeerState) -> bool:
    """Tell whether the peer's version does what is asked; the former one says nothing of it."""
    return FEATURE in theirs.speaks.features


def _answered(state: NodeState) -> bool:
    theirs = state.peer.state
    return theirs is None or not _knows(theirs) or theirs.stored_for >= state.trial.number


def waits(state: NodeState) -> bool:
    """Tell whether the peer's answer is still to come, and not late."""
    return not _answered(state) and not late(state)


def takes_nothing(state: NodeState) -> bool:
    """Tell whether the peer says that it cannot store, or does not answer when it is asked to."""
    return hearing.peer_unable(state) or late(state)


def late(state: NodeState) -> bool:
    """Tell whether the peer has not answered for long."""
    asked = state.trial
    return bool(asked.number) and state.now_s - asked.at_s >= ANSWERS_WITHIN_S


def settle(turn: Turn) -> None:
    """Store what the peer asks for, and forget what was answered: it proves this moment only."""
    state = turn.state
    theirs = state.peer.state
    if theirs is not None and theirs.asks_store > state.stored.stored_for:
        turn.store(stored_for=theirs.asks_store)
    if state.trial.number and _answered(state):
        turn.change(trial=NO_TRIAL)
