"""By whose word a right is given. Nobody takes one by new terms before the peer has them too.

While one node asks one third party and the other node still another one, both could be granted.
So whoever has taken over another kind of arbitration, or other witnesses, takes no right until it
was together with a peer whose configuration is at least as new. Why that is enough: a right is
taken by the former terms only by a node that has not taken the new ones over yet, and then the
other one, which has them, cannot have met it with them. It is stored, so a new daemon knows it.
"""

from dataclasses import replace

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
    turn.store(terms=Terms(words, since=built.generation, shared=not before.words))
    if before.words:
        text = "new terms: this node takes nothing over before both nodes have the same arbitration"
        turn.note("new-terms", text)


def settle(turn: Turn) -> None:
    """Note that the peer has the terms too, and no right by the former ones: it is together."""
    state = turn.state
    terms, theirs = state.stored.terms, state.peer.state
    if terms.shared or state.standing is not Standing.TOGETHER or theirs is None:
        return
    if theirs.generation >= terms.since:
        turn.store(terms=replace(terms, shared=True))
        turn.note("same-terms", f"{state.peer_name} has the same arbitration now")
