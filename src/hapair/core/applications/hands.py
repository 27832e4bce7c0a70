"""When the record of an application changes hands."""

from dataclasses import replace
from enum import StrEnum
from typing import Final

from hapair.core.applications import (
    dependencies,
    failures,
    goals,
    ladder,
    last_rung,
    maintenance,
    trials,
)
from hapair.core.applications.placement import View, peer_can, peer_has_all, view
from hapair.core.copies import doubts, replication
from hapair.core.words.effects import Severity
from hapair.core.words.rules import Rule, first_match
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.application import Application
from hapair.model.status import Record, Standing, Version, Wanted


class Hand(StrEnum):
    """What happens to the record that this node owns."""

    KEEP = "keep"
    GIVE = "give"  # The peer is the owner from now on.
    MOVE = "move"  # Stop here first, then give.
    CANCEL = "cancel"  # The peer cannot take it: go on here.
    LET_LIE = "let lie"  # It is not to start by itself.
    FORGIVE = "forgive"  # It no longer counts that its last start here failed.


def _tried_twice(v: View) -> bool:
    """Tell whether the ladder was climbed once more, after a pause, since the last start."""
    states = v.state.items_of(v.application.name).values()
    return any(each.stuck and each.stuck % 2 == 0 for each in states)


def _keeps_apart(v: View) -> bool:
    return bool(dependencies.keeps_apart(v)) and dependencies.peer_takes(v)


HandRule = Rule[View, Hand]
HANDS: Final[tuple[HandRule, ...]] = (
    Rule("not-mine", lambda v: not v.mine, Hand.KEEP, "it belongs to the peer"),
    Rule(
        "started-after-all",
        lambda v: v.failed_here and v.complete and not v.ails,
        Hand.FORGIVE,
        "it failed here before, and is up now",
    ),
    Rule(
        "cannot-move",
        lambda v: v.moving and not peer_has_all(v),
        Hand.CANCEL,
        "the peer can no longer take it",
    ),
    Rule(
        "cannot-stop",
        lambda v: v.moving and last_rung.cannot_stop(v),
        Hand.CANCEL,
        "it cannot be stopped here as a whole",
    ),
    Rule("moved", lambda v: v.moving and v.stopped, Hand.GIVE, "stopped here, starts on the peer"),
    Rule("moving", lambda v: v.moving, Hand.KEEP, "stopping here"),
    Rule(
        "hand-over",
        lambda v: v.handing_over and v.stopped and peer_has_all(v),
        Hand.GIVE,
        "this node leaves, the peer goes on",
    ),
    Rule(
        "maintenance",
        lambda v: v.maintained is not None,
        Hand.KEEP,
        "it, its node or the cluster is in maintenance: it stays where it is",
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
        lambda v: v.failed_here and v.stopped and dependencies.peer_takes(v),
        Hand.GIVE,
        "it failed here, the peer tries",
    ),
    Rule(
        "held-here",
        lambda v: (
            v.failed_here
            and dependencies.peer_takes(v)
            and last_rung.cannot_stop(v)
            and _tried_twice(v)
        ),
        Hand.FORGIVE,
        "it failed here, and cannot be stopped as a whole for the peer: here once more",
    ),
    Rule(
        "stale-here",
        # Here nothing can be started: a start that failed there is tried again there.
        lambda v: (
            v.stopped
            and not v.current
            and not (v.awaits_proof or v.awaits_comparison)
            and peer_can(v)
        ),
        Hand.GIVE,
        "only the peer's copy of the data is current",
    ),
    Rule(
        "gone-along",
        lambda v: v.stopped and dependencies.goes_along(v),
        Hand.GIVE,
        "those that it runs together with are on the peer, or go there",
    ),
    Rule(
        "goes-along",
        lambda v: not ladder.resistance(v.state, v.application.name) and dependencies.goes_along(v),
        Hand.MOVE,
        "those that it runs together with are on the peer, or go there",
    ),
    Rule(
        "gone-apart",
        lambda v: v.stopped and _keeps_apart(v),
        Hand.GIVE,
        "another application is here from which it has to keep apart",
    ),
    Rule(
        "goes-apart",
        lambda v: not ladder.resistance(v.state, v.application.name) and _keeps_apart(v),
        Hand.MOVE,
        "another application is here from which it has to keep apart",
    ),
    Rule(
        "makes-room",
        lambda v: (
            not v.stopped
            and not ladder.resistance(v.state, v.application.name)
            and dependencies.may_return(v)
            and dependencies.peer_takes(v)
            and bool(dependencies.shut_out(v))
        ),
        Hand.MOVE,
        "another application, of higher priority, has to keep apart and could be on neither node",
    ),
    Rule(
        "preferred",
        lambda v: (
            v.fresh
            and v.stopped
            and v.preferred_elsewhere
            and dependencies.leads(v)
            and dependencies.peer_takes(v)
        ),
        Hand.GIVE,
        "the peer is its preferred node",
    ),
    Rule(
        "failback",
        lambda v: (
            v.application.failback
            and v.preferred_elsewhere
            and not v.stopped
            and not ladder.resistance(v.state, v.application.name)
            and v.current
            and dependencies.may_return(v)
            and dependencies.peer_takes(v)
        ),
        Hand.MOVE,
        "its preferred node is back with current data and failback is configured",
    ),
    Rule("stay", lambda _: True, Hand.KEEP, "it stays where it is"),
)


def _autostart(state: NodeState) -> bool:
    return state.form is None or state.form.autostart


def settle(turn: Turn) -> list[tuple[Application, goals.Goal]]:
    """Take over what the right allows, hand over what belongs elsewhere; return the goals."""
    reached: list[tuple[Application, goals.Goal]] = []
    for name in turn.state.built.dependencies.order:
        application = turn.state.built.application(name).application
        if turn.state.standing is Standing.ALONE:
            _take_over(turn, application)
        seen = view(turn.state, application)
        rule = first_match(HANDS, seen)
        gives = rule.answer in (Hand.GIVE, Hand.MOVE)
        if seen.record is not None and not (gives and not trials.passed(turn)):
            _apply(turn, seen.record, rule)
        if turn.state is not seen.state:
            seen = view(turn.state, application)
        row = first_match(goals.GOALS, seen)
        severity = goals.LOUD.get(row.name) if seen.mine else None
        turn.because(f"{application.name}/goal", row, note_severity=severity)
        reached.append((application, row.answer))
        _forget_two_owners(turn, seen)
    return reached


def _take_over(turn: Turn, application: Application) -> None:
    """With the right, become the owner of what the silent peer owned, if the data is current."""
    state = turn.state
    record = state.record(application.name)
    if record is None or record.version.epoch == state.stored.epoch:
        return
    if record.owner == state.me:
        turn.put_record(replace(record, version=Version(state.stored.epoch, 0)))
        return
    if maintenance.holds(state, application.name) is not None:
        return
    if not doubts.data_current(state, application.name):
        return
    if replication.peer_is_primary(state, application.name):
        return
    if not replication.volumes(state, application.name):
        turn.change(leased=(*state.leased, application.name))
    # What once failed to start here is tried again: nobody else is left.
    version = Version(state.stored.epoch, 0)
    turn.put_record(replace(record.forgiven(state.me), owner=state.me, version=version))
    turn.note("decided", f"taken over from {state.peer_name}", application.name, Severity.WARNING)


def _apply(turn: Turn, record: Record, rule: HandRule) -> None:
    state = turn.state
    name = record.application
    later = record.version.after(state.stored.epoch)
    without = tuple(a for a in state.moving if a != name)
    match rule.answer:
        case Hand.KEEP:
            return
        case Hand.GIVE:
            if rule.name == "failed-here":
                record = failures.left_here(state, record)
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
        case Hand.FORGIVE:
            failed_on = tuple(each for each in record.failed_on if each != state.me)
            turn.put_record(replace(record, failed_on=failed_on, version=later))
            turn.note(rule.name, rule.because, name, Severity.WARNING)
        case Hand.LET_LIE:
            turn.put_record(replace(record, wanted=Wanted.DOWN, version=later))
            turn.note(rule.name, f"stays down: {rule.because}; type: clrunapp {name}", name)


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
