"""Every row (the failure of a runbook's number) is told, with each kind of arbitration."""

import importlib
import re
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROWS: Final = [*(f"{row:02}" for row in range(1, 26)), "04b"]
STORY: Final = re.compile(r"test_row_(\d\d[a-z]?)_")


def stories() -> dict[str, list[object]]:
    """Return all stories by the row that they tell."""
    told: dict[str, list[object]] = {}
    for path in sorted(HERE.glob("test_stories_of_*.py")):
        module = importlib.import_module(f"tests.sim.{path.stem}")
        for name, story in vars(module).items():
            if row := STORY.match(name):
                told.setdefault(row[1], []).append(story)
    return told


def kinds(story: object) -> set[str]:
    """Return the kinds of arbitration with which a story is told."""
    marks = getattr(story, "pytestmark", [])
    return {str(kind) for mark in marks if mark.args[0] == "kind" for kind in mark.args[1]}


def test_every_row_has_a_story_with_each_kind() -> None:
    told = stories()
    assert sorted(told) == sorted(ROWS)
    for row in ROWS:
        if row == "11":  # A fence device exists with one kind only.
            continue
        every: set[str] = set().union(*(kinds(story) for story in told[row]))
        assert every >= {"witness", "fencing", "paths"}, f"row {row} is told only with {every}"
