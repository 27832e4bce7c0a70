"""What is said about writes that may be lost, before a person states that the peer is down."""

from dataclasses import replace
from typing import Final

import pytest

from hapair.core.copies.loss import COPIES, Copy, Worth, amount_text, estimate, long_text
from hapair.core.words.rules import first_match

GOOD: Final = Copy("orders.data", equal_ago_s=90.0, connected_ago_s=90.0, heard_ago_s=89.0)
SITUATIONS: Final = {
    "still-connected": replace(GOOD, connected=True),
    "not-attached": replace(GOOD, attached=False),
    "not-current": replace(GOOD, current=False),
    "behind": replace(GOOD, behind=True),
    "unproven": replace(GOOD, unproven=True),
    "peer-outlived-replication": replace(GOOD, heard_ago_s=5.0),
    "peer-could-go-on": replace(GOOD, peer_could_go_on=True, primary=True),
    "written-here": replace(GOOD, primary=True),
    "equal-to-the-end": GOOD,
}


def test_every_row_has_its_situation() -> None:
    assert list(SITUATIONS) == [row.name for row in COPIES]


@pytest.mark.parametrize("row", SITUATIONS)
def test_each_situation_has_its_row(row: str) -> None:
    assert first_match(COPIES, SITUATIONS[row]).name == row


@pytest.mark.parametrize("ages", [(None, 5.0), (90.0, None)])
def test_what_is_not_known_is_no_reason_to_doubt(ages: tuple[float | None, float | None]) -> None:
    connected_ago_s, heard_ago_s = ages
    copy = replace(GOOD, connected_ago_s=connected_ago_s, heard_ago_s=heard_ago_s)
    assert first_match(COPIES, copy).answer is Worth.COMPLETE


def test_a_complete_copy_starts_and_nothing_is_known_to_be_missing() -> None:
    told = estimate("orders", [GOOD], wanted=True)
    assert told.starts
    assert told.text == "nothing that was acknowledged is known to be missing from orders"
    assert told.at_most_s == 0.0


def test_what_a_peer_wrote_that_lived_on_is_called_lost() -> None:
    told = estimate("orders", [replace(GOOD, peer_could_go_on=True)], wanted=True)
    assert told.starts
    assert told.text == (
        "at most 2 minutes of writes to orders may be lost, "
        "unless the peer went down when the connection was lost"
    )


def test_a_halted_application_stays_so() -> None:
    told = estimate("orders", [GOOD], wanted=False)
    assert not told.starts
    assert told.text.startswith("orders is halted and stays so; nothing that was acknowledged")


def test_an_application_without_data_loses_none() -> None:
    assert estimate("plain", [], wanted=True).starts


def test_the_oldest_doubtful_copy_bounds_the_loss() -> None:
    old = replace(GOOD, unproven=True, equal_ago_s=700.0)
    told = estimate("orders", [GOOD, replace(old, equal_ago_s=10.0), old], wanted=True)
    assert told.starts
    assert told.text == "at most 12 minutes of writes to orders may be lost"
    assert told.at_most_s == 700.0


def test_an_unknown_age_is_called_unknown() -> None:
    unknown = replace(GOOD, unproven=True, equal_ago_s=None)
    told = estimate("orders", [replace(GOOD, unproven=True), unknown], wanted=True)
    assert told.at_most_s is None
    assert "how many writes to orders may be lost is not known" in told.text


@pytest.mark.parametrize(
    ("copy", "text"),
    [
        (
            replace(GOOD, behind=True, missing_bytes=3 << 20),
            "orders stays down: its copy here misses the writes of up to 2 minutes (3.0 MiB known)",
        ),
        (
            replace(GOOD, behind=True, equal_ago_s=None),
            "orders stays down: its copy here misses writes, it is not known since when",
        ),
    ],
)
def test_a_copy_that_misses_writes_keeps_the_application_down(copy: Copy, text: str) -> None:
    told = estimate("orders", [GOOD, copy], wanted=True)
    assert not told.starts
    assert told.text == text


@pytest.mark.parametrize(
    ("span_s", "text"),
    [
        (0.0, "1 minute"),
        (61.0, "2 minutes"),
        (7200.0, "120 minutes"),
        (7201.0, "3 hours"),
        (2 * 86400.0, "48 hours"),
        (3 * 86400.0, "3 days"),
    ],
)
def test_spans_are_rounded_up(span_s: float, text: str) -> None:
    assert long_text(span_s) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(2048, "2.0 KiB"), (5 << 30, "5.0 GiB"), (3 << 50, "3072.0 TiB")]
)
def test_amounts_have_units(size_bytes: int, text: str) -> None:
    assert amount_text(size_bytes) == text
