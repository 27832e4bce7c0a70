"""Room for snapshots before a resync, and what to do about one that stands still."""

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.core.copies.resync import (
    MIB,
    STALL_S,
    STALLS,
    Cure,
    Room,
    Standstill,
    goes_first,
    snapshot_bytes,
)
from hapair.core.words.rules import first_match
from hapair.model.data import Connection, Disk, Role, VolumeFacts

GIB: Final = 1024 * MIB
EXTENT: Final = 4 * MIB
ROOM: Final = Room(10 * GIB, 20 * GIB, 8 * GIB, EXTENT, 100 * MIB)
SITUATIONS: Final = {
    "not-receiving": Standstill(target=False, still_s=9999.0),
    "waits": Standstill(target=True, still_s=9999.0, waits=True),
    "progressing": Standstill(target=True, still_s=STALL_S - 1),
    "stalled": Standstill(target=True, still_s=STALL_S),
    "still-stalled": Standstill(target=True, still_s=STALL_S, reconnected=True),
}


def test_every_row_has_its_situation() -> None:
    assert list(SITUATIONS) == [row.name for row in STALLS]


@pytest.mark.parametrize("row", SITUATIONS)
def test_each_situation_has_its_row(row: str) -> None:
    assert first_match(STALLS, SITUATIONS[row]).name == row


def test_a_resync_is_helped_once_and_then_told() -> None:
    cures = [first_match(STALLS, SITUATIONS[row]).answer for row in SITUATIONS]
    assert cures == [*[Cure.NOTHING] * 3, Cure.RECONNECT, Cure.ALARM]


FACTS: Final = VolumeFacts(
    "mail.data", Role.SECONDARY, Role.PRIMARY, Disk.INCONSISTENT, Disk.UP_TO_DATE,
    Connection.SYNC_TARGET, waits=True,
)  # fmt: skip
RUNS: Final = replace(FACTS, resource="orders.data", waits=False)
WAITS: Final = replace(FACTS, resource="orders.log")
COMPLETE: Final = replace(
    RUNS, resource="web.data", connection=Connection.CONNECTED, disk=Disk.UP_TO_DATE
)


@pytest.mark.parametrize(
    ("facts", "before", "first"),
    [
        (FACTS, (COMPLETE, RUNS, WAITS), "orders.data"),
        (FACTS, (replace(RUNS, connection=Connection.SYNC_SOURCE),), "orders.data"),
        (FACTS, (WAITS, COMPLETE, None), ""),
        (FACTS, (), ""),
        (replace(FACTS, waits=False), (RUNS,), ""),
    ],
)
def test_only_a_resync_that_runs_is_waited_for(
    facts: VolumeFacts, before: tuple[VolumeFacts | None, ...], first: str
) -> None:
    """Two that wait for each other stand still: the nodes had different orders."""
    assert goes_first(facts, before) == first


def test_a_copy_that_waits_to_be_completed_is_not_current() -> None:
    assert not FACTS.current
    assert FACTS.kernel_answers


def test_a_fifth_of_the_volume_is_kept_where_there_is_room() -> None:
    assert snapshot_bytes(ROOM) == 2 * GIB


def test_what_is_out_of_sync_must_fit() -> None:
    room = replace(ROOM, out_of_sync_bytes=5 * GIB)
    assert snapshot_bytes(room) == 5 * GIB + GIB // 2 + 16 * MIB
    assert snapshot_bytes(replace(room, free_bytes=5 * GIB)) == 0


def test_less_than_wanted_is_taken_when_it_is_enough() -> None:
    room = replace(ROOM, free_bytes=GIB + 200 * MIB + 1)
    assert snapshot_bytes(room) == 200 * MIB


def test_a_snapshot_that_is_kept_can_hold_the_whole_volume() -> None:
    room = replace(ROOM, group_bytes=40 * GIB, free_bytes=20 * GIB)
    assert snapshot_bytes(room, whole=True) == 11 * GIB + 16 * MIB
    assert snapshot_bytes(ROOM, whole=True) == 7 * GIB


@given(
    st.builds(
        Room,
        volume_bytes=st.integers(0, 2**44),
        group_bytes=st.integers(0, 2**45),
        free_bytes=st.integers(0, 2**45),
        extent_bytes=st.sampled_from([1, EXTENT]),
        out_of_sync_bytes=st.integers(0, 2**44),
    ),
    st.booleans(),
)
def test_a_twentieth_of_the_group_stays_free(room: Room, whole: bool) -> None:  # noqa: FBT001
    size_bytes = snapshot_bytes(room, whole=whole)
    assert size_bytes % room.extent_bytes == 0
    if size_bytes:
        assert room.free_bytes - size_bytes >= room.group_bytes * 5 // 100
