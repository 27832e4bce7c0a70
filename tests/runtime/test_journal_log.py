"""The history: numbered for ever, readable after a crash, never waited for."""

import os
import threading
from pathlib import Path

import pytest

from hapair.core.words.effects import Severity
from hapair.model.timeline import Happening
from hapair.rpc.messages import parse_object
from hapair.runtime.history import journal_log
from hapair.runtime.history.journal_log import Journal, previous_file
from tests.runtime.conftest import WAIT_S
from tests.runtime.fakes import SetClock


class Screen:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def show(self, line: bytes) -> None:
        self.lines.append(line.decode())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def opened(file: Path, clock: SetClock | None = None) -> Journal:
    return Journal("node1", file, clock or SetClock(), show=lambda _: None)


def test_numbers_go_on_after_a_restart(file: Path) -> None:
    first = opened(file)
    first.add("one", "1")
    first.add("two", "2")
    first.close()
    second = opened(file)
    second.add("three", "3")
    assert [(line["number"], line["name"]) for line in second.since(0, 10)] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]
    second.close()


def test_a_line_that_a_crash_cut_in_two_is_passed_over(file: Path) -> None:
    first = opened(file)
    first.add("one", "1")
    first.add("two", "2")
    first.close()
    content = file.read_bytes()
    file.write_bytes(content[:-20] + b"\n\xff\n[]\n")
    second = opened(file)
    assert [line["name"] for line in second.since(0, 10)] == ["one"]
    second.close()


def test_an_unreadable_history_is_an_empty_one(file: Path) -> None:
    file.mkdir()
    journal = opened(file)
    journal.add("one", "1")
    assert [line["number"] for line in journal.since(0, 10)] == [1]
    journal.close()


def test_the_newest_lines_since_a_number_are_returned(file: Path) -> None:
    journal = opened(file)
    for number in range(1, 6):
        journal.add(f"line{number}", "")
    assert [line["number"] for line in journal.since(2, 10)] == [3, 4, 5]
    assert [line["number"] for line in journal.since(0, 2)] == [4, 5]
    assert journal.since(0, 0) == []
    assert journal.since(5, 10) == []
    journal.close()


def test_a_line_says_when_what_and_how_long(file: Path) -> None:
    journal = opened(file, SetClock(50.0))
    journal.add(
        "promote", "data", application="orders", severity=Severity.WARNING, took_s=1.23456, at_s=48
    )
    journal.close()
    assert parse_object(file.read_bytes()) == {
        "number": 1,
        "wall_s": 1_000_048.0,
        "at_s": 48.0,
        "node": "node1",
        "name": "promote",
        "text": "data",
        "application": "orders",
        "severity": "warning",
        "took_s": 1.2346,
    }


def test_people_read_one_line_per_happening(file: Path) -> None:
    screen = Screen()
    journal = Journal("node1", file, SetClock(), show=screen.show)
    journal.add("promote", "data", application="orders", took_s=0.5)
    journal.add("bug", "first\nsecond")
    journal.add("holder", "a\tname \x1b[2Jof\r a process")
    journal.close()
    assert screen.lines == [
        "promote: orders: data (0.500 s)\n",
        "bug: first | second\n",
        "holder: a name \N{REPLACEMENT CHARACTER}[2Jof\N{REPLACEMENT CHARACTER} a process\n",
    ]


def test_the_journal_gets_the_severity(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    screen = Screen()
    journal = Journal("node1", file, SetClock(), show=screen.show)
    journal.add("calm", "")
    journal.add("stuck", "", severity=Severity.ALARM)
    journal.close()
    assert screen.lines == ["<6>calm: \n", "<2>stuck: \n"]


def test_a_full_file_is_kept_as_the_previous_one(file: Path) -> None:
    journal = opened(file)
    for _ in range(2 + journal_log.FILE_BYTES_MAX // 1_000_000):
        journal.add("big", "x" * 1_000_000)
    journal.close()
    assert previous_file(file).stat().st_size > journal_log.FILE_BYTES_MAX
    again = opened(file)
    again.add("next", "")
    assert again.since(0, 1)[0]["number"] == 3 + journal_log.FILE_BYTES_MAX // 1_000_000
    again.close()


def test_followers_hear_every_line_until_they_leave(file: Path) -> None:
    journal, heard = opened(file), list[Happening]()
    leave = journal.follow(heard.append)
    journal.add("one", "")
    leave()
    journal.add("two", "")
    assert [happening.name for happening in heard] == ["one"]
    journal.close()


def test_a_stuck_disk_is_never_waited_for(file: Path) -> None:
    stuck, reached = threading.Event(), threading.Event()

    def hang(_: bytes) -> None:
        reached.set()
        stuck.wait()

    journal = Journal("node1", file, SetClock(), show=hang)
    for number in range(journal_log.UNWRITTEN_MAX + 100):
        journal.add("line", str(number))
    assert reached.wait(WAIT_S)
    assert len(journal.since(0, 10_000)) == journal_log.REMEMBERED_MAX
    stuck.set()
    journal.close()


def test_what_is_flushed_is_in_the_file_and_a_stuck_disk_is_not_waited_for_for_ever(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(file)
    journal.add("one", "")
    journal.flush()
    assert b'"one"' in file.read_bytes()
    journal.close()
    stuck = threading.Event()
    monkeypatch.setattr(journal_log, "FLUSH_TIMEOUT_S", 0.05)
    hangs = Journal("node1", file, SetClock(), show=lambda _: stuck.wait())
    hangs.add("two", "")
    hangs.flush()
    stuck.set()
    hangs.close()


def test_a_full_disk_ends_neither_the_writer_nor_the_daemon(file: Path) -> None:
    def fails(_: bytes) -> None:
        raise OSError(28, os.strerror(28))

    journal = Journal("node1", file, SetClock(), show=fails)
    journal.add("one", "")
    journal.close()
    assert len(journal.since(0, 10)) == 1
