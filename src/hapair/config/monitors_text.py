"""The text of an appconf.xml with other monitors: comments and layout stay as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

MONITORS: Final = "monitors"
ROOT: Final = "application"
INDENT: Final = "  "


@dataclass(slots=True)
class _Place:
    """Where an element stands in the text."""

    name: str
    attributes: Mapping[str, str]
    begin: int
    end: int = 0  # After its last sign.
    inner_end: int = 0  # Where its closing tag begins; equals ``end`` when it has none.


@dataclass(slots=True)
class _Places:
    """Receives what expat sees of a file that is known to be right."""

    content: bytes
    fresh: bool = False  # Nothing came since the last opening tag.
    open: list[_Place] = field(default_factory=list)
    found: list[tuple[tuple[str, ...], _Place]] = field(default_factory=list)

    def __post_init__(self) -> None:
        parser = expat.ParserCreate("UTF-8")

        def begin(name: str, attributes: dict[str, str]) -> None:
            self.fresh = True
            self.open.append(_Place(name, attributes, parser.CurrentByteIndex))

        def end(_: str) -> None:
            path = tuple(each.name for each in self.open)
            place, at = self.open.pop(), parser.CurrentByteIndex
            empty = self.fresh and self.content[at - 2 : at] == b"/>"  # Then it is at the end.
            place.end = at if empty else self.content.index(b">", at) + 1
            place.inner_end, self.fresh = at, False
            self.found.append((path, place))

        def other(_: str) -> None:
            self.fresh = False

        parser.StartElementHandler, parser.EndElementHandler = begin, end
        parser.CharacterDataHandler = parser.CommentHandler = other
        parser.Parse(self.content, True)  # noqa: FBT003 - expat knows no keywords

    def below(self, *path: str) -> list[_Place]:
        return [place for way, place in self.found if way[:-1] == path]


def with_monitors(content: bytes, removed: Sequence[str], added: Sequence[str]) -> bytes:
    """Return the text without the monitors of these names, and with these elements.

    ``content`` is a right appconf.xml in UTF-8. A name that is not there is passed over.
    """
    for place in reversed(_Places(content).below(ROOT, MONITORS)):
        if place.attributes.get("name", place.name) in removed:
            begin = place.begin
            while content[begin - 1 : begin] in {b" ", b"\t"}:
                begin -= 1
            end = place.end
            if content[begin - 1 : begin] == content[end : end + 1] == b"\n":
                end += 1  # Its line goes with it.
            content = content[:begin] + content[end:]
    return _with(content, added) if added else content


def _with(content: bytes, added: Sequence[str]) -> bytes:
    places = _Places(content)
    lines = "".join(f"{INDENT * 2}{each}\n" for each in added)
    for place in places.below(ROOT):
        if place.name != MONITORS:
            continue
        if place.inner_end == place.end:  # <monitors/>
            slash = content.rindex(b"/", place.begin, place.end)
            inner = f">\n{lines}{INDENT}</{MONITORS}>"
            return content[:slash].rstrip() + inner.encode() + content[place.end :]
        return _before(content, place.inner_end, lines, INDENT)
    (root,) = places.below()
    whole = f"{INDENT}<{MONITORS}>\n{lines}{INDENT}</{MONITORS}>\n"
    if root.inner_end == root.end:  # <application .../>
        slash = content.rindex(b"/", root.begin, root.end)
        inner = f">\n{whole}</{ROOT}>"
        return content[:slash].rstrip() + inner.encode() + content[root.end :]
    return _before(content, root.inner_end, whole, "")


def _before(content: bytes, at: int, lines: str, indent: str) -> bytes:
    """Put whole lines before a closing tag, which keeps a line of its own."""
    begin = at
    while content[begin - 1 : begin] in {b" ", b"\t"}:
        begin -= 1
    if content[begin - 1 : begin] == b"\n":
        return content[:begin] + lines.encode() + content[begin:]
    return content[:at] + f"\n{lines}{indent}".encode() + content[at:]
