"""No rule is broken by two total cuts, between which a node could claim an epoch too early.

Another story, of a node that could believe what was said before its pause, takes minutes to walk:
python -m tests.walk witness --faults 2 --only "2 is paused" --only "1: clhalt, handing"
"""

import pytest

from tests.walk.search import Search, Walk
from tests.walk.settings import KINDS

pytestmark = [pytest.mark.slow, pytest.mark.deep, pytest.mark.timeout(3600)]


def test_two_total_cuts_with_a_witness_break_no_rule() -> None:
    figures = Search(Walk(KINDS["witness"], only=("all networks cut",)), 2).run()
    assert figures.broken is None, "\n".join(figures.broken.story)
