"""The two figures that a fault costs: the longest gap, and what is missing."""

import pytest

from hapair_lab.errors import LabError
from hapair_lab.ledger import missing, parse_record

LOG = """begun 100.0 5000.0
ok 1 100.5
ok 2 101.0
ok 3 104.5
ok 4 105.0
ended 105.5
"""


def test_the_longest_gap_is_found_with_its_time_of_day() -> None:
    gap = parse_record(LOG).longest_gap
    assert (gap.seconds, gap.after, gap.from_wall_clock_s) == (3.5, 2, 5001.0)


def test_a_service_that_never_came_back_is_a_gap_until_the_end() -> None:
    gap = parse_record(LOG.replace("ended 105.5", "ended 120.0")).longest_gap
    assert (gap.seconds, gap.after) == (15.0, 4)


def test_a_service_that_never_answered_is_one_gap() -> None:
    gap = parse_record("begun 100.0 5000.0\nended 130.0\n").longest_gap
    assert (gap.seconds, gap.after) == (30.0, 0)


def test_a_client_that_was_killed_has_its_last_word_as_end() -> None:
    record = parse_record("begun 100.0 5000.0\nok 1 100.5\nok 2 102.0\n")
    assert record.ended_s == 102.0
    assert record.longest_gap.seconds == 1.5


def test_missing_are_the_acknowledged_lines_that_the_file_lacks() -> None:
    record = parse_record(LOG)
    assert missing(record, "1 a\n2 b\n2 b\n3 c\n4 d\n5 never acknowledged\n") == ()
    assert missing(record, "1 a\n3 c\n") == (2, 4)


def test_a_strange_line_in_the_log_is_refused() -> None:
    with pytest.raises(LabError, match="nobody wrote"):
        parse_record("begun 1 2\nwhat is this\n")
