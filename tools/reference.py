"""The documents in docs/reference that are made from the code.

``DOCUMENTS`` is the list of them; tests/arch/test_reference.py compares each with what lies there,
and ``make reference`` writes them anew.
"""

import importlib
import os
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from hapair.core.words.rules import Rule
from tools import config_reference, package_tree

ROOT: Final = Path(__file__).parents[1]
CORE: Final = ROOT / "src" / "hapair" / "core"
Table = tuple[Rule[Any, Any], ...]

COMMANDS_HEAD: Final = """\
# Commands

What `--help` and the manual say, for reading in one piece. Made from the code by `make reference`.
"""
DECISIONS_HEAD: Final = """\
# Decisions

Every decision of the cluster is a row of one of these tables. They are read from top to bottom: the
first row whose condition holds decides. The name and the sentence of that row are what the log and
`clstat --why` show. Made from the code by `make reference`.
"""


def command_text(command: package_tree.Command) -> str:
    return f"## {command.name}\n\n```text\n{command.parser().format_help().rstrip()}\n```\n"


def commands() -> str:
    os.environ["COLUMNS"] = "80"
    return "\n".join([COMMANDS_HEAD, *map(command_text, package_tree.commands())])


def core_modules() -> Iterator[ModuleType]:
    for file in sorted(CORE.rglob("*.py")):
        name = ".".join(file.relative_to(CORE.parents[1]).with_suffix("").parts)
        yield importlib.import_module(name.removesuffix(".__init__"))


def tables_of(module: ModuleType) -> Iterator[tuple[str, Table]]:
    """Yield the tables that a module defines, in its own order.

    A table that is only the beginning of others is shown where it is used.
    """
    tables: dict[str, Table] = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, tuple) and value and all(isinstance(row, Rule) for row in value)
    }
    for name, table in tables.items():
        size = len(table)
        if not any(len(other) > size and other[:size] == table for other in tables.values()):
            yield name, table


def answer_text(answer: object) -> str:
    """Return an answer as people write it: the word of a state, the name of a function."""
    match answer:
        case Enum():
            return str(answer.value)
        case _ if callable(answer) and hasattr(answer, "__name__"):
            return str(answer.__name__).strip("_").replace("_", "-")
        case _:
            return str(answer)


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def table_text(name: str, table: Table) -> str:
    title = name.strip("_").replace("_", " ").capitalize()
    rows = [
        f"| `{rule.name}` | {cell(answer_text(rule.answer))} | {cell(rule.because)} |"
        for rule in table
    ]
    return "\n".join([f"### {title}\n", "| row | answer | because |", "|---|---|---|", *rows, ""])


def decisions() -> str:
    parts = [DECISIONS_HEAD]
    for module in core_modules():
        tables = list(tables_of(module))
        if tables:
            sentence = (module.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
            parts.append(f"## {module.__name__.removeprefix('hapair.core.')}\n\n{sentence}\n")
            parts.extend(table_text(name, table) for name, table in tables)
    return "\n".join(parts)


DOCUMENTS: Final[dict[Path, Callable[[], str]]] = {
    ROOT / "docs" / "reference" / "commands.md": commands,
    ROOT / "docs" / "reference" / "configuration.md": config_reference.reference,
    ROOT / "docs" / "reference" / "decisions.md": decisions,
}
