"""``--times`` and ``--note``: tables that a run ends with, before pytest's own last line.

The marks of a test are known where it runs, which with xdist is another process than the one that
prints: they travel with its reports, as properties.
"""

import os
import subprocess
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.times.areas import AREAS, area_of
from tests.times.kinds import DECLARED, KIND, declared_s, kind_of
from tests.times.spent import Ledger, Spent
from tests.times.tables import note, where_the_time_goes

GUESTS_VARIABLE = "HAPAIR_LAB_GUESTS"
LEDGER = pytest.StashKey[Ledger]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--times", action="store_true", help="end with tables of where the time went")
    parser.addoption(
        "--note", action="store_true", help="end with what was played on guests, to be pasted"
    )
    parser.addoption(
        "--area",
        choices=AREAS,
        action="append",
        default=[],
        help="of the scenarios on guests play this area's; may be repeated",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEDGER] = Ledger()
    config.pluginmanager.register(Taker(config))


class Taker:
    """pytest gives reports to hooks without saying of which run they are."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._config.stash[LEDGER].take(report)
        if report.failed and self._config.getoption("--times"):
            self._say_now(report)

    def _say_now(self, report: pytest.TestReport) -> None:
        """Name a failure when it happens: the end of a long run is half an hour away."""
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            why = str(report.longrepr).strip().splitlines()[-1:]
            reporter.write_line(f"{report.when} of {report.nodeid} failed: {''.join(why)}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        item.user_properties.append((KIND, str(kind_of(item))))
        if (seconds := declared_s(item)) is not None:
            item.user_properties.append((DECLARED, seconds))
    areas = config.getoption("--area")
    if areas:
        others = [item for item in items if area_of(item.nodeid) not in areas]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if area_of(item.nodeid) in areas]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    spent = config.stash[LEDGER].spent()
    for option, title, lines in (
        ("--times", "where the time went", where_the_time_goes),
        ("--note", "for a note", lambda spent: note(spent, played(spent))),
    ):
        if spent and config.getoption(option):
            terminalreporter.section(title)
            for line in lines(spent):
                terminalreporter.write_line(line)


def played(spent: Sequence[Spent]) -> str:
    """Say what was played: which guests, of which commit, and how busy the host was."""
    kinds = Counter(each.guests for each in spent if each.guests)
    named = os.environ.get(GUESTS_VARIABLE)
    guests = ", ".join(f"{kind} ({number})" for kind, number in kinds.most_common())
    guests = named or (f"{guests}, as probed" if guests else "none")
    commit = _said("git", "rev-parse", "--short", "HEAD") or "unknown"
    changed = ", changed" if _said("git", "status", "--porcelain") else ""
    load = f"{os.cpu_count()} processors, load {os.getloadavg()[2]:.1f}"
    return f"guests: {guests}; commit {commit}{changed}; {load}"


def _said(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, check=False, text=True)
    return done.stdout.strip()
