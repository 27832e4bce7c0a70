"""What a newer version writes, and this one does not know, stops no daemon; damage still does."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.config import built_json
from hapair.config.codec import DamagedError, NewerFormatError, decode, encode
from hapair.core.words.events import Beat, PeerState
from hapair.core.words.stored import Stored
from hapair.model.backing import ForeignWrites
from hapair.model.built import Built
from hapair.model.node_facts import NodeFacts
from hapair.model.status import Failure, Record, Standing, Version, Wanted
from hapair.runtime.building.staging import Journal
from hapair.runtime.node.state_file import StateFile, dump_state, load_state
from tests.config.values import builts
from tests.versions.next_one import (
    MEMBER,
    VALUE,
    as_next,
    read_by_this,
    said_by_next,
    understood_by_next,
)

KINDS: Final = (Beat, PeerState, Stored, NodeFacts, Journal)
SOME_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
values: Final = builts() | st.one_of(*(st.from_type(kind) for kind in KINDS))


def levels(data: object) -> Iterator[dict[str, object]]:
    """Yield every object in it."""
    if isinstance(data, dict):
        yield data
        for member in tuple(data.values()):
            yield from levels(member)
    elif isinstance(data, list):
        for item in data:
            yield from levels(item)


@given(values, SOME_JSON)
def test_what_only_a_newer_version_knows_is_passed_over_at_every_level(
    value: object, newer: object
) -> None:
    data = encode(value)
    for level in tuple(levels(data)):
        level["newer"] = newer
    assert decode(type(value), data) == value


@given(values, st.data())
def test_a_newer_format_is_refused_at_every_level(value: object, data: st.DataObject) -> None:
    written = encode(value)
    data.draw(st.sampled_from(tuple(levels(written))))["format"] = 2
    with pytest.raises(NewerFormatError, match=r"has format '2'.*: install the version"):
        decode(type(value), written)


@given(values, st.data())
def test_a_member_of_a_wrong_type_is_refused_at_every_level(
    value: object, data: st.DataObject
) -> None:
    written = encode(value)
    level = data.draw(st.sampled_from([level for level in levels(written) if level]))
    level[data.draw(st.sampled_from(sorted(level)))] = {"of": "another type", "is": "?"}
    with pytest.raises(DamagedError):
        decode(type(value), written)


@given(st.from_type(Stored), SOME_JSON)
def test_the_memory_of_a_newer_version_is_kept_by_an_older_one(
    stored: Stored, newer: object
) -> None:
    data = json.loads(dump_state(stored))
    for level in tuple(levels(data)):
        level["newer"] = newer
    written = json.dumps(data).encode()
    assert load_state(written) == stored
    assert json.loads(StateFile(written).dump(stored)) == data


@given(values)
def test_what_the_next_version_says_is_read_and_what_this_one_says_by_the_next(
    value: object,
) -> None:
    kind = type(value)
    assert understood_by_next(kind, said_by_next(value)) == value
    assert understood_by_next(kind, encode(value)) == value
    said = said_by_next(value)
    assert encode(decode(kind, said)) == read_by_this(said)


@given(st.from_type(Stored))
def test_a_downgrade_and_an_upgrade_later_nothing_of_the_next_version_is_lost(
    stored: Stored,
) -> None:
    theirs = said_by_next(stored)
    content = json.dumps(theirs).encode()
    ours = load_state(content)
    again = json.loads(StateFile(content).dump(ours))
    assert {"foreign": [], **again} == theirs
    changed = replace(ours, epoch=ours.epoch + 1)
    assert json.loads(StateFile(content).dump(changed))[MEMBER] == VALUE


@given(builts())
def test_what_the_next_version_built_is_read_changed_and_sent_without_a_loss(built: Built) -> None:
    document = json.loads(built_json.dumps(built))
    theirs = json.dumps({**document, "built": as_next(document["built"])}).encode()
    ours = built_json.loads(theirs)
    assert ours == built
    grown = built_json.dumps(replace(ours, generation=ours.generation + 1))
    theirs_grown = as_next({**document["built"], "generation": ours.generation + 1})
    assert json.loads(grown)["built"] == theirs_grown
    assert built_json.dumps(ours) == built_json.dumps(built_json.loads(built_json.dumps(ours)))


def test_the_former_version_reads_what_failed_and_its_own_words_are_read() -> None:
    record = Record("shop", "node1", Version(3, 4), Wanted.UP, ("node1",), (Failure("node1", 2),))
    told = {name: each for name, each in encode(record).items() if name != "failures"}
    assert told["failed_on"] == ["node1"], "an older version knows this and passes the rest over"
    assert decode(Record, told) == replace(record, failures=())
    state = PeerState(7, 3, Standing.TOGETHER, 4, 1, (), (), wrote_nothing=("shop.data",))
    said = {name: each for name, each in encode(state).items() if name != "wrote_nothing"}
    assert decode(PeerState, said) == replace(state, wrote_nothing=())


def test_the_former_version_reads_a_memory_that_uses_nothing_new() -> None:
    assert b"foreign" not in dump_state(Stored(epoch=7))
    doubtful = Stored(foreign=(ForeignWrites("shop.data", "mkfs"),))
    assert load_state(dump_state(doubtful)) == doubtful
