"""Whether two copies really went apart, and who may give its writes up."""

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.core.copies.split_brain import (
    SPLIT,
    VICTIMS,
    Found,
    Half,
    Pair,
    Relation,
    Use,
    choose,
    judge,
    may_lose_writes,
    relation,
)
from hapair.core.words.rules import first_match
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.divergence import Generations

ALONE: Final = VolumeFacts(
    "orders.data", Role.SECONDARY, Role.UNKNOWN, Disk.UP_TO_DATE, Disk.UNKNOWN,
    Connection.STAND_ALONE,
)  # fmt: skip
OLD: Final = Generations(10, 0, (8,))
MINE: Final = Generations(20, 10, (8,))
THEIRS: Final = Generations(30, 10, (8,))
APART: Final = Pair(Half(ALONE, MINE), Half(ALONE, THEIRS))


def pair(first: Generations | None, second: Generations | None) -> Pair:
    return Pair(Half(ALONE, first), Half(ALONE, second))


def both(facts: VolumeFacts | None) -> Pair:
    return Pair(Half(facts, MINE), Half(facts, THEIRS))


TRYING: Final = replace(ALONE, connection=Connection.CONNECTING)


SPLITS: Final = {
    "connected": both(replace(ALONE, connection=Connection.SYNC_TARGET)),
    "not-up": both(None),
    "still-trying": Pair(Half(TRYING, OLD), Half(TRYING, THEIRS)),
    "past-unknown": pair(None, THEIRS),
    "only-apart": pair(OLD, THEIRS),
    "unrelated": pair(Generations(20, 0), Generations(30, 0)),
    "diverged": APART,
}
USES: Final = {
    "both-use-it": Use("node1", "node1", "node2", first_uses=True, second_uses=True),
    "first-runs": Use("node2", "node1", "node2", first_uses=True),
    "second-runs": Use("node1", "node1", "node2", second_uses=True),
    "first-owns": Use("node1", "node1", "node2"),
    "second-owns": Use("node2", "node1", "node2"),
    "nobody-owns": Use("", "node1", "node2"),
}


def test_every_row_has_its_situation() -> None:
    assert list(SPLITS) == [row.name for row in SPLIT]
    assert list(USES) == [row.name for row in VICTIMS]


@pytest.mark.parametrize("row", SPLITS)
def test_each_situation_of_the_copies_has_its_row(row: str) -> None:
    assert judge(SPLITS[row]).name == row


def test_copies_that_went_apart_are_split_also_while_their_nodes_try_once_more() -> None:
    assert judge(both(TRYING)).answer is Found.SPLIT


@pytest.mark.parametrize("row", USES)
def test_each_use_of_the_copies_has_its_row(row: str) -> None:
    assert first_match(VICTIMS, USES[row]).name == row


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (None, MINE, Relation.UNKNOWN),
        (MINE, None, Relation.UNKNOWN),
        (MINE, MINE, Relation.EQUAL),
        (OLD, THEIRS, Relation.SECOND_NEWER),
        (MINE, OLD, Relation.FIRST_NEWER),
        (Generations(8, 0), THEIRS, Relation.SECOND_NEWER),
        (MINE, THEIRS, Relation.DIVERGED),
        (Generations(20, 0, (10,)), Generations(30, 0, (10,)), Relation.DIVERGED),
        (Generations(20, 0), Generations(30, 0), Relation.UNRELATED),
    ],
)
def test_the_past_of_two_copies_is_compared_as_the_kernel_does(
    first: Generations | None, second: Generations | None, expected: Relation
) -> None:
    assert relation(first, second) is expected


def test_one_side_that_refuses_is_enough() -> None:
    """The other one may try on after the kernels dropped the connection."""
    trying = replace(ALONE, connection=Connection.CONNECTING)
    assert judge(Pair(Half(trying, MINE), Half(ALONE, THEIRS))).answer is Found.SPLIT


@given(st.sampled_from(["", "node1", "node2"]), st.booleans(), st.booleans())
def test_a_side_that_uses_its_copy_is_never_the_victim(
    owner: str, first: bool, second: bool  # noqa: FBT001 - given by hypothesis
) -> None:  # fmt: skip
    choice = choose(Use(owner, "node1", "node2", first_uses=first, second_uses=second))
    if first:
        assert "node1" not in (choice.proposed, *choice.possible)
    if second:
        assert "node2" not in (choice.proposed, *choice.possible)
    assert choice.proposed in ("", *choice.possible)


@pytest.mark.parametrize(
    ("facts", "mounted", "why"),
    [
        (None, False, "not up"),
        (replace(ALONE, role=Role.PRIMARY), False, "in use"),
        (ALONE, True, "in use"),
        (replace(ALONE, connection=Connection.CONNECTED), False, "connected already"),
        (ALONE, False, ""),
    ],
)
def test_a_node_gives_its_copy_up_only_when_it_is_idle_and_apart(
    facts: VolumeFacts | None, *, mounted: bool, why: str
) -> None:
    told = may_lose_writes(facts, mounted=mounted)
    assert why in told
    assert bool(told) is bool(why)
