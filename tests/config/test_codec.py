"""The rules of the codec that built.json alone does not show."""

import pytest

from hapair.config.codec import DamagedError, decode, encode
from hapair.model.application import Application, Script
from hapair.model.built import Built
from hapair.model.cluster import Timing
from hapair.model.startup import Startup
from tests.config.reference import BUILT, FILES


def test_members_at_their_default_can_be_left_out() -> None:
    assert encode(Startup(timeout_s=5), defaults=False) == {"timeout_s": 5}
    assert encode(Application("web", "node1", Script("/run")), defaults=False) == {
        "name": "web",
        "preferred": "node1",
        "program": {"is": "Script", "path": "/run"},
    }


def test_what_was_left_out_is_read_as_the_default() -> None:
    assert decode(Application, encode(FILES, defaults=False)) == FILES


def test_the_alternative_is_named_only_where_there_are_several() -> None:
    assert "is" not in encode(Timing())


def test_an_alternative_that_only_a_newer_version_has_is_damage() -> None:
    assert decode(Timing, {"is": "Timing"}) == Timing()
    with pytest.raises(DamagedError, match='Timing: "is" is none of Timing'):
        decode(Timing, {"is": "Pace"})


def test_a_tuple_needs_a_kind_that_is_one() -> None:
    with pytest.raises(TypeError, match="is no tuple"):
        encode(Script(("a", "b")))  # type: ignore[arg-type]


def test_what_follows_from_other_members_is_neither_written_nor_read() -> None:
    written = encode(BUILT)
    assert "by_name" not in written
    assert decode(Built, written).by_name == BUILT.by_name
    assert decode(Built, written | {"by_name": {}}).by_name == BUILT.by_name
