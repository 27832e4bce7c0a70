"""What other programs say: checks as Nagios knows them, OCF agents, clients of databases."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from hapair.lems.answers import (
    FAILED,
    GOOD,
    UNKNOWN,
    WARNING,
    Answer,
    Command,
    Finished,
    Said,
    failed,
    good,
    one_line,
    unknown,
    warning,
)
from hapair.model.environment import PLAIN, SEARCH_PATH
from hapair.model.monitor import CheckProbe, SqlProbe, Trouble
from hapair.model.ocf import Code

_CHECK_STATES: Final = {0: GOOD, 1: WARNING, 3: UNKNOWN}
# It begins a word, and no part is without a bound: what plug-ins print is hostile at times.
_PERF: Final = re.compile(
    r"(?<!\S)('(?:[^']|''){0,64}'|[^\s=']{1,64})=(-?[0-9.,]{1,32})([A-Za-z%]{0,8})(?=\S*)"
)
# A server that says no for these reasons lives: connections or rights are wanting.
_REFUSED: Final = re.compile(
    r"too many (clients|connections)|remaining connection slots"
    r"|(role|user|database) .* does not exist"
    r"|authentication failed|no password supplied|no pg_hba\.conf entry"
    r"|^ERROR (1040|1044|1045|1049|1129|1130|1203|1226|1698) ",
    re.IGNORECASE,
)
_PERF_MAX: Final = 32  # More is not told.
_OCF_WORDS: Final[Mapping[int, str]] = {
    Code.ERROR: "it failed",
    Code.WRONG_ARGUMENTS: "wrong parameters",
    Code.NOT_PERMITTED: "not permitted",
    Code.NOT_INSTALLED: "not installed",
    Code.NOT_CONFIGURED: "not configured",
    Code.NOT_RUNNING: "it does not run",
    Code.FAILED_PROMOTED: "it failed as promoted",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A probe that is one command."""

    command: Command
    about: str
    trouble: Trouble = Trouble.PROGRAM

    def ask(self) -> Said:
        return self.command

    def asked(self) -> str:
        return self.about

    def close(self) -> None:
        """Keep nothing open."""


def check(probe: CheckProbe, facts: Mapping[str, str]) -> Run:
    """``facts`` are told to it by variables."""
    argv = (probe.path, *shlex.split(probe.arguments))
    return Run(Command(argv, {**PLAIN, **facts}, judge_check), probe.path)


def judge_check(finished: Finished) -> Answer:
    """Read what a plug-in ended with and printed; one that could not be asked found nothing."""
    if finished.not_run:
        return unknown(f"it could not be run: {finished.not_run}")
    text, perf = printed(finished.output)
    if finished.code < 0:  # It found nothing, e.g. because the memory was used up.
        return unknown(f"it was ended by signal {-finished.code}")
    said = text or (f"it ended with {finished.code}" if finished.code else "")
    return Answer(_CHECK_STATES.get(finished.code, FAILED), said, perf=perf)


def printed(output: str) -> tuple[str, dict[str, str]]:
    """Return the first line, and the performance data of all lines, by label."""
    first, *rest = output.split("\n")
    text, _, data = first.partition("|")
    _, _, more = "\n".join(rest).partition("|")
    perf = {
        one_line(found[1].strip("'").replace("''", "'")): f"{found[2]}{found[3]}"
        for found in islice(_PERF.finditer(f"{data} {more}"), _PERF_MAX)
    }
    return one_line(text), perf


def ocf(
    argv: tuple[str, ...], environment: Mapping[str, str], level: int, interval_s: float
) -> Run:
    meta = {
        "OCF_CHECK_LEVEL": str(level),
        "OCF_RESKEY_CRM_meta_name": "monitor",
        "OCF_RESKEY_CRM_meta_interval": str(round(interval_s * 1000)),
    }
    return Run(Command(argv, {**PLAIN, **environment, **meta}, judge_ocf), argv[0])


def judge_ocf(finished: Finished) -> Answer:
    if finished.not_run:
        return unknown(f"the agent could not be run: {finished.not_run}")
    said = one_line(finished.output)
    if finished.code in (Code.SUCCESS, Code.PROMOTED):
        return good("the agent says that it runs")
    if finished.code in (Code.DEGRADED, Code.DEGRADED_PROMOTED):
        return warning(f"degraded: {said}")
    if finished.code == Code.UNIMPLEMENTED:
        return unknown("the agent has no monitor")
    meaning = _OCF_WORDS.get(finished.code, "it failed")
    text = f"the agent ended with {finished.code}, {meaning}{said and f': {said}'}"
    return failed(text, certain=finished.code == Code.NOT_RUNNING)


def sql(probe: SqlProbe, timeout_s: float) -> Run:
    argv = {"psql": _psql, "mysql": _mysql}[probe.client](probe)
    environment = {**PLAIN, "PGCONNECT_TIMEOUT": str(max(1, round(timeout_s)))}
    command = Command(argv, environment, judge_sql, probe.user)
    return Run(command, f"{probe.client} {probe.address or 'at the local socket'}")


def _psql(probe: SqlProbe) -> tuple[str, ...]:
    given = (
        ("--dbname", probe.database or "postgres"),
        ("--host", probe.address),
        ("--port", str(probe.port or "")),
    )
    options = tuple(f"{name}={value}" for name, value in given if value)
    plain = ("--no-psqlrc", "--no-password", "--tuples-only", "--no-align")
    return ("psql", *plain, *options, f"--command={probe.statement}")


def _mysql(probe: SqlProbe) -> tuple[str, ...]:
    given = (("host", probe.address), ("port", str(probe.port or "")))
    options = tuple(f"--{name}={value}" for name, value in given if value)
    database = (f"--database={probe.database}",) if probe.database else ()
    plain = ("--batch", "--skip-column-names")
    return (_mysql_client(), *plain, *options, *database, f"--execute={probe.statement}")


def _mysql_client() -> str:
    """Return the name that is installed: Debian 13 has MariaDB's under its own name alone."""
    for name in ("mysql", "mariadb"):
        if any(os.access(f"{folder}/{name}", os.X_OK) for folder in SEARCH_PATH.split(":")):
            return name
    return "mysql"


def judge_sql(finished: Finished) -> Answer:
    if finished.not_run:
        return unknown(f"the client could not be run: {finished.not_run}")
    said = one_line(finished.output)
    if finished.code == 0:
        return good(f"answered {said}")
    return warning(said) if _REFUSED.search(said) else failed(said)
