"""Which local copies can be trusted to have every write, whatever DRBD takes them for (R2)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from hapair.core.copies import replication
from hapair.core.words.effects import Severity
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.backing import ForeignWrites, Trust
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Disk, Role, VolumeFacts


def data_current(state: NodeState, application: str) -> bool:
    """Tell whether every copy here is UpToDate and cannot miss a write (rule R2)."""
    return all(is_current(state, v.resource) for v in replication.volumes(state, application))


def partly_current(state: NodeState, behind: Iterable[str]) -> tuple[str, ...]:
    """Return the current copies of applications of which not all are (``behind``)."""
    volumes = (each for name in behind for each in replication.volumes(state, name))
    names = (volume.resource for volume in volumes)
    return tuple(sorted(name for name in names if is_current(state, name)))


def is_current(state: NodeState, resource: str) -> bool:
    facts = state.facts.get(resource)
    return facts is not None and facts.current and not is_doubtful(state, resource)


def is_current_there(state: NodeState, resource: str) -> bool:
    """Tell whether the peer says that its copy is current, be its other volumes or not."""
    theirs, name = state.peer.state, replication.application_of(state, resource) or ""
    said = theirs.by_name.get(name) if theirs is not None else None
    partly = theirs.partly_current if theirs is not None else ()
    return said is not None and (said.data_current or resource in partly)


def is_doubtful(state: NodeState, resource: str) -> bool:
    """Tell whether the local copy misses writes, or may."""
    return resource in state.stored.doubtful


def is_foreign(state: NodeState, resource: str) -> bool:
    """Tell whether the local copy was written behind DRBD, and nothing was done about it yet."""
    found = state.stored.foreign_to.get(resource)
    return found is not None and found.trust is Trust.NOBODY_KNOWS


def never_promoted(state: NodeState) -> tuple[str, ...]:
    """Return the resources whose local copy is not promoted whatever the peer does."""
    foreign = (name for name in state.stored.foreign_to if is_foreign(state, name))
    return tuple(sorted({*state.stored.behind, *foreign}))


def find_foreign(turn: Turn, resource: str, what: str) -> None:
    """Remember that somebody wrote to the copy behind DRBD; what was decided before is void."""
    application = replication.application_of(turn.state, resource) or ""
    turn.note("written-behind", f"{resource}: {what}", application, Severity.ALARM)
    _put_foreign(turn, ForeignWrites(resource, what))


def decide_foreign(turn: Turn, resource: str, trust: Trust) -> None:
    """Remember what becomes of a copy that was written behind DRBD."""
    _put_foreign(turn, replace(turn.state.stored.foreign_to[resource], trust=trust))


def has_come_anew(state: NodeState, resource: str) -> bool:
    """Tell whether a copy that was made anew has all that the peer had when it was completed.

    It counted as empty to the kernel, which calls it good only after a whole resync.
    """
    found, facts = state.stored.foreign_to.get(resource), state.facts.get(resource)
    anew = found is not None and found.trust is Trust.ANEW
    return anew and facts is not None and facts.current


def absorb_completed(turn: Turn, before: Mapping[str, VolumeFacts]) -> None:
    """Forget what was written behind a copy when its resync is seen to end.

    The connection may be over before it proves anything. What the kernel was known to say
    ``before`` tells that this is no old word: it said that the copy was incomplete.
    """
    for name in tuple(turn.state.stored.foreign_to):
        was = before.get(name)
        if was is not None and was.disk is Disk.INCONSISTENT and has_come_anew(turn.state, name):
            forget_foreign(turn, name)


def absorb_lost_disks(turn: Turn, before: Mapping[str, VolumeFacts]) -> None:
    """Doubt a copy of which the disk and the peer are seen to be gone at once.

    The kernel may have written to the peer alone in between; seen together, both would tell it.
    Who takes a resource down disconnects it first, for good: it writes to nobody then.
    """
    lost = set()
    for name, facts in turn.state.facts.items():
        was = before.get(name)
        alone = replication.has_no_disk(turn.state, name) and not facts.kernel_answers
        if alone and was is not None and was.kernel_answers and was.disk is not Disk.DISKLESS:
            lost.add(name)
    if not lost <= set(turn.state.stored.unproven):
        turn.store(unproven=tuple(sorted(lost | set(turn.state.stored.unproven))))


def forget_foreign(turn: Turn, resource: str) -> None:
    """The copy is as good as any other again: all of it, or of the peer's, is made anew."""
    turn.store(foreign=tuple(f for f in turn.state.stored.foreign if f.resource != resource))


def forget(turn: Turn, resource: str) -> None:
    """Forget all that is stored about the copies of a resource that is not built any more."""
    forget_foreign(turn, resource)
    for name in ("behind", "unproven", "away", "wrote_nothing", "peer_misses"):
        kept = (each for each in getattr(turn.state.stored, name) if each != resource)
        turn.store(**{name: tuple(kept)})


def believe(turn: Turn, resources: Collection[str]) -> None:
    """Trust copies that only may miss writes: a person, or who could have written, says so."""
    stored = turn.state.stored
    turn.store(
        unproven=tuple(name for name in stored.unproven if name not in resources),
        away=tuple(name for name in stored.away if name not in resources),
    )


def _put_foreign(turn: Turn, found: ForeignWrites) -> None:
    known = {**turn.state.stored.foreign_to, found.resource: found}
    turn.store(foreign=tuple(known[name] for name in sorted(known)))


def doubt_what_lost_its_disk(turn: Turn) -> None:
    """Trust no copy that a new daemon finds without its disk: the peer's may be newer."""
    if turn.state.stored.holds_right:
        return
    lost = {name for name, each in turn.state.facts.items() if each.disk is Disk.DISKLESS}
    if lost:
        turn.store(unproven=tuple(sorted(lost | set(turn.state.stored.unproven))))


def distrust(
    turn: Turn, *, but_own: bool = False, but_given: bool = False, away: bool = False
) -> None:
    """Trust no local copy until it was connected to the peer's (rows 8, 9 and 14).

    DRBD takes a copy for UpToDate that was so when it was last attached, however long ago.
    The peer may have written alone since; only a connection, or the operator, can tell. With
    ``but_own`` the copies of which this node is Primary are still trusted: nobody else wrote. With
    ``but_given`` also those of what belongs to this node, by the peer's newest word as well: it
    gave them with every write, and whoever takes something over says that it belongs to it.
    With ``away`` the peer is not known to have had the right to write: then a copy is also trusted
    when the peer comes back without a newer epoch (``wrote_by_right``), or when a witness grants
    this node the next one.
    """
    facts = turn.state.facts
    named = {v.resource for built in turn.state.built.applications for v in built.volumes}
    proven = {name for name in named if replication.is_joined(turn.state, name)}
    own = {n for n in named if but_own and n in facts and facts[n].role is Role.PRIMARY}
    given = {n for n in named if but_given and _is_owner(turn.state, n)}
    doubtful = named - proven - own - given
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
    behind (see ``brake``). As long as the terms are new, the peer's may still be such.
    """
    operator = state.built.cluster.arbitration is ArbitrationKind.OPERATOR
    return operator or not state.stored.terms.shared


def wrote_by_right(state: NodeState, epoch: int) -> bool:
    """Tell whether a peer that says this epoch may have written what this node does not know of.

    It has not when the epoch is no newer than the last one in which this node took part.
    """
    return epoch > state.stored.epoch or _needs_no_right(state)


def update(turn: Turn) -> None:
    """Keep the lists of resources whose local copy misses writes, or may (rows 3, 9 and 14).

    A copy falls behind when the peer says that it writes without us, or when our disk dropped out
    under a running resource and the peer has one. Only DRBD clears it: UpToDate while connected.
    """
    told, unsure = told_unprotected(turn.state)
    if unsure & set(turn.state.joined_from_s):
        replication.doubt_connections(turn, unsure)
    state = turn.state
    behind, unproven = set(state.stored.behind), set(state.stored.unproven)
    away, foreign = set(state.stored.away), dict(state.stored.foreign_to)
    for name, facts in sorted(state.facts.items()):
        peer_writes = facts.kernel_answers and not replication.peer_has_no_disk(state, name)
        if name in told or (facts.disk is Disk.DISKLESS and peer_writes):
            behind.add(name)
        elif replication.is_joined(state, name):
            behind.discard(name)
            unproven.discard(name)
            away.discard(name)
            if (found := foreign.get(name)) is not None and found.trust is Trust.ANEW:
                del foreign[name]
    doubts = {
        "foreign": tuple(foreign[name] for name in sorted(foreign)),
        "behind": tuple(sorted(behind)),
        "unproven": tuple(sorted(unproven)),
        "away": tuple(sorted(away)),
    }
    if any(getattr(state.stored, name) != names for name, names in doubts.items()):
        turn.store(**doubts)


def absorb_told(turn: Turn, told: set[str], unsure: set[str]) -> None:
    """Take in what the peer wrote without us while nothing was decided here.

    Its newest heartbeat need not say so any more, and the kernel's last word may be older.
    """
    replication.doubt_connections(turn, unsure)
    if not told <= set(turn.state.stored.behind):
        turn.store(behind=tuple(sorted(told | set(turn.state.stored.behind))))


def told_unprotected(state: NodeState) -> tuple[set[str], set[str]]:
    """Return what the peer says to write without us, and whose connections prove nothing now.

    As long as not all of its list has come, each resource may be on it: no doubt is cleared, and
    the peer is not told that its loss is known. Where this node is the owner, the peer's writes are
    frozen: they make no copy here old.
    """
    beat = state.peer.beat
    if beat is None or not state.peer_heard:
        return set(), set()
    told = set(beat.unprotected or ())
    unsure = set(state.facts) if beat.unprotected is None else told
    owned = {name for name in unsure if _is_owner(state, name)}
    return told - owned, unsure - owned


def _is_owner(state: NodeState, resource: str) -> bool:
    record = state.record(replication.application_of(state, resource) or "")
    return record is not None and record.owner == state.me
