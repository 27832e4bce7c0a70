"""Cores that are broken on purpose. The simulator must catch each of them.

A mutant stands between the world and the real core: it changes what the core is told, what it
remembers or what it asks for. Nothing of the core is patched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hapair.core.effects import Act, Do, Effect, Store, Stored
from hapair.core.events import (
    DataChanged,
    Ended,
    Event,
    Form,
    Halt,
    Heard,
    Leave,
    Looked,
    Move,
)
from hapair.core.state import NodeState
from hapair.model.built import Built
from hapair.model.data import Connection, Disk, VolumeFacts
from hapair.model.outcome import Done
from hapair.model.status import Standing
from tests.sim.faults import (
    CrashAtEffect,
    Cut,
    FailActions,
    Fault,
    HangDaemon,
    KillDaemon,
    Pause,
    PowerOff,
    Typed,
)
from tests.sim.machine import Core, Trouble
from tests.sim.run import CORE, Plan
from tests.sim.schedule import Timed
from tests.sim.settings import NODES, PRIVATE, PUBLIC, Shape, application
from tests.sim.stage import ASK_OPERATOR, ONE_APPLICATION, ORDERS

Told = Callable[[NodeState, Event], Event]
Asked = Callable[[Sequence[Effect]], Sequence[Effect]]
Remembered = Callable[[NodeState], NodeState]
Loaded = Callable[[Stored], Stored]
Configured = Callable[[Built], Built]


@dataclass(frozen=True, slots=True)
class Broken:
    """The real core behind a distorting glass."""

    told: Told = lambda _state, event: event
    asked: Asked = lambda effects: effects
    remembered: Remembered = lambda state: state
    loaded: Loaded = lambda stored: stored
    configured: Configured = lambda built: built

    def begin(
        self,
        me: str,
        boot_id: str,
        incarnation: int,
        built: Built,
        stored: Stored,
        at_s: float,
    ) -> tuple[NodeState, Sequence[Effect]]:
        state, effects = CORE.begin(
            me, boot_id, incarnation, self.configured(built), self.loaded(stored), at_s
        )
        return self.remembered(state), self.asked(effects)

    def step(self, state: NodeState, event: Event) -> tuple[NodeState, Sequence[Effect]]:
        state, effects = CORE.step(state, self.told(state, event))
        return self.remembered(state), self.asked(effects)


# --- How they are broken ----------------------------------------------------------------------


def _calls_itself_current(facts: VolumeFacts) -> VolumeFacts:
    syncing = facts.connection is Connection.SYNC_TARGET
    connection = Connection.CONNECTED if syncing else facts.connection
    return replace(facts, disk=Disk.UP_TO_DATE, connection=connection)


def _all_current(_state: NodeState, event: Event) -> Event:
    if isinstance(event, DataChanged):
        return replace(event, facts=tuple(_calls_itself_current(f) for f in event.facts))
    return event


def _no_doubts(state: NodeState) -> NodeState:
    return replace(state, stored=replace(state.stored, behind=(), unproven=()))


def _trusts_what_was_away(state: NodeState) -> NodeState:
    return replace(state, stored=replace(state.stored, unproven=()))


def _hears_nothing_of_lone_writes(_state: NodeState, event: Event) -> Event:
    if isinstance(event, Heard):
        return replace(event, beat=replace(event.beat, unprotected=()))
    return event


def _does_not_look_at_the_kernel(_state: NodeState, event: Event) -> Event:
    if isinstance(event, DataChanged):
        cut = tuple(replace(f, connection=Connection.CONNECTING) for f in event.facts)
        return replace(event, facts=cut)
    return event


def _confirms_by_itself(state: NodeState) -> NodeState:
    return replace(state, confirmed=state.standing is Standing.CUT)


def _finds_nothing_running(_state: NodeState, event: Event) -> Event:
    return replace(event, up=False) if isinstance(event, Looked) else event


def _believes_every_stop(_state: NodeState, event: Event) -> Event:
    return replace(event, outcome=Done()) if isinstance(event, Ended) else event


def _keeps_the_right_on_disk(effects: Sequence[Effect]) -> Sequence[Effect]:
    return [e for e in effects if not isinstance(e, Store) or e.stored.holds_right]


def _stores_last(effects: Sequence[Effect]) -> Sequence[Effect]:
    return sorted(effects, key=lambda effect: isinstance(effect, Store))


def _waits_for_ever(effects: Sequence[Effect]) -> Sequence[Effect]:
    return [replace(e, timeout_s=1e9) if isinstance(e, Act) else e for e in effects]


def _falls_back_unasked(built: Built) -> Built:
    entries = tuple(
        replace(entry, application=replace(entry.application, failback=True))
        for entry in built.applications
    )
    return replace(built, applications=entries)


# --- What brings it to light -------------------------------------------------------------------

WEB_TOO: Final = Shape(applications=(application(ORDERS), application("web", volumes=0)))


def plan(shape: Shape, *timed: tuple[float, Fault]) -> Plan:
    return Plan("mutant", shape, tuple(Timed(at_s, fault) for at_s, fault in timed))


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    rule: str  # Which check catches it.
    broken: Broken
    plans: tuple[Plan, ...] = field(repr=False)

    def core(self) -> Core:
        return self.broken


RETURNS_DURING_RESYNC: Final = plan(
    ONE_APPLICATION,
    (0.0, PowerOff("node2", 20.0)),
    (22.0, PowerOff("node1", 60.0)),
)
LINK_THEN_NODE: Final = plan(
    ONE_APPLICATION,
    (0.0, Cut(PRIVATE, NODES, 100.0)),
    (15.0, PowerOff("node1", 60.0)),
    (40.0, Typed("node2", Halt(ORDERS))),
)
INHERITS_OUT_OF_SIGHT: Final = plan(
    ASK_OPERATOR,
    (0.0, Pause("node2", 9.0)),
    (4.0, Typed("node1", Leave(handover=True))),
    (30.0, Typed("node2", Halt(ORDERS))),
)
LOSER_RETURNS_FIRST: Final = plan(
    ONE_APPLICATION,
    (0.0, PowerOff("node2", 5.0)),
    (16.0, PowerOff("node1", 20.0)),
    (28.0, PowerOff("node2", 200.0)),
    (150.0, Typed("node1", Form())),
)
CRASHES_WHILE_IT_ACCEPTS: Final = tuple(
    plan(
        ONE_APPLICATION,
        (0.0, PowerOff("node2", 5.0)),
        (5.5, CrashAtEffect("node1", step, 20.0)),
        (15.0, Typed("node2", Form())),
    )
    for step in range(1, 16)
)

MUTANTS: Final = (
    Mutant(
        "old copies are promoted",
        "R2",
        Broken(told=_all_current, remembered=_no_doubts),
        (LINK_THEN_NODE, RETURNS_DURING_RESYNC),
    ),
    Mutant(
        "a copy that was away is trusted",
        "R",
        Broken(remembered=_trusts_what_was_away),
        (INHERITS_OUT_OF_SIGHT,),
    ),
    Mutant(
        "lone writes of the peer are forgotten",
        "R2",
        Broken(told=_hears_nothing_of_lone_writes),
        (LINK_THEN_NODE,),
    ),
    Mutant(
        "a silent daemon is taken for a dead node",
        "R",
        Broken(told=_does_not_look_at_the_kernel),
        (plan(WEB_TOO, (0.0, HangDaemon("node1", 30.0)), (28.0, Typed("node2", Form()))),),
    ),
    Mutant(
        "the grant is not awaited",
        "R1",
        Broken(remembered=_confirms_by_itself),
        (
            plan(
                ASK_OPERATOR,
                (0.0, Cut(PUBLIC, NODES, 30.0)),
                (0.0, Cut(PRIVATE, NODES, 30.0)),
                (28.0, Typed("node2", Form())),
            ),
        ),
    ),
    Mutant(
        "a restarted daemon does not look at what runs",
        "R",
        Broken(told=_finds_nothing_running),
        (
            plan(
                ONE_APPLICATION,
                (0.0, KillDaemon("node1", 0.5)),
                (5.0, Typed("node1", Move(ORDERS))),
            ),
        ),
    ),
    Mutant(
        "a stop that failed counts as done",
        "R1",
        Broken(told=_believes_every_stop),
        (
            plan(
                WEB_TOO,
                (0.0, FailActions("node1", Do.STOP_PROGRAM, "web", Trouble.HANGS, 60.0)),
                (0.1, Typed("node1", Move("web"))),
                (30.0, Typed("node1", Form())),
            ),
        ),
    ),
    Mutant(
        "the right that was given up stays on the disk",
        "R1",
        Broken(asked=_keeps_the_right_on_disk),
        (LOSER_RETURNS_FIRST,),
    ),
    Mutant(
        "the peer is told before it is stored",
        "R1",
        Broken(asked=_stores_last),
        CRASHES_WHILE_IT_ACCEPTS,
    ),
    Mutant(
        "what was stored is not read",
        "R",
        Broken(loaded=lambda _stored: Stored()),
        (plan(ONE_APPLICATION, (0.0, KillDaemon("node1", 0.5))),),
    ),
    Mutant(
        "actions are not bounded",
        "R5",
        Broken(asked=_waits_for_ever),
        (plan(ONE_APPLICATION),),
    ),
    Mutant(
        "it falls back unasked",
        "R6",
        Broken(configured=_falls_back_unasked),
        (plan(ONE_APPLICATION, (0.0, PowerOff("node1", 5.0)), (30.0, Typed("node1", Form()))),),
    ),
)
