"""Stories that the walk found in the core."""

import pytest

from tests.walk.search import Search, Walk
from tests.walk.settings import KINDS

STALE = ("2 is paused", "1: clhalt, handing")
PARTITION = ("all networks cut",)


@pytest.mark.parametrize(
    ("kind", "only"),
    [("witness", PARTITION), ("witness", STALE)],
)
def test_two_faults_with_a_witness_break_no_rule(kind: str, only: tuple[str, ...]) -> None:
    figures = Search(Walk(KINDS[kind], only=only), 2).run()
    assert figures.broken is None, "\n".join(figures.broken.story)
