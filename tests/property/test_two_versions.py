"""What a newer version writes, and this one does not know, stops no daemon; damage still does."""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from typing import Any, Final, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.config import built_json, codec
from hapair.config.codec import DamagedError, NewerFormatError, decode, encode
from hapair.core.plan.steps import Step
from hapair.core.words.events import Beat, PeerState
from hapair.core.words.stored import Stored
from hapair.model.application import Application, Script, Unit
from hapair.model.backing import ForeignWrites
from hapair.model.built import Built
from hapair.model.node_facts import NodeFacts
from hapair.model.status import Failure, Record, Standing, Version, Wanted
from hapair.model.words import Word
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


def test_a_word_for_which_there_is_no_safe_one_is_refused() -> None:
    words = {kind for kind in every_word(Beat, PeerState, Stored) if not issubclass(kind, Word)}
    assert not words, "what two daemons tell each other can always be read"
    with pytest.raises(DamagedError, match="is no Work"):
        decode(Step, {"node": "node1", "work": "do what nobody knows"})


def every_word(*kinds: object) -> set[type[StrEnum]]:
    """Return all kinds of words that such a record may have."""
    found: set[type[StrEnum]] = set()
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            found.add(kind)
        elif is_dataclass(kind) and isinstance(kind, type):
            hints = get_type_hints(kind)
            found |= every_word(*(hints[field.name] for field in fields(kind) if field.init))
        else:
            found |= every_word(*get_args(kind))
    return found


def test_records_of_one_list_keep_what_is_theirs_wherever_they_move() -> None:
    first, second, third = (Record(name, "n", Version(1, 1), Wanted.UP) for name in "abc")
    theirs: Any = encode(Stored(records=(first, second)))
    theirs["records"][0] |= {"newer": 1}
    theirs["records"][1] |= {"newer": 2, "wanted": "later"}
    moved = kept(Stored, theirs, encode(Stored(records=(second, third, first))))["records"]
    names = [(each["application"], each.get("newer"), each["wanted"]) for each in moved]
    assert names == [("b", 2, "later"), ("c", None, "up"), ("a", 1, "up")]
    twins: Any = {"records": [theirs["records"][0], theirs["records"][0], {"is": "other"}, 7]}
    mixed = kept(Stored, twins, encode(Stored(records=(second, third, third, first))))["records"]
    assert not any("newer" in each for each in mixed), "which of the two it was is not known"


def kept(kind: type, written: object, encoded: dict[str, object]) -> Any:  # noqa: ANN401 - JSON
    return codec.kept(kind, written, encoded)


def test_what_became_another_kind_of_record_keeps_nothing() -> None:
    application = Application("shop", "node1", program=Unit("a.service"))
    theirs: Any = encode(application)
    theirs["program"]["newer"] = 1
    assert kept(Application, theirs, encode(application))["program"]["newer"] == 1
    other = replace(application, program=Script("/srv/x"))
    assert "newer" not in kept(Application, theirs, encode(other))["program"]


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
