"""What DRBD says of the copies of an application's data, and since when that proves something."""

from collections.abc import Container, Iterable
from typing import Final

from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model import timing
from hapair.model.application import Volume
from hapair.model.built import Built
from hapair.model.data import Connection, Disk, Role, VolumeFacts

ATTACHED: Final = (Disk.UP_TO_DATE, Disk.CONSISTENT, Disk.OUTDATED, Disk.INCONSISTENT)


def volumes(state: NodeState, application: str) -> tuple[Volume, ...]:
    """Return the replicated volumes of a built application; empty when it is not built."""
    built = state.built.by_name.get(application)
    return built.volumes if built is not None else ()


def overdue(state: NodeState, application: str) -> tuple[str, ...]:
    """Return the resources whose writes wait for the peer's disk, which answers none of them."""
    facts = volume_facts(state, application)
    return tuple(each.resource for each in facts if each is not None and each.overdue)


def volume_facts(state: NodeState, application: str) -> tuple[VolumeFacts | None, ...]:
    return tuple(state.facts.get(v.resource) for v in volumes(state, application))


def application_of(state: NodeState, resource: str) -> str | None:
    """Return the name of the application that the resource belongs to."""
    built = state.built.by_resource.get(resource)
    return built.application.name if built is not None else None


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
        and not facts.differs
        for facts in volume_facts(state, application)
    )


def has_disk(state: NodeState, resource: str) -> bool:
    """Tell whether the kernel says that the copy here is attached."""
    facts = state.facts.get(resource)
    return facts is not None and facts.disk in ATTACHED


def is_bare(facts: VolumeFacts) -> bool:
    """Tell whether the kernel knows only the resource's name: neither a disk nor the peer."""
    return facts.disk is Disk.DISKLESS and facts.connection is Connection.STAND_ALONE


def has_no_disk(state: NodeState, resource: str) -> bool:
    """Tell whether the kernel runs the resource here without its disk."""
    facts = state.facts.get(resource)
    return facts is not None and facts.disk is Disk.DISKLESS and not is_bare(facts)


def peer_has_no_disk(state: NodeState, resource: str) -> bool:
    """Tell whether the peer is connected without its disk: nothing can be compared with it."""
    facts = state.facts.get(resource)
    return facts is not None and facts.kernel_answers and facts.peer_disk is Disk.DISKLESS


def is_without_data(facts: VolumeFacts) -> bool:
    """Tell whether a Primary has neither a whole disk of its own nor the peer's."""
    needs_peer = facts.disk in (Disk.DISKLESS, Disk.INCONSISTENT)
    return facts.role is Role.PRIMARY and needs_peer and not facts.kernel_answers


def kernel_answers(state: NodeState) -> bool:
    """Tell whether a connection of what is built proves that the peer's kernel is alive."""
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


def built_ones(built: Built, facts: Iterable[VolumeFacts]) -> tuple[VolumeFacts, ...]:
    """Leave out the resources of others: what their connections prove, they prove of others."""
    return tuple(each for each in facts if each.resource in built.by_resource)


def absorb_kernel(turn: Turn, kernel: tuple[VolumeFacts, ...], at_s: float) -> None:
    """Take in what the kernel said at ``at_s``, and since when its connections prove something."""
    # What a new daemon finds connected may be a connection whose loss is not noticed yet. What is
    # taken in late may be over, if the peer said since that it writes alone.
    is_news = turn.state.facts_read and at_s > turn.state.told_alone_s
    waits_s = 0.0 if is_news else proof_s(turn.state)
    turn.change(kernel=kernel)
    _absorb(turn, waits_s)
    turn.change(facts_read=True)


def absorb_built(turn: Turn) -> None:
    """See what the kernel said last with the eyes of another configuration.

    It may have nothing new to say about what is ours from now on, and its last word is old.
    """
    _absorb(turn, proof_s(turn.state))


def _absorb(turn: Turn, waits_s: float) -> None:
    """Take in the facts of what is built; a new connection proves something after ``waits_s``."""
    state = turn.state
    facts = built_ones(state.built, state.kernel)
    new_from_s = state.now_s + waits_s
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
    if state.peer_heard or not state.facts_read:
        return False
    return state.relinked or (bool(connected) and not kernel_answers(state))


def _says_joined(facts: VolumeFacts) -> bool:
    """Tell whether every write comes here. To compare the copies takes the peer's disk as well."""
    together = (Connection.CONNECTED, Connection.SYNC_SOURCE)
    return facts.disk is Disk.UP_TO_DATE and facts.connection in together and not facts.differs


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
