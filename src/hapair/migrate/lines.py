"""Text files of other tools: bounded, with the place of each line."""

import re
from dataclasses import dataclass
from typing import Final

from hapair.model.problem import Problem
from hapair.model.text import shown

FILE_BYTES_MAX: Final = 1 << 20
LINES_MAX: Final = 20_000
LINE_SIGNS_MAX: Final = 64 << 10
NESTING_MAX: Final = 16
STATEMENTS_MAX: Final = 2000  # Of one kind: resources, constraints, instances.
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_KEPT: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Place:
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class UnreadableError(Exception):
    """A file that cannot be read as what it is said to be; nothing of it is used."""

    def __init__(self, place: Place, what: str, mend: str) -> None:
        super().__init__(f"{place}: {shown(what)}")
        self.problem = Problem(str(place), "draft", shown(what), mend)


def refuse_more(count: int, what: str, place: Place, most: int = STATEMENTS_MAX) -> None:
    """UnreadableError when there is more of something than anybody looks after."""
    if count > most:
        mend = "give the configuration of one cluster"
        raise UnreadableError(place, f"there are more than {most:,} {what}", mend)


@dataclass(frozen=True, slots=True)
class Source:
    """One file as it was given."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Line:
    place: Place
    text: str


def lines_of(source: Source, *, continued: str = "") -> tuple[Line, ...]:
    """Return the lines; those that end with ``continued`` are joined with the next one.

    UnreadableError: it is no text, or more than anybody wrote by hand.
    """
    text = _text(source)
    written = re.split("\r?\n", text)
    if len(written) > LINES_MAX:
        what = f"there are more than {LINES_MAX:,} lines"
        raise UnreadableError(Place(source.name, LINES_MAX), what, "give the configuration alone")
    found: list[Line] = []
    begun, at = "", 0
    for number, line in enumerate(written, 1):
        at = at or number
        begun += line
        if continued and line.endswith(continued) and number < len(written):
            begun = begun[: -len(continued)] + " "
        else:
            found.append(Line(Place(source.name, at), begun))
            begun, at = "", 0
        if len(begun) > LINE_SIGNS_MAX or (found and len(found[-1].text) > LINE_SIGNS_MAX):
            what = f"the line has more than {LINE_SIGNS_MAX:,} signs"
            raise UnreadableError(Place(source.name, number), what, "give the configuration alone")
    return tuple(found)


def _text(source: Source) -> str:
    content = source.content
    if len(content) > FILE_BYTES_MAX:
        what = f"the file has more than {FILE_BYTES_MAX:,} bytes"
        raise UnreadableError(Place(source.name, 1), what, "give the configuration alone")
    wrong = content.find(b"\0")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = error.start
        text = ""
    if wrong >= 0:
        place = Place(source.name, 1 + content.count(b"\n", 0, wrong))
        what = f"byte {content[wrong]:#04x} is not UTF-8 text"
        raise UnreadableError(place, what, "save the file as UTF-8")
    if not text.strip():
        raise UnreadableError(Place(source.name, 1), "the file is empty", "give the right file")
    return text


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    quoted: bool = False


def words_of(line: Line, *, comments: str, marks: str = "") -> tuple[Word, ...]:
    """Return the words of a line; each of ``marks`` is one, a comment is none.

    Double quotes keep blanks together, also inside of a word, and a backslash in front of a sign in
    them keeps that sign. UnreadableError: a quote that never ends.
    """
    found: list[Word] = []
    text, position = line.text, 0
    while position < len(text):
        sign = text[position]
        if sign.isspace():
            position += 1
        elif sign in comments:
            break
        elif sign in marks:
            found.append(Word(sign))
            position += 1
        else:
            word, position = _word(line, position, marks)
            found.append(word)
    return tuple(found)


def _word(line: Line, begin: int, marks: str) -> tuple[Word, int]:
    text, position, parts, quoted = line.text, begin, [], False
    while position < len(text) and not (text[position].isspace() or text[position] in marks):
        found = _QUOTED.match(text, position)
        if found:
            parts.append(_KEPT.sub(r"\1", found[1]))
            quoted, position = True, found.end()
        elif text[position] == '"':
            # What stands behind it may be a password: it is not shown.
            mend = "end it in the same line"
            raise UnreadableError(line.place, "a quote is begun and never ended", mend)
        else:
            parts.append(text[position])
            position += 1
    return Word("".join(parts), quoted), position
