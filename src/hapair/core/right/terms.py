"""By whose word a right is given. Nobody takes one by new terms before the peer has them too.

While one node asks one third party and the other node still another one, both could be granted.
So whoever has taken over another kind of arbitration, or other witnesses, takes no right until it
was together with a peer that has them as well, and has heard so of this node. Why that is enough: a
right is taken by the former terms only by a node that has not taken the new ones over yet, and then
the other one, which has them, cannot have met it with them. Terms that come back, because a build
was taken back, are new ones: they have a number of their own. It is stored, so a new daemon knows
it.
"""

from dataclasses import replace

from hapair.core.words.events import PeerState, SaidTerms
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Terms
from hapair.core.words.turn import Turn
from hapair.model.cluster import Cluster
from hapair.model.status import Standing


def words_of(cluster: Cluster) -> tuple[str, ...]:
    """Return whose words count: the kind, and of the witnesses each that has a vote."""
    voters = sorted(f"{each.kind} {each.at}" for each in cluster.witnesses)
    return (cluster.arbitration.value, *voters)


def take_over(turn: Turn) -> None:
    """Note that the terms have changed. The very first ones are what the other node has as well."""
    built, before = turn.state.built, turn.state.stored.terms
    words = words_of(built.cluster)
    if words == before.words:
        return
    shared, number = not before.words, before.number + 1
    turn.store(terms=Terms(words, since=built.generation, shared=shared, number=number))
    if before.words:
        text = "new terms: this node takes nothing over before both nodes have the same arbitration"
        turn.note("new-terms", text)


def settle(turn: Turn) -> None:
    """Note that the peer has the terms too, and no right by the former ones: it is together."""
    state = turn.state
    terms, theirs = state.stored.terms, state.peer.state
    if terms.shared or state.standing is not Standing.TOGETHER or theirs is None:
        return
    if _has_them(theirs, terms):
        turn.store(terms=replace(terms, shared=True))
        turn.note("same-terms", f"{state.peer_name} has the same arbitration now")


def said(state: NodeState) -> SaidTerms:
    """Return what the peer is told."""
    theirs, ours = state.peer.state, state.stored.terms
    asks = 0 if ours.shared else ours.number
    return SaidTerms(ours.words, asks, theirs.terms.asks if theirs is not None else 0)


def _has_them(theirs: PeerState, terms: Terms) -> bool:
    """Tell whether the peer had the same terms when it had heard of ours.

    A former version does not say; that the numbers of its configurations grow is believed then.
    """
    if not theirs.terms.words:
        return theirs.generation >= terms.since
    return theirs.terms.words == terms.words and theirs.terms.answers == terms.number
