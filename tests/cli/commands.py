"""Running a command as an administrator does, and what came of it."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from hapair.cli import (
    clbuildapp,
    clconfirm,
    clevents,
    clform,
    clhalt,
    clhaltapp,
    clmoveapp,
    clresolve,
    clrunapp,
    clstartup,
    clstat,
)
from hapair.rpc.messages import JsonObject
from tests.processes import Started

MAINS: dict[str, Callable[[list[str]], int]] = {
    "clbuildapp": clbuildapp.main,
    "clconfirm": clconfirm.main,
    "clevents": clevents.main,
    "clform": clform.main,
    "clhalt": clhalt.main,
    "clhaltapp": clhaltapp.main,
    "clmoveapp": clmoveapp.main,
    "clresolve": clresolve.main,
    "clrunapp": clrunapp.main,
    "clstartup": clstartup.main,
    "clstat": clstat.main,
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


def given(*line: str) -> Came:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = MAINS[line[0]](list(line[1:]))
        except SystemExit as end:
            code = int(end.code or 0)
    return Came(code, out.getvalue(), err.getvalue())


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
