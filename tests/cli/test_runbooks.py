"""Whoever reads an alarm at night finds a page about it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from hapair.cli.pages.advice import ADVICE
from hapair.core.applications import goals
from hapair.core.explain import ALARMING
from hapair.core.members import formation
from hapair.core.right import arbitration
from hapair.core.right.arbitration import Verdict

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = ROOT / "src" / "hapair"
RUNBOOKS: Final = ROOT / "docs" / "operating" / "runbooks"
INDEX: Final = RUNBOOKS / "README.md"
LINK: Final = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
ROWS: Final = (*(f"{row:02}" for row in range(1, 27)), "04b")
LINES_MAX: Final = 40
ANYTHING: Final = ".{0,80}?"
WORDS_MIN_LENGTH: Final = 22  # Shorter texts of the code would match by chance.
TELLERS: Final = {"Alarm": 0, "note": 0, "add": 0}  # Callable -> where the alarm's name stands.


def named_by_tables() -> Iterator[str]:
    for table in arbitration.TABLES.values():
        yield from (rule.name for rule in table if rule.answer in ALARMING)
    yield from (rule.name for rule in formation.FORMATION if rule.answer is Verdict.ALARM)
    yield from goals.LOUD


def named_by_calls() -> Iterator[str]:
    """Yield the names that stand in the code: ``Alarm("...")``, ``note("...", ..., ALARM)``."""
    for file in sorted(SOURCES.rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text())):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            name = call.func.id if isinstance(call.func, ast.Name) else name
            first = call.args[0]
            alarming = name == "Alarm" or "Severity.ALARM" in ast.unparse(call)
            if name in TELLERS and alarming and isinstance(first, ast.Constant):
                yield str(first.value)


def indexed() -> dict[str, tuple[str, ...]]:
    """Return the pages of each name in the index by alarm."""
    part = INDEX.read_text().split("## By the alarm's name")[1]
    found: dict[str, tuple[str, ...]] = {}
    for line in part.splitlines():
        if line.startswith("| `"):
            names, pages = line.strip("| ").split(" | ")
            for name in re.findall(r"`([^`]+)`", names):
                found[name] = tuple(LINK.findall(pages))
    return found


def test_every_alarm_has_a_runbook() -> None:
    known = {*named_by_tables(), *named_by_calls(), *ADVICE}
    assert {"denied", "stuck", "bug", "not-connected"} <= known
    assert sorted(known - set(indexed())) == []


def test_every_alarm_of_the_index_names_a_page() -> None:
    assert [name for name, pages in indexed().items() if not pages] == []


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_safety_contract_has_one_short_runbook(row: str) -> None:
    (file,) = RUNBOOKS.glob(f"{row}-*.md")
    text = file.read_text()
    assert len(text.splitlines()) <= LINES_MAX
    for part in ("**You see**", "hapair has done", "**Do now", "**Do not**", "well when"):
        assert part in text or (part == "well when" and "**Afterwards**" in text), part
    assert f"({file.name})" in INDEX.read_text()


def sentences_of_the_code() -> Iterator[re.Pattern[str]]:
    """Yield a pattern for each sentence in the code; what is filled in matches anything."""
    for file in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            fixed = [str(p.value) if isinstance(p, ast.Constant) else "" for p in parts]
            if len("".join(fixed).strip()) >= WORDS_MIN_LENGTH:
                pattern = ANYTHING.join(re.escape(text) for text in fixed)
                yield re.compile(pattern.removeprefix(ANYTHING).removesuffix(ANYTHING))


def shown_alarms() -> Iterator[tuple[str, str]]:
    """Yield what each page shows behind ALARM and WARNING; a cut sentence ends with dots."""
    for file in sorted(RUNBOOKS.glob("*.md")):
        for block in re.findall(r"```text\n(.*?)```", file.read_text(), re.DOTALL):
            joined = re.sub(r"\n {10,}(?!->)", " ", block)
            for text in re.findall(r"(?:ALARM|WARNING) +\w+: (.*)", joined):
                yield file.name, text


def test_what_a_page_shows_is_what_the_code_says() -> None:
    patterns = tuple(sentences_of_the_code())
    sources = tuple(pattern.pattern.replace("\\", "") for pattern in patterns)
    invented = [
        (page, text)
        for page, text in shown_alarms()
        if not any(pattern.search(text) for pattern in patterns)
        and not (text.endswith(" ...") and any(text[:-4] in source for source in sources))
    ]
    assert invented == []


def test_every_link_of_a_runbook_leads_to_a_page() -> None:
    broken = [
        f"{file.name}: {link}"
        for file in sorted(RUNBOOKS.glob("*.md"))
        for link in LINK.findall(file.read_text())
        if not (file.parent / link).exists()
    ]
    assert broken == []
