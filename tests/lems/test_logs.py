"""New lines of a file, however it is turned over."""

import os
import socket
from pathlib import Path

import pytest

from hapair.lems.answers import Answer
from hapair.lems.probes.logs import READ_BYTES_MAX, Log
from hapair.model.monitor import LogProbe
from tests.lems.running import ask


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def probe(log: Path) -> Log:
    return Log(LogProbe(str(log), "PANIC|FATAL"))


def add(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def test_what_was_there_before_does_not_count(log: Path, probe: Log) -> None:
    add(log, "PANIC: old\n")
    assert ask(probe) == Answer("good", f"no new line of {log} matches")
    add(log, "all is well\n")
    assert ask(probe).state == "good"
    add(log, "FATAL: one\nfine\nPANIC: two\n")
    assert ask(probe) == Answer("failed", f"{log}: PANIC: two (and 1 more)")
    assert ask(probe).state == "good", "each line counts once"


def test_a_line_counts_when_it_is_whole(log: Path, probe: Log) -> None:
    add(log, "")
    assert ask(probe).state == "good"
    add(log, "PAN")
    assert ask(probe).state == "good"
    add(log, "IC: now\n")
    assert ask(probe).text == f"{log}: PANIC: now"


def test_a_file_that_does_not_exist_yet_begins_with_its_first_line(log: Path, probe: Log) -> None:
    assert ask(probe) == Answer("good", f"{log} does not exist")
    add(log, "PANIC: first\n")
    assert ask(probe).text == f"{log}: PANIC: first"


def test_the_rest_of_a_file_that_was_renamed_is_read(log: Path, probe: Log) -> None:
    add(log, "before\n")
    ask(probe)
    add(log, "PANIC: last of the old\n")
    log.rename(log.with_suffix(".1"))
    add(log, "new\n")
    assert ask(probe).text == f"{log}: PANIC: last of the old"
    assert ask(probe).state == "good"
    log.unlink()
    assert ask(probe).state == "good"
    add(log, "PANIC: of the next\n")
    assert ask(probe).text == f"{log}: PANIC: of the next"


def test_a_file_that_was_truncated_is_read_from_its_beginning(log: Path, probe: Log) -> None:
    add(log, "a long line, before it was copied and truncated\n")
    ask(probe)
    log.write_text("PANIC: short\n")
    assert ask(probe).text == f"{log}: PANIC: short"


def test_so_is_one_that_has_grown_again_meanwhile(log: Path, probe: Log) -> None:
    add(log, "short\n")
    ask(probe)
    log.write_text("PANIC: more than before\nand so on\n")
    assert ask(probe).text == f"{log}: PANIC: more than before"


def test_of_a_flood_the_last_is_read(log: Path, probe: Log) -> None:
    add(log, "")
    ask(probe)
    add(log, "PANIC: lost\n" + "x" * (READ_BYTES_MAX - 10) + "\nPANIC: kept\n")
    assert ask(probe).text == f"{log}: PANIC: kept"


def test_what_is_no_regular_file_is_not_waited_for_and_tells_nothing(tmp_path: Path) -> None:
    """A FIFO hangs whoever opens it; and reading would take from who it is meant for."""
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    for place in (tmp_path, tmp_path / "fifo", tmp_path / "socket", Path("/dev/null")):
        answer = ask(Log(LogProbe(str(place), "x")), timeout_s=1.0)
        told = f"{place}: this is no regular file, and cannot be read"
        assert answer == Answer("unknown", told)


def test_nor_is_what_came_in_the_place_of_a_log(log: Path, probe: Log) -> None:
    add(log, "before\n")
    ask(probe)
    log.rename(log.with_suffix(".1"))
    os.mkfifo(log)
    assert ask(probe, timeout_s=1.0).state == "unknown"
    log.unlink()
    add(log, "PANIC: of the new\n")
    assert ask(probe).text == f"{log}: PANIC: of the new"
