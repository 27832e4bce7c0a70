"""What this node hears of its peer, and what it knows when it hears nothing."""

from typing import Final

from hapair.core.copies import doubts, replication
from hapair.core.right import fencing, witness
from hapair.core.right.arbitration import Silence
from hapair.core.words.events import Beat, Heard, HeardTogether, PeerState
from hapair.core.words.state import NodeState
from hapair.model.status import Standing, Wanted

ASKING_S: Final = 1.5  # What a question to the witness may take.
REPROBE_S: Final = 1.0  # While the peer is silent, how often the references are asked again.


def superseded(state: NodeState) -> bool:
    """Tell whether the peer says that it acts alone in an epoch that this node never saw.

    While it leaves, it may still run what it took over.
    """
    beat = state.peer.beat
    return beat is not None and supersedes(state, beat)


def supersedes(state: NodeState, beat: Beat) -> bool:
    """Tell whether it is said by a peer that acts alone in an epoch that this node never saw."""
    if beat.epoch <= state.stored.epoch:
        return False
    return beat.standing in (Standing.ALONE, Standing.LEAVING, Standing.UNKNOWN)


def peer_ahead(state: NodeState) -> bool:
    """Tell whether the peer is known to have acted alone since the two were last together.

    It says so, or has said so, to a former daemon of this node too, or an application has a record
    of an epoch in which this node took no part.
    """
    stored = state.stored
    known = max((each.version.epoch for each in stored.records), default=0)
    return superseded(state) or max(stored.ahead, known) > stored.epoch


def last_heard_s(state: NodeState) -> float:
    """Return when the peer was last heard on any network, in monotonic seconds."""
    return max([state.quiet_since_s, *state.peer.heard_at_s.values()])


def peer_alive(state: NodeState) -> bool:
    """Tell whether any beat came within the detection time, even one that does not echo us."""
    at_s = state.peer.alive_at_s
    return at_s is not None and state.now_s - at_s < state.detection_s


def peer_left(state: NodeState) -> bool:
    """Tell whether the peer was halted in order: it lives, and its copies are down."""
    theirs = state.peer.state
    return theirs is not None and theirs.left and peer_alive(state)


def is_said_since(state: NodeState, theirs: PeerState) -> bool:
    """Tell whether the peer said this after it had heard of this node's last loss of it.

    A heart repeats what its daemon said before, however little that has decided since.
    """
    return theirs.seen_losses >= state.losses


def peer_stored_it(state: NodeState, resource: str) -> bool:
    """Tell whether the peer stored that its copy is behind, and said so to this daemon.

    The peer forgets that with each new connection: it must have been said after the last loss.
    """
    theirs = state.peer.state
    if theirs is None or not is_said_since(state, theirs):
        return False
    return agreed(state) and resource in theirs.behind


def peer_unable(state: NodeState) -> bool:
    """Tell whether the peer says that its disk takes nothing, so that it can decide nothing."""
    peer = state.peer
    return peer.unable is not None and state.now_s - peer.unable_at_s < state.detection_s


def peer_lingers(state: NodeState) -> bool:
    """Tell whether a peer that cannot store may still run what it ran: it can stop nothing.

    Idle and not agreed with anybody it runs nothing, and starts nothing either: it decides nothing
    before it has stored, and then nothing without the right or without this node.
    """
    unable = state.peer.unable
    if unable is None or not peer_unable(state):
        return False
    idle = unable.idle and unable.standing in (Standing.FORMING, Standing.CUT)
    return unable.standing is not Standing.HALTED and not idle


def passes_over(state: NodeState) -> bool:
    """Tell whether the heartbeats of a peer that cannot store count for nothing.

    It can take nothing over, for that is stored first, but it cannot agree to anything either.
    Where its word is needed it counts as silent, and the third party decides: all that is true of
    silence is true of it, because who is not heard is not echoed. While nothing waits for it, or
    while its kernel answers, it is as good as any other peer. Who acts alone gives the right up
    only to one that can store.
    """
    if state.standing is Standing.ALONE:
        return True
    if replication.kernel_answers(state):
        return False
    if state.standing is not Standing.TOGETHER:
        return True
    return not all(peer_stored_it(state, name) for name in replication.unprotected(state))


def not_understood(state: NodeState) -> bool:
    """Tell whether a beat that cannot be read came within the detection time."""
    at_s = state.peer.not_understood_at_s
    return at_s is not None and state.now_s - at_s < state.detection_s


def repeats(state: NodeState, event: Heard | HeardTogether) -> bool:
    """Tell whether heartbeats say only what is known: the peer lives, and agrees as before."""
    peer = state.peer
    beats = event.beats if isinstance(event, HeardTogether) else (event,)
    return state.standing is Standing.TOGETHER and all(
        isinstance(each, Heard)
        and peer.beat == each.beat
        and each.network in peer.heard_at_s
        and event.at_s - peer.heard_at_s[each.network] < state.detection_s
        for each in beats
    )


def agreed(state: NodeState) -> bool:
    """Tell whether the peer is heard, and each side has accepted this incarnation of the other."""
    theirs = state.peer.state
    return (
        theirs is not None
        and state.accepted == theirs.incarnation
        and theirs.accepted == state.incarnation
        and state.peer_heard
    )


def silent_s(state: NodeState) -> float:
    return state.now_s - last_heard_s(state)


def in_touch_until_s(state: NodeState) -> float:
    """Return when the peer's daemon was heard, or its kernel answered, for the last time.

    Nobody can be granted anything while a connection of the data stands, so leases begin when it
    ends. The kernels notice that within the detection time: it may have ended so much earlier.
    """
    return max(last_heard_s(state), state.linked_until_s - state.detection_s)


def was_member(state: NodeState) -> bool:
    """Tell whether this node has acted together with its peer, or alone, since it booted."""
    return state.stored.formed and state.stored.joined_boot_id == state.boot_id


def silence(state: NodeState) -> Silence:
    """Collect what the arbitration tables look at."""
    cluster = state.built.cluster
    started_s = last_heard_s(state)
    peer = state.peer
    watched = [n.name for n in cluster.networks if not n.crossover]
    return Silence(
        kind=cluster.arbitration,
        peer_heard=state.peer_heard,
        peer_alive=peer_alive(state),
        not_understood=not_understood(state),
        long_enough=silent_s(state) >= state.detection_s and state.facts_read,
        untold=not state.facts_read,
        kernel_answers=replication.kernel_answers(state),
        was_together=was_member(state),
        confirmed=state.confirmed,
        networks=len(cluster.networks),
        own_links_up=all(state.links.get(name, True) for name in watched),
        references=sum(network.reference is not None for network in cluster.networks),
        same_terms=state.stored.terms.shared,
        probed=peer.answered_at_s is not None
        and peer.answered_at_s > started_s
        and state.now_s - peer.answered_at_s <= state.detection_s + REPROBE_S,
        answering=len(peer.answering),
        unanswered=peer.unanswered,
        **_third_party(state),
    )


def _third_party(state: NodeState) -> dict[str, bool]:
    """Collect what the tables of the witness and of fencing look at besides."""
    silent = silent_s(state)
    lead_s = _lead_s(state)
    return {
        "lead_over": silent >= state.detection_s + lead_s
        and state.now_s - state.linked_until_s >= lead_s,
        "records_allow": witness.own_records_allow(state.stored),
        "waiver": state.stored.tie.waiver,
        "granted": witness.granted(state),
        "denied": witness.denied(state),
        "unreachable": witness.unreachable(state),
        "lease_over": _lease_over(state),
        "outstayed": _outstayed(state),
        "methods": fencing.has_method(state),
        "fenced": state.fencing.proven,
        "ahead": peer_ahead(state),
        "left": _left_in_vain(state),
        "hung": silent >= fencing.HUNG_S + lead_s,
    }


def _left_in_vain(state: NodeState) -> bool:
    """Tell whether the peer is halted in order, and this node cannot take the right over from it.

    It is no member: it stood still, or its former daemon forgot what it had heard.
    """
    beat = state.peer.beat
    halted = beat is not None and beat.standing is Standing.HALTED and peer_left(state)
    return halted and not was_member(state) and not state.stored.holds_right


def _lead_s(state: NodeState) -> float:
    """Return how long the peer is let go first: longest where this node could run nothing."""
    lead_s = state.built.cluster.lead_s
    wanted = [r.application for r in state.stored.records if r.wanted is not Wanted.DOWN]
    if wanted and not any(doubts.data_current(state, name) for name in wanted):
        return 2 * lead_s
    return 0.0 if witness.is_active(state) else lead_s


def _outstayed(state: NodeState) -> bool:
    """Tell whether the lease of a node that was cut off ended while it stood still, or later."""
    from_s = state.leased_from_s
    return from_s is not None and state.now_s - from_s >= state.built.cluster.lease_s


def _lease_over(state: NodeState) -> bool:
    """Tell whether the time is over for which this node may run on, unheard and without a right.

    A daemon that came back does not know how long its peer had been out of touch before.
    """
    if replication.kernel_answers(state):
        return False
    lease_s = state.detection_s + ASKING_S if state.stranger else state.built.cluster.lease_s
    return _outstayed(state) or state.now_s - in_touch_until_s(state) >= lease_s
