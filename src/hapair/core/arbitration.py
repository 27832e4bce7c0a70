"""Who gets the right to act alone when the peer is silent on every path.

One table for each kind of arbitration. The kinds ``witness`` and ``fencing`` have their place
here; the configuration refuses them in this version.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hapair.core.rules import Rule, first_match
from hapair.model.cluster import ArbitrationKind


class Verdict(StrEnum):
    WAIT = "wait"
    ALARM = "alarm"  # Wait, and call a person.
    PROBE = "probe"  # Ask the reference addresses first.
    ISOLATED = "isolated"  # This side is the one that is cut off: stop what runs here.
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


# One lost answer says little: a busy gateway drops pings, and stopping costs the service.
UNANSWERED_MAX: Final = 3

SilenceRule = Rule[Silence, Verdict]

COMMON: Final[tuple[SilenceRule, ...]] = (
    Rule("peer-heard", lambda s: s.peer_heard, Verdict.WAIT, "the peer still answers"),
    Rule(
        "peer-alive",
        lambda s: s.peer_alive,
        Verdict.ALARM,
        "the peer sends heartbeats but does not hear this node: it is not down",
    ),
    Rule("listening", lambda s: not s.long_enough, Verdict.WAIT, "listening for the peer"),
    Rule(
        "kernel-answers",
        lambda s: s.kernel_answers,
        Verdict.ALARM,
        "the peer's kernel still answers on the replication link: it is not down, "
        "only its daemon is silent",
    ),
    Rule(
        "confirmed",
        lambda s: s.confirmed,
        Verdict.GRANT,
        "the operator confirmed that the peer is down",
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
        lambda s: s.networks < 2,  # noqa: PLR2004 - safety contract: at least two networks
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

TABLES: Final[dict[ArbitrationKind, tuple[SilenceRule, ...]]] = {
    ArbitrationKind.PATHS: PATHS,
    ArbitrationKind.OPERATOR: OPERATOR,
    # Until these kinds are built, a person decides; the configuration does not let them in.
    ArbitrationKind.WITNESS: OPERATOR,
    ArbitrationKind.FENCING: OPERATOR,
}


def judge(silence: Silence) -> SilenceRule:
    """Return the row that holds; its answer says what to do about the silence."""
    return first_match(TABLES[silence.kind], silence)
