"""What is done about what the monitors of an application find: here, there, or by a person.

Each run that fails counts once, in the memory of failures that the record has. What a restart may
mend is restarted here, as often as its file allows in a period. Then the peer gets it, as what
failed to start here; what failed on both nodes rests. A Lems that says nothing changes nothing.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from hapair.core.applications import dependencies, failures, goals, items, ladder, mounts, runs
from hapair.core.applications.placement import View, view
from hapair.core.copies import replication
from hapair.core.words.effects import Layer, Severity
from hapair.core.words.events import Unwatched, Watched
from hapair.core.words.item import Health
from hapair.core.words.rules import Rule, first_match
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.application import Application
from hapair.model.monitor import Trouble
from hapair.model.status import Record

SILENCE_LASTS_S: Final = 60.0  # Then a person should know that nobody watches.
# What was found while writes were held back may be told, and stand, for so long after that.
HELD_S: Final = 90.0
NONE: Final = Health()


class Cure(StrEnum):
    """What is done."""

    NOTHING = "nothing"
    TELL = "tell a person"
    RESTART = "restart the program here"
    GIVE_UP = "stop the program; the peer if it can, or here again, later"
    STOP_ALL = "stop it with its mounts; the peer if it can, or here again, later"


# What stays up while it stops. The others do not come up again at once.
KEEPS: Final = {
    Cure.RESTART: Layer.ADDRESSED,
    Cure.GIVE_UP: Layer.ADDRESSED,
    Cure.STOP_ALL: Layer.PROMOTED,
}


@dataclass(frozen=True, slots=True)
class Sick:
    """What the table looks at, for one application."""

    seen: View
    record: Record
    health: Health

    @property
    def is_watched(self) -> bool:
        """Tell whether what was found is about what runs now."""
        name = self.seen.application.name
        return self.health.run == self.seen.state.watched.get(name, runs.NOBODY)

    @property
    def troubles(self) -> frozenset[Trouble]:
        """Those that count: what may only wait for a write that was held back does not."""
        was_held = self.seen.state.now_s - self.health.held_at_s < HELD_S
        return frozenset(
            each.trouble for each in self.health.findings if each.certain or not was_held
        )

    @property
    def may_only_wait(self) -> bool:
        return not self.troubles or is_held(self.seen.state, self.seen.application.name)

    @property
    def is_counted(self) -> bool:
        """Tell whether this failure is counted already, perhaps by a daemon that died amid it."""
        name = self.seen.application.name
        return runs.last_failed(self.seen.state, name) == self.health.run

    @property
    def may_restart(self) -> bool:
        before = failures.runs_here(self.seen.state, self.record) - self.is_counted
        left = before < self.seen.application.monitors.restarts
        return left and self.seen.application.program is not None


SickRule = Rule[Sick, Cure]
HEALTH: Final[tuple[SickRule, ...]] = (
    Rule("well", lambda s: not s.health.findings, Cure.NOTHING, "its monitors find nothing"),
    Rule(
        "maintenance",
        lambda s: s.seen.maintained is not None,
        Cure.NOTHING,
        "it, its node or the cluster is in maintenance: what they find is shown, and nothing done",
    ),
    Rule(
        "not-up",
        lambda s: (
            not s.is_watched
            or goals.goal(s.seen.state, s.seen.application).answer is not goals.Goal.UP
        ),
        Cure.NOTHING,
        "what they found is about a former run, or it is not to be up here now",
    ),
    Rule(
        "mended",
        lambda s: s.health.begun == s.health.run,
        Cure.NOTHING,
        "something is done about what they found",
    ),
    Rule(
        "held-back",
        lambda s: s.may_only_wait,
        Cure.NOTHING,
        "DRBD holds its writes back, or did a moment ago, or they wait for the peer's disk:"
        " whatever waits for one seems to hang",
    ),
    Rule(
        "travels",
        lambda s: s.troubles == {Trouble.DATA},
        Cure.TELL,
        "what they found is wrong with its data, which is the same on both nodes: mend it here",
    ),
    Rule(
        "storage",
        lambda s: Trouble.STORAGE in s.troubles,
        Cure.STOP_ALL,
        "a file system cannot be used on this node: it is stopped as a whole",
    ),
    Rule(
        "restart",
        lambda s: s.may_restart,
        Cure.RESTART,
        "its monitors found that it failed: it is restarted here",
    ),
    Rule(
        "restarted-in-vain",
        lambda s: Trouble.DATA in s.troubles,
        Cure.TELL,
        "restarts did not help, and its data is the same on the other node: mend it here",
    ),
    Rule(
        "peer-tries",
        lambda s: dependencies.peer_takes(s.seen),
        Cure.GIVE_UP,
        "it failed too often on this node, the other one tries",
    ),
    Rule(
        "nobody-else",
        lambda _: True,
        Cure.GIVE_UP,
        "it failed too often on this node, and the other one cannot run it, or failed as well",
    ),
)


def of(state: NodeState, application: str) -> Health:
    return state.health.get(application, NONE)


def _put(turn: Turn, application: str, health: Health) -> None:
    turn.change(health={**turn.state.health, application: health})


def absorb_found(turn: Turn, event: Watched) -> None:
    """Take in what was found, if it is about the run that is watched.

    What failed beside a full file system says nothing of this node once there is room: then its
    restarts are counted anew.
    """
    if event.run != turn.state.watched.get(event.application, runs.NOBODY) or not event.run:
        return
    health = of(turn.state, event.application)
    found = replace(health, run=event.run, findings=event.findings, wall_s=event.wall_s)
    _put(turn, event.application, found)
    ended = _has_data_trouble(health) and not _has_data_trouble(found)
    if ended and health.run == event.run:
        failures.count_anew(turn, event.application)


def _has_data_trouble(health: Health) -> bool:
    return any(each.trouble is Trouble.DATA for each in health.findings)


def absorb_silence(turn: Turn, event: Unwatched) -> None:
    """Take in that nobody watches, or that somebody does again; what was found stands."""
    name, health = event.application, of(turn.state, event.application)
    if not turn.state.watched.get(name) or bool(event.why) == bool(health.silent):
        return
    if event.why:
        _put(turn, name, replace(health, silent=event.why, silent_since_s=turn.state.now_s))
        text = f"nobody watches it: {event.why}; it goes on, and a new Lems is started"
        turn.note("unwatched", text, name, Severity.WARNING)
    else:
        _put(turn, name, replace(health, silent="", told=False))
        turn.note("watched-again", "its monitors watch it again", name)


def judge(state: NodeState, application: Application) -> SickRule | None:
    """Return the row that holds for an application of this node; None where none is watched."""
    seen = view(state, application)
    if seen.record is None or not seen.mine or application.name not in state.health:
        return None
    return first_match(HEALTH, Sick(seen, seen.record, of(state, application.name)))


def settle(turn: Turn) -> None:
    """Begin what the table says, once for each run, and say when a silence lasts."""
    for name in turn.state.health:
        _note_held(turn, name)
        built = turn.state.built.by_name.get(name)
        rule = judge(turn.state, built.application) if built is not None else None
        if rule is None:
            continue
        severity = Severity.ALARM if rule.answer is Cure.TELL else None
        turn.because(f"{name}/health", rule, note_severity=severity)
        if rule.answer in KEEPS:
            _begin(turn, name, rule)
        _tell_silence(turn, name)


def _begin(turn: Turn, application: str, rule: SickRule) -> None:
    health = of(turn.state, application)
    found = "; ".join(f"{each.monitor}: {each.text}" for each in health.findings)
    turn.note(f"health-{rule.name}", f"{rule.because} ({found})", application, Severity.WARNING)
    _put(turn, application, replace(health, begun=health.run, stops=KEEPS[rule.answer]))
    if runs.last_failed(turn.state, application) != health.run:
        runs.fail(turn, application, health.run)
        final = rule.answer is not Cure.RESTART
        failures.mark(turn, application, health.wall_s, ran=True, final=final)


def is_held(state: NodeState, application: str) -> bool:
    facts = replication.volume_facts(state, application)
    suspended = any(each is not None and each.suspended for each in facts)
    return suspended or bool(replication.overdue(state, application))


def _note_held(turn: Turn, application: str) -> None:
    if is_held(turn.state, application):
        held = replace(of(turn.state, application), held_at_s=turn.state.now_s)
        _put(turn, application, held)


def _tell_silence(turn: Turn, application: str) -> None:
    if not of(turn.state, application).told and is_silent_for_long(turn.state, application):
        _put(turn, application, replace(of(turn.state, application), told=True))
        text = f"nobody watches it: {of(turn.state, application).silent}"
        turn.note("unwatched-for-long", text, application, Severity.ALARM)


def is_silent_for_long(state: NodeState, application: str) -> bool:
    health = of(state, application)
    return bool(health.silent) and state.now_s - health.silent_since_s >= SILENCE_LASTS_S


def stops(turn: Turn, application: Application) -> bool:
    """Take down what has to come down before it is started again; tell whether some still is up."""
    health = of(turn.state, application.name)
    if health.stops is None:
        return False
    above = items.ORDER[items.ORDER.index(health.stops) + 1 :]
    those = turn.state.items_of(application.name).items()
    if all(items.is_down(item_state) for item, item_state in those if item.layer in above):
        _put(turn, application.name, replace(health, stops=None))
        mounts.doubt(turn, application.name)
        return False
    ladder.take_down(turn, application, health.stops)
    return True
