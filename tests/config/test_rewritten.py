"""The files of a daemon that two versions write in turn."""

import json
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from hapair.alerts.memory import Memory
from hapair.config.codec import encode
from hapair.config.rewritten import Rewritten
from hapair.runtime.history.replication_memory import Remembered
from hapair.runtime.node.lineage import KnownPeer
from tests.property.test_two_versions import SOME_JSON, levels


def numbers_are_finite(value: object) -> bool:
    try:
        json.dumps(encode(value), allow_nan=False)
    except ValueError:
        return False
    return True


REMEMBERED: Final = st.one_of(
    *(st.from_type(kind).filter(numbers_are_finite) for kind in (KnownPeer, Memory, Remembered))
)


@given(REMEMBERED, SOME_JSON)
def test_what_only_a_newer_version_knows_stays_at_every_level(value: object, newer: object) -> None:
    kind = type(value)
    for whole in (True, False):
        data = encode(value, defaults=whole)
        for level in tuple(levels(data)):
            level["newer"] = newer
        file = Rewritten(kind, json.dumps(data).encode(), defaults=whole)
        for _ in range(2):
            assert json.loads(file.dump(value)) == data
        assert json.loads(file.dump(kind()))["newer"] == newer


@given(REMEMBERED)
def test_what_cannot_be_read_and_what_is_ours_leave_nothing_else(value: object) -> None:
    ours = json.dumps(encode(value)).encode()
    for content in (None, ours, b"", b"{", b"[1]", b'{"format": 2, "newer": 1}'):
        assert json.loads(Rewritten(type(value), content).dump(value)) == encode(value)
