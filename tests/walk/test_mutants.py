"""Cores that are broken on purpose are caught by the walk too, with the shortest story."""

from typing import Final

import pytest

from tests.sim.every_mutant import mutant_named
from tests.walk.search import Search, Walk
from tests.walk.settings import KINDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ONE, TWO = 1, 2
DEPTH_MAX: Final = 14  # No story of a mutant is longer.
POWER: Final = ("1 loses power", "2 loses power")
OF_OTHERS: Final = "a resource of others proves that the peer lives"
# The mutant; where it is walked, with how many faults and which; the rule that it breaks.
CAUGHT: Final = (
    ("the grant is not awaited", "operator", ONE, ("all networks",), "R1"),
    ("a restarted daemon does not look at what runs", "operator", ONE, ("killed",), "R7"),
    ("what was stored is not read", "operator", ONE, ("killed",), "R"),
    ("a stop that failed counts as done", "witness-no-data", TWO, ("stop program", "move"), "R1"),
    ("the right that was given up stays on the disk", "paths", TWO, POWER, "R1"),
    ("old copies are promoted", "paths", TWO, ("private cut", "1 loses power"), "R2"),
    (f"{OF_OTHERS}, beside the loser", "witness-no-data", ONE, ("all networks",), "R1"),
    ("a full file system counts as a failed program", "fencing", ONE, ("monitors",), "R7"),
    ("the peer is told before it is stored", "paths", TWO, ("before the", "1 loses power"), "R1"),
)


@pytest.mark.parametrize(("name", "kind", "faults", "only", "rule"), CAUGHT, ids=str)
def test_the_walk_catches_the_mutant(
    name: str, kind: str, faults: int, only: tuple[str, ...], rule: str
) -> None:
    mutant = mutant_named(name)
    figures = Search(Walk(KINDS[kind], mutant.core(), only), faults).run()
    assert figures.broken is not None, "no rule was broken"
    assert rule in figures.broken.what


@pytest.mark.deep
@pytest.mark.parametrize("number", range(len(CAUGHT)))
def test_the_real_core_breaks_no_rule_where_the_mutant_does(number: int) -> None:
    _, kind, faults, only, _ = CAUGHT[number]
    assert Search(Walk(KINDS[kind], only=only), faults, DEPTH_MAX).run().broken is None
