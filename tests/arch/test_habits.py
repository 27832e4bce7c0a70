"""Habits that no linter knows."""

import ast
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
# One place in the daemon and one in the commands turn a bug into a message.
MAY_CATCH_EVERYTHING: Final = {"src/hapair/runtime/node/loop.py", "src/hapair/cli/main.py"}
CATCHES_EVERYTHING: Final = {"Exception", "BaseException"}
# Places of the machine that somebody happened to work on.
MACHINE_PLACES: Final = re.compile(r"/work/|/home/|/tmp/brief|/root/\.cache|\.\./shared")
ENDANGERS: Final = re.compile(r"os\.kill\(os\.getpid\(\)|sys\.addaudithook\(")
# Programs that tests start.
MAY_END_THEMSELVES: Final = {"tests/witness/dying_service.py"}
PURE: Final = ("model", "config", "core")


def python_files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def tracked_files() -> list[Path]:
    """Return the files that git knows or would add; a tarball without git has none to check."""
    listing = subprocess.run(
        ("git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"),
        capture_output=True,
        check=False,
        text=True,
    )
    names = [name for name in listing.stdout.split("\0") if name]
    return sorted(file for name in names if (file := ROOT / name).is_file())


# Files are replaced where it is made certain that they survive a power cut, and here:
REPLACES: Final = {
    "src/hapair/adapters/shared/reserved.py": "the same, with room kept for it",
    "src/hapair/durable.py": "the one way to do it",
    "src/hapair/runtime/history/journal_log.py": "the history, which is for people, is turned over",
    "src/hapair/witness/tls.py": "openssl writes the files; they and the folder are synchronised",
}
WRITES: Final = {
    "src/hapair/adapters/drbd/backing.py": "a file of /sys",
    "src/hapair/adapters/drbd/own_files.py": "a file in /run, made anew where it is not whole",
    "src/hapair/adapters/network/neighbours.py": "files of /proc/sys, and a note in /run",
    "src/hapair/adapters/programs/grouped.py": "a note in /run",
    "src/hapair/adapters/programs/groups.py": "a file of a control group",
    "src/hapair/runtime/priority.py": "a file of /proc",
}


def called(file: Path) -> set[str]:
    """Return the names of methods and functions that are called with what they are called of."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    return {
        f"{each.func.attr}/{len(each.args) + len(each.keywords)}"
        for each in calls
        if isinstance(each.func, ast.Attribute)
    } | {ast.unparse(each.func) for each in calls}


def test_a_file_is_replaced_so_that_a_power_cut_leaves_the_old_or_the_new_one() -> None:
    """str.replace has two arguments, Path.replace has one; dataclasses.replace is no method."""
    ways = {"rename/1", "replace/1", "os.replace", "os.rename", "shutil.move", "shutil.copy"}
    files = python_files("src/hapair")
    assert {name_of(file) for file in files if called(file) & ways} == set(REPLACES)
    ways = {"write_text/1", "write_bytes/1"}
    assert {name_of(file) for file in files if called(file) & ways} == set(WRITES)


def caught_names(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return {"BaseException"}
    return {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}


def test_names_of_processes_are_read_where_they_are_made_printable() -> None:
    readers = [name_of(file) for file in python_files("src/hapair") if 'comm"' in file.read_text()]
    assert readers == ["src/hapair/adapters/shared/spaces.py"]


@pytest.mark.parametrize("file", python_files("src"), ids=name_of)
def test_only_two_modules_catch_everything(file: Path) -> None:
    handlers = [
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ExceptHandler) and caught_names(node) & CATCHES_EVERYTHING
    ]
    assert not handlers or name_of(file) in MAY_CATCH_EVERYTHING


def test_no_file_names_places_of_one_machine() -> None:
    this_test = Path(__file__)
    found = [
        f"{name_of(file)}: {match.group()}"
        for file in tracked_files()
        if file != this_test and (match := MACHINE_PLACES.search(file.read_text(errors="replace")))
    ]
    assert not found


@pytest.mark.parametrize(
    "file", [file for layer in PURE for file in python_files(f"src/hapair/{layer}")], ids=name_of
)
def test_the_pure_layers_hide_no_line_from_coverage(file: Path) -> None:
    assert "no cover" not in file.read_text()
    assert "no branch" not in file.read_text()


@pytest.mark.parametrize("file", python_files("tests"), ids=name_of)
def test_no_test_is_skipped_or_patches_our_own_modules(file: Path) -> None:
    if file == Path(__file__):
        return
    text = file.read_text()
    forbidden = ("mark.skip", "pytest.skip", "mark.xfail", "importorskip", "unittest.mock")
    assert not [word for word in forbidden if word in text]
    assert not re.search(r"monkeypatch\.setattr\(\s*[\"']?hapair", text)


@pytest.mark.parametrize("file", python_files("tests"), ids=name_of)
def test_no_test_endangers_the_run_that_it_is_part_of(file: Path) -> None:
    """What is to be interrupted is a process of its own, and no audit hook stays behind."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    found = [text for call in calls if ENDANGERS.match(text := ast.unparse(call))]
    assert not found or name_of(file) in MAY_END_THEMSELVES


def test_no_task_uses_a_variable_that_the_makefile_does_not_set() -> None:
    tasks = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test", "soak", "walk"} <= set(tasks)
    dry = ("make", "--warn-undefined-variables", "--dry-run", "-C", str(ROOT), *tasks)
    said = subprocess.run(dry, capture_output=True, check=True, text=True).stderr
    assert [line for line in said.splitlines() if "undefined variable" in line] == []
