"""Elements with the reason why each is there, and their text as XML."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hapair.config.grammar import OPEN
from hapair.config.kinds import Kind, Wrong
from hapair.model.text import shown

WIDTH: Final = 100
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_SCHEMA: Final = "/usr/share/hapair/schema"


@dataclass(frozen=True, slots=True)
class Tag:
    """One element; ``why`` stands above it as a comment, a paragraph each."""

    name: str
    attributes: tuple[tuple[str, str], ...] = ()
    children: tuple["Tag", ...] = ()
    text: str = ""
    why: tuple[str, ...] = ()


def left_open(what: str) -> str:
    """Return a value that our own reader refuses with ``what`` is to be written in its place."""
    return f"{OPEN} {shown(what)}"


def settled(kind: Kind[object], value: str, what: str) -> str:
    """Return a value where our own reader takes it, else one that is left open."""
    usable = bool(value) and value.isprintable() and not isinstance(kind.take(value), Wrong)
    return value if usable and not value.startswith(OPEN) else left_open(what)


def opened_in(root: Tag) -> tuple[str, ...]:
    """Return what was left open, once each, as element, attribute and question."""
    found: list[str] = []
    for name, value in (*root.attributes, ("", root.text)):
        if value.startswith(OPEN):
            place = f"<{root.name}> {name}".strip()
            found.append(f"{place}: {value.removeprefix(OPEN).strip()}")
    for child in root.children:
        found += opened_in(child)
    return tuple(dict.fromkeys(found))


def document(root: Tag, schema: str, head: tuple[str, ...], foot: tuple[str, ...] = ()) -> str:
    """Return the whole file: ``head`` stands above the outermost element, ``foot`` below it."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append(f'<?xml-model href="{_SCHEMA}/{schema}.xsd"?>')
    lines += [*comment(head, ""), *_element(root, "")]
    lines += comment(foot, "") if foot else []
    return "\n".join(lines) + "\n"


def comment(paragraphs: tuple[str, ...], indent: str) -> list[str]:
    """Return a comment; what would end it early, or is no text, is written otherwise."""
    lines: list[str] = []
    for paragraph in paragraphs:
        text = "".join(each if each.isprintable() else "?" for each in paragraph)
        text = re.sub("-(?=-)", "- ", text).rstrip("-")
        lines += textwrap.wrap(text, WIDTH - len(indent) - 5, break_on_hyphens=False) or [""]
    if len(lines) == 1 and len(lines[0]) + len(indent) + 9 <= WIDTH:
        return [f"{indent}<!-- {lines[0]} -->"]
    inner = [f"{indent}     {line}".rstrip() for line in lines]
    return [f"{indent}<!-- {lines[0]}", *inner[1:], f"{indent}-->"]


def _element(tag: Tag, indent: str) -> Iterator[str]:
    if tag.why:
        yield from comment(tag.why, indent)
    begin = f"{indent}<{tag.name}"
    for name, value in tag.attributes:
        begin += f' {name}="{_escaped(value)}"'
    if tag.children:
        yield f"{begin}>"
        for child in tag.children:
            if child.why and indent == "":
                yield ""
            yield from _element(child, f"{indent}  ")
        yield f"{indent}</{tag.name}>"
    elif tag.text:
        yield f"{begin}>{_escaped(tag.text)}</{tag.name}>"
    else:
        yield f"{begin}/>"


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(each, each) for each in text)
