"""A node that was told to be a member: wait for the peer, then alone only if that is allowed."""

from typing import Final

from hapair.core.copies import replication
from hapair.core.members import membership
from hapair.core.right import hearing, witness
from hapair.core.right.arbitration import Verdict
from hapair.core.right.holding import grant
from hapair.core.words.effects import Severity
from hapair.core.words.events import Start
from hapair.core.words.rules import Rule, first_match
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.status import Standing

FormRule = Rule[NodeState, Verdict]


def _form_is_allowed(state: NodeState) -> bool:
    return state.form is not None and state.form.allow_single_node


def _peer_is_halted(state: NodeState) -> bool:
    """Tell whether the peer is heard and halted: it starts nothing before it is formed."""
    beat = state.peer.beat
    return state.peer_heard and beat is not None and beat.standing is Standing.HALTED


def _waits_for_halted(state: NodeState) -> bool:
    return _peer_is_halted(state) and state.now_s < state.form_until_s


def _has_the_last_word(state: NodeState) -> bool:
    """Tell whether this node holds the right, and the peer left in order with none as new."""
    theirs = state.peer.state
    if theirs is None or not theirs.left or theirs.holds_right:
        return False
    newest = theirs.epoch <= state.stored.epoch and not hearing.peer_ahead(state)
    return state.stored.holds_right and newest and state.stored.terms.shared


FORMATION: Final[tuple[FormRule, ...]] = (
    Rule(
        "peer-halted-yet",
        _waits_for_halted,
        Verdict.WAIT,
        "the peer is halted; waiting for it to be formed as well",
    ),
    Rule(
        "left-to-this-node",
        lambda s: _peer_is_halted(s) and _form_is_allowed(s) and _has_the_last_word(s),
        Verdict.GRANT,
        "the peer is halted and left everything to this node, which held the right to act alone",
    ),
    Rule(
        "peer-halted",
        _peer_is_halted,
        Verdict.ALARM,
        "the peer is halted, and may have newer data; type there: clform",
    ),
    Rule("peer-heard", lambda s: s.peer_heard, Verdict.WAIT, "the peer answers; agreeing with it"),
    Rule(
        "kernel-answers",
        replication.kernel_answers,
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
        "new-terms",
        lambda s: not s.stored.terms.shared,
        Verdict.ALARM,
        "the arbitration was changed, and the nodes were not together since, so the peer may be "
        "ahead; start the peer, or make sure that it is off and type: clconfirm peer-is-down",
    ),
    Rule(
        "promised",
        lambda s: witness.uses_witness(s) and not witness.own_records_allow(s.stored),
        Verdict.ALARM,
        "this node agreed that the peer may act alone, so it may be ahead; "
        "start the peer, or make sure that it is off and type: clconfirm peer-is-down",
    ),
    # It may have had no time to tell the witness, which would grant the same epoch once more.
    Rule(
        "peer-ahead",
        hearing.peer_ahead,
        Verdict.ALARM,
        "the peer acted alone in a newer epoch, so it is ahead; "
        "start the peer, or make sure that it is off and type: clconfirm peer-is-down",
    ),
    # A waiver from before the start allows nothing: a person may have released the peer.
    Rule(
        "granted",
        witness.granted,
        Verdict.GRANT,
        "the witness granted the next epoch: nobody can be ahead of this node",
    ),
    Rule(
        "denied",
        witness.denied,
        Verdict.ALARM,
        "the witness says that the peer is ahead; start the peer, "
        "or make sure that it is off and type: clconfirm peer-is-down",
    ),
    Rule(
        "ask-witness",
        witness.uses_witness,
        Verdict.ASK,
        "the peer did not answer in time; asking the witness whether it is ahead; if that stays "
        "silent too, start the peer, or make sure that it is off and type: clconfirm peer-is-down",
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


def settle(turn: Turn) -> None:
    state = turn.state
    form = state.form
    if state.standing is not Standing.FORMING or form is None:
        return
    theirs = state.peer.state
    running = theirs is not None and theirs.standing in (Standing.ALONE, Standing.TOGETHER)
    if form.start is Start.BY_BOOT and not form.join_existing_cluster and running:
        turn.store(formed=False)
        membership.halted(turn)
        text = "the peer runs the cluster and clstart.xml says not to join; type: clform"
        turn.note("not-joining", text, severity=Severity.WARNING)
        return
    rule = first_match(FORMATION, state)
    severity = Severity.ALARM if rule.answer is Verdict.ALARM else Severity.INFO
    turn.because("formation", rule, note_severity=severity)
    if rule.answer is Verdict.ASK:
        witness.ask(turn, witness.claimed(turn.state))
    if rule.answer is Verdict.GRANT:
        grant(turn, rule.because)
