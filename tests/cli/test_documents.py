"""What the documents tell an administrator to type is understood by the commands."""

import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair.cli.screen.parsers import EXIT_ATTENTION, EXIT_TEXTS, CommandParser
from tests.cli.commands import MAINS
from tests.cli.conftest import GOLDEN

DOCUMENTS = Path(__file__).parents[2] / "docs"
FENCED = re.compile(r"```sh\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`(cl[a-z]+(?: [^`]*)?)`")


def parser_of(command: str) -> CommandParser:
    made = importlib.import_module(f"hapair.cli.{command}").parser()
    assert isinstance(made, CommandParser)
    return made


def lines_to_type() -> Iterator[tuple[str, str]]:
    """Yield each command that the documents for operators show, with the document's name."""
    for file in sorted((DOCUMENTS / "operating").rglob("*.md")):
        text = file.read_text()
        shown = [line.strip() for block in FENCED.findall(text) for line in block.splitlines()]
        told = [line for line in INLINE.findall(text) if " " in line]  # Else a name, no order.
        for line in [*shown, *told]:
            if line.split(" ")[0] in MAINS:
                yield file.name, shlex.join(shlex.split(line, comments=True))


@pytest.mark.parametrize(("document", "line"), sorted(set(lines_to_type())))
def test_what_a_document_says_can_be_typed(document: str, line: str) -> None:
    assert document
    words = shlex.split(line)
    parser_of(words[0]).parse_args(words[1:])


@pytest.mark.parametrize("command", MAINS)
def test_the_examples_of_a_command_can_be_typed(command: str) -> None:
    made = parser_of(command)
    assert made.page.examples
    for example in made.page.examples:
        words = shlex.split(example.command.split("|")[0])
        assert words[0] == command
        made.parse_args(words[1:])


def test_the_documents_show_the_commands_at_all() -> None:
    """The two tests above would pass over an empty list."""
    assert len(set(lines_to_type())) > 20


def members(value: object) -> Iterator[str]:
    match value:
        case dict():
            for name, inner in value.items():
                if name not in {"node1", "node2", "orders"}:
                    yield name
                yield from members(inner)
        case list():
            for inner in value:
                yield from members(inner)
        case _:
            return


def test_every_member_of_the_json_is_documented() -> None:
    text = (DOCUMENTS / "reference/json.md").read_text()
    found = set(members(json.loads((GOLDEN / "clstat_shape.json").read_text())))
    undocumented = {name for name in found if f"`{name}`" not in text and f'"{name}"' not in text}
    assert undocumented == set()


def test_every_exit_code_is_documented() -> None:
    text = (DOCUMENTS / "reference/exit-codes.md").read_text()
    for code in [*map(int, EXIT_TEXTS), EXIT_ATTENTION]:
        assert f"| {code} |" in text
