"""What comes from outside is one of our values, or Malformed; there is nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.core.words.events import Beat, PeerState
from hapair.core.words.stored import Stored
from hapair.runtime.codec import Malformed, decode, dumps, encode, loads

KINDS = (Beat, PeerState, Stored)
beats, states, stored = (st.from_type(kind) for kind in KINDS)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@given(beats | states | stored)
def test_everything_that_is_written_reads_back_the_same(value: Beat | PeerState | Stored) -> None:
    assert loads(type(value), dumps(value)) == value


@given(st.binary(max_size=300))
def test_random_bytes_are_malformed(content: bytes) -> None:
    for kind in KINDS:
        with pytest.raises(Malformed):
            loads(kind, content)


@given(json_values)
def test_any_other_json_is_malformed_or_a_whole_value(value: object) -> None:
    for kind in (Beat, PeerState):
        with pytest.raises(Malformed):
            decode(kind, value)


@given(states, st.data())
def test_a_damaged_field_never_becomes_anything_but_malformed(
    state: PeerState, data: st.DataObject
) -> None:
    content = encode(state)
    name = data.draw(st.sampled_from(sorted(content)))
    content[name] = data.draw(json_values)
    try:
        read = decode(PeerState, content)
    except Malformed:
        return
    assert encode(read) == content | encode(read)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"NaN"])
def test_hostile_nesting_and_encodings_are_malformed(content: bytes) -> None:
    with pytest.raises(Malformed):
        loads(Stored, content)


def test_a_huge_number_is_read_or_malformed() -> None:
    with pytest.raises(Malformed):
        loads(Beat, json.dumps({"incarnation": "1" * 5000}).encode())
