"""How far up an application is to be on this node, and when its record changes hands."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from hapair.core.applications import items
from hapair.core.copies import doubts, replication
from hapair.core.right import hearing
from hapair.core.words.effects import Layer, Severity
from hapair.core.words.events import PeerApplication
from hapair.core.words.rules import Rule, first_match
from hapair.core.words.state import Is, NodeState
from hapair.core.words.turn import Turn
from hapair.model.application import Application
from hapair.model.data import Connection, Disk
from hapair.model.status import Phase, Record, Standing, Version, Wanted

PREFERRED_WAIT_S: Final = 15.0  # How long a cold start waits for the preferred node's copy.
CONNECTION_WAIT_S: Final = 10.0  # Or for the connection of its copies.


class Goal(StrEnum):
    """What the reconciler works towards."""

    RELEASE = "release"  # Nothing is up, not even the replication.
    STANDBY = "standby"  # Replication is up as Secondary.
    DATA = "data"
    UP = "up"
    KEEP = "keep"  # Change nothing: neither start nor stop.
    GIVE_WAY = "give way"  # As STANDBY, at once: addresses first, and frozen writes fail.


STOPPED: Final = (Goal.STANDBY, Goal.RELEASE, Goal.GIVE_WAY)  # Where nothing runs.


@dataclass(frozen=True, slots=True)
class View:
    """What the tables of this module look at, for one application."""

    state: NodeState
    application: Application
    record: Record | None
    peer: PeerApplication | None  # What the peer says; None when it has not spoken.

    @property
    def mine(self) -> bool:
        return self.record is not None and self.record.owner == self.state.me

    @property
    def wanted(self) -> Wanted:
        return self.record.wanted if self.record is not None else Wanted.DOWN

    @property
    def together(self) -> bool:
        return self.state.standing is Standing.TOGETHER

    @property
    def leaving(self) -> bool:
        return self.state.standing is Standing.LEAVING

    @property
    def handing_over(self) -> bool:
        leave = self.state.leave
        return self.leaving and leave is not None and leave.handover

    @property
    def agreed(self) -> bool:
        """Each side has accepted the other, also while this one is leaving."""
        theirs = self.state.peer.state
        together = theirs is not None and theirs.standing is Standing.TOGETHER
        return together and hearing.agreed(self.state)

    @property
    def stopped(self) -> bool:
        return items.is_stopped(self.state, self.application.name)

    @property
    def promotable(self) -> bool:
        """Every copy is Primary here already, or current."""
        copies = items.at(self.state, self.application.name, Layer.PROMOTED)
        return all(
            item_state.known is not Is.DOWN or doubts.is_current(self.state, item.resource)
            for item, item_state in copies
        )

    @property
    def fresh(self) -> bool:
        return self.application.name in self.state.fresh

    @property
    def current(self) -> bool:
        return doubts.data_current(self.state, self.application.name)

    @property
    def peer_current(self) -> bool:
        """The peer says so, and while our copy is current, our kernel sees every write arrive."""
        if self.peer is None or not self.peer.data_current:
            return False
        return not self.current or replication.peer_complete(self.state, self.application.name)

    @property
    def joined(self) -> bool:
        """DRBD itself says at this moment that the peer's copies have every write."""
        facts = replication.volume_facts(self.state, self.application.name)
        return all(
            each is not None
            and replication.is_joined(self.state, each.resource)
            and each.connection is Connection.CONNECTED
            and each.peer_disk is Disk.UP_TO_DATE
            for each in facts
        )

    @property
    def awaits_proof(self) -> bool:
        """A copy here is connected, and will be known to be current in a moment."""
        facts = replication.volume_facts(self.state, self.application.name)
        connected = (f.resource for f in facts if f and f.resource in self.state.joined_from_s)
        return any(not replication.is_joined(self.state, each) for each in connected)

    @property
    def peer_stopped(self) -> bool:
        return self.peer is None or self.peer.phase is Phase.STOPPED

    @property
    def failed_here(self) -> bool:
        return self.record is not None and self.state.me in self.record.failed_on

    @property
    def failed_there(self) -> bool:
        return self.record is not None and self.state.peer_name in self.record.failed_on

    @property
    def leased(self) -> bool:
        """The silent peer may still run it, and no frozen write would keep it from that."""
        return (
            self.application.name in self.state.leased
            and self.state.now_s < self.state.lease_until_s
        )

    @property
    def moving(self) -> bool:
        return self.application.name in self.state.moving

    @property
    def preferred_elsewhere(self) -> bool:
        return self.application.preferred != self.state.me


def view(state: NodeState, application: Application) -> View:
    theirs = state.peer.state
    peer = theirs.by_name.get(application.name) if theirs is not None else None
    return View(state, application, state.record(application.name), peer)


def _awaits_preferred(v: View) -> bool:
    waited_s = v.state.now_s - v.state.together_since_s
    return v.fresh and v.preferred_elsewhere and not v.failed_there and waited_s < PREFERRED_WAIT_S


def _awaits_connection(v: View) -> bool:
    """Tell whether a cold start's copies may be connected in a moment: two are better than one."""
    waited_s = v.state.now_s - v.state.together_since_s
    facts = replication.volume_facts(v.state, v.application.name)
    apart = any(each is not None and not each.kernel_answers for each in facts)
    return v.fresh and apart and waited_s < CONNECTION_WAIT_S


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
        "failed-everywhere",
        lambda v: v.failed_here and v.failed_there,
        Goal.STANDBY,
        "it failed to start on both nodes; find the cause, then type: clrunapp",
    ),
    Rule(
        "failed-here",
        lambda v: v.failed_here,
        Goal.STANDBY,
        "it failed to start on this node; find the cause, then type: clrunapp",
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
        "peer-runs",
        lambda v: v.together and v.stopped and not v.peer_stopped,
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
    Rule("run", lambda _: True, Goal.UP, "it belongs to this node and may run here"),
)


def goal(state: NodeState, application: Application) -> GoalRule:
    """Return the row of the goal table that holds for an application on this node."""
    return first_match(GOALS, view(state, application))


class Hand(StrEnum):
    """What happens to the record that this node owns."""

    KEEP = "keep"
    GIVE = "give"  # The peer is the owner from now on.
    MOVE = "move"  # Stop here first, then give.
    CANCEL = "cancel"  # The peer cannot take it: go on here.
    LET_LIE = "let lie"  # It is not to start by itself.


def _peer_can(v: View) -> bool:
    """Tell whether the peer could start it; what was written here may be missing there."""
    return v.agreed and v.peer_current and not v.failed_there and v.peer_stopped


def peer_has_all(v: View) -> bool:
    """Tell whether the peer could start it and has every write that was made here (R2)."""
    return _peer_can(v) and v.joined


HandRule = Rule[View, Hand]
HANDS: Final[tuple[HandRule, ...]] = (
    Rule("not-mine", lambda v: not v.mine, Hand.KEEP, "it belongs to the peer"),
    Rule(
        "cannot-move",
        lambda v: v.moving and not peer_has_all(v),
        Hand.CANCEL,
        "the peer can no longer take it",
    ),
    Rule("moved", lambda v: v.moving and v.stopped, Hand.GIVE, "stopped here, starts on the peer"),
    Rule("moving", lambda v: v.moving, Hand.KEEP, "stopping here"),
    Rule(
        "hand-over",
        lambda v: v.handing_over and v.stopped and peer_has_all(v),
        Hand.GIVE,
        "this node leaves, the peer goes on",
    ),
    Rule("not-together", lambda v: not v.together, Hand.KEEP, "the peer cannot take it now"),
    Rule(
        "let-lie",
        lambda v: (
            v.fresh
            and v.stopped
            and v.wanted is not Wanted.DOWN
            and not (v.application.autostart and _autostart(v.state))
        ),
        Hand.LET_LIE,
        "it is not configured to start by itself",
    ),
    Rule("wanted-down", lambda v: v.wanted is Wanted.DOWN, Hand.KEEP, "an operator halted it"),
    Rule(
        "failed-here",
        lambda v: v.failed_here and v.stopped and peer_has_all(v),
        Hand.GIVE,
        "it failed to start here, the peer tries",
    ),
    Rule(
        "stale-here",
        lambda v: v.stopped and not v.current and not v.awaits_proof and _peer_can(v),
        Hand.GIVE,
        "only the peer's copy of the data is current",
    ),
    Rule(
        "preferred",
        lambda v: v.fresh and v.stopped and v.preferred_elsewhere and peer_has_all(v),
        Hand.GIVE,
        "the peer is its preferred node",
    ),
    Rule(
        "failback",
        lambda v: (
            v.application.failback
            and v.preferred_elsewhere
            and not v.stopped
            and v.current
            and peer_has_all(v)
        ),
        Hand.MOVE,
        "its preferred node is back with current data and failback is configured",
    ),
    Rule("stay", lambda _: True, Hand.KEEP, "it stays where it is"),
)


def _autostart(state: NodeState) -> bool:
    return state.form is None or state.form.autostart


def is_lost(v: View) -> bool:
    """Tell whether it belongs to the absent peer and cannot be taken over: no current copy."""
    return v.record is not None and not v.mine and v.wanted is not Wanted.DOWN and not v.current


def settle(turn: Turn) -> list[tuple[Application, Goal]]:
    """Take over what the right allows, hand over what belongs elsewhere; return the goals."""
    goals: list[tuple[Application, Goal]] = []
    for built in turn.state.built.applications:
        application = built.application
        if turn.state.standing is Standing.ALONE:
            _take_over(turn, application)
        seen = view(turn.state, application)
        rule = first_match(HANDS, seen)
        if seen.record is not None:
            _apply(turn, seen.record, rule)
        seen = view(turn.state, application)
        reached = first_match(GOALS, seen)
        severity = LOUD.get(reached.name) if seen.mine else None
        turn.because(f"{application.name}/goal", reached, note_severity=severity)
        goals.append((application, reached.answer))
        _forget_two_owners(turn, seen)
    return goals


def _forget_two_owners(turn: Turn, seen: View) -> None:
    """One side gave way and the copies are one again: there is nothing left to look at."""
    name, theirs = seen.application.name, seen.state.peer.state
    key = f"{name}/owners"
    if key not in turn.state.reasons or theirs is None or seen.record not in theirs.records:
        return
    facts = replication.volume_facts(seen.state, name)
    joined = all(each is not None and each.kernel_answers for each in facts)
    if seen.together and joined and (seen.stopped or seen.peer_stopped):
        turn.change(reasons={k: row for k, row in turn.state.reasons.items() if k != key})
        turn.note("one-owner", "belongs to one node again, and the copies are joined", name)


LOUD: Final = {  # Rows that a person should read about when they begin to hold.
    "failed-everywhere": Severity.ALARM,
    "failed-here": Severity.WARNING,
    "stale-data": Severity.WARNING,
    "isolated": Severity.ALARM,
    "lost": Severity.ALARM,
    "superseded": Severity.ALARM,
}


def _apply(turn: Turn, record: Record, rule: HandRule) -> None:
    state = turn.state
    name = record.application
    later = record.version.after(state.stored.epoch)
    without = tuple(a for a in state.moving if a != name)
    match rule.answer:
        case Hand.KEEP:
            return
        case Hand.GIVE:
            turn.put_record(replace(record, owner=state.peer_name, version=later))
            turn.change(moving=without, fresh=tuple(a for a in state.fresh if a != name))
            turn.note(rule.name, f"goes to {state.peer_name}: {rule.because}", name)
        case Hand.MOVE:
            turn.change(moving=(*state.moving, name))
            turn.note(rule.name, f"moves to {state.peer_name}: {rule.because}", name)
        case Hand.CANCEL:
            turn.change(moving=without)
            text = f"the move to {state.peer_name} is given up: {rule.because}"
            turn.note(rule.name, text, name, Severity.WARNING)
        case Hand.LET_LIE:
            turn.put_record(replace(record, wanted=Wanted.DOWN, version=later))
            turn.note(rule.name, f"stays down: {rule.because}; type: clrunapp {name}", name)


def _take_over(turn: Turn, application: Application) -> None:
    """With the right, become the owner of what the silent peer owned, if the data is current."""
    state = turn.state
    record = state.record(application.name)
    if record is None or record.version.epoch == state.stored.epoch:
        return
    if record.owner == state.me:
        turn.put_record(replace(record, version=Version(state.stored.epoch, 0)))
        return
    if not doubts.data_current(state, application.name):
        return
    if replication.peer_is_primary(state, application.name):
        return
    if not replication.volumes(state, application.name):
        turn.change(leased=(*state.leased, application.name))
    # What once failed to start here is tried again: nobody else is left.
    failed_on = tuple(each for each in record.failed_on if each != state.me)
    version = Version(state.stored.epoch, 0)
    turn.put_record(replace(record, owner=state.me, version=version, failed_on=failed_on))
    turn.note("decided", f"taken over from {state.peer_name}", application.name, Severity.WARNING)
