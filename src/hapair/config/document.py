"""Bytes of an XML file to a tree that knows its lines, or one clear problem.

Configuration needs elements, attributes, text and comments. Everything else that XML can do
(document types, entities, other encodings) is only ever used against its reader: it is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from xml.parsers import expat
from xml.parsers.expat import errors

from hapair.model.problem import Problem

FILE_BYTES_MAX: Final = 1024 * 1024
SHOWN_MAX: Final = 60  # Characters of the administrator's text in one message.
ELEMENTS_MAX: Final = 4000  # An application with 1,000 addresses needs about 1,000.
ATTRIBUTES_MAX: Final = 64  # Of one element.
CONTEXT_BYTES: Final = 16
# Where one of these words stands a password may stand anywhere, and a file that cannot be read
# does not tell where: no message shows its text.
PRIVATE: Final = re.compile(rb"<param|<method|agent|passw|secret", re.IGNORECASE)
NESTING_MAX: Final = 12  # The formats need five.
# An editor finds the schema by one of these; they say nothing about the cluster.
SCHEMA_INSTRUCTION: Final = "xml-model"
SCHEMA_ATTRIBUTES: Final = ("xmlns:xsi", "xsi:noNamespaceSchemaLocation")

WHITE_SPACE: Final = " \t\r\n"  # XML's own; Python's idea of it is wider.

_UNREADABLE: Final = "this cannot be read as XML"
_ATTRIBUTE: Final = re.compile(rb"""\s+([^\s=]+)\s*=\s*("[^"]*"|'[^']*')""")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a file is read."""

    bytes_max: int = FILE_BYTES_MAX
    elements_max: int = ELEMENTS_MAX
    nesting_max: int = NESTING_MAX


OWN_FILES: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Node:
    """One element as it was written."""

    name: str
    line: int
    attributes: Mapping[str, str]
    attribute_lines: Mapping[str, int]
    children: tuple["Node", ...] = ()
    text: str = ""
    text_line: int = 0  # Of the first character that is not white space.

    def named(self, name: str) -> tuple["Node", ...]:
        return tuple(child for child in self.children if child.name == name)

    def line_of(self, attribute: str) -> int:
        """Return the line of an attribute; the element's own line when it is missing."""
        return self.attribute_lines.get(attribute, self.line)


class _RefusedError(Exception):
    def __init__(self, line: int, field: str, what: str, mend: str) -> None:
        super().__init__(what)
        self.line = line
        self.field = field
        self.what = what
        self.mend = mend


@dataclass(slots=True)
class _Open:
    """An element whose end has not been seen yet."""

    node: Node
    children: list[Node] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    text_line: int = 0


class _Builder:
    """Receives what expat sees. Raises _RefusedError at the first thing that may not be there."""

    def __init__(self, content: bytes, bounds: Bounds) -> None:
        self._content = content
        self._bounds = bounds
        self._parser = expat.ParserCreate("UTF-8")
        self._parser.buffer_text = True
        self._parser.XmlDeclHandler = self._declaration
        self._parser.StartDoctypeDeclHandler = self._document_type
        self._parser.ProcessingInstructionHandler = self._instruction
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._open: list[_Open] = []
        self._roots: list[Node] = []
        self._elements = 0

    def build(self) -> Node:
        """Return the root element; raise _RefusedError when there is no well-formed one."""
        try:
            self._parser.Parse(self._content, True)  # noqa: FBT003 (expat knows no keywords)
        except expat.ExpatError as error:
            raise self._not_well_formed(error) from error
        return self._roots[0]  # Expat refuses a file with none and a file with two.

    def _line(self) -> int:
        return self._parser.CurrentLineNumber

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.upper() not in {"UTF-8", "US-ASCII", "ASCII"}:
            raise _RefusedError(
                self._line(),
                "encoding",
                f"the file says that it is written in {shown(encoding)}",
                'save it as UTF-8 and let its first line say encoding="UTF-8"',
            )

    def _document_type(self, name: str, *_identifiers: object) -> None:
        raise _RefusedError(
            self._line(),
            "<!DOCTYPE>",
            f"a document type ({shown(name)}) and entities are not accepted here",
            "remove the <!DOCTYPE ...> declaration and write the values themselves",
        )

    def _instruction(self, target: str, _data: str) -> None:
        if target != SCHEMA_INSTRUCTION:
            raise _RefusedError(
                self._line(),
                f"<?{shortened(target)}?>",
                "this processing instruction is not accepted here",
                f"remove it; editors find the schema by <?{SCHEMA_INSTRUCTION}?>, which may stay",
            )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) == self._bounds.nesting_max:
            raise _RefusedError(
                self._line(),
                f"<{shortened(name)}>",
                f"elements are nested more than {self._bounds.nesting_max} deep",
                "compare the file with the sample: it needs five",
            )
        self._elements += 1
        if self._elements > self._bounds.elements_max or len(attributes) > ATTRIBUTES_MAX:
            raise _RefusedError(
                self._line(),
                f"<{shortened(name)}>",
                f"there are more than {self._bounds.elements_max:,} elements, "
                f"or {ATTRIBUTES_MAX} attributes",
                "compare the file with the sample: one attribute is one name=...; "
                "addresses in a row can be written as a range",
            )
        if not self._open:
            for known in SCHEMA_ATTRIBUTES:
                attributes.pop(known, None)
        lines = self._attribute_lines(name) if attributes else {}
        self._open.append(_Open(Node(name, self._line(), attributes, lines)))

    def _attribute_lines(self, name: str) -> dict[str, int]:
        """Find each attribute of the start tag at the parser's place; expat has checked it."""
        begin = position = self._parser.CurrentByteIndex
        position += 1 + len(name.encode())
        lines: dict[str, int] = {}
        while found := _ATTRIBUTE.match(self._content, position):
            newlines = self._content.count(b"\n", begin, found.start(1))
            lines[found.group(1).decode()] = self._line() + newlines
            position = found.end()
        return lines

    def _end(self, _name: str) -> None:
        ended = self._open.pop()
        node = replace(
            ended.node,
            children=tuple(ended.children),
            text=collapsed("".join(ended.text)),
            text_line=ended.text_line,
        )
        siblings = self._open[-1].children if self._open else self._roots
        siblings.append(node)

    def _characters(self, text: str) -> None:
        top = self._open[-1]
        top.text.append(text)
        if not top.text_line and text.strip(WHITE_SPACE):
            leading = text[: len(text) - len(text.lstrip(WHITE_SPACE))]
            top.text_line = self._line() + leading.count("\n")

    def _text_at_error(self) -> str:
        """Return some text before and after the place where expat gave up, of that line only."""
        place = self._parser.ErrorByteIndex
        before = self._content[max(0, place - CONTEXT_BYTES) : place].rpartition(b"\n")[2]
        after = self._content[place : place + CONTEXT_BYTES].partition(b"\n")[0]
        return (before + after).decode(errors="ignore").strip()

    def _not_well_formed(self, error: expat.ExpatError) -> _RefusedError:
        what, mend = self._explain(errors.messages[error.code])
        return _RefusedError(error.lineno, "XML", what, mend)

    def _explain(self, message: str) -> tuple[str, str]:
        """Return what is wrong and its mend, in plainer words than expat's."""
        text = self._text_at_error()
        seen = "" if PRIVATE.search(self._content) else f": {shown(text)}"
        match message:
            case errors.XML_ERROR_INVALID_TOKEN if "--" in text:
                return f"{_UNREADABLE}{seen}", 'write no "--" inside a comment'
            case errors.XML_ERROR_INVALID_TOKEN:
                mend = "write values between two quotes, & as &amp; and < as &lt;"
                return f"{_UNREADABLE}{seen}", mend
            case errors.XML_ERROR_UNCLOSED_TOKEN:
                mend = "end it: a tag with >, a value with its quote, a comment with -->"
                return f"this is begun and never ended{seen}", mend
            case errors.XML_ERROR_SYNTAX:
                mend = "start from the sample: a file begins with a tag like <cluster>"
                return f"the file does not begin with an element{seen}", mend
            case errors.XML_ERROR_TAG_MISMATCH | errors.XML_ERROR_NO_ELEMENTS if self._open:
                last = self._open[-1].node
                name = shortened(last.name)
                what = f"<{name}>, opened in line {last.line}, is not closed before this place"
                return what, f"write </{name}>, or end the opening tag with />"
            case errors.XML_ERROR_NO_ELEMENTS:
                return "the file is empty or ends before its first element", "start from the sample"
            case errors.XML_ERROR_DUPLICATE_ATTRIBUTE:
                return "an attribute is written twice in one element", "keep one of the two"
            case errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT:
                what = "there is something after the end of the outermost element"
                return what, "a file holds one outermost element; move the rest into it"
            case errors.XML_ERROR_UNDEFINED_ENTITY:
                what = "an entity is used that XML does not define itself"
                return what, "write the character itself, or & as &amp;"
            case _:
                return f"{_UNREADABLE}: {message}", "look at this line and the one before it"


def parse(content: bytes, *, file: str, bounds: Bounds = OWN_FILES) -> Node | Problem:
    """Return the root element, or the one reason why this is no acceptable XML."""
    try:
        _check_text(content, bounds.bytes_max)
        return _Builder(content, bounds).build()
    except _RefusedError as refused:
        return Problem(f"{file}:{refused.line}", refused.field, refused.what, refused.mend)


def _check_text(content: bytes, bytes_max: int) -> None:
    if len(content) > bytes_max:
        raise _RefusedError(
            1,
            "size",
            f"the file has {len(content):,} bytes; at most {bytes_max:,} are read",
            "remove what does not belong here",
        )
    wrong = content.find(b"\0")  # By these expat would take the file for UTF-16, whatever we say.
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = error.start
    if wrong >= 0:
        raise _RefusedError(
            1 + content.count(b"\n", 0, wrong),
            "encoding",
            f"byte {content[wrong]:#04x} is not UTF-8 text",
            "save the file as UTF-8",
        )


def collapsed(text: str) -> str:
    """Return ``text`` without white space around it, and with one space for any inside."""
    return re.sub(f"[{WHITE_SPACE}]+", " ", text).strip(" ")


def shortened(text: str) -> str:
    """Return ``text`` fit for one line of a message: printable, at most SHOWN_MAX characters."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    if len(printable) <= SHOWN_MAX:
        return printable
    return printable[: SHOWN_MAX - 3] + "..."


def shown(text: str) -> str:
    """Return ``text`` in quotes, fit for one line of a message."""
    return f'"{shortened(text)}"'
