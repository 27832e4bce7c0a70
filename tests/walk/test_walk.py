"""No situation within the given number of faults breaks a rule of docs/internals/safety.md."""

import pytest

from tests.walk.search import Figures, Search, Walk
from tests.walk.settings import KINDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def walked(kind: str, faults: int, *only: str) -> Figures:
    figures = Search(Walk(KINDS[kind], only=only), faults).run()
    print(figures.line())
    return figures


def assert_all_is_well(figures: Figures) -> None:
    assert figures.broken is None, "\n".join(figures.broken.story)
    assert figures.complete


@pytest.mark.parametrize("kind", KINDS)
def test_no_situation_that_one_fault_can_reach_breaks_a_rule(kind: str) -> None:
    assert_all_is_well(walked(kind, 1))


@pytest.mark.deep
@pytest.mark.parametrize("kind", ["witness-no-data", "fencing", "fencing-no-data", "operator"])
def test_no_situation_that_two_partitions_can_reach_breaks_a_rule(kind: str) -> None:
    assert_all_is_well(walked(kind, 2, "all networks cut"))


def test_a_walk_reaches_the_same_situations_each_time() -> None:
    first, second = (walked("fencing-no-data", 1) for _ in range(2))
    assert (first.states, first.transitions, first.depth) == (
        second.states,
        second.transitions,
        second.depth,
    )


def test_more_faults_reach_more() -> None:
    none, one = (walked("witness-no-data", faults, "loses power") for faults in (0, 1))
    assert 0 < none.states < one.states
