"""Files made of nested blocks: ``word words { ... }``, as corosync, DRBD and keepalived write."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hapair.migrate.lines import NESTING_MAX, Place, Source, UnreadableError, lines_of, words_of


@dataclass(slots=True)
class Block:
    """A statement, and what stands in its braces."""

    place: Place
    words: list[str] = field(default_factory=list)
    inner: list["Block"] = field(default_factory=list)
    braced: bool = False

    @property
    def name(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def value(self) -> str:
        """Return the first word after the name."""
        return self.words[1] if len(self.words) > 1 else ""

    def named(self, *names: str) -> Iterator["Block"]:
        return (each for each in self.inner if each.name in names)

    def text(self, name: str) -> str:
        """Return the value of the last statement of that name, which is the one that counts."""
        return next((each.value for each in reversed(self.inner) if each.name == name), "")


def read_blocks(source: Source, *, comments: str, ended_by: str = "") -> Block:
    """Return a block with all statements of a file; UnreadableError.

    A statement ends with its line, or with the sign ``ended_by`` where there is one.
    """
    root = Block(Place(source.name, 1), braced=True)
    opened = [root]
    statement: Block | None = None
    for line in lines_of(source):
        for word in words_of(line, comments=comments, marks=f"{{}}{ended_by}"):
            match word.text if not word.quoted else "":
                case "{":
                    if statement is None:
                        statement = _a_brace_of_its_own(opened[-1], line.place)
                    if len(opened) > NESTING_MAX:
                        what = f"blocks are nested more than {NESTING_MAX} deep"
                        raise UnreadableError(line.place, what, "is it the right file?")
                    statement.braced = True
                    opened.append(statement)
                    statement = None
                case "}":
                    if len(opened) == 1:
                        what = "this } ends nothing"
                        raise UnreadableError(line.place, what, "remove it, or write its {")
                    opened.pop()
                    statement = None
                case sign if sign and sign == ended_by:
                    statement = None
                case _ if statement is None:
                    statement = Block(line.place, [word.text])
                    opened[-1].inner.append(statement)
                case _:
                    statement.words.append(word.text)
        if not ended_by:
            statement = None
    if len(opened) > 1:
        what = f"the block {opened[-1].name} is begun here and never ended"
        raise UnreadableError(opened[-1].place, what, "write its }; is the file whole?")
    return root


def _a_brace_of_its_own(around: Block, place: Place) -> Block:
    """Return the statement before, whose brace stands in a line of its own."""
    if not around.inner or around.inner[-1].braced:
        raise UnreadableError(place, "this { has no name in front of it", "write the block's name")
    return around.inner[-1]
