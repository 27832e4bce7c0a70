"""What a node without a disk knows: it wrote nothing alone, so the peer's copy misses nothing.

Nothing can be compared with a copy that has no disk. But a node that was connected to the peer's
current copy while it had no disk itself, and that has had none since, got no write acknowledged
that is not in that copy. A restart or a boot changes nothing about that: it is stored, and
forgotten when a disk is seen again, which is before anything could be promoted from it.
"""

from hapair.core.copies import doubts, replication
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.data import Connection, Disk
from hapair.model.status import Standing


def settle(turn: Turn) -> None:
    """Remember what was not written here since the peer had all of it; believe the same of it."""
    state = turn.state
    theirs = state.peer.state
    kept = {n for n in state.stored.wrote_nothing if not replication.has_disk(state, n)}
    if state.standing is Standing.TOGETHER and theirs is not None:
        kept |= {name for name in state.facts if _writes_to_the_peer(state, name)}
        doubts.believe(turn, theirs.wrote_nothing)
    known = tuple(sorted(kept))
    if known != state.stored.wrote_nothing:
        turn.store(wrote_nothing=known)


def _writes_to_the_peer(state: NodeState, name: str) -> bool:
    facts = state.facts[name]
    return (
        facts.disk is Disk.DISKLESS
        and facts.connection is Connection.CONNECTED
        and facts.peer_disk is Disk.UP_TO_DATE
        and doubts.is_current_there(state, name)
    )
