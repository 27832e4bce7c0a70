"""How this node gets the right to act alone: a new epoch, on disk before anything relies on it."""

from typing import Final

from hapair.core.copies import doubts, replication
from hapair.core.right import witness
from hapair.core.right.hearing import (
    ASKING_S,
    in_touch_until_s,
    is_said_since,
    peer_lingers,
    was_member,
)
from hapair.core.words.effects import Severity
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.status import Phase, Standing

# What a person decided outranks every epoch that the peer can have reached by itself meanwhile.
CONFIRMED_AHEAD: Final = 1000


def grant(turn: Turn, because: str) -> None:
    """Take the right to act alone: a new epoch, on disk before anything relies on it."""
    state = turn.state
    epoch = witness.claimed(state)
    if witness.granted(state) or (witness.uses_witness(state) and state.stored.tie.waiver):
        turn.store(away=())  # Nobody has acted alone since this node was last a member.
    if witness.uses_witness(state) and not witness.granted(state):
        # A person, an agent or a promise is the reason: outrank what the witness may have given.
        epoch = max(epoch, state.witness.newest + 1)
    if not witness.uses_witness(state):
        epoch = max(epoch, state.stored.ahead + 1)  # The peer is off, and was ahead.
    if state.confirmed:
        epoch += CONFIRMED_AHEAD
    turn.store(epoch=epoch, holds_right=True, ceded=False, joined_boot_id=state.boot_id)
    if state.confirmed and witness.uses_witness(state) and witness.is_lost(state):
        text = (
            "no witness has recorded that this node acts alone: until one answers, do not start "
            f"{state.peer_name} where it cannot reach this node"
        )
        turn.note("not-recorded", text, severity=Severity.ALARM)
    if state.confirmed:
        # The operator was shown what may be lost, and accepted it.
        turn.store(unproven=(), away=())
    off = state.confirmed or state.fencing.proven
    proven = off or not witness.uses_witness(state)
    ends_s = in_touch_until_s(state) + _peer_lease_s(state)
    turn.change(
        losses=state.losses + 1,
        leased=(),
        lease_until_s=0.0 if proven else ends_s,
        addresses_until_s=0.0 if off else ends_s,
        standing=Standing.ALONE,
        accepted=0,
        isolated=False,
        lost=False,
        confirmed=False,
        stranger=False,
        leased_from_s=None,
    )
    turn.note("granted", f"may act alone in epoch {epoch}: {because}")


def _peer_lease_s(state: NodeState) -> float:
    """Return how long a silent peer may go on at the most, after this node was in touch with it.

    Its last echo may be a detection time old, and may be read another one late. It may stand
    still when its lease ends: until its watchdog resets it, or it goes on and stops.
    """
    cluster = state.built.cluster
    hangs_s = cluster.watchdog.timeout_s if cluster.watchdog is not None else 0.0
    return cluster.lease_s + 2 * state.detection_s + ASKING_S + hangs_s


def lease_anew(turn: Turn) -> None:
    """Let the lease of a peer that lives, and can stop nothing, begin when it was last heard.

    A break in the network is no proof that it ended, and it needs time to stop when it can again.
    """
    state = turn.state
    if state.leased and state.addresses_until_s and peer_lingers(state):
        turn.change(lease_until_s=state.now_s + _peer_lease_s(state))


def wait_for_lease(turn: Turn) -> None:
    """Wait for the peer's lease: a new daemon does not know what it took over, and when."""
    state = turn.state
    ends_s = state.now_s + _peer_lease_s(state)
    turn.change(addresses_until_s=ends_s)
    if witness.uses_witness(state):
        bare = tuple(b.application.name for b in state.built.applications if not b.volumes)
        turn.change(leased=bare, lease_until_s=ends_s)


def peer_may_have_addresses(state: NodeState) -> bool:
    """Tell whether the peer had no time yet to remove the addresses of what was taken over.

    Without a watchdog a machine may stand still for longer than its lease, or a disk keep its
    daemon from deciding: from when it is heard again it has that time anew.
    """
    if not state.addresses_until_s:
        return False  # It is off.
    again_s = state.peer.alive_from_s + _peer_lease_s(state)
    return state.now_s < max(state.addresses_until_s, again_s)


def peer_stops_yet(state: NodeState, application: str) -> bool:
    """Tell whether a peer that is heard again has not said that it stopped what was taken over.

    It removes the address, which kept this node from starting, before it ends the program. Its
    word is waited for as long as it may have the address: it may not come through.
    """
    again_s = state.peer.alive_from_s + _peer_lease_s(state)
    is_back = 0.0 < state.addresses_until_s < again_s  # It was silent when the right was granted.
    theirs = state.peer.state
    if not is_back or state.now_s >= again_s:
        return False
    if theirs is None or not is_said_since(state, theirs):
        return True
    said = theirs.by_name.get(application)
    return said is not None and said.phase is not Phase.STOPPED


def may_take_addresses(state: NodeState, application: str) -> bool:
    """Tell whether an address belongs to this node even if a card of the peer's has it.

    This node acts alone, and a peer that does what it should has removed it by now. Its kernel may
    answer for an address although nobody there is left to remove it. Without replicated data, which
    would be frozen there, a program may run on behind that address: then only a proof counts, or a
    lease that a watchdog enforces.
    """
    if state.standing is not Standing.ALONE or peer_may_have_addresses(state):
        return False
    ends = witness.uses_witness(state) and state.built.cluster.watchdog is not None
    proven = not state.addresses_until_s
    return ends or proven or bool(replication.volumes(state, application))


def inherit(turn: Turn) -> None:
    """Take the right over from a peer that has halted in order and runs nothing any more.

    A halted node starts nothing before it has formed and agreed with its peer again, and it
    stored that before it said so.
    """
    state = turn.state
    theirs = state.peer.state
    if theirs is None or not theirs.left or theirs.holds_right or not was_member(state):
        return
    if state.stored.holds_right or not state.peer_heard:
        return
    if state.standing is Standing.LEAVING and theirs.incarnation != state.accepted:
        return  # It was started anew: it left nothing to this node, and may ask the witness.
    epoch = max(state.stored.epoch, theirs.epoch) + 1
    turn.store(holds_right=True, ceded=False, epoch=epoch)
    if state.standing is Standing.CUT and doubts.wrote_by_right(state, theirs.epoch):
        # What it wrote of its own while it was out of sight is not known.
        doubts.distrust(turn, but_given=True)
    text = f"{state.peer_name} left in order; this node may act alone in epoch {epoch}"
    turn.note("peer-left", text)
    if state.standing is not Standing.LEAVING:
        turn.change(standing=Standing.ALONE, accepted=0, isolated=False, lost=False, forgot=False)
