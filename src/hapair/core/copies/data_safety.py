"""What is known about the copies of an application's data (R2)."""

from collections.abc import Container
from typing import Final

from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model import timing
from hapair.model.application import Volume
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk, Role, VolumeFacts

ATTACHED: Final = (Disk.UP_TO_DATE, Disk.CONSISTENT, Disk.OUTDATED, Disk.INCONSISTENT)


def volumes(state: NodeState, application: str) -> tuple[Volume, ...]:
    """Return the replicated volumes of a built application; empty when it is not built."""
    built = state.built.by_name.get(application)
    return built.volumes if built is not None else ()


def volume_facts(state: NodeState, application: str) -> tuple[VolumeFacts | None, ...]:
    return tuple(state.facts.get(v.resource) for v in volumes(state, application))


def application_of(state: NodeState, resource: str) -> str | None:
    """Return the name of the application that the resource belongs to."""
    built = state.built.by_resource.get(resource)
    return built.application.name if built is not None else None


def data_current(state: NodeState, application: str) -> bool:
    """Tell whether every copy here is UpToDate and cannot miss a write (rule R2)."""
    return all(is_current(state, v.resource) for v in volumes(state, application))


def is_current(state: NodeState, resource: str) -> bool:
    facts = state.facts.get(resource)
    return facts is not None and facts.current and not is_doubtful(state, resource)


def peer_is_primary(state: NodeState, application: str) -> bool:
    """Tell whether the kernel says that the peer still is Primary of a copy that we are not."""
    return any(
        facts is not None and facts.peer_role is Role.PRIMARY and facts.role is not Role.PRIMARY
        for facts in volume_facts(state, application)
    )


def peer_complete(state: NodeState, application: str) -> bool:
    """Tell whether this kernel knows that every copy on the peer has all writes.

    What the peer says of its copy is older than the last write here.
    """
    return all(
        facts is not None
        and facts.connection is Connection.CONNECTED
        and facts.peer_disk is Disk.UP_TO_DATE
        for facts in volume_facts(state, application)
    )


def is_bare(facts: VolumeFacts) -> bool:
    """Tell whether the kernel knows only the resource's name: neither a disk nor the peer."""
    return facts.disk is Disk.DISKLESS and facts.connection is Connection.STAND_ALONE


def is_without_data(facts: VolumeFacts) -> bool:
    """Tell whether a Primary has neither a whole disk of its own nor the peer's."""
    needs_peer = facts.disk in (Disk.DISKLESS, Disk.INCONSISTENT)
    return facts.role is Role.PRIMARY and needs_peer and not facts.kernel_answers


def kernel_answers(state: NodeState) -> bool:
    """Tell whether any replication link proves that the peer's kernel is alive."""
    return any(facts.kernel_answers for facts in state.facts.values())


def unprotected(state: NodeState) -> tuple[str, ...]:
    """Return the resources that this node writes, or is about to, without the peer's copy."""
    asked = {*state.fence_asked.values(), *state.claims}
    return tuple(
        name
        for name, facts in sorted(state.facts.items())
        if not facts.kernel_answers
        and (name in asked or (facts.role is Role.PRIMARY and facts.disk is Disk.UP_TO_DATE))
    )


def absorb_facts(turn: Turn, facts: tuple[VolumeFacts, ...]) -> None:
    """Take in what the kernel says now, and since when its connections prove something."""
    state = turn.state
    # What a new daemon finds connected may be a connection whose loss is not noticed yet.
    new_from_s = state.now_s if state.facts_read else state.now_s + proof_s(state)
    if not state.facts_read and not state.stored.holds_right:
        _doubt_what_lost_its_disk(turn, facts)
    before = state.joined_from_s
    connected = {each.resource for each in facts if each.kernel_answers}
    ended = [n for n, old in state.facts.items() if old.kernel_answers and n not in connected]
    turn.change(
        losses=state.losses + bool(ended),
        linked_until_s=state.now_s
        if ended and not connected and not state.relinked
        else state.linked_until_s,
        relinked=_relinked(state, connected),
        facts={each.resource: each for each in facts},
        facts_read=True,
        joined_from_s={
            each.resource: before.get(each.resource, new_from_s)
            for each in facts
            if _says_joined(each) and (each.resource in before or each.peer_disk in ATTACHED)
        },
    )


def _relinked(state: NodeState, connected: set[str]) -> bool:
    """Tell whether a connection was made while the peer was silent.

    The peer may have been granted the right before that: the end of such a connection does not say
    when this can have happened at the earliest.
    """
    if peer_heard(state) or not state.facts_read:
        return False
    return state.relinked or (bool(connected) and not kernel_answers(state))


def _doubt_what_lost_its_disk(turn: Turn, facts: tuple[VolumeFacts, ...]) -> None:
    """Trust no copy that a new daemon finds without its disk: the peer's may be newer."""
    lost = {each.resource for each in facts if each.disk is Disk.DISKLESS}
    if lost:
        turn.store(unproven=tuple(sorted(lost | set(turn.state.stored.unproven))))


def _says_joined(facts: VolumeFacts) -> bool:
    """Tell whether every write comes here. To compare the copies takes the peer's disk as well."""
    together = (Connection.CONNECTED, Connection.SYNC_SOURCE)
    return facts.disk is Disk.UP_TO_DATE and facts.connection in together


def proof_s(state: NodeState) -> float:
    """Return how old a connection must be before it proves that the peer was there just now."""
    return state.detection_s + timing.KERNEL_LATER_S


def is_joined(state: NodeState, resource: str) -> bool:
    """Tell whether DRBD has compared this copy with the peer's, and it gets every write.

    A connection proves it at once when this daemon saw it being made. Otherwise it proves it
    when it has lasted so long that the kernel would have noticed the loss of its peer.
    """
    from_s = state.joined_from_s.get(resource)
    return from_s is not None and state.now_s >= from_s


def doubt_connections(turn: Turn, resources: Container[str]) -> None:
    """Let these connections prove nothing for a while: they may be lost already."""
    from_s = turn.state.now_s + proof_s(turn.state)
    joined = turn.state.joined_from_s
    turn.change(joined_from_s={n: from_s if n in resources else s for n, s in joined.items()})


def distrust(turn: Turn, *, but_own: bool = False, away: bool = False) -> None:
    """Trust no local copy until it was connected to the peer's (rows 8, 9 and 14).

    DRBD takes a copy for UpToDate that was so when it was last attached, however long ago.
    The peer may have written alone since; only a connection, or the operator, can tell. With
    ``but_own`` the copies of which this node is Primary are still trusted: nobody else wrote.
    With ``away`` the peer is not known to have had the right to write: then a copy is also trusted
    when the peer comes back without a newer epoch (``wrote_by_right``), or when a witness grants
    this node the next one.
    """
    facts = turn.state.facts
    named = {v.resource for built in turn.state.built.applications for v in built.volumes}
    proven = {name for name in named if is_joined(turn.state, name)}
    own = {n for n in named if but_own and n in facts and facts[n].role is Role.PRIMARY}
    doubtful = named - proven - own
    stored = turn.state.stored
    if away and not _needs_no_right(turn.state):
        turn.store(away=tuple(sorted(doubtful | set(stored.away))))
    else:
        turn.store(unproven=tuple(sorted(doubtful | set(stored.unproven))))


def trust_again(turn: Turn, epoch: int) -> None:
    """Trust what was away, unless a peer that says this epoch may have written alone."""
    if wrote_by_right(turn.state, epoch):
        distrust(turn, but_own=True, away=True)
    else:
        turn.store(away=())


def _needs_no_right(state: NodeState) -> bool:
    """Tell whether a Primary may go on without its peer and without a newer epoch.

    Otherwise DRBD holds its writes until it has one, or until the peer has stored that its copy is
    behind (see ``brake``).
    """
    return state.built.cluster.arbitration is ArbitrationKind.OPERATOR


def wrote_by_right(state: NodeState, epoch: int) -> bool:
    """Tell whether a peer that says this epoch may have written what this node does not know of.

    It has not when the epoch is no newer than the last one in which this node took part.
    """
    return epoch > state.stored.epoch or _needs_no_right(state)


def peer_heard(state: NodeState) -> bool:
    """Tell whether a beat that echoes our incarnation came within the detection time."""
    heard = state.peer.heard_at_s.values()
    return any(state.now_s - at_s < state.detection_s for at_s in heard)


def _is_owner(state: NodeState, resource: str) -> bool:
    record = state.record(application_of(state, resource) or "")
    return record is not None and record.owner == state.me


def is_doubtful(state: NodeState, resource: str) -> bool:
    """Tell whether the local copy misses writes, or may."""
    return resource in state.stored.doubtful


def update_doubts(turn: Turn) -> None:
    """Keep the lists of resources whose local copy misses writes, or may (rows 3, 9 and 14).

    A copy falls behind when the peer says that it writes without us, or when our disk
    dropped out under a running resource. Only DRBD clears it: UpToDate while connected.
    """
    state = turn.state
    behind, unproven = set(state.stored.behind), set(state.stored.unproven)
    away = set(state.stored.away)
    told = set(state.peer.beat.unprotected) if peer_heard(state) and state.peer.beat else set()
    # Where this node is the owner, the peer's writes are frozen: they make no copy here old.
    told -= {name for name in told if _is_owner(state, name)}
    if told & set(state.joined_from_s):
        doubt_connections(turn, told)
    for name, facts in sorted(state.facts.items()):
        if name in told or (facts.disk is Disk.DISKLESS and facts.kernel_answers):
            behind.add(name)
        elif is_joined(state, name):
            behind.discard(name)
            unproven.discard(name)
            away.discard(name)
    doubts = {
        "behind": tuple(sorted(behind)),
        "unproven": tuple(sorted(unproven)),
        "away": tuple(sorted(away)),
    }
    if any(getattr(state.stored, name) != names for name, names in doubts.items()):
        turn.store(**doubts)
