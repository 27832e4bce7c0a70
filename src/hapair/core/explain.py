"""Say what this node knows and why it does what it does: the content of clstat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hapair.core.applications import (
    brake,
    dependencies,
    failures,
    goals,
    hands,
    health,
    ladder,
    last_rung,
    maintenance,
    placement,
    unseen,
)
from hapair.core.applications.items import ORDER, at
from hapair.core.applications.upkeep import AT_ONCE_MAX
from hapair.core.copies import doubts, replication
from hapair.core.members import commands, formation, unproven
from hapair.core.right import hearing, witness
from hapair.core.right.arbitration import Verdict, judge
from hapair.core.words.effects import Layer
from hapair.core.words.protocol import OURS, Speaks, work_together
from hapair.core.words.rules import first_match
from hapair.core.words.state import NodeState
from hapair.model.application import Application
from hapair.model.backing import Trust
from hapair.model.data import VolumeFacts
from hapair.model.drbd_timing import SLOW_PEER_S
from hapair.model.maintenance import Maintenance
from hapair.model.status import Failure, Phase, Standing, Wanted

KIB: Final = 1024
ALARMING: Final = (Verdict.ALARM, Verdict.YIELD, Verdict.ISOLATED, Verdict.LOST, Verdict.FENCE)

NAMED_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Reason:
    table: str
    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Alarm:
    name: str
    text: str
    application: str = ""


@dataclass(frozen=True, slots=True)
class ItemReport:
    layer: str
    resource: str
    known: str
    busy: bool
    rung: int
    last_error: str


@dataclass(frozen=True, slots=True)
class ApplicationReport:
    name: str
    owner: str  # Empty while no node was told to run it.
    wanted: Wanted
    phase: Phase
    reasons: tuple[Reason, ...]  # The row of each table that holds, the decisive one first.
    failed_on: tuple[str, ...]
    failures: tuple[Failure, ...]  # How often and when it failed, by node.
    data_current: bool
    items: tuple[ItemReport, ...]
    facts: tuple[VolumeFacts | None, ...]  # In the order of the volumes; None: not up.


@dataclass(frozen=True, slots=True)
class Report:
    node: str
    peer: str
    standing: Standing
    epoch: int
    holds_right: bool
    heard_ago_s: tuple[tuple[str, float | None], ...]  # Per network.
    alarms: tuple[Alarm, ...]
    behind: tuple[str, ...]  # Resources whose copy here misses writes.
    applications: tuple[ApplicationReport, ...]


def report(state: NodeState, now_s: float) -> Report:
    """Return everything that clstat shows of this node; ``now_s`` is monotonic."""
    heard = state.peer.heard_at_s
    networks = [network.name for network in state.built.cluster.networks]
    return Report(
        node=state.me,
        peer=state.peer_name,
        standing=state.standing,
        epoch=state.stored.epoch,
        holds_right=state.stored.holds_right,
        heard_ago_s=tuple((n, now_s - heard[n] if n in heard else None) for n in networks),
        alarms=alarms(state),
        behind=state.stored.behind,
        applications=tuple(
            _application(state, built.application) for built in state.built.applications
        ),
    )


def _application(state: NodeState, application: Application) -> ApplicationReport:
    name = application.name
    record = state.record(name)
    items = tuple(
        ItemReport(item.layer, item.resource, s.known, s.busy != 0, s.rung, s.last_error)
        for layer in ORDER
        for item, s in at(state, name, layer)
    )
    return ApplicationReport(
        name=name,
        owner=record.owner if record is not None else "",
        wanted=record.wanted if record is not None else Wanted.DOWN,
        phase=commands.phase(state, application),
        reasons=why(state, application),
        failed_on=record.failed_on if record is not None else (),
        failures=record.failures if record is not None else (),
        data_current=doubts.data_current(state, name),
        items=items,
        facts=replication.volume_facts(state, name),
    )


def why(state: NodeState, application: Application) -> tuple[Reason, ...]:
    """Return the row of each table that decides about an application now."""
    goal = goals.goal(state, application)
    hand = first_match(hands.HANDS, placement.view(state, application))
    reasons = [
        Reason("goal", goal.name, goal.because),
        Reason("hand-over", hand.name, hand.because),
    ]
    sick = health.judge(state, application)
    if sick is not None:
        reasons.append(Reason("health", sick.name, sick.because))
    if unmet := dependencies.unmet(placement.view(state, application)):
        reasons.append(Reason("dependencies", "unmet", unmet))
    held = maintenance.holds(state, application.name)
    if held is not None:
        reasons.append(Reason("maintenance", held.of, maintenance_text(state, held)))
    rung = last_rung.judge(state, application)
    if rung is not None:
        reasons.append(Reason("last-rung", rung.name, rung.because))
    membership_reason = _membership_reason(state)
    if membership_reason is not None:
        reasons.append(membership_reason)
    return tuple(reasons)


def maintenance_text(state: NodeState, held: Maintenance) -> str:
    """Say what is in maintenance, why, and for how long."""
    left_s = maintenance.left_s(state, held, state.now_s)
    until = "until: clmaintain off" if left_s is None else f"for {left_s:.0f} s more"
    why = f" ({held.reason})" if held.reason else ""
    return f"{held.of} is in maintenance{why}, {until}"


def _membership_reason(state: NodeState) -> Reason | None:
    match state.standing:
        case Standing.CUT:
            silence = judge(hearing.silence(state))
            return Reason("arbitration", silence.name, silence.because)
        case Standing.FORMING:
            forming = first_match(formation.FORMATION, state)
            return Reason("formation", forming.name, forming.because)
        case _:
            return None


def alarms(state: NodeState) -> tuple[Alarm, ...]:
    """Return what a person should look at now, most urgent first."""
    found: list[Alarm] = []
    if state.standing is Standing.CUT:
        silence = judge(hearing.silence(state))
        told = silence.answer is Verdict.ALARM and hearing.peer_unable(state)
        if silence.answer in ALARMING and not told:
            found.append(Alarm(silence.name, silence.because))
    if state.standing is Standing.FORMING:
        forming = first_match(formation.FORMATION, state)
        if forming.answer is Verdict.ALARM:
            found.append(Alarm(forming.name, forming.because))
    found += _third_party_alarms(state)
    found += _disk_of_peer(state)
    alone = state.standing is Standing.ALONE
    if alone and not hearing.peer_unable(state):
        found.append(Alarm("no-redundancy", f"{state.peer_name} is not there: no redundancy"))
    told = alone or hearing.peer_unable(state)
    unprotected = frozenset(() if told else replication.unprotected(state))
    for built in state.built.applications:
        found += _application_alarms(state, built.application)
        lost = sorted(v.resource for v in built.volumes if v.resource in unprotected)
        if lost:
            text = f"writes are not replicated: {', '.join(lost)}"
            found.append(Alarm("unprotected", text, built.application.name))
    theirs = state.peer.state
    if theirs is not None and not work_together(OURS, theirs.speaks):
        found.append(_versions(state.peer_name, theirs.speaks))
    if state.peer.unread and hearing.peer_alive(state):
        found.append(_unread(state))
    if theirs is not None and theirs.generation != state.built.generation:
        text = f"{state.peer_name} has another configuration; type: clbuild"
        found.append(Alarm("configuration-differs", text))
    return tuple(found)


def _unread(state: NodeState) -> Alarm:
    """Say that the peer's newest state cannot be read, and what that means."""
    text = (
        f"{state.peer_name} states what this version of hapair cannot read"
        f" ({state.peer.unread}): it is not down, but the two do not act together"
    )
    return Alarm("not-stated", text)


def _versions(peer: str, speaks: Speaks) -> Alarm:
    """Say that the two versions do not work together, and which one is to be replaced."""
    here, there = (OURS.oldest, OURS.protocol), (speaks.oldest, speaks.protocol)
    older = peer if speaks.protocol < OURS.protocol else "this node"
    text = (
        f"{peer} speaks protocol {there[0]} to {there[1]} and this node {here[0]} to {here[1]}: "
        f"they do not act together; install the newer version of hapair on {older}"
    )
    return Alarm("versions", text)


def _third_party_alarms(state: NodeState) -> list[Alarm]:
    """Say what is wrong with the third party that decides in the next silence (row 7)."""
    found: list[Alarm] = []
    tie = state.stored.tie
    if witness.uses_witness(state) and witness.is_lost(state):
        text = "the witness does not answer: nothing stops, but who goes on after a failure?"
        if tie.waiver:
            text = f"the witness does not answer; until it does only {state.me} may act alone"
        elif tie.yields:
            text = (
                f"the witness does not answer; until it does only {state.peer_name} may act alone"
            )
        found.append(Alarm("witness-lost", text))
    elif tie.yields:
        text = f"this node still leaves it to {state.peer_name} to act alone"
        found.append(Alarm("yields", text))
    if state.fencing.tries:
        text = f"{state.peer_name} could not be switched off: {state.fencing.text}"
        found.append(Alarm("fencing-failed", text))
    return found


def _failed(state: NodeState, seen: placement.View) -> Alarm:
    """Say what failed here, how often, and when it is tried again."""
    name = seen.application.name
    here = state.failures[name, state.me]
    rests = seen.record is not None and failures.gave_up(state, seen.record)
    again_s = failures.again_at_s(state, name) - state.now_s
    when = f"in {again_s:.0f} s" if again_s > 0 else "now"
    where = "both nodes" if seen.failed_there else f"{state.me}, and the other node cannot run it"
    times = "once" if here.count == 1 else f"{here.count} times"
    if rests:
        text = f"its monitors found it failed on {where}: {times} here; it is tried again {when}"
        return Alarm("gave-up", f"{text}, or with: clrunapp {name} --clear", name)
    text = f"it failed on {where}: tried here {times}, again {when}"
    return Alarm("failed-everywhere" if seen.failed_there else "failed-here", text, name)


def _found(state: NodeState, application: Application) -> list[Alarm]:
    """Say what its monitors find, and that nobody watches it."""
    name, told = application.name, health.of(state, application.name)
    rule, found = health.judge(state, application), []
    if rule is not None and rule.answer is health.Cure.TELL:
        what = "; ".join(f"{each.monitor}: {each.text}" for each in told.findings)
        found.append(Alarm("monitor-failed", f"{rule.because} ({what})", name))
    if health.is_silent_for_long(state, name):
        text = f"nobody watches it: {told.silent}"
        found.append(Alarm("unwatched-for-long", text, name))
    return found


def _disk_of_peer(state: NodeState) -> list[Alarm]:
    """Say once that the peer cannot store, with everything that waits for that."""
    if not hearing.peer_unable(state):
        return []
    waiting = [n for n, why in brake.frozen_ones(state).items() if why.answer is None]
    text = f"{state.peer_name} cannot store what it decides: it takes nothing over"
    if waiting:
        text += f"; writes of {few(waiting)} are frozen until a third party lets them go on"
    return [Alarm("peer-cannot-store", text)]


def few(names: Sequence[str]) -> str:
    """Name some of many."""
    if len(names) <= NAMED_MAX:
        return ", ".join(names)
    return f"{', '.join(names[: NAMED_MAX - 1])} and {len(names) - NAMED_MAX + 1} more"


def _frozen(state: NodeState, application: str) -> list[Alarm]:
    """Say which writes are frozen, and what is waited for."""
    because: dict[str, list[str]] = {}
    for resource, rule in brake.frozen_ones(state).items():
        told = rule.answer is None and hearing.peer_unable(state)
        if state.facts[resource].held or told:
            continue
        if replication.application_of(state, resource) == application:
            because.setdefault(rule.because, []).append(resource)
    return [
        Alarm("frozen", f"writes of {few(names)} are frozen: {text}", application)
        for text, names in because.items()
    ]


def _frozen_by_hand(state: NodeState, application: str) -> list[Alarm]:
    """Say whose writes an administrator froze."""
    found: list[Alarm] = []
    for facts in replication.volume_facts(state, application):
        if facts is None or not facts.held:
            continue
        text = f"writes of {facts.resource} were frozen by hand (drbdadm suspend-io)"
        if facts.suspended:
            because = brake.verdict(state, facts.resource).because
            text += f", and by DRBD, which that would let go too: {because}"
        found.append(Alarm("frozen-by-hand", text, application))
    return found


def _overdue(state: NodeState, application: str) -> list[Alarm]:
    """Say whose writes wait for the peer's disk."""
    names = replication.overdue(state, application)
    if not names:
        return []
    text = (
        f"writes of {few(names)} wait for the disk of {state.peer_name}, which answers none of"
        f" them: after {round(SLOW_PEER_S)} s DRBD goes on without it"
    )
    return [Alarm("peer-overdue", text, application)]


def _differing(state: NodeState, application: str) -> list[Alarm]:
    """Say which copies a comparison found to differ."""
    return [
        Alarm(
            "copies-differ",
            f"the two copies of {facts.resource} differ, as a comparison found, in"
            f" {facts.out_of_sync_bytes / KIB:,.0f} KiB: nothing moves to the other one",
            application,
        )
        for facts in replication.volume_facts(state, application)
        if facts is not None and facts.differs
    ]


def _vanished(state: NodeState, application: str) -> list[Alarm]:
    """Say what of a running application somebody took away, or takes away again and again."""
    found: list[Alarm] = []
    for item, item_state in state.items_of(application).items():
        upkeep = item_state.upkeep
        if item.layer is Layer.PROGRAM:
            if unseen.is_assumed(item, item_state) and upkeep.tries >= unseen.ALARM_AFTER:
                text = f"{upkeep.trouble}; it counts as running, and is looked at again"
                found.append(Alarm("not-seen", text, application))
        elif item.layer is Layer.MOUNTED and upkeep.missing:
            text = f"{item.resource} was unmounted: what is written there now is not replicated"
            found.append(Alarm("not-mounted", text, application))
        elif item.layer is Layer.MOUNTED:
            if upkeep.trouble:
                found.append(Alarm("mount-trouble", upkeep.trouble, application))
        elif item_state.last_error and upkeep.missing:
            text = f"{upkeep.trouble}, and cannot be put back: {item_state.last_error}"
            found.append(Alarm("address-missing", text, application))
        elif upkeep.put_back >= AT_ONCE_MAX:
            text = f"its addresses are removed again and again: put back {upkeep.put_back} times"
            found.append(Alarm("address-fought", text, application))
        elif upkeep.trouble:
            found.append(Alarm("address-trouble", upkeep.trouble, application))
    return found


def _lack(state: NodeState, application: str) -> str:
    resources = {volume.resource for volume in replication.volumes(state, application)}
    if any(doubts.is_foreign(state, name) for name in resources):
        return "was written behind DRBD"
    if resources & set(state.stored.behind):
        return "misses writes"
    if resources & {*state.stored.unproven, *state.stored.away}:
        return "may miss writes; only if these do not matter: clconfirm peer-is-down"
    return "is not UpToDate"


def _written_behind(state: NodeState, application: str) -> list[Alarm]:
    """Say who wrote to a copy behind DRBD, and what becomes of it."""
    then = {
        Trust.NOBODY_KNOWS: f"not used before all of {state.peer_name}'s current copy replaced it",
        Trust.ANEW: f"all of it comes from {state.peer_name} now",
        Trust.AS_IT_IS: f"a person said that it is good, and it will replace {state.peer_name}'s",
    }
    return [
        Alarm(
            "written-behind",
            f"the copy of {found.resource} on {state.me} was written behind DRBD"
            f" ({found.what}): {then[found.trust]}",
            application,
        )
        for found in state.stored.foreign
        if replication.application_of(state, found.resource) == application
    ]


def _unprovable(state: NodeState, application: str) -> list[Alarm]:
    """Say that a copy may miss writes, and that no connection will tell."""
    why = "is not used: it has no disk, misses writes itself, or was written behind DRBD"
    if hearing.peer_left(state):
        why = f"is down: {state.peer_name} is halted; type there: clform"
    return [
        Alarm(
            "unproven-copy",
            f"the copy of {name} on {state.me} may miss writes, and {state.peer_name}'s, which"
            f" could tell, {why}",
            application,
        )
        for name in unproven.unprovable(state, application)
        if name not in state.stored.foreign_to
    ]


def _full(state: NodeState, name: str) -> list[Alarm]:
    full = sorted({place for each in state.items_of(name).values() for place in each.full})
    if not full:
        return []
    text = f"it cannot be started: no room is left on {', '.join(full)}, here and on the other node"
    return [Alarm("no-room", text, name)]


def _application_alarms(state: NodeState, application: Application) -> list[Alarm]:
    name = application.name
    found: list[Alarm] = []
    goal = goals.goal(state, application)
    seen = placement.view(state, application)
    if seen.mine and seen.failed_here and goal.answer in (goals.Goal.UP, goals.Goal.DATA):
        found.append(_failed(state, seen))
    elif seen.mine and goal.name in goals.LOUD:
        found.append(Alarm(goal.name, goal.because, name))
    unprovable = _unprovable(state, name)
    if state.standing is Standing.ALONE and placement.is_lost(seen) and not unprovable:
        text = f"it ran on {state.peer_name}, and the copy of the data here {_lack(state, name)}"
        found.append(Alarm("stale-data", text, name))
    held = maintenance.holds(state, name)
    wanted = seen.wanted is not Wanted.DOWN
    if state.standing is Standing.ALONE and wanted and not seen.mine and held is not None:
        text = f"it ran on {state.peer_name}, and is not taken over"
        found.append(Alarm("held-back", f"{text}: {maintenance_text(state, held)}", name))
    if commands.phase(state, application) is Phase.STUCK:
        text = f"it cannot be stopped on this node: {ladder.resistance(state, name)}"
        found.append(Alarm("stuck", text, name))
    if state.reasons.get(f"{name}/owners") == "two-owners":
        text = "it was started on both nodes while they could not hear each other"
        found.append(Alarm("two-owners", text, name))
    found += _full(state, name)
    found += _frozen(state, name)
    found += _frozen_by_hand(state, name)
    found += _overdue(state, name)
    found += _differing(state, name)
    found += _vanished(state, name)
    found += _found(state, application)
    found += _written_behind(state, name)
    found += unprovable
    return found
