"""The tables at the end of a run say where the time went, to people and to whoever declares it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.times.areas import AREAS, WORKERS_MAX, area_of, main, pytest_arguments
from tests.times.kinds import Kind
from tests.times.plugin import played
from tests.times.spent import Ledger, Spent
from tests.times.tables import SLOWEST, note, where_the_time_goes

ROOT: Final = Path(__file__).parents[3]
BUILD: Final = "tests/lab/test_build.py::test_{}"
SPENT: Final = (
    Spent(BUILD.format("a"), Kind.GUESTS, declared_s=20.0, taken_s=61.25, failed=True),
    Spent(BUILD.format("b"), Kind.GUESTS, declared_s=20.0, taken_s=24.0),
    Spent("tests/lab/test_witness.py::test_c", Kind.GUESTS, declared_s=3.0, taken_s=7.0),
    Spent("tests/native/test_d.py::test_d", Kind.NATIVE, taken_s=5.0),
    Spent("tests/core/test_e.py::test_e", Kind.PURE, taken_s=0.5),
    Spent("tests/core/test_f.py::test_f", Kind.PURE, taken_s=0.25),
)


def report(name: str, when: str, duration_s: float, *, failed: bool = False) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=name,
        location=("", None, ""),
        keywords={},
        outcome="failed" if failed else "passed",
        longrepr=None,
        when=when,  # type: ignore[arg-type]
        duration=duration_s,
        user_properties=[("kind", "guests"), ("declared_s", 20.0)],
    )


def test_a_tests_three_reports_are_one_record_without_its_group() -> None:
    ledger = Ledger()
    ledger.take(report("tests/x.py::test_a[m@n]@real", "setup", 1.0))
    ledger.take(report("tests/x.py::test_a[m@n]@real", "call", 2.0, failed=True))
    ledger.take(report("tests/x.py::test_a[m@n]@real", "teardown", 4.0))
    ledger.take(report("tests/x.py::test_b@real", "call", 9.0))
    assert ledger.spent() == (
        Spent("tests/x.py::test_b", Kind.GUESTS, 20.0, 9.0),
        Spent("tests/x.py::test_a[m@n]", Kind.GUESTS, 20.0, 7.0, failed=True),
    )


def test_the_table_sums_kinds_and_files_and_names_what_is_declared_otherwise() -> None:
    text = "\n".join(re.sub(" +", " ", line).strip() for line in where_the_time_goes(SPENT))
    assert "3 43.0 s 92.2 s guests\n" in text
    assert "1 - 5.0 s native\n" in text
    assert "6 43.0 s 98.0 s all\n" in text
    assert "2 40.0 s 85.2 s tests/lab/test_build.py\n" in text
    assert "2 - 0.8 s 2 files of less than 1 s each" in text
    _, _, off = text.rpartition("declared otherwise")
    assert BUILD.format("a") in off
    assert BUILD.format("b") not in off, "a fifth more is no reason to write a mark anew"
    assert "test_c" not in off, "nor are four seconds"


def test_files_of_which_there_is_none_have_no_row() -> None:
    assert not [line for line in where_the_time_goes(SPENT[:4]) if "files of less" in line]


def test_the_note_says_on_which_guests_it_was_played(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger()
    for number, kind in enumerate(("uml", "uml", "qemu")):
        told = report(f"t.py::n{number}", "call", 1.0)
        told.user_properties.append(("guests", kind))
        ledger.take(told)
    monkeypatch.delenv("HAPAIR_LAB_GUESTS", raising=False)
    assert played(ledger.spent()).startswith("guests: uml (2), qemu (1), as probed; commit ")
    assert played(SPENT[3:]).startswith("guests: none; commit ")
    monkeypatch.setenv("HAPAIR_LAB_GUESTS", "uml")
    assert played(ledger.spent()).startswith("guests: uml; commit ")


def test_only_so_many_slow_tests_are_shown() -> None:
    many = [Spent(f"t.py::n{number}", Kind.PURE, taken_s=9.0) for number in range(SLOWEST + 5)]
    text = "\n".join(where_the_time_goes(many))
    assert f"::n{SLOWEST - 1}" in text
    assert f"::n{SLOWEST}" not in text


def test_the_note_has_a_row_for_each_area_and_names_what_failed() -> None:
    assert note(SPENT, "guests: uml") == [
        "guests: uml",
        "",
        "| area | passed | failed | seconds |",
        "|---|---|---|---|",
        "| build | 1 | 1 | 85 |",
        "| witness | 1 | 0 | 7 |",
        "| all | 2 | 1 | 92 |",
        f"failed: {BUILD.format('a')}",
    ]


def test_the_longest_line_of_the_table_says_the_area() -> None:
    assert area_of("tests/lab/test_failures.py::test_a_failing_disk_is_served") == "storage"
    assert area_of("tests/lab/test_failures.py::test_a_dead_daemon") == "failures"
    assert area_of("tests/core/test_brake.py::test_it") == ""


def test_an_area_that_is_unknown_lists_those_that_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == main(["build"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    everything, build = said.out.splitlines()
    assert everything.startswith("-n=5 tests/adapters/test_drbd_lab.py tests/lab/")
    assert build == " ".join(pytest_arguments(["build"]))
    assert main(["weather"]) == 2
    table = capsys.readouterr().err
    assert "there is no area 'weather'" in table
    assert [area for area in AREAS if f"\n  {area} " not in table] == []


@pytest.mark.parametrize("area", AREAS)
def test_an_area_is_played_by_no_more_workers_than_it_has_scenarios(area: str) -> None:
    workers, *files = pytest_arguments([area])
    number = int(workers.removeprefix("-n="))
    assert 1 <= number <= WORKERS_MAX
    assert set(files) == {start.partition("::")[0] for start in AREAS[area]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lab", "networks"), "make lab AREA=networks"),
        (("witness",), "there is no task witness"),
        (("lab", "GUESTS=nonsense"), "GUESTS=nonsense: there are no such guests; use qemu or uml"),
    ],
)
def test_a_slip_of_the_hand_begins_no_long_run(words: tuple[str, ...], said: str) -> None:
    done = subprocess.run(
        ("make", "--dry-run", *words),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},  # Not what a make above this run has set.
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_several_areas_may_be_played_at_once() -> None:
    done = subprocess.run(
        ("make", "--dry-run", "lab", "AREA=witness fencing"),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.rstrip().endswith("--area=witness --area=fencing")
    assert main(["witness", "fencing"]) == 0


PROJECT: Final = """
import time
import pytest

pytestmark = pytest.mark.lab(seconds=30)

def test_quick():
    assert True

@pytest.mark.lab(seconds=7)
@pytest.mark.xdist_group("real")
def test_slow():
    time.sleep(0.3)

def test_broken():
    assert False
"""


@pytest.fixture
def ran(tmp_path: Path) -> list[str]:
    """Return the lines that a run of some tests with two workers ends with."""
    (tmp_path / "test_it.py").write_text(PROJECT)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = lab(seconds)\n")
    words = ("-p", "tests.times.plugin", "--times", "--note", "-n", "2", "--dist", "loadgroup")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HAPAIR_LAB_GUESTS": "uml"}
    for inherited in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        environment.pop(inherited, None)
    done = subprocess.run(
        (sys.executable, "-m", "pytest", *words, "."),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_run_with_workers_prints_both_before_pytests_own_last_line(ran: list[str]) -> None:
    assert re.fullmatch(r"=+ 1 failed, 2 passed in .*=+", ran[-1])
    squeezed = [re.sub(" +", " ", line).strip() for line in ran]
    assert any(re.fullmatch(r"3 67\.0 s \d+\.\d s guests", line) for line in squeezed)
    assert any(re.fullmatch(r"7\.0 s \d+\.\d s test_it.py::test_slow", line) for line in squeezed)
    assert any(line.startswith("guests: uml; commit ") for line in ran)
    assert any(line.startswith("failed: test_it.py::test_broken") for line in ran)


def test_a_failure_is_named_when_it_happens(ran: list[str]) -> None:
    said = next(i for i, line in enumerate(ran) if "call of test_it.py::test_broken failed" in line)
    assert said < next(i for i, line in enumerate(ran) if "FAILURES" in line)
