"""What only a newer version knows: read as the safe word, kept in what is stored again."""

import json
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from typing import Any, get_args, get_type_hints

import pytest

from hapair.config import built_json, codec
from hapair.config.codec import DamagedError, decode, encode
from hapair.core.plan.steps import Step
from hapair.core.words.events import Beat, PeerApplication, PeerState
from hapair.core.words.stored import Stored
from hapair.model.application import Application, Script, Unit
from hapair.model.backing import ForeignWrites, Trust
from hapair.model.monitor import Trouble
from hapair.model.status import Phase, Record, Standing, Version, Wanted
from hapair.model.words import Word
from tests.config.reference import BUILT

SAFE = {
    Standing: Standing.UNKNOWN,
    Phase: Phase.UNKNOWN,
    Wanted: Wanted.UP,
    Trust: Trust.NOBODY_KNOWS,
}


def test_every_word_that_daemons_tell_each_other_has_a_safe_reading() -> None:
    words = every_word(Beat, PeerState, Stored)
    assert words == set(SAFE)
    for kind, safe in SAFE.items():
        assert issubclass(kind, Word)
        assert kind.of_newer() is safe
    with pytest.raises(NotImplementedError):
        Word.of_newer()


def test_a_trouble_of_a_newer_version_moves_nothing() -> None:
    assert Trouble.of_newer() is Trouble.DATA


def test_a_newer_word_is_read_as_the_safe_one() -> None:
    said = {"application": "shop", "phase": "of tomorrow", "data_current": True}
    assert decode(PeerApplication, said) == PeerApplication("shop", Phase.UNKNOWN, True)  # noqa: FBT003
    written = {"resource": "shop.data", "what": "dd", "trust": "of tomorrow"}
    assert decode(ForeignWrites, written) == ForeignWrites("shop.data", "dd")


def test_a_word_that_is_to_be_carried_out_is_refused() -> None:
    with pytest.raises(DamagedError, match="is no Work"):
        decode(Step, {"node": "node1", "work": "of tomorrow"})


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


def test_what_a_newer_version_built_is_kept_in_what_is_built_from_it() -> None:
    document = json.loads(built_json.dumps(BUILT))
    document["built"]["newer"] = document["built"]["cluster"]["newer"] = [1]
    built = built_json.loads(json.dumps(document).encode())
    assert built == BUILT
    grown = json.loads(built_json.dumps(replace(built, generation=built.generation + 1)))
    document["built"]["generation"] += 1
    assert grown == document
