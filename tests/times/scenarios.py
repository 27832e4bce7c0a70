"""All scenarios on guests and the seconds that each declares: ``python -m tests.times.scenarios``.

pytest collects them as in a run; nothing is started, and no kind of guests is probed: those of QEMU
can play all.
"""

import io
import json
import os
import re
import sys
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import pytest

from hapair_lab.guests import VARIABLE, Guests
from tests.times.areas import area_of
from tests.times.kinds import Kind, declared_s, kind_of

TESTS: Final = Path(__file__).parents[1]
MARKED: Final = re.compile(r"\bmark\.lab\b")  # Collecting all other files takes far longer.


@dataclass(frozen=True, slots=True)
class Scenario:
    """One test on guests, as it is marked."""

    name: str
    area: str
    declared_s: float | None
    in_make_test: bool


@dataclass
class Collector:
    """A plugin of pytest that keeps what was collected."""

    found: list[Scenario] = field(default_factory=list)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.found = [
            Scenario(
                item.nodeid,
                area_of(item.nodeid),
                declared_s(item),
                in_make_test=not item.get_closest_marker("long"),
            )
            for item in session.items
            if kind_of(item) is Kind.GUESTS
        ]


def main() -> int:
    files = [str(file) for file in TESTS.rglob("test_*.py") if MARKED.search(file.read_text())]
    os.environ[VARIABLE] = Guests.QEMU
    collector, said = Collector(), io.StringIO()
    with redirect_stdout(said):
        code = pytest.main(
            ["--collect-only", "-q", "-p", "no:cacheprovider", *files], plugins=[collector]
        )
    if code:
        print(said.getvalue(), file=sys.stderr)
        return int(code)
    for each in collector.found:
        print(json.dumps(asdict(each)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
