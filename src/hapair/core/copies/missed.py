"""What the peer's copy misses: it had no disk while the writes went to the one here.

The peer's own daemon stores the same, if it is there to see it. If it is not, and its machine loses
its power, its copy looks complete to it afterwards. It learns the truth from this node as soon as
the two are together, also where DRBD cannot compare the copies.
"""

from hapair.core.copies import doubts, replication
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.data import Disk, Role
from hapair.model.status import Standing


def settle(turn: Turn) -> None:
    """Remember what the peer's copies miss; believe what it says of those here."""
    turn.change(compared=_compared(turn.state))
    known = tuple(sorted(_seen(turn.state)))
    if known != turn.state.stored.peer_misses:
        turn.store(peer_misses=known)
    theirs, state = turn.state.peer.state, turn.state
    if state.standing is not Standing.TOGETHER or theirs is None:
        return
    if theirs.seen_losses < state.losses:
        return  # It speaks of a connection that has ended since: the copies may have met in it.
    missed = {name for name in theirs.you_miss if _may_be(state, name)}
    if not missed <= set(state.stored.unproven):
        turn.store(unproven=tuple(sorted(missed | set(state.stored.unproven))))


def told(state: NodeState) -> tuple[str, ...]:
    """Return what the peer is told to miss, also before it is attached here; not what is no better.

    A copy that only may miss writes is better than one that does.
    """
    worse = {name for name, facts in state.facts.items() if not facts.current}
    worse |= set(doubts.never_promoted(state))
    return tuple(name for name in state.stored.peer_misses if name not in worse)


def _seen(state: NodeState) -> set[str]:
    kept = {name for name in state.stored.peer_misses if name in state.built.by_resource}
    for name, facts in state.facts.items():
        if facts.kernel_answers and facts.peer_disk is Disk.UP_TO_DATE:
            kept.discard(name)
        elif facts.current and replication.peer_has_no_disk(state, name):
            kept.add(name)
    return kept


def _compared(state: NodeState) -> tuple[str, ...]:
    """Return the copies that this daemon saw compared, and that had their disk ever since.

    The peer's daemon may have been away just then: what it remembers of them is older.
    """
    kept = {name for name in state.compared if replication.has_disk(state, name)}
    kept |= {name for name in state.facts if replication.is_joined(state, name)}
    return tuple(sorted(kept))


def _may_be(state: NodeState, name: str) -> bool:
    """Tell whether the copy here may miss something: it was not compared since, nor written."""
    facts = state.facts.get(name)
    written = facts is not None and facts.current and facts.role is Role.PRIMARY
    return not (written or name in state.compared)
