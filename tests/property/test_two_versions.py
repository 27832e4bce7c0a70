"""What a newer version writes, and this one does not know, stops no daemon; damage still does."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.config.codec import DamagedError, NewerFormatError, decode, encode
from hapair.core.words.events import Beat, PeerState
from hapair.core.words.stored import Stored
from hapair.model.backing import ForeignWrites
from hapair.model.node_facts import NodeFacts
from hapair.model.status import Failure, Record, Standing, Version, Wanted
from hapair.runtime.building.staging import Journal
from hapair.runtime.node.state_file import dump_state, load_state, unknown_members
from tests.config.values import builts

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
    written = dump_state(stored, {"newer": newer})
    assert load_state(written) == stored
    assert unknown_members(written) == {"newer": newer}
    assert dump_state(stored, unknown_members(written)) == written


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
