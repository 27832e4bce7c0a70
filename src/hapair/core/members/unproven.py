"""Copies that may miss writes, and of which only a person can say that they miss none."""

from hapair.core.applications import placement
from hapair.core.copies import replication
from hapair.core.right import hearing
from hapair.core.words.state import NodeState
from hapair.model.status import Standing


def unprovable(state: NodeState, application: str) -> list[str]:
    """Return the copies here that may miss writes, and that no connection will ever prove.

    The peer says that it will never promote its own: it was written behind DRBD, so it is not even
    attached. One that only misses writes is: then the copies meet, unless the network fails. Or it
    is connected and has no disk. Or the peer is halted, and this node goes on without it.
    """
    theirs = state.peer.state
    names = [volume.resource for volume in replication.volumes(state, application)]
    doubted = {*state.stored.unproven, *state.stored.away}
    if state.standing is Standing.ALONE and hearing.peer_left(state):
        return [n for n in names if n in doubted]
    if theirs is None or not hearing.agreed(state):
        return []
    if state.now_s - state.together_since_s < placement.CONNECTION_WAIT_S:
        return []
    dead = {name for name in names if replication.peer_has_no_disk(state, name)}
    dead |= set(theirs.behind)
    return [n for n in names if n in doubted & dead and not replication.is_joined(state, n)]
