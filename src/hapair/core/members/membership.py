"""Do the two nodes act together, or may this one act alone?

The handshake: a node *accepts* the incarnation of the peer that it hears. They are together
when each has published that it accepted the other's present incarnation. A node that holds the
right to act alone gives it up, on disk, before it publishes that it accepted the peer; so at
no moment can both use a right.
"""

from typing import Final

from hapair.core.applications import items, last_rung, maintenance, placement, trials
from hapair.core.copies import doubts
from hapair.core.right import fencing, holding, witness
from hapair.core.right.arbitration import Silence, Verdict, judge
from hapair.core.right.hearing import (
    REPROBE_S,
    is_said_since,
    last_heard_s,
    passes_over,
    peer_alive,
    peer_unable,
    silence,
    silent_s,
    supersedes,
)
from hapair.core.words.effects import ProbeReferences, Severity
from hapair.core.words.events import Beat, PeerState
from hapair.core.words.protocol import OURS, work_together
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.status import Standing, Wanted

ACTIVE: Final = (
    Standing.FORMING,
    Standing.TOGETHER,
    Standing.CUT,
    Standing.ALONE,
    Standing.LEAVING,
)
SILENCE: Final = ("arbitration", "formation")  # What is told once in each silence.
FORGOTTEN: Final = (
    "the disk took nothing when the former daemon ended, and what that had heard is not known: "
    "as after a pause, the peer is asked first"
)
CALLS_A_PERSON: Final = (Verdict.ALARM, Verdict.YIELD)
REFERENCE_TIMEOUT_SHARE: Final = 0.4  # Of the detection time.


def absorb_beat(turn: Turn, network: str, beat: Beat, at_s: float) -> None:
    """Take a heartbeat in; an older incarnation of the peer is ignored."""
    peer = turn.state.peer
    if beat.incarnation < peer.incarnation:
        return
    if beat.incarnation > peer.incarnation:
        forget_incarnation(turn, beat.incarnation)
    if turn.state.confirmed:
        turn.change(confirmed=False)  # Whoever sends heartbeats is not down.
    _mind_who_is_ahead(turn, beat)
    if beat.cannot_store:
        turn.change_peer(unable=beat, unable_at_s=at_s)
        if passes_over(turn.state):
            fencing.doubt(turn)
            holding.lease_anew(turn)
            return
    _lives(turn, at_s)
    if beat.echo == turn.state.incarnation:
        turn.change_peer(heard_at_s={**turn.state.peer.heard_at_s, network: at_s})
        _believe(turn, beat)
        if turn.state.relinked:
            turn.change(relinked=False)
        fencing.forget(turn)
        return
    # It does not hear this node; what it says of itself is believed if it did before.
    if beat.echo == 0 and turn.state.peer.beat is not None:
        _believe(turn, beat)
    fencing.doubt(turn)


def absorb_not_understood(turn: Turn, incarnation: int, at_s: float) -> None:
    """Take in that the peer lives, and nothing else: what it says cannot be read."""
    if incarnation < turn.state.peer.incarnation:
        return
    if incarnation > turn.state.peer.incarnation:
        forget_incarnation(turn, incarnation)
    if turn.state.confirmed:
        turn.change(confirmed=False)
    _lives(turn, at_s)
    turn.change_peer(not_understood_at_s=at_s)
    fencing.doubt(turn)


def _lives(turn: Turn, at_s: float) -> None:
    """Take in that the peer decides: again, if nothing of the kind came for the detection time."""
    if not peer_alive(turn.state):
        turn.change_peer(alive_from_s=at_s)
    turn.change_peer(alive_at_s=at_s)


def _mind_who_is_ahead(turn: Turn, beat: Beat) -> None:
    """Store that the peer acts alone: the next daemon of this node may hear nobody any more.

    That counts whether or not the peer hears this node.
    """
    state = turn.state
    waits = state.standing in (Standing.CUT, Standing.FORMING)
    if waits and supersedes(state, beat) and beat.epoch > state.stored.ahead:
        turn.store(ahead=beat.epoch)
        doubts.distrust(turn)


def _believe(turn: Turn, beat: Beat) -> None:
    turn.change_peer(beat=beat)
    if beat.unprotected is not None:
        turn.change_peer(seen_losses=beat.losses)


def forget_incarnation(turn: Turn, incarnation: int) -> None:
    """The peer's daemon was started anew: what the former one agreed to is void."""
    turn.change_peer(incarnation=incarnation, state=None, beat=None, heard_at_s={}, seen_losses=0)
    turn.change(accepted=0, quiet_since_s=turn.state.now_s)


def absorb_state(turn: Turn, peer_state: PeerState, *, lives: bool = False) -> None:
    """Take the peer's newest state in: higher versions of records win.

    A peer that is not ahead may not have forgotten yet what was released: its word counts no more.
    An older incarnation is ignored, unless it is known to be the one that ``lives``.
    """
    if peer_state.incarnation < turn.state.peer.incarnation and not lives:
        return
    if peer_state.incarnation != turn.state.peer.incarnation:
        forget_incarnation(turn, peer_state.incarnation)
    turn.change_peer(state=peer_state, unread="")
    maintenance.absorb(turn, peer_state.maintenance)
    state = turn.state
    ahead = peer_state.generation > state.built.generation
    for theirs in peer_state.records:
        ours = state.record(theirs.application)
        if ours is None and not ahead and theirs.application not in state.built.by_name:
            continue
        if ours is None or theirs.version > ours.version:
            turn.put_record(theirs)
        elif theirs.version == ours.version and theirs.owner != ours.owner:
            _two_owners(turn, theirs.application)
            if state.me != state.built.cluster.nodes[0]:
                turn.put_record(theirs)


def absorb_not_stated(turn: Turn, why: str) -> None:
    """Act together no longer with a peer that says what cannot be read; its heartbeats count."""
    if not turn.state.peer.unread:
        text = f"{turn.state.peer_name} states what this version cannot read: {why}"
        turn.note("not-stated", text, severity=Severity.ALARM)
    turn.change_peer(state=None, unread=why)
    turn.change(accepted=0)
    if turn.state.standing is Standing.TOGETHER:
        turn.change(standing=Standing.CUT)


def _two_owners(turn: Turn, application: str) -> None:
    key = f"{application}/owners"
    if turn.state.reasons.get(key) == "two-owners":
        return
    turn.change(reasons={**turn.state.reasons, key: "two-owners"})
    text = (
        "both nodes were given the right to run it while they could not hear each other; "
        f"{turn.state.built.cluster.nodes[0]} goes on, nothing is discarded"
    )
    turn.note("two-owners", text, application, Severity.ALARM)


def settle(turn: Turn) -> None:
    """Bring the standing up to date with what is known now."""
    match turn.state.standing:
        case Standing.HALTED | Standing.UNKNOWN:  # The latter is never a node's own.
            _cede(turn)
        case Standing.FORMING:
            _accept(turn)
            if items.runs_anything(turn.state) is not False:
                _mind_the_lease(turn)  # A new daemon may find things running, and be cut off.
        case Standing.TOGETHER:
            _together(turn)
        case Standing.CUT:
            if turn.state.forgot and turn.state.facts_read:
                miss(turn)
                turn.note("forgotten", FORGOTTEN, severity=Severity.WARNING)
            _accept(turn)
            _cut(turn)
            if turn.state.standing is Standing.CUT:
                holding.inherit(turn)
        case Standing.ALONE:
            _accept(turn)
        case Standing.LEAVING if held := _held(turn.state):
            why = "cannot be stopped as a whole"
            if trials.takes_nothing(turn.state):
                why = f"cannot go to {turn.state.peer_name}, which cannot store"
            text = f"this node stays in the cluster: {', '.join(held)} {why}"
            turn.note("cannot-leave", text, severity=Severity.WARNING)
            stay(turn)
            _accept(turn)
        case Standing.LEAVING:
            holding.inherit(turn)
            _mind_the_lease(turn)


def miss(turn: Turn) -> None:
    """Take in that the peer may have said, or done, what this node does not know of."""
    turn.store(joined_boot_id="")
    turn.change(stranger=True, forgot=False)
    doubts.distrust(turn, but_own=True, away=True)


def halted(turn: Turn) -> None:
    """End this node's membership, and with it all that was agreed, confirmed or at stake in it."""
    reasons = {key: row for key, row in turn.state.reasons.items() if key not in SILENCE}
    turn.change(
        standing=Standing.HALTED,
        form=None,
        leave=None,
        accepted=0,
        confirmed=False,
        isolated=False,
        lost=False,
        reasons=reasons,
    )


def has_left(state: NodeState) -> bool:
    """Tell whether this node is halted, and will not act alone before it met its peer again."""
    binds = state.stored.ceded or state.stored.holds_right
    return state.standing is Standing.HALTED and items.is_released(state) and binds


def takes_nothing_over(state: NodeState) -> bool:
    """Tell whether the peer cannot take over what this node leaves, however long it is waited for.

    It is silent or has left; or it was started anew, so that it would first have to be together
    with this node, which leaves.
    """
    theirs = state.peer.state
    if not state.peer_heard or theirs is None or theirs.left:
        return True
    forms_anew = theirs.standing is Standing.FORMING and theirs.incarnation != state.accepted
    return forms_anew or theirs.standing is Standing.HALTED


def _cede(turn: Turn) -> None:
    """Leave everything to a peer that waits, as in order: a boot alone binds to nothing.

    This node may be formed in a moment, hear nobody, and ask the witness for the same epoch. Who
    leaves waits for nobody that was started anew: bound to each other, neither would go on alone.
    """
    state, theirs = turn.state, turn.state.peer.state
    waits = theirs is not None and theirs.standing is Standing.CUT
    bound = state.stored.ceded or state.stored.holds_right
    if waits and state.peer_heard and not bound and items.is_released(state):
        turn.store(ceded=True)


def stay(turn: Turn) -> None:
    """Take a leave back, as a new daemon would: nothing has been left to the peer yet."""
    standing = Standing.ALONE if turn.state.stored.holds_right else Standing.CUT
    turn.change(standing=standing, leave=None, accepted=0, isolated=False, lost=False)


def _held(state: NodeState) -> tuple[str, ...]:
    """Return the applications that would be down on both nodes: this one hands them over in vain.

    What is left to the peer cannot be taken back; when the machine goes down nothing comes back.
    """
    leave = state.leave
    if leave is None or not leave.handover or leave.shutdown or not state.stored.formed:
        return ()
    seen = (placement.view(state, built.application) for built in state.built.applications)
    return tuple(
        each.application.name
        for each in seen
        if each.mine
        and each.agreed
        and each.wanted is not Wanted.DOWN
        and (last_rung.cannot_stop(each) or trials.takes_nothing(state))
    )


def _mind_the_lease(turn: Turn) -> None:
    """End what runs on a node that leaves slowly, or forms anew, and is cut off meanwhile."""
    state = turn.state
    waits = state.standing in (Standing.LEAVING, Standing.FORMING)
    ends = witness.uses_witness(state) or not state.stored.terms.shared
    bound = waits and ends and not state.stored.holds_right
    if bound and not state.lost and silence(state).lease_over:
        turn.change(lost=True)


def _accept(turn: Turn) -> None:
    """Act together with the peer as soon as both have accepted each other."""
    state = turn.state
    theirs = state.peer.state
    if theirs is None or not state.peer_heard or theirs.standing not in ACTIVE or theirs.left:
        return
    if not (_is_news(state, theirs) and work_together(OURS, theirs.speaks)):
        return
    # Its epoch becomes ours only after it gave its right up: whoever takes part in an epoch may
    # claim the next one, and two nodes that claim different ones could both be granted.
    epoch = state.stored.epoch if theirs.holds_right else max(state.stored.epoch, theirs.epoch)
    news = state.accepted != theirs.incarnation or epoch > state.stored.epoch
    if news and _may_accept(state, theirs):
        if theirs.epoch > state.stored.epoch:
            doubts.distrust(turn)  # It had the right to act alone meanwhile.
        elif not state.stored.holds_right:
            doubts.trust_again(turn, theirs.epoch)
        turn.store(holds_right=False, epoch=epoch)
        turn.change(accepted=theirs.incarnation)
        if state.standing is Standing.ALONE:
            turn.change(standing=Standing.CUT)  # Without the right; together when both agreed.
    both = turn.state.accepted == theirs.incarnation and theirs.accepted == state.incarnation
    # What was said before a node stood still can be read after it: the epochs must be one.
    agreed = both and theirs.epoch == turn.state.stored.epoch
    if agreed and not theirs.holds_right:
        turn.store(joined_boot_id=state.boot_id, ceded=False, ahead=0)
        turn.change(
            standing=Standing.TOGETHER,
            together_since_s=state.now_s,
            confirmed=False,
            isolated=False,
            lost=False,
            stranger=False,
            forgot=False,
            leased_from_s=None,
            leased=(),
        )
        witness.forget(turn)
        turn.note("together", f"acts together with {state.peer_name}")


def _is_news(state: NodeState, theirs: PeerState) -> bool:
    """Tell whether the peer's state is its present one, by what its newest heartbeat says."""
    beat = state.peer.beat
    return beat is not None and (beat.standing, beat.epoch) == (theirs.standing, theirs.epoch)


def _may_accept(state: NodeState, theirs: PeerState) -> bool:
    """Let the side with the right accept last: it keeps the right when the peer fails meanwhile.

    What the peer agreed to before it heard of the right counts for nothing.
    """
    if not state.stored.holds_right:
        return True
    if theirs.accepted == state.incarnation and is_said_since(state, theirs):
        return True
    first = state.me == state.built.cluster.nodes[0]
    theirs_wins = (theirs.epoch, not first) > (state.stored.epoch, first)
    return theirs.holds_right and theirs_wins


def _together(turn: Turn) -> None:
    state = turn.state
    theirs = state.peer.state
    if theirs is None or theirs.incarnation != state.accepted:
        turn.change(standing=Standing.CUT, accepted=0)
        text = f"the daemon of {state.peer_name} was started anew"
        turn.note("peer-restarted", text)
        _accept(turn)
    elif not state.peer_heard:
        _lose_peer(turn)
    elif theirs.left:
        holding.inherit(turn)
    elif theirs.standing not in ACTIVE:
        # It was halted at once, and waits for a peer that asks for everything to leave it.
        turn.change(standing=Standing.CUT, accepted=0)
        turn.note("peer-withdrew", f"{state.peer_name} is {theirs.standing}")
    elif theirs.accepted != state.incarnation or theirs.epoch != state.stored.epoch:
        turn.change(standing=Standing.CUT, accepted=0)
        turn.note("peer-withdrew", f"{state.peer_name} no longer agrees with this node")
        _accept(turn)
    elif silent_s(state) > state.detection_s / 2:
        _probe_early(turn)


def _lose_peer(turn: Turn) -> None:
    state = turn.state
    ago_s = state.now_s - last_heard_s(state)
    turn.change(standing=Standing.CUT, accepted=0)
    text = f"{state.peer_name} is silent on every network since {ago_s:.1f} s"
    if peer_unable(state):
        text = f"{state.peer_name} cannot store that its copy is behind: it counts as silent"
    turn.note("detected", text, severity=Severity.WARNING)
    _cut(turn)


def absorb_probe(turn: Turn, answering: tuple[str, ...], at_s: float) -> None:
    """Take in which references answered, and count how often in this silence not all did."""
    state = turn.state
    peer = state.peer
    same_silence = peer.answered_at_s is not None and peer.answered_at_s > last_heard_s(state)
    before = peer.unanswered if same_silence else 0
    complete = len(answering) >= silence(state).references
    turn.change_peer(
        answered_at_s=at_s, answering=answering, unanswered=0 if complete else before + 1
    )


def _probe_early(turn: Turn) -> None:
    """Ask the references before the detection time is over: the verdict then needs no wait."""
    state = turn.state
    asked = state.peer.probed_at_s
    if asked is not None and asked > last_heard_s(state) and state.now_s - asked < REPROBE_S:
        return
    if any(network.reference for network in state.built.cluster.networks):
        turn.change_peer(probed_at_s=state.now_s)
        turn.effects.append(ProbeReferences(state.detection_s * REFERENCE_TIMEOUT_SHARE))


def _cut(turn: Turn) -> None:
    if turn.state.standing is not Standing.CUT:
        return
    situation = silence(turn.state)
    rule = judge(situation)
    severity = Severity.ALARM if rule.answer in CALLS_A_PERSON else Severity.INFO
    turn.because("arbitration", rule, note_severity=severity)
    match rule.answer:
        case Verdict.YIELD:
            turn.change(isolated=False, lost=situation.lease_over)
        case Verdict.WAIT | Verdict.ALARM | Verdict.ASK | Verdict.FENCE:
            turn.change(isolated=False, lost=False)
            if situation.probed:
                _probe_early(turn)  # An answer of long ago must not grant anything later.
        case Verdict.PROBE:
            _probe_early(turn)
        case Verdict.ISOLATED:
            turn.change(isolated=True)
            _probe_early(turn)
        case Verdict.LOST:
            turn.change(lost=True)
        case Verdict.GRANT:
            holding.grant(turn, rule.because)
    _turn_to_third_party(turn, situation, rule.answer)


def _turn_to_third_party(turn: Turn, situation: Silence, verdict: Verdict) -> None:
    if verdict is Verdict.FENCE:
        fencing.fence(turn)
    if verdict is Verdict.ASK or (verdict is Verdict.LOST and not situation.denied):
        witness.ask(turn, witness.claimed(turn.state))
