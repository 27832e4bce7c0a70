"""What is played on guests says how long it takes and where it belongs, and has a budget."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.times.areas import AREAS
from tests.times.kinds import BUDGET_S
from tests.times.scenarios import Scenario

ROOT: Final = Path(__file__).parents[2]

pytestmark = pytest.mark.xdist_group("scenarios")  # They are collected once for all of these.


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> list[Scenario]:
    """Return all of them, on a machine on which no lab ever ran and whose guests are named."""
    cache = tmp_path_factory.mktemp("cache")
    argv = (sys.executable, "-m", "tests.times.scenarios")
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "HAPAIR_LAB_GUESTS": "uml"}
    done = subprocess.run(
        argv, cwd=ROOT, env=environment, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    assert list(cache.iterdir()) == [], "nothing is fetched or probed for a list"
    return [Scenario(**json.loads(line)) for line in done.stdout.splitlines()]


def test_every_scenario_declares_its_time(scenarios: list[Scenario]) -> None:
    silent = [each.name for each in scenarios if each.declared_s is None]
    assert not silent, "say how long they take: @pytest.mark.lab(seconds=20)"
    assert len(scenarios) > len(AREAS)
    assert any("watchdog" in each.name for each in scenarios), "those of one kind of guests too"


def test_what_make_test_plays_on_guests_stays_within_its_budget(scenarios: list[Scenario]) -> None:
    played_s = sum(each.declared_s or 0.0 for each in scenarios if each.in_make_test)
    assert played_s <= BUDGET_S, (
        f"make test plays {played_s:.0f} s of scenarios, the budget is {BUDGET_S} s: make some "
        "faster, or mark them long, so that only make lab plays them"
    )


def test_every_scenario_has_an_area_and_every_line_of_the_table_a_scenario(
    scenarios: list[Scenario],
) -> None:
    assert [each.name for each in scenarios if each.area not in AREAS] == []
    starts = [start for group in AREAS.values() for start in group]
    names = [each.name for each in scenarios]
    assert [start for start in starts if not any(name.startswith(start) for name in names)] == []
    assert {each.area for each in scenarios} == set(AREAS)
