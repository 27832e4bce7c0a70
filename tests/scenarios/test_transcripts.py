"""Text scenarios of one node's core. With --rewrite they tell what happens now; read the diff."""

from pathlib import Path

import pytest

from tests.scenarios.actor import Actor
from tests.scenarios.transcript import check

SCENARIOS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_scenario_is_told_as_written(path: Path, request: pytest.FixtureRequest) -> None:
    check(path, Actor().handle, rewrite=request.config.getoption("--rewrite"))


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= 6
