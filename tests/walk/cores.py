"""Two real decision cores, whose states have one canonical form each.

Only differences of times matter to the core, so every state is moved to the same moment. Times that
are long ago or overdue are made equal, and what only people read is left out. Equal states get one
number, and a step that was taken once is looked up when it is to be taken again.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, fields, replace
from math import inf
from operator import attrgetter
from typing import Final, TypeVar

from hapair.core.right.arbitration import UNANSWERED_MAX
from hapair.core.right.witness import MISSED_MAX
from hapair.core.words.effects import Effect, Note, Reply, Store, Watch
from hapair.core.words.events import Event, PeerState
from hapair.core.words.item import UNHARMED, Health, ItemState, StrayLook, Upkeep
from hapair.core.words.peer import FencingView, PeerView, WitnessView
from hapair.core.words.state import NodeState
from hapair.core.words.stored import RunCount, Stored
from hapair.model.built import Built
from tests.sim.machine import Core
from tests.walk.numbers import NOTHING, Pool
from tests.walk.settings import LEASES_AGO_S, LONG_AGO_S

NOW_S: Final = 1000.0
TRIES_MAX: Final = 4
# Which run it is tells only whether what was found is about the present one.
BEFORE, PRESENT = 1, 2
NO_STRAYS: Final = StrayLook(again_at_s=inf)  # Nobody starts anything beside the cluster.

Key = tuple[Hashable, ...]
MakeEvent = Callable[[float], Event]
Stepped = tuple[int, tuple[Effect, ...]]


def _past_s(at_s: float, shift_s: float) -> float:
    return max(at_s + shift_s, NOW_S - LONG_AGO_S)


def _due_s(at_s: float, shift_s: float) -> float:
    return max(at_s + shift_s, NOW_S)


def _maybe_s(at_s: float | None, shift_s: float) -> float | None:
    return None if at_s is None else _past_s(at_s, shift_s)


# Most of them are what they were before the step, and a replacement costs more than to see that.
Part = TypeVar("Part")


def _with(part: Part, **changes: object) -> Part:
    for name, value in changes.items():
        if getattr(part, name) != value:
            return replace(part, **changes)  # type: ignore[type-var]
    return part


def _peer(peer: PeerView, shift_s: float) -> PeerView:
    return _with(
        peer,
        heard_at_s={name: _past_s(at_s, shift_s) for name, at_s in peer.heard_at_s.items()},
        alive_at_s=_maybe_s(peer.alive_at_s, shift_s),
        alive_from_s=max(peer.alive_from_s + shift_s, NOW_S - LEASES_AGO_S),
        not_understood_at_s=_maybe_s(peer.not_understood_at_s, shift_s),
        probed_at_s=_maybe_s(peer.probed_at_s, shift_s),
        answered_at_s=_maybe_s(peer.answered_at_s, shift_s),
        unanswered=min(peer.unanswered, UNANSWERED_MAX),
    )


def _witness(view: WitnessView, shift_s: float) -> WitnessView:
    asked_at_s = _past_s(view.asked_at_s, shift_s)
    return _with(view, asked_at_s=asked_at_s, missed=min(view.missed, MISSED_MAX))


def _fencing(view: FencingView, shift_s: float) -> FencingView:
    retry_at_s = _due_s(view.retry_at_s, shift_s)
    return _with(view, retry_at_s=retry_at_s, tries=min(view.tries, 1), text="")


def _upkeep(upkeep: Upkeep, shift_s: float) -> Upkeep:
    """Forget what was put back: no walk is so long that it counts."""
    if not upkeep.missing:
        return UNHARMED
    return _with(upkeep, trouble="", again_at_s=_due_s(upkeep.again_at_s, shift_s))


def _item(item_state: ItemState, shift_s: float) -> ItemState:
    return _with(
        item_state,
        retry_at_s=_due_s(item_state.retry_at_s, shift_s),
        tries=min(item_state.tries, TRIES_MAX),
        last_error="",
        upkeep=_upkeep(item_state.upkeep, shift_s),
    )


def canonical(state: NodeState) -> NodeState:
    """Return the state as it would be if it were NOW_S now, without what only people read."""
    shift_s = NOW_S - state.now_s
    together_since_s = _past_s(state.together_since_s, shift_s) if state.fresh else 0.0
    return replace(
        state,
        now_s=NOW_S,
        quiet_since_s=_past_s(state.quiet_since_s, shift_s),
        linked_until_s=_past_s(state.linked_until_s, shift_s),
        form_until_s=_due_s(state.form_until_s, shift_s),
        together_since_s=together_since_s,
        leave_until_s=_due_s(state.leave_until_s, shift_s),
        leased_from_s=None
        if state.leased_from_s is None
        else _past_s(state.leased_from_s, shift_s),
        untold_until_s=_due_s(state.untold_until_s, shift_s),
        lease_until_s=_due_s(state.lease_until_s, shift_s),
        addresses_until_s=_due_s(state.addresses_until_s, shift_s),
        failures={
            key: replace(each, at_s=_past_s(each.at_s, shift_s))
            for key, each in state.failures.items()
        },
        peer=_peer(state.peer, shift_s),
        witness=_witness(state.witness, shift_s),
        fencing=_fencing(state.fencing, shift_s),
        joined_from_s={k: _due_s(at_s, shift_s) for k, at_s in state.joined_from_s.items()},
        told_at_s={k: _past_s(at_s, shift_s) for k, at_s in state.told_at_s.items()},
        early_until_s={k: _due_s(at_s, shift_s) for k, at_s in state.early_until_s.items()},
        resume_at_s={k: _due_s(at_s, shift_s) for k, at_s in state.resume_at_s.items()},
        items={
            name: {item: _item(each, shift_s) for item, each in items.items()}
            for name, items in state.items.items()
        },
        reconnects={
            name: _with(
                each,
                again_at_s=_due_s(each.again_at_s, shift_s),
                counts_until_s=_due_s(each.counts_until_s, shift_s),
            )
            for name, each in state.reconnects.items()
        },
        stored=_with(state.stored, runs=_runs(state.stored)),
        watched={
            name: _run(run, _present(state.stored, name)) for name, run in state.watched.items()
        },
        health={
            name: _health(each, _present(state.stored, name), shift_s)
            for name, each in state.health.items()
        },
        stray_look=NO_STRAYS,
        reasons={},
        pending=(),
    )


def _present(stored: Stored, name: str) -> int:
    return next((each.number for each in stored.runs if each.application == name), 0)


def _run(run: int, present: int) -> int:
    return PRESENT if run == present else min(run, BEFORE)


def _runs(stored: Stored) -> tuple[RunCount, ...]:
    """Return the counts of runs as if each application had been started twice."""
    return tuple(
        RunCount(each.application, PRESENT, _run(each.failed, each.number)) for each in stored.runs
    )


def _health(health: Health, present: int, shift_s: float) -> Health:
    """Forget writes that were held back long ago: here their time is over sooner than it is."""
    held_at_s = health.held_at_s + shift_s
    return _with(
        health,
        run=_run(health.run, present),
        begun=_run(health.begun, present),
        held_at_s=held_at_s if held_at_s > NOW_S - LONG_AGO_S else -inf,
    )


def renumbered(state: NodeState) -> NodeState:
    """Return the state with effect ids that begin at 1, in the order of the items."""
    busy = busy_ids(state)
    items = {
        name: {
            item: replace(each, busy=busy.index(each.busy) + 1) if each.busy else each
            for item, each in items.items()
        }
        for name, items in state.items.items()
    }
    return replace(state, items=items, next_effect_id=len(busy) + 1)


def busy_ids(state: NodeState) -> list[int]:
    return [each.busy for _, each in state.every_item() if each.busy]


# Mappings whose values have no order; their keys always come in the same one.
IN_ORDER: Final = ("facts", "reconnects")
APART: Final = ("built", "now_s", "items", *IN_ORDER)
PEER_VALUES: Final = attrgetter(*(each.name for each in fields(PeerView)))
WITNESS_VALUES: Final = attrgetter(*(each.name for each in fields(WitnessView)))
VALUES: Final = attrgetter(*(f.name for f in fields(NodeState) if f.name not in APART))


def _flat(value: object) -> object:
    """Return what can be a part of a key; what is no mapping has to be one already."""
    kind = type(value)
    if kind is dict:
        return tuple(sorted(value.items()))  # type: ignore[attr-defined]
    if kind is PeerView:
        return tuple(map(_flat, PEER_VALUES(value)))
    if kind is WitnessView:
        return tuple(map(_flat, WITNESS_VALUES(value)))
    return value


def _key(state: NodeState) -> Key:
    in_order = (tuple(each.items()) for each in (state.facts, state.reconnects))
    return (tuple(state.every_item()), *in_order, *map(_flat, VALUES(state)))


@dataclass(slots=True)
class Cores:
    core: Core
    built: Built
    pool: Pool
    boot_id: str
    steps: int = 0  # How many the core really took.
    _states: list[NodeState] = field(default_factory=list)
    _numbers: dict[Key, int] = field(default_factory=dict)
    _taken: dict[tuple[int, Key, float], Stepped] = field(default_factory=dict)
    _settled: dict[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    _told: dict[int, tuple[int, int]] = field(default_factory=dict)

    def __getitem__(self, number: int) -> NodeState:
        return self._states[number - 1]

    def __len__(self) -> int:
        return len(self._states)

    def _put(self, state: NodeState) -> int:
        state = canonical(state)
        key = (state.built is self.built, *_key(state))
        number = self._numbers.get(key)
        if number is None:
            self._states.append(state)
            number = self._numbers[key] = len(self._states)
        return number

    def begin(self, me: str, incarnation: int, stored: Stored) -> Stepped:
        self.steps += 1
        state, effects = self.core.begin(me, self.boot_id, incarnation, self.built, stored, NOW_S)
        return self._put(state), _performed(effects)

    def step(self, number: int, key: Key, make: MakeEvent, after_s: float) -> Stepped:
        """Take one step; ``key`` names the event that ``make`` returns."""
        whole = (number, key, after_s)
        stepped = self._taken.get(whole)
        if stepped is None:
            self.steps += 1
            state, effects = self.core.step(self[number], make(NOW_S + after_s))
            stepped = self._taken[whole] = self._put(state), _performed(effects)
        return stepped

    def replace_by(self, core: Core) -> None:
        """Let another core decide from now on."""
        self.core = core
        self._taken.clear()

    def settle(self, number: int) -> tuple[int, tuple[int, ...]]:
        """Return the state with new effect ids, and the old ids in the order of the new ones."""
        settled = self._settled.get(number)
        if settled is None:
            state = self[number]
            ids = tuple(busy_ids(state))
            settled = self._settled[number] = self._put(renumbered(state)), ids
        return settled

    def told(self, number: int) -> tuple[int, int]:
        """Return the numbers of what it says to its peer, and of what its peer said last."""
        told = self._told.get(number)
        if told is None:
            state = self[number]
            theirs = state.peer.state
            heard = NOTHING if theirs is None else self.pool.put(theirs)
            told = self.pool.put(state.published), heard
            self._told[number] = told
        return told

    def peer_state(self, number: int) -> PeerState:
        state = self.pool[number]
        assert isinstance(state, PeerState)
        return state


def _performed(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """Leave out what only people and Lems are told, and which run of a program it is."""
    kept = (each for each in effects if not isinstance(each, Note | Reply | Watch))
    return tuple(
        replace(each, stored=_with(each.stored, runs=_runs(each.stored)))
        if isinstance(each, Store)
        else each
        for each in kept
    )
