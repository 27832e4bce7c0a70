"""Running a command as an administrator does, and what came of it."""

import importlib
import io
import json
import os
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.cli.sessions.waiting import Request
from hapair.rpc.messages import JsonObject
from tests.processes import PATIENCE_S, Started

Main = Callable[[list[str]], int]

SCRIPTS: Final[dict[str, str]] = tomllib.loads(
    (Path(__file__).parents[2] / "pyproject.toml").read_text()
)["project"]["scripts"]
# Every command of a node, from the place where commands are registered.
MODULES: Final = {
    name: importlib.import_module(place.partition(":")[0])
    for name, place in SCRIPTS.items()
    if place.startswith("hapair.cli.")
}
# They change or look at the node by themselves, also while no daemon runs, and need more for it.
BY_THEMSELVES: Final = {"clbuild", "clnewapp", "clrestore", "clscan"}
MAINS: Final[dict[str, Main]] = {
    name: module.main for name, module in MODULES.items() if name not in BY_THEMSELVES
}


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> JsonObject:
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


def given(*line: str, out: io.StringIO | None = None) -> Came:
    """Run a command in this process; ``out`` is another place where it prints."""
    out, err = io.StringIO() if out is None else out, io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = MODULES[line[0]].main(list(line[1:]))
        except SystemExit as end:
            code = int(end.code or 0)
    return Came(code, out.getvalue(), err.getvalue())


def end_requests() -> None:
    """Wait for requests that outlived their command: with its process they would have ended.

    The next test's daemon would be asked for what nobody asks for there.
    """
    for each in threading.enumerate():
        if isinstance(each, Request):
            each.join(PATIENCE_S)


def started(*line: str) -> Started:
    """Start a command in a process of its own, for what only a process can show."""
    code = f"import sys; from hapair.cli.{line[0]} import main; sys.exit(main(sys.argv[1:]))"
    return Started(
        (sys.executable, "-c", code, *line[1:]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ.copy(),
        text=True,
    )
