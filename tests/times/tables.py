"""The tables at the end of a run: where the time went, and a note of what was played on guests."""

from collections.abc import Sequence
from typing import Final

from tests.times.areas import area_of
from tests.times.kinds import BUDGET_S, Kind
from tests.times.spent import Spent, Sum, summed, sums

SLOWEST: Final = 20
FILE_S: Final = 1.0  # Files that take less are summed in one row.

Row = tuple[str, ...]


def where_the_time_goes(spent: Sequence[Spent]) -> list[str]:
    """Return the tables of kinds, of files, and of the slowest tests."""
    return [
        *aligned([("tests", "declared", "taken", "kind"), *map(_row, _kinds(spent))]),
        "",
        *aligned([("tests", "declared", "taken", "file"), *map(_row, _files(spent))]),
        "",
        *_tests(f"the slowest {SLOWEST} tests", spent[:SLOWEST]),
        *_off(spent),
    ]


def note(spent: Sequence[Spent], played: str) -> list[str]:
    """Return what was played on guests, area by area, as a table to be pasted."""
    guests = [each for each in spent if each.kind is Kind.GUESTS]
    areas = sums(guests, lambda each: area_of(each.name))
    return [
        played,
        "",
        "| area | passed | failed | seconds |",
        "|---|---|---|---|",
        *(
            f"| {each.what} | {each.passed} | {each.failed} | {each.taken_s:.0f} |"
            for each in (*areas, summed("all", guests))
        ),
        *(f"failed: {each.name}" for each in guests if each.failed),
    ]


def aligned(rows: Sequence[Row]) -> list[str]:
    """Set the figures of each row below one another; what they are about comes last."""
    wide = [max(len(row[place]) for row in rows) for place in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(f"{cell:>{width}}" for cell, width in zip(row, wide, strict=False)), row[-1]])
        for row in rows
    ]


def _row(each: Sum) -> Row:
    return (str(each.tests), _seconds(each.declared_s), _seconds(each.taken_s), each.what)


def _kinds(spent: Sequence[Spent]) -> list[Sum]:
    return [*sums(spent, lambda each: each.kind), summed("all", spent)]


def _files(spent: Sequence[Spent]) -> list[Sum]:
    files = sums(spent, lambda each: each.file)
    quick = {each.what for each in files if each.taken_s < FILE_S}
    rest = [each for each in spent if each.file in quick]
    slow = [each for each in files if each.what not in quick]
    title = f"{len(quick)} files of less than {FILE_S:g} s each"
    return [*slow, summed(title, rest)] if quick else slow


def _tests(title: str, spent: Sequence[Spent]) -> list[str]:
    rows = [(_seconds(each.declared_s or 0.0), _seconds(each.taken_s), each.name) for each in spent]
    return aligned([("declared", "taken", title), *rows])


def _off(spent: Sequence[Spent]) -> list[str]:
    """Name the scenarios whose marks should say something else."""
    off = [each for each in spent if each.off]
    return ["", *_tests(f"declared otherwise (the budget is {BUDGET_S} s)", off)] if off else []


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds else "-"
