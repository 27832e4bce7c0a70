"""Tables of bad inputs as text files: what was changed, and every message that it brings.

A case is a title, the lines that change a good file, a line with "=", and the messages.
"|" gives a whole file instead; then no "-" and "+" follow.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import TextWrapper
from typing import Final

from hapair.model.problem import Problem

FOLDER: Final = Path(__file__).parent / "bad"
_WRAP: Final = TextWrapper(width=96, initial_indent="  ", subsequent_indent="      ")


@dataclass(frozen=True, slots=True)
class Case:
    title: str
    written: tuple[str, ...]  # The lines between the title and "=".
    expected: tuple[str, ...]

    def text(self, base: str) -> str:
        """Return the file that the case describes."""
        if self.written[0].startswith("|"):
            return "\n".join(line[2:] for line in self.written)
        changed = base
        for before, after in self._replacements():
            assert before in changed, f"{self.title}: {before!r} is not in the file"
            changed = changed.replace(before, after, 1)
        return changed

    def _replacements(self) -> list[tuple[str, str]]:
        pairs: list[tuple[str, list[str]]] = []
        for line in self.written:
            if line.startswith("- "):
                pairs.append((line[2:], []))
            else:
                pairs[-1][1].append(line[2:])
        return [(before, "\n".join(after)) for before, after in pairs]


@dataclass(frozen=True, slots=True)
class Table:
    file: Path
    head: str
    cases: tuple[Case, ...]

    def rewritten(self, messages: Callable[[Case], tuple[str, ...]]) -> str:
        """Return the table's text with what happens now."""
        cases = (replace(case, expected=messages(case)) for case in self.cases)
        parts = ("\n".join((c.title, *c.written, "=", *c.expected)) for c in cases)
        return "\n\n".join((self.head, *parts)) + "\n"


def table(name: str) -> Table:
    head, *blocks = (FOLDER / f"{name}.txt").read_text().strip().split("\n\n")
    return Table(FOLDER / f"{name}.txt", head, tuple(_case(block) for block in blocks))


def _case(block: str) -> Case:
    title, *lines = block.split("\n")
    end = lines.index("=")
    return Case(title, tuple(lines[:end]), tuple(lines[end + 1 :]))


def told(problems: tuple[Problem, ...]) -> tuple[str, ...]:
    """Return the messages in lines of readable length."""
    lines: list[str] = []
    for problem in problems:
        message, _, mend = str(problem).partition(" Mend: ")
        lines += [*_WRAP.wrap(message), *_WRAP.wrap(f"    Mend: {mend}")]
    return tuple(lines)
