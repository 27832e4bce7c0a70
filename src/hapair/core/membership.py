"""Do the two nodes act together, or may this one act alone?

The handshake: a node *accepts* the incarnation of the peer that it hears. They are together
when each has published that it accepted the other's present incarnation. A node that holds the
right to act alone gives it up, on disk, before it publishes that it accepted the peer; so at
no moment can both use a right.
"""

from typing import Final

from hapair.core import data_safety
from hapair.core.arbitration import Silence, Verdict, judge
from hapair.core.effects import ProbeReferences, Severity
from hapair.core.events import Beat, PeerState, Start
from hapair.core.rules import Rule, first_match
from hapair.core.state import NodeState
from hapair.core.turn import Turn
from hapair.model.status import Standing

ACTIVE: Final = (
    Standing.FORMING,
    Standing.TOGETHER,
    Standing.CUT,
    Standing.ALONE,
    Standing.LEAVING,
)
REFERENCE_TIMEOUT_SHARE: Final = 0.4  # Of the detection time.
REPROBE_S: Final = 1.0  # While the peer is silent, how often the references are asked again.


def superseded(state: NodeState) -> bool:
    """Tell whether the peer says that it acts alone in an epoch that this node never saw."""
    beat = state.peer.beat
    newer = beat is not None and beat.epoch > state.stored.epoch
    return newer and beat is not None and beat.standing is Standing.ALONE


def last_heard_s(state: NodeState) -> float:
    """Return when the peer was last heard on any network, in monotonic seconds."""
    return max([state.quiet_since_s, *state.peer.heard_at_s.values()])


def peer_heard(state: NodeState) -> bool:
    """Tell whether a beat that echoes our incarnation came within the detection time."""
    heard = state.peer.heard_at_s.values()
    return any(state.now_s - at_s < state.detection_s for at_s in heard)


def peer_alive(state: NodeState) -> bool:
    """Tell whether any beat came within the detection time, even one that does not echo us."""
    at_s = state.peer.alive_at_s
    return at_s is not None and state.now_s - at_s < state.detection_s


def silent_s(state: NodeState) -> float:
    return state.now_s - last_heard_s(state)


def absorb_beat(turn: Turn, network: str, beat: Beat, at_s: float) -> None:
    """Take a heartbeat in; an older incarnation of the peer is ignored."""
    peer = turn.state.peer
    if beat.incarnation < peer.incarnation:
        return
    if beat.incarnation > peer.incarnation:
        forget_incarnation(turn, beat.incarnation)
    if beat.echo == turn.state.incarnation:
        heard = {**turn.state.peer.heard_at_s, network: at_s}
        turn.change_peer(alive_at_s=at_s, heard_at_s=heard, beat=beat)
    else:
        turn.change_peer(alive_at_s=at_s)
    if turn.state.confirmed:
        turn.change(confirmed=False)  # Whoever sends heartbeats is not down.


def forget_incarnation(turn: Turn, incarnation: int) -> None:
    """The peer's daemon was started anew: what the former one agreed to is void."""
    turn.change_peer(incarnation=incarnation, state=None, beat=None, heard_at_s={})
    turn.change(accepted=0, quiet_since_s=turn.state.now_s)


def absorb_state(turn: Turn, peer_state: PeerState) -> None:
    """Take the peer's newest state in: higher versions of records win."""
    if peer_state.incarnation < turn.state.peer.incarnation:
        return
    if peer_state.incarnation > turn.state.peer.incarnation:
        forget_incarnation(turn, peer_state.incarnation)
    turn.change_peer(state=peer_state)
    state = turn.state
    for theirs in peer_state.records:
        ours = state.record(theirs.application)
        if ours is None or theirs.version > ours.version:
            turn.put_record(theirs)
        elif theirs.version == ours.version and theirs.owner != ours.owner:
            _two_owners(turn, theirs.application)
            if state.me != state.built.cluster.nodes[0]:
                turn.put_record(theirs)


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
        case Standing.HALTED:
            return
        case Standing.FORMING:
            _accept(turn)
            _form(turn)
        case Standing.TOGETHER:
            _together(turn)
        case Standing.CUT:
            _accept(turn)
            _cut(turn)
            if turn.state.standing is Standing.CUT:
                _inherit(turn)
        case Standing.ALONE:
            _accept(turn)
        case Standing.LEAVING:
            _inherit(turn)


def _accept(turn: Turn) -> None:
    """Act together with the peer as soon as both have accepted each other."""
    state = turn.state
    theirs = state.peer.state
    if theirs is None or not peer_heard(state) or theirs.standing not in ACTIVE or theirs.left:
        return
    if not _is_news(state, theirs):
        return
    if state.accepted != theirs.incarnation and _may_accept(state, theirs):
        if theirs.epoch > state.stored.epoch:
            data_safety.distrust(turn)  # It had the right to act alone meanwhile.
        elif not state.stored.holds_right:
            data_safety.distrust(turn, but_own=True)  # It wrote alone while it was out of sight.
        turn.store(holds_right=False, epoch=max(state.stored.epoch, theirs.epoch))
        turn.change(accepted=theirs.incarnation)
        if state.standing is Standing.ALONE:
            turn.change(standing=Standing.CUT)  # Without the right; together when both agreed.
    agreed = turn.state.accepted == theirs.incarnation and theirs.accepted == state.incarnation
    if agreed and not theirs.holds_right:
        turn.store(joined_boot_id=state.boot_id)
        turn.change(
            standing=Standing.TOGETHER,
            together_since_s=state.now_s,
            confirmed=False,
            isolated=False,
        )
        turn.note("together", f"acts together with {state.peer_name}")


def _is_news(state: NodeState, theirs: PeerState) -> bool:
    """Tell whether the peer's state is its present one; heartbeats come by when states do not."""
    beat = state.peer.beat
    return beat is not None and (beat.standing, beat.epoch) == (theirs.standing, theirs.epoch)


def _may_accept(state: NodeState, theirs: PeerState) -> bool:
    """The side with the right accepts last, so that a peer that fails meanwhile costs nothing."""
    if not state.stored.holds_right or theirs.accepted == state.incarnation:
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
    elif not peer_heard(state):
        _lose_peer(turn)
    elif theirs.left:
        _inherit(turn)
    elif theirs.accepted != state.incarnation:
        turn.change(standing=Standing.CUT, accepted=0)
        turn.note("peer-withdrew", f"{state.peer_name} does not hear this node well")
        _accept(turn)
    elif silent_s(state) > state.detection_s / 2:
        _probe_early(turn)


def _lose_peer(turn: Turn) -> None:
    state = turn.state
    ago_s = state.now_s - last_heard_s(state)
    turn.change(standing=Standing.CUT, accepted=0)
    text = f"{state.peer_name} is silent on every network since {ago_s:.1f} s"
    turn.note("detected", text, severity=Severity.WARNING)
    _cut(turn)


def _inherit(turn: Turn) -> None:
    """Take the right over from a peer that has halted in order and runs nothing any more.

    A halted node starts nothing before it has formed and agreed with its peer again, and it
    stored that before it said so.
    """
    state = turn.state
    theirs = state.peer.state
    if theirs is None or not theirs.left or theirs.holds_right or not was_member(state):
        return
    if state.stored.holds_right or not peer_heard(state):
        return
    epoch = max(state.stored.epoch, theirs.epoch) + 1
    turn.store(holds_right=True, epoch=epoch)
    if state.standing is Standing.CUT:
        data_safety.distrust(turn)  # What it wrote while it was out of sight is not known.
    text = f"{state.peer_name} left in order; this node may act alone in epoch {epoch}"
    turn.note("peer-left", text)
    if state.standing is not Standing.LEAVING:
        turn.change(standing=Standing.ALONE, accepted=0, isolated=False)


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
        peer_heard=peer_heard(state),
        peer_alive=peer_alive(state),
        long_enough=silent_s(state) >= state.detection_s and state.facts_read,
        kernel_answers=data_safety.kernel_answers(state),
        was_together=was_member(state),
        confirmed=state.confirmed,
        networks=len(cluster.networks),
        own_links_up=all(state.links.get(name, True) for name in watched),
        references=sum(network.reference is not None for network in cluster.networks),
        probed=peer.answered_at_s is not None
        and peer.answered_at_s > started_s
        and state.now_s - peer.answered_at_s <= state.detection_s + REPROBE_S,
        answering=len(peer.answering),
        unanswered=peer.unanswered,
    )


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
    severity = Severity.ALARM if rule.answer is Verdict.ALARM else Severity.INFO
    turn.because("arbitration", rule, note_severity=severity)
    match rule.answer:
        case Verdict.WAIT | Verdict.ALARM:
            turn.change(isolated=False)
            if situation.probed:
                _probe_early(turn)  # An answer of long ago must not grant anything later.
        case Verdict.PROBE:
            _probe_early(turn)
        case Verdict.ISOLATED:
            turn.change(isolated=True)
            _probe_early(turn)
        case Verdict.GRANT:
            grant(turn, rule.because)


def grant(turn: Turn, because: str) -> None:
    """Take the right to act alone: a new epoch, on disk before anything relies on it."""
    epoch = turn.state.stored.epoch + 1
    turn.store(epoch=epoch, holds_right=True, joined_boot_id=turn.state.boot_id)
    if turn.state.confirmed:
        turn.store(unproven=())  # The operator saw what may be lost and took it upon himself.
    turn.change(standing=Standing.ALONE, accepted=0, isolated=False, confirmed=False)
    turn.note("granted", f"may act alone in epoch {epoch}: {because}")


FormRule = Rule[NodeState, Verdict]


def _form_is_allowed(state: NodeState) -> bool:
    return state.form is not None and state.form.allow_single_node


FORMATION: Final[tuple[FormRule, ...]] = (
    Rule("peer-heard", peer_heard, Verdict.WAIT, "the peer answers; agreeing with it"),
    Rule(
        "kernel-answers",
        data_safety.kernel_answers,
        Verdict.WAIT,
        "the peer's kernel answers on the replication link; waiting for its daemon",
    ),
    Rule("confirmed", lambda s: s.confirmed, Verdict.GRANT, "the operator confirmed: peer is down"),
    Rule(
        "waiting",
        lambda s: s.now_s < s.form_until_s,
        Verdict.WAIT,
        "waiting for the peer",
    ),
    Rule(
        "single-not-allowed",
        lambda s: not _form_is_allowed(s),
        Verdict.ALARM,
        "the peer did not answer in time and clstart.xml does not allow a single node; "
        "start the peer, or type: clform --alone",
    ),
    Rule(
        "right-held",
        lambda s: s.stored.holds_right,
        Verdict.GRANT,
        "this node held the right to act alone when it stopped: nobody can be ahead of it",
    ),
    Rule(
        "peer-may-be-ahead",
        lambda _: True,
        Verdict.ALARM,
        "the peer did not answer in time and may have newer data; start the peer, "
        "or make sure that it is off and type: clconfirm peer-is-down",
    ),
)


def _form(turn: Turn) -> None:
    state = turn.state
    form = state.form
    if state.standing is not Standing.FORMING or form is None:
        return
    theirs = state.peer.state
    running = theirs is not None and theirs.standing in (Standing.ALONE, Standing.TOGETHER)
    if form.start is Start.BY_BOOT and not form.join_existing_cluster and running:
        turn.change(standing=Standing.HALTED, form=None)
        turn.store(formed=False)
        text = "the peer runs the cluster and clstart.xml says not to join; type: clform"
        turn.note("not-joining", text, severity=Severity.WARNING)
        return
    rule = first_match(FORMATION, state)
    severity = Severity.ALARM if rule.answer is Verdict.ALARM else Severity.INFO
    turn.because("formation", rule, note_severity=severity)
    if rule.answer is Verdict.GRANT:
        grant(turn, rule.because)
