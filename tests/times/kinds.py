"""What a test needs, and how long it is said to take: read from its marks."""

from enum import StrEnum
from typing import Final

import pytest

# What the guests of `make test` may take, declared, one after the other. With the rest of the
# tests beside them that leaves half of the half hour for a host that is busy.
BUDGET_S: Final = 1180
# The group of xdist of what needs the processors for itself: emulated guests, and daemons in name
# spaces that keep real time.
ONE_AFTER_THE_OTHER: Final = "one-after-the-other"
# The properties of a test with which its reports reach the process that prints the table.
KIND, DECLARED, GUESTS = "kind", "declared_s", "guests"


class Kind(StrEnum):
    GUESTS = "guests"
    NATIVE = "native"
    PURE = "pure"


def kind_of(item: pytest.Item) -> Kind:
    if item.get_closest_marker("lab"):
        return Kind.GUESTS
    return Kind.NATIVE if item.get_closest_marker("native") else Kind.PURE


def declared_s(item: pytest.Item) -> float | None:
    """Return the seconds that ``lab(seconds=N)`` says; the mark of the test beats the module's."""
    mark = item.get_closest_marker("lab")
    seconds = mark.kwargs.get("seconds") if mark else None
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None
