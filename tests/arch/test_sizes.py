"""What does not fit on a screen does not fit in a head."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = ("src", "tests", "tools", "bench")
FUNCTION_LINES_MAX: Final = 60
MODULE_LINES_MAX: Final = 500
PARAMETERS_MAX: Final = 6

FILES: Final = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(file: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of(function: Function) -> int:
    """Count the lines from ``def`` to the last statement; decorators are not counted."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters_of(function: Function) -> list[str]:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [argument.arg for argument in named if argument.arg not in {"self", "cls"}]


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_modules_and_functions_stay_small(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MODULE_LINES_MAX
    long = [f.name for f in functions_of(file) if lines_of(f) > FUNCTION_LINES_MAX]
    assert not long, f"longer than {FUNCTION_LINES_MAX} lines"
    wide = [f.name for f in functions_of(file) if len(parameters_of(f)) > PARAMETERS_MAX]
    assert not wide, f"more than {PARAMETERS_MAX} parameters: group them in a dataclass"
