"""Text for people: colours where a terminal shows them, figures with units, aligned columns."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, TextIO

WIDTH: Final = 80
KIBI: Final = 1024
MINUTE_S: Final = 60
HOUR_S: Final = 3600
DAY_S: Final = 86400
COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
PLAIN_AGAIN: Final = "\x1b[0m"
LINE_AGAIN: Final = "\r\x1b[K"  # The line is written anew.
HOME_AND_CLEAR: Final = "\x1b[H\x1b[2J\x1b[3J"
WITH_TENTHS: Final = 10  # Smaller figures are written with one decimal.


class Style(StrEnum):
    """Select Graphic Rendition codes. The text carries the meaning; colour only points at it."""

    PLAIN = ""
    STRONG = "1"
    FAINT = "2"
    GOOD = "32"
    WARNING = "33"
    ALARM = "1;31"


# All that a terminal is told by us; other control characters were part of somebody's name.
_OURS: Final = re.compile(
    "|".join(
        re.escape(each)
        for each in (
            LINE_AGAIN,
            HOME_AND_CLEAR,
            PLAIN_AGAIN,
            *(f"\x1b[{one}m" for one in Style if one),
        )
    )
)


def harmless(text: str) -> str:
    """Return ``text`` with every character that a terminal would obey, or not show, as an escape.

    Any user of a node can give a process or a mount point a name that holds such characters.
    """
    if text.isprintable():
        return text
    parts: list[str] = []
    place = 0
    for ours in _OURS.finditer(text):
        parts += (_escaped(text[place : ours.start()]), ours[0])
        place = ours.end()
    return "".join((*parts, _escaped(text[place:])))


def _escaped(text: str) -> str:
    return "".join(
        each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode()
        for each in text
    )


class Paint:
    """Paints text, or leaves it alone where colours are unwanted."""

    def __init__(self, *, coloured: bool = False) -> None:
        self.coloured = coloured

    def __call__(self, style: Style, text: str) -> str:
        if not self.coloured or not style or not text:
            return text
        return f"\x1b[{style.value}m{text}{PLAIN_AGAIN}"


def paint_for(stream: TextIO, environment: Mapping[str, str] = os.environ) -> Paint:
    """Return colours only for a terminal, and if nobody declined them by NO_COLOR."""
    wanted = not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    return Paint(coloured=wanted and stream.isatty())


def size_text(size_bytes: float) -> str:
    """Write a size as people read it, e.g. ``1.4 GiB``."""
    if size_bytes < KIBI:
        return f"{size_bytes:.0f} B"
    size, unit = size_bytes / KIBI, "KiB"
    for larger in ("MiB", "GiB", "TiB", "PiB"):
        if size < KIBI:
            break
        size, unit = size / KIBI, larger
    return f"{size:.1f} {unit}" if size < WITH_TENTHS else f"{size:.0f} {unit}"


def span_text(span_s: float) -> str:
    """Write a span of time with at most two units, e.g. ``0.4 s``, ``3 min 20 s``, ``2 d 4 h``."""
    if span_s < WITH_TENTHS:
        return f"{max(span_s, 0.0):.1f} s"
    seconds = round(span_s)
    if seconds < MINUTE_S:
        return f"{seconds} s"
    if seconds < HOUR_S:
        return f"{seconds // MINUTE_S} min {seconds % MINUTE_S} s"
    if seconds < DAY_S:
        return f"{seconds // HOUR_S} h {seconds % HOUR_S // MINUTE_S} min"
    return f"{seconds // DAY_S} d {seconds % DAY_S // HOUR_S} h"


def stamp(wall_s: float) -> str:
    """Write a moment of the wall clock for people."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall_s))
    except (ValueError, OverflowError, OSError):  # No year of a calendar.
        return "at an unknown time"


def seen_length(text: str) -> int:
    """Count the columns that a text takes; colours take none."""
    return len(COLOUR.sub("", text))


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Align the rows' cells; the last cell of a row is broken where the terminal ends."""
    widths: dict[int, int] = {}
    for row in rows:
        for number, cell in enumerate(row[:-1]):
            widths[number] = max(widths.get(number, 0), seen_length(cell))
    lines: list[str] = []
    for row in rows:
        cells = [
            cell + " " * (widths[number] - seen_length(cell))
            for number, cell in enumerate(row[:-1])
        ]
        lines += filled(row[-1], indent + "".join(f"{cell}  " for cell in cells))
    return lines


def filled(text: str, first: str = "", indent: str | None = None) -> list[str]:
    """Break a text into lines of at most 80 columns.

    The first one follows ``first``; the others begin below it, or with ``indent``.
    """
    hanging = " " * seen_length(first) if indent is None else indent
    lines = [first]
    at_start = True
    for word in text.split():
        if not at_start and seen_length(lines[-1]) + 1 + seen_length(word) > WIDTH:
            lines.append(hanging + word)
        else:
            lines[-1] += word if at_start else f" {word}"
        at_start = False
    return [line.rstrip() for line in lines]
