"""How far up an application is to be on this node."""

from enum import StrEnum
from typing import Final

from hapair.core.applications import dependencies, failures
from hapair.core.applications.placement import CONNECTION_WAIT_S, View, view
from hapair.core.copies import replication
from hapair.core.right import hearing, holding
from hapair.core.words.effects import Severity
from hapair.core.words.rules import Rule, first_match
from hapair.core.words.state import NodeState
from hapair.model.application import Application
from hapair.model.status import Phase, Standing, Wanted

PREFERRED_WAIT_S: Final = 15.0  # How long a cold start waits for the preferred node's copy.


class Goal(StrEnum):
    """What the reconciler works towards."""

    RELEASE = "release"  # Nothing is up, not even the replication.
    STANDBY = "standby"  # Replication is up as Secondary.
    DATA = "data"
    UP = "up"
    KEEP = "keep"  # Change nothing: neither start nor stop.
    GIVE_WAY = "give way"  # As STANDBY, at once: addresses first, and frozen writes fail.


STOPPED: Final = (Goal.STANDBY, Goal.RELEASE, Goal.GIVE_WAY)  # Where nothing runs.


def _awaits_preferred(v: View) -> bool:
    waited_s = v.state.now_s - v.state.together_since_s
    return v.fresh and v.preferred_elsewhere and not v.failed_there and waited_s < PREFERRED_WAIT_S


def _awaits_connection(v: View) -> bool:
    """Tell whether a cold start's copies may be connected in a moment: two are better than one."""
    waited_s = v.state.now_s - v.state.together_since_s
    facts = replication.volume_facts(v.state, v.application.name)
    apart = any(each is not None and not each.kernel_answers for each in facts)
    return v.fresh and apart and waited_s < CONNECTION_WAIT_S


def _awaits_stop(v: View) -> bool:
    alone = v.state.standing is Standing.ALONE
    return alone and v.may_double and holding.peer_stops_yet(v.state, v.application.name)


def _peer_runs(v: View) -> bool:
    """Tell whether the peer has not ended it yet.

    What is only restarted here waits no longer for a peer that cannot tell, e.g. because its looks
    hang, than for the word of one that is back.
    """
    if v.stopped or v.peer is None or v.peer.phase is not Phase.UNKNOWN:
        return (v.stopped or v.may_double) and not v.peer_stopped
    return v.may_double and holding.peer_stops_yet(v.state, v.application.name)


GoalRule = Rule[View, Goal]
GOALS: Final[tuple[GoalRule, ...]] = (
    Rule(
        "halted",
        lambda v: v.state.standing is Standing.HALTED,
        Goal.RELEASE,
        "this node is not part of the cluster",
    ),
    Rule(
        "left",
        lambda v: v.leaving and not v.state.stored.formed,
        Goal.RELEASE,
        "this node leaves the cluster",
    ),
    Rule(
        "leaving-new",
        lambda v: v.record is None and v.leaving,
        Goal.STANDBY,
        "this node is being halted, and no node has been told to run it",
    ),
    Rule("no-record", lambda v: v.record is None, Goal.KEEP, "no node has been told to run it yet"),
    Rule(
        "superseded",
        lambda v: hearing.superseded(v.state),
        Goal.GIVE_WAY,
        "the peer acts alone in a newer epoch, so this node stops",
    ),
    Rule(
        "isolated",
        lambda v: v.state.isolated,
        Goal.GIVE_WAY,
        "this node is cut off from the peer and from the reference address",
    ),
    Rule(
        "lost",
        lambda v: v.state.lost,
        Goal.GIVE_WAY,
        "the peer has the right to run it, or nobody can be asked for it, so this node stops it",
    ),
    Rule(
        "overtaken",
        lambda v: not v.mine and not v.stopped,
        Goal.GIVE_WAY,
        "the peer was given the right to run it meanwhile, so this node stops it",
    ),
    Rule("not-owner", lambda v: not v.mine, Goal.STANDBY, "it belongs to the peer"),
    Rule("wanted-down", lambda v: v.wanted is Wanted.DOWN, Goal.STANDBY, "an operator halted it"),
    Rule("leaving", lambda v: v.leaving, Goal.STANDBY, "this node is being halted"),
    Rule("moving", lambda v: v.moving, Goal.STANDBY, "it is being moved to the peer"),
    Rule(
        "maintenance",
        # A build goes on: only its data is wanted then.
        lambda v: v.maintained is not None and v.wanted is not Wanted.DATA,
        Goal.KEEP,
        "it, its node or the cluster is in maintenance: it is left as it is",
    ),
    Rule(
        "peer-tries",
        lambda v: v.failed_here and dependencies.peer_takes(v),
        Goal.STANDBY,
        "it failed on this node, the other one tries",
    ),
    Rule(
        "not-agreed",
        lambda v: v.state.standing in (Standing.CUT, Standing.FORMING),
        Goal.KEEP,
        "the peer is silent and nobody granted this node the right to act alone",
    ),
    Rule(
        "stale-data",
        lambda v: not v.promotable,
        Goal.STANDBY,
        "the copy of the data on this node is not known to be current",
    ),
    Rule(
        "peer-primary",
        lambda v: replication.peer_is_primary(v.state, v.application.name),
        Goal.STANDBY,
        "the data is still Primary on the peer",
    ),
    Rule(
        "peer-lease",
        lambda v: v.stopped and v.leased,
        Goal.STANDBY,
        "it has no replicated data that would stop the silent peer: waiting for the peer's lease",
    ),
    Rule(
        "peer-back",
        _awaits_stop,
        Goal.STANDBY,
        "the peer is heard again, and has not said yet that it stopped it",
    ),
    Rule(
        "peer-runs",
        lambda v: v.together and _peer_runs(v),
        Goal.STANDBY,
        "it still stops on the peer",
    ),
    Rule(
        "awaits-connection",
        lambda v: v.together and v.stopped and _awaits_connection(v),
        Goal.STANDBY,
        "waiting for the connection of the data to the peer's copy",
    ),
    Rule(
        "preferred-elsewhere",
        lambda v: v.together and v.stopped and _awaits_preferred(v),
        Goal.STANDBY,
        "waiting for the copy of the data on the preferred node",
    ),
    Rule("data-only", lambda v: v.wanted is Wanted.DATA, Goal.DATA, "only its data is wanted"),
    Rule(
        "with-elsewhere",
        lambda v: v.stopped and dependencies.goes_along(v),
        Goal.STANDBY,
        "it goes to the other node with those that it runs together with",
    ),
    Rule(
        "apart",
        lambda v: v.stopped and bool(dependencies.keeps_apart(v)),
        Goal.STANDBY,
        "another application is here from which it has to keep apart",
    ),
    Rule(
        "after",
        lambda v: v.stopped and bool(dependencies.awaited(v)),
        Goal.STANDBY,
        "it starts after another application, which is on its way up",
    ),
    Rule(
        "gave-up",
        lambda v: v.record is not None and failures.gave_up(v.state, v.record),
        Goal.UP,
        "its monitors found it failed on both nodes: it rests until that has expired, or until"
        " clrunapp --clear",
    ),
    Rule(
        "failed-everywhere",
        lambda v: v.failed_here and v.failed_there,
        Goal.UP,
        "it failed on both nodes: it is tried here again, ever more slowly",
    ),
    Rule(
        "failed-here",
        lambda v: v.failed_here,
        Goal.UP,
        "it failed on this node, and the other one cannot run it: it is tried here again,"
        " ever more slowly",
    ),
    Rule("run", lambda _: True, Goal.UP, "it belongs to this node and may run here"),
)
LOUD: Final = {  # Rows that a person should read about when they begin to hold.
    "gave-up": Severity.ALARM,
    "failed-everywhere": Severity.ALARM,
    "failed-here": Severity.ALARM,
    "peer-tries": Severity.WARNING,
    "apart": Severity.WARNING,
    "stale-data": Severity.WARNING,
    "isolated": Severity.ALARM,
    "lost": Severity.ALARM,
    "superseded": Severity.ALARM,
}


def goal(state: NodeState, application: Application) -> GoalRule:
    """Return the row of the goal table that holds for an application on this node."""
    return first_match(GOALS, view(state, application))
