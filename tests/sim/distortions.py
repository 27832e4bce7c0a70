"""How a core can be distorted: what it is told, what it remembers, what it asks for.

The core itself is not patched; ``mutants`` shows which rule each distortion breaks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hapair.core.right import witness
from hapair.core.words.effects import (
    Act,
    AnswerFence,
    Do,
    Effect,
    FenceVerdict,
    Layer,
    ResetNode,
    Store,
)
from hapair.core.words.events import (
    DataChanged,
    Ended,
    Event,
    FenceAsked,
    Fenced,
    Heard,
    LookAgain,
    Looked,
    Tick,
    WitnessAnswered,
)
from hapair.core.words.item import Item
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.built import Built
from hapair.model.data import Connection, Disk, VolumeFacts
from hapair.model.outcome import Done
from hapair.model.status import Standing
from hapair.model.witness import Answer
from tests.sim.run import CORE

Told = Callable[[NodeState, Event], Event]
Asked = Callable[[Sequence[Effect]], Sequence[Effect]]
Added = Callable[[Event], Sequence[Effect]]
Remembered = Callable[[NodeState], NodeState]
Loaded = Callable[[Stored], Stored]
Configured = Callable[[Built], Built]


@dataclass(frozen=True, slots=True)
class Broken:
    """The real core, with what goes in and comes out distorted."""

    told: Told = lambda _state, event: event
    asked: Asked = lambda effects: effects
    added: Added = lambda _event: ()
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
        changed = self.remembered(state)
        if changed.stored != state.stored:
            effects = (*effects, Store(changed.stored))
        return changed, self.asked((*effects, *self.added(event)))


# --- How they are broken ----------------------------------------------------------------------


def calls_itself_current(facts: VolumeFacts) -> VolumeFacts:
    syncing = facts.connection is Connection.SYNC_TARGET
    connection = Connection.CONNECTED if syncing else facts.connection
    return replace(facts, disk=Disk.UP_TO_DATE, connection=connection)


def all_current(_state: NodeState, event: Event) -> Event:
    if isinstance(event, DataChanged):
        return replace(event, facts=tuple(calls_itself_current(f) for f in event.facts))
    return event


def stores(state: NodeState, **fields: Any) -> NodeState:  # noqa: ANN401 - of Stored
    stored: Stored = replace(state.stored, **fields)
    return replace(state, stored=stored)


def no_doubts(state: NodeState) -> NodeState:
    return stores(state, behind=(), unproven=(), away=())


def trusts_what_was_away(state: NodeState) -> NodeState:
    return stores(state, unproven=(), away=())


def hears_nothing_of_lone_writes(_state: NodeState, event: Event) -> Event:
    if isinstance(event, Heard):
        return replace(event, beat=replace(event.beat, unprotected=()))
    return event


def does_not_look_at_the_kernel(state: NodeState) -> NodeState:
    """Forget, while the peer's daemon is silent, that its kernel answers."""
    if state.standing is not Standing.CUT:
        return state
    lost = {
        name: replace(facts, connection=Connection.CONNECTING)
        for name, facts in state.facts.items()
    }
    return replace(state, facts=lost)


def confirms_by_itself(state: NodeState) -> NodeState:
    return replace(state, confirmed=state.standing is Standing.CUT)


def finds_nothing_running(_state: NodeState, event: Event) -> Event:
    return replace(event, up=False) if isinstance(event, Looked) else event


def looks_at_nothing_again(_state: NodeState, event: Event) -> Event:
    return Tick(event.at_s) if isinstance(event, LookAgain) else event


def forgets_lost_mounts(state: NodeState) -> NodeState:
    """Count each time that a volume is unmounted as the first one."""
    items = {
        name: {
            item: replace(each, upkeep=replace(each.upkeep, tries=0)) if _is_mount(item) else each
            for item, each in every.items()
        }
        for name, every in state.items.items()
    }
    return replace(state, items=items)


def _is_mount(item: Item) -> bool:
    return item.layer is Layer.MOUNTED


def puts_back_without_asking(event: Event) -> Sequence[Effect]:
    acts = (Act(10**9, Do.RESTORE_ADDRESSES, "orders", "", 10.0),)
    return acts if isinstance(event, LookAgain) else ()


def believes_every_stop(_state: NodeState, event: Event) -> Event:
    return replace(event, outcome=Done()) if isinstance(event, Ended) else event


def keeps_the_right_on_disk(effects: Sequence[Effect]) -> Sequence[Effect]:
    return [e for e in effects if not isinstance(e, Store) or e.stored.holds_right]


def stores_last(effects: Sequence[Effect]) -> Sequence[Effect]:
    return sorted(effects, key=lambda effect: isinstance(effect, Store))


def waits_for_ever(effects: Sequence[Effect]) -> Sequence[Effect]:
    return [replace(e, timeout_s=1e9) if isinstance(e, Act) else e for e in effects]


def falls_back_unasked(built: Built) -> Built:
    entries = tuple(
        replace(entry, application=replace(entry.application, failback=True))
        for entry in built.applications
    )
    return replace(built, applications=entries)


def may_reset_any_node(built: Built) -> Built:
    entries = tuple(
        replace(entry, application=replace(entry.application, resets_node=True))
        for entry in built.applications
    )
    return replace(built, applications=entries)


def resets_no_node(effects: Sequence[Effect]) -> Sequence[Effect]:
    return [effect for effect in effects if not isinstance(effect, ResetNode)]


def agrees_at_once(event: Event) -> Sequence[Effect]:
    if isinstance(event, FenceAsked):
        return (AnswerFence(event.request_id, FenceVerdict.PEER_OUTDATED, "no matter why"),)
    return ()


def goes_on_without_a_disk(effects: Sequence[Effect]) -> Sequence[Effect]:
    return [
        replace(effect, verdict=FenceVerdict.PEER_FENCED)
        if isinstance(effect, AnswerFence) and effect.because.startswith("the disk here is gone")
        else effect
        for effect in effects
    ]


def hears_granted_for(was: Answer) -> Told:
    def told(_state: NodeState, event: Event) -> Event:
        if isinstance(event, WitnessAnswered) and event.epoch and event.answer.answer is was:
            return replace(event, answer=replace(event.answer, answer=Answer.GRANTED))
        return event

    return told


def one_witness_is_enough(state: NodeState) -> NodeState:
    seen = state.witness
    if not seen.epoch or Answer.GRANTED not in seen.answers.values():
        return state
    every = range(len(state.built.cluster.witnesses))
    return replace(state, witness=replace(seen, answers=dict.fromkeys(every, Answer.GRANTED)))


def believes_every_agent(_state: NodeState, event: Event) -> Event:
    return replace(event, proven=True) if isinstance(event, Fenced) else event


def forgets_its_promise(state: NodeState) -> NodeState:
    return stores(state, tie=replace(state.stored.tie, yields=0))


def waives_by_itself(state: NodeState) -> NodeState:
    tie = state.stored.tie
    return stores(state, tie=replace(tie, waiver=bool(tie.lost_round), yields=0))


def believes_an_old_waiver(state: NodeState) -> NodeState:
    """Believe at a cold start what the peer once promised: a person may have released it since."""
    forming = state.standing is Standing.FORMING and "formation" in state.reasons
    waits = state.reasons.get("formation") in ("waiting", "peer-heard")
    return replace(state, confirmed=forming and not waits and state.stored.tie.waiver)


def lets_frozen_writes_go(effects: Sequence[Effect]) -> Sequence[Effect]:
    return [
        replace(effect, do=Do.RESUME)
        if isinstance(effect, Act) and effect.do is Do.DETACH
        else effect
        for effect in effects
    ]


def asks_for_the_next(state: NodeState) -> NodeState:
    if not witness.denied(state):
        return state
    later = stores(state, epoch=state.witness.newest)
    return replace(later, witness=replace(state.witness, epoch=0, answers={}))


def believes_the_loser(state: NodeState) -> NodeState:
    told = (state.peer.beat.unprotected or ()) if state.peer.beat is not None else ()
    alone = {name for name in told if (f := state.facts.get(name)) and not f.kernel_answers}
    return stores(state, behind=tuple(sorted(alone | set(state.stored.behind))))
