"""A core that is told anything in any order starts nothing that it must not start.

The world of the simulator is honest; here it lies: facts, beats and answers come at random.
"""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hapair.core import node as core
from hapair.core.copies.doubts import is_current
from hapair.core.words.effects import Act, Do, Effect, Store
from hapair.core.words.events import (
    Beat,
    Commanded,
    ConfirmPeerDown,
    DataChanged,
    Ended,
    EndedTogether,
    Event,
    Form,
    Halt,
    Heard,
    HeardTogether,
    Introduce,
    Leave,
    LinkChanged,
    LookAgain,
    Looked,
    LookedTogether,
    Move,
    NotStated,
    NotUnderstood,
    PeerApplication,
    PeerState,
    PeerStated,
    ReferencesProbed,
    Run,
    Seen,
    Tick,
)
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.outcome import Done, Refused, Unknown
from hapair.model.status import Phase, Record, Standing, Version, Wanted
from tests.sim.settings import NODES, Shape, application, built_from

NAME = "orders"
RESOURCE = "orders.data0"
STARTS = (Do.PROMOTE, Do.MOUNT, Do.ADD_ADDRESSES, Do.RESTORE_ADDRESSES, Do.START_PROGRAM)

versions = st.builds(Version, st.integers(0, 3), st.integers(0, 3))
records = st.builds(
    Record,
    application=st.just(NAME),
    owner=st.sampled_from(NODES),
    version=versions,
    wanted=st.sampled_from(Wanted),
    failed_on=st.sampled_from([(), ("node1",), ("node2",), NODES]),
)
facts = st.builds(
    VolumeFacts,
    resource=st.just(RESOURCE),
    role=st.sampled_from([Role.PRIMARY, Role.SECONDARY]),
    peer_role=st.sampled_from(Role),
    disk=st.sampled_from([Disk.UP_TO_DATE, Disk.UP_TO_DATE, Disk.INCONSISTENT, Disk.DISKLESS]),
    peer_disk=st.sampled_from(Disk),
    connection=st.sampled_from(Connection),
)
beats = st.builds(
    Beat,
    incarnation=st.integers(1, 3),
    echo=st.integers(0, 2),
    standing=st.sampled_from(Standing),
    epoch=st.integers(0, 3),
    unprotected=st.sampled_from([(), (RESOURCE,)]),
)
peer_states = st.builds(
    PeerState,
    incarnation=st.integers(1, 3),
    accepted=st.integers(0, 2),
    standing=st.sampled_from(Standing),
    epoch=st.integers(0, 3),
    generation=st.just(1),
    records=st.one_of(st.just(()), st.tuples(records)),
    applications=st.tuples(
        st.builds(PeerApplication, st.just(NAME), st.sampled_from(Phase), st.booleans())
    ),
    left=st.booleans(),
    holds_right=st.booleans(),
)
commands = st.sampled_from(
    [
        Form(timeout_s=2.0),
        Leave(handover=True),
        Leave(handover=False, last=True),
        Introduce(NAME, Wanted.UP),
        Run(NAME),
        Run(NAME, "node2"),
        Halt(NAME),
        Move(NAME),
        ConfirmPeerDown(),
    ]
)
outcomes = st.sampled_from([Done(), Done(), Done(), Refused("no"), Unknown("silence")])
effect_ids = st.integers(1, 12)
AT = st.just(0.0)  # The time is set when the event is told.
ended = st.builds(Ended, AT, effect_ids, outcomes)
looked = st.builds(Looked, AT, effect_ids, st.sampled_from([True, False, None]))
seen = st.builds(
    Seen, st.just(NAME), st.sampled_from(["", RESOURCE]), st.sampled_from([True, False, None])
)
heard = st.builds(Heard, AT, st.sampled_from(["public", "private"]), beats)
not_understood = st.builds(NotUnderstood, AT, st.integers(1, 3))
events = st.one_of(
    st.builds(Tick, AT),
    heard,
    not_understood,
    st.builds(HeardTogether, AT, st.tuples(heard, st.one_of(heard, not_understood))),
    st.builds(PeerStated, AT, peer_states),
    st.builds(NotStated, AT, st.just("hapair 99")),
    st.builds(DataChanged, AT, st.one_of(st.just(()), st.tuples(facts))),
    st.builds(LinkChanged, AT, st.sampled_from(["public", "private"]), st.booleans()),
    st.builds(ReferencesProbed, AT, st.sampled_from([(), ("public",)])),
    ended,
    st.builds(EndedTogether, AT, st.tuples(ended, ended)),
    looked,
    st.builds(LookedTogether, AT, st.tuples(looked, looked)),
    st.builds(LookAgain, AT, st.one_of(st.none(), st.tuples(seen))),
    st.builds(Commanded, AT, st.just(1), commands),
)
pauses = st.sampled_from([0.0, 0.1, 0.5, 1.5, 5.0])
stories = st.lists(st.tuples(pauses, events), max_size=60)
stored = st.builds(
    Stored,
    formed=st.booleans(),
    formed_boot_id=st.sampled_from(["boot1", "boot0"]),
    joined_boot_id=st.sampled_from(["boot1", "boot0"]),
    epoch=st.integers(0, 2),
    holds_right=st.booleans(),
    records=st.one_of(st.just(()), st.tuples(records)),
    behind=st.sampled_from([(), (RESOURCE,)]),
    unproven=st.sampled_from([(), (RESOURCE,)]),
)
kinds = st.sampled_from([ArbitrationKind.PATHS, ArbitrationKind.OPERATOR])


def look_at(state: NodeState, effects: tuple[Effect, ...]) -> None:
    stores = [index for index, effect in enumerate(effects) if isinstance(effect, Store)]
    assert stores in ([], [0]), "what must survive is stored once, before anything else"
    for effect in effects:
        if not isinstance(effect, Act) or effect.do not in STARTS:
            continue
        assert state.standing in (Standing.ALONE, Standing.TOGETHER)
        record = state.record(NAME)
        assert record is not None
        assert record.owner == "node1"
        assert record.wanted is not Wanted.DOWN
        if effect.do is Do.PROMOTE:
            assert is_current(state, RESOURCE)
            assert RESOURCE not in (*state.stored.behind, *state.stored.unproven)


@settings(max_examples=200)
@given(kinds, stored, stories)
def test_whatever_it_is_told_a_core_starts_only_what_it_owns_and_may(
    kind: ArbitrationKind, kept: Stored, story: list[tuple[float, Event]]
) -> None:
    shape = Shape(arbitration=kind, applications=(application(NAME),))
    state, effects = core.begin("node1", "boot1", 1, built_from(shape), kept, 0.0)
    look_at(state, effects)
    now_s = 0.0
    for pause_s, event in story:
        now_s += pause_s
        epoch = state.stored.epoch
        state, effects = core.step(state, replace(event, at_s=now_s))
        look_at(state, effects)
        assert state.stored.epoch >= epoch


@settings(max_examples=50)
@given(kinds, stored, stories)
def test_the_same_story_has_the_same_end(
    kind: ArbitrationKind, kept: Stored, story: list[tuple[float, Event]]
) -> None:
    shape = Shape(arbitration=kind, applications=(application(NAME),))

    def tell() -> tuple[NodeState, list[tuple[Effect, ...]]]:
        state, effects = core.begin("node1", "boot1", 1, built_from(shape), kept, 0.0)
        asked = [effects]
        for index, (_, event) in enumerate(story):
            state, effects = core.step(state, replace(event, at_s=index * 0.3))
            asked.append(effects)
        return state, asked

    assert tell() == tell()
