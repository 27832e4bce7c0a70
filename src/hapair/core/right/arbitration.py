"""Who gets the right to act alone when the peer is silent on every path.

One table for each kind of arbitration.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hapair.core.words.rules import Rule, first_match
from hapair.model.cluster import ArbitrationKind


class Verdict(StrEnum):
    WAIT = "wait"
    ALARM = "alarm"  # Wait, and call a person.
    PROBE = "probe"  # Ask the reference addresses first.
    ISOLATED = "isolated"  # This side is the one that is cut off: stop what runs here.
    ASK = "ask"  # Ask the witnesses for the next epoch.
    FENCE = "fence"  # Have the peer switched off.
    YIELD = "yield"  # Call a person, and stop what runs here once the lease is over.
    LOST = "lost"  # The other side has the right: stop what runs here.
    GRANT = "grant"


@dataclass(frozen=True, slots=True)
class Silence:
    """What this node knows when it no longer hears its peer."""

    kind: ArbitrationKind
    peer_heard: bool
    peer_alive: bool  # It sends heartbeats, even if it does not hear ours.
    long_enough: bool  # This daemon has listened for the detection time and knows the facts.
    kernel_answers: bool  # A replication link proves that the peer's kernel is alive.
    was_together: bool  # This node has been a member since it booted.
    confirmed: bool  # The operator stated that the peer is down.
    networks: int  # Separate networks, all silent.
    own_links_up: bool  # On every network that is not a crossover one.
    references: int  # Networks with a reference address.
    probed: bool  # The references were asked during this silence, and a moment ago.
    answering: int  # How many of them answered.
    unanswered: int  # How many times in a row, during this silence, not all of them answered.
    lead_over: bool = True  # This node is active, or let the active one go first long enough.
    records_allow: bool = True  # The peer can only be ahead if a witness granted it.
    waiver: bool = False  # The peer promised to stay passive while the witness is lost.
    granted: bool = False  # By the witnesses, for the next epoch.
    denied: bool = False
    unreachable: bool = False  # They were asked, and too few answered.
    lease_over: bool = False  # Unheard and without a right for longer than the lease.
    outstayed: bool = False  # The same, and it stood still meanwhile.
    methods: bool = False  # There is a way to switch the peer off.
    fenced: bool = False  # An agent confirmed that the peer is off.
    ahead: bool = False  # The peer's last word is that it acts alone in a newer epoch.
    not_understood: bool = False  # It sends heartbeats that this version cannot read.
    same_terms: bool = True  # The peer has this kind of arbitration, and these witnesses, too.
    untold: bool = False  # The kernel has told this daemon nothing yet.
    left: bool = False  # The peer is halted in order, which is of no use to this node.
    hung: bool = False  # Only its kernel has answered for so long that nothing restarts its daemon.


# One lost answer says little: a busy gateway drops pings, and stopping costs the service.
UNANSWERED_MAX: Final = 3

SilenceRule = Rule[Silence, Verdict]

# Neither does anything by itself any more.
HALTED: Final[SilenceRule] = Rule(
    "peer-halted",
    lambda s: s.peer_heard and s.left,
    Verdict.ALARM,
    "the peer left while this node stood still or did not know of it, so what this node knows may "
    "be old; type there: clform",
)
HEARD: Final[SilenceRule] = Rule(
    "peer-heard", lambda s: s.peer_heard, Verdict.WAIT, "the peer still answers"
)
# Alive is alive: it is neither switched off nor taken for dead, whatever its version says.
NOT_UNDERSTOOD: Final[SilenceRule] = Rule(
    "not-understood",
    lambda s: s.not_understood,
    Verdict.ALARM,
    "the peer sends heartbeats that this version of hapair does not understand: it is not down; "
    "install the same version on both nodes",
)
# Where others rely on the lease, it ends although nobody can tell yet whether a kernel answers.
UNTOLD: Final[SilenceRule] = Rule(
    "kernel-untold",
    lambda s: (
        s.untold
        and s.lease_over
        and (s.kind is ArbitrationKind.WITNESS or not s.same_terms)
        and not (s.granted or s.confirmed or s.waiver)
    ),
    Verdict.YIELD,
    "the peer is silent, and this node's kernel has told nothing since its daemon was started: the "
    "peer may run everything by now; see what drbdsetup waits for, or start the peer",
)
LISTENING: Final[SilenceRule] = Rule(
    "listening", lambda s: not s.long_enough, Verdict.WAIT, "listening for the peer"
)
KERNEL_ANSWERS: Final[SilenceRule] = Rule(
    "kernel-answers",
    lambda s: s.kernel_answers,
    Verdict.ALARM,
    "the peer's kernel still answers on the replication link: it is not down, "
    "only its daemon is silent",
)
CONFIRMED: Final[SilenceRule] = Rule(
    "confirmed",
    lambda s: s.confirmed,
    Verdict.GRANT,
    "the operator confirmed that the peer is down",
)
NEW_TERMS: Final[SilenceRule] = Rule(
    "new-terms",
    lambda s: not s.same_terms,
    Verdict.YIELD,
    "the arbitration was changed, and the nodes were not together since: the peer may be given "
    "the right by the former one; start the peer, or make sure that it is off and type: "
    "clconfirm peer-is-down",
)
FENCED: Final[SilenceRule] = Rule(
    "fenced", lambda s: s.fenced, Verdict.GRANT, "the fence agent confirmed that the peer is off"
)

COMMON: Final[tuple[SilenceRule, ...]] = (
    HALTED,
    HEARD,
    NOT_UNDERSTOOD,
    Rule(
        "peer-alive",
        lambda s: s.peer_alive,
        Verdict.ALARM,
        "the peer sends heartbeats but does not hear this node: it is not down",
    ),
    UNTOLD,
    LISTENING,
    KERNEL_ANSWERS,
    CONFIRMED,
    NEW_TERMS,
    Rule(
        "peer-ahead",
        lambda s: s.ahead,
        Verdict.ALARM,
        "the peer acted alone in a newer epoch before it fell silent, so it is ahead; "
        "start the peer, or make sure that it is off and type: clconfirm peer-is-down",
    ),
    Rule(
        "never-joined",
        lambda s: not s.was_together,
        Verdict.ALARM,
        "this node has not met its peer since it was started, so the peer may be ahead; "
        "start the peer, or type: clconfirm peer-is-down",
    ),
)

PATHS: Final[tuple[SilenceRule, ...]] = (
    *COMMON,
    Rule(
        "one-network",
        lambda s: s.networks < 2,  # noqa: PLR2004 - one silent network may be one broken cable
        Verdict.ALARM,
        "only one network is configured, so its silence proves nothing; "
        "type: clconfirm peer-is-down, after you made sure",
    ),
    Rule("ask-references", lambda s: not s.probed, Verdict.PROBE, "asking the reference addresses"),
    Rule(
        "ask-again",
        lambda s: s.answering < s.references and s.unanswered < UNANSWERED_MAX,
        Verdict.PROBE,
        "a reference address did not answer; asking again before this node stops anything",
    ),
    Rule(
        "isolated",
        lambda s: s.answering < s.references,
        Verdict.ISOLATED,
        "neither the peer nor the reference address answers: this node is the one cut off",
    ),
    Rule(
        "own-link-down",
        lambda s: not s.own_links_up,
        Verdict.ALARM,
        "a card of this node has no link, so the silence may be its own fault; "
        "mend the link, or type: clconfirm peer-is-down, after you made sure",
    ),
    Rule(
        "paths-agree",
        lambda _: True,
        Verdict.GRANT,
        "all networks are silent, own links are up and the reference address answers",
    ),
)

OPERATOR: Final[tuple[SilenceRule, ...]] = (
    *COMMON,
    Rule(
        "ask-operator",
        lambda _: True,
        Verdict.ALARM,
        "the peer is silent; make sure that it is off, then type: clconfirm peer-is-down",
    ),
)

# A peer that does not hear this node, or is not understood, is treated like a silent one: the third
# party decides, and one of the two goes on.
WITNESS: Final[tuple[SilenceRule, ...]] = (
    HALTED,
    HEARD,
    Rule(
        "outstayed",
        lambda s: s.outstayed and not (s.granted or s.confirmed or s.waiver or s.kernel_answers),
        Verdict.LOST,
        "its lease ended while this node stood still: the peer may run everything by now",
    ),
    UNTOLD,
    LISTENING,
    KERNEL_ANSWERS,
    CONFIRMED,
    NEW_TERMS,
    # A grant that was asked for before this node promised to stay passive may come after it.
    Rule(
        "granted",
        lambda s: s.granted and s.records_allow,
        Verdict.GRANT,
        "the witness granted the next epoch",
    ),
    Rule(
        "denied",
        lambda s: s.denied,
        Verdict.LOST,
        "the witness gave the right to the peer: this node has lost and stops what it runs",
    ),
    Rule(
        "waiver",
        lambda s: s.waiver,
        Verdict.GRANT,
        "the witness is lost, and the peer promised to stay passive",
    ),
    Rule(
        "let-active-first",
        lambda s: not s.lead_over,
        Verdict.WAIT,
        "letting the active node ask the witness first",
    ),
    Rule(
        "promised",
        lambda s: not s.records_allow,
        Verdict.YIELD,
        "this node agreed that the peer may act alone, so it may be ahead; "
        "start the peer, or make sure that it is off and type: clconfirm peer-is-down",
    ),
    Rule(
        "lease-over",
        lambda s: s.lease_over,
        Verdict.LOST,
        "neither the peer nor the witness answers: this node is the one cut off",
    ),
    Rule(
        "witness-silent",
        lambda s: s.unreachable,
        Verdict.ASK,
        "the witness does not answer either; it is asked again and again",
    ),
    Rule("ask-witness", lambda _: True, Verdict.ASK, "asking the witness"),
)

FENCING: Final[tuple[SilenceRule, ...]] = (
    HALTED,
    HEARD,
    NOT_UNDERSTOOD,
    UNTOLD,
    LISTENING,
    Rule(
        "kernel-answers",
        lambda s: s.kernel_answers and not s.fenced and not s.hung,
        Verdict.ALARM,
        "the peer's kernel still answers on the replication link: it is not down, "
        "only its daemon is silent",
    ),
    Rule(
        "kernel-lingers",
        lambda s: s.kernel_answers and s.fenced,
        Verdict.WAIT,
        "the peer is off, the replication link has not noticed it yet",
    ),
    CONFIRMED,
    NEW_TERMS,
    FENCED,
    Rule(
        "never-joined",
        lambda s: not s.was_together,
        Verdict.ALARM,
        "this node has not met its peer since it was started, so it switches nobody off; "
        "start the peer, or type: clconfirm peer-is-down",
    ),
    Rule(
        "let-active-first",
        lambda s: not s.lead_over,
        Verdict.WAIT,
        "letting the active node fence first",
    ),
    Rule(
        "no-method",
        lambda s: not s.methods,
        Verdict.ALARM,
        "no method to switch the peer off is configured; type: clconfirm peer-is-down, "
        "after you made sure",
    ),
    Rule("fence", lambda _: True, Verdict.FENCE, "the peer is being switched off"),
)

TABLES: Final[dict[ArbitrationKind, tuple[SilenceRule, ...]]] = {
    ArbitrationKind.PATHS: PATHS,
    ArbitrationKind.OPERATOR: OPERATOR,
    ArbitrationKind.WITNESS: WITNESS,
    ArbitrationKind.FENCING: FENCING,
}


def judge(silence: Silence) -> SilenceRule:
    """Return the row that holds; its answer says what to do about the silence."""
    return first_match(TABLES[silence.kind], silence)
