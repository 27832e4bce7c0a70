"""What a Lems says is never longer than the daemon reads, whatever its monitors find."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.config.codec import encode
from hapair.config.kinds import SIMPLE_NAME
from hapair.lems.answers import (
    LABEL_MAX,
    PERF_BYTES_MAX,
    TEXT_BYTES_MAX,
    Answer,
    bounded,
    failed,
    one_line,
)
from hapair.lems.line import SAID_AT_ONCE_BYTES, SAID_BYTES_S
from hapair.lems.record import Record
from hapair.model.monitor import MONITORS_MAX, CheckProbe, Monitor
from hapair.runtime.lems.server import AT_ONCE_S, BYTES_S
from hapair.runtime.lems.wire import LINE_BYTES_MAX, NAME_MAX, Found, States, read_word
from tests.lems.daemon import Talk
from tests.lems.running import script, watch

MONITOR_BYTES_MAX: Final = LINE_BYTES_MAX // MONITORS_MAX - 2  # With its comma, and the envelope.
NAME: Final = "n" * NAME_MAX
SMILE: Final = "\U0001f600"  # Twelve bytes of JSON.
LETTERS: Final = st.one_of(st.text(), st.text(f'{SMILE}"\\\x00\n ', min_size=300, max_size=500))
ANSWERS: Final = st.builds(
    Answer,
    st.sampled_from(["good", "warning", "failed", "unknown"]),
    LETTERS,
    perf=st.dictionaries(LETTERS, st.text(max_size=100), max_size=60),
)


def record(answer: Answer, name: str = NAME) -> Record:
    made = Record(Monitor(name, CheckProbe("/a"), failures=2), 0.0, checks=10**12, failures=10**12)
    made.take(bounded(answer), 3600.0, 10.0, 1e10)
    made.take(bounded(answer), 3600.0, 10.0, 1e10)
    return made


def line(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def states(records: list[Record]) -> bytes:
    return line({"states": {"run": 1 << 60, "monitors": [each.shown() for each in records]}})


@given(ANSWERS)
def test_whatever_a_monitor_says_its_share_of_a_message_is_enough(answer: Answer) -> None:
    made = record(answer)
    assert len(line(made.shown())) <= MONITOR_BYTES_MAX
    if made.finding is not None:
        assert len(line(encode(made.finding))) <= MONITOR_BYTES_MAX


def test_the_names_of_monitors_are_as_short_as_is_counted_on() -> None:
    assert SIMPLE_NAME.length_max is not None
    assert SIMPLE_NAME.length_max <= NAME_MAX


def test_as_many_as_there_may_be_with_as_much_as_they_may_say_are_read_by_the_daemon() -> None:
    long = Answer("failed", SMILE * 5000, perf={f"{SMILE * 9}{n}": "1" * 40 for n in range(1500)})
    records = [record(long, f"n{number:063}") for number in range(MONITORS_MAX)]
    said = states(records)
    assert LINE_BYTES_MAX / 2 < len(said) < LINE_BYTES_MAX
    read = read_word(said)
    assert isinstance(read, States)
    assert len(read.monitors) == MONITORS_MAX
    assert read.monitors[0].text == records[0].text
    assert dict(read.monitors[0].perf) == records[0].perf
    findings = [encode(each.finding) for each in records]
    said = line({"findings": {"run": 1 << 60, "well": True, "findings": findings}})
    assert len(said) < LINE_BYTES_MAX
    found = read_word(said)
    assert isinstance(found, Found)
    assert [each.text for each in found.findings] == [each.text for each in records]


def test_what_is_short_is_told_as_it_is_said() -> None:
    answer = Answer("good", "all is well, ä too", perf={"load": "1.5", "/srv/orders": "70%"})
    assert bounded(answer) == answer
    text = one_line(SMILE * 1000)
    short = bounded(failed(text)).text
    assert len(json.dumps(short)) <= TEXT_BYTES_MAX < len(json.dumps(text))
    assert short.endswith(f"{SMILE}...")
    perf = bounded(Answer("good", "", perf={"a" * 100: "1", "b": "2" * PERF_BYTES_MAX})).perf
    assert perf == {"a" * LABEL_MAX: "1", "b": "2" * LABEL_MAX}


def test_it_says_no_more_in_a_while_than_the_daemon_listens_to() -> None:
    assert 2 * SAID_BYTES_S <= BYTES_S, "findings and states"
    assert 2 * (SAID_AT_ONCE_BYTES + LINE_BYTES_MAX) < AT_ONCE_S * BYTES_S


@pytest.mark.native
def test_many_that_fail_at_once_are_told_together(
    fork: Callable[[str], Talk], tmp_path: Path
) -> None:
    """Each of them is news: with all others each time the daemon would not get through it."""
    path = script(tmp_path / "check", f"while [ ! -e {tmp_path}/go ]; do sleep 0.1; done; "
                  f"printf '{SMILE}%.0s' $(seq 400); exit 2")  # fmt: skip
    lems = fork("orders")
    monitors = [Monitor(f"m{n}", CheckProbe(path), timeout_s=60.0) for n in range(80)]
    lems.say(watch(tuple(monitors)))
    time.sleep(2.0)
    begun_s = time.monotonic()
    (tmp_path / "go").touch()
    lems.findings(lambda found: len(found) == len(monitors))
    lasted_s = time.monotonic() - begun_s
    said = sum(len(line(each)) for each in lems.heard if "findings" in each)
    one = max(len(line(each)) for each in lems.heard)
    assert said <= SAID_AT_ONCE_BYTES + lasted_s * SAID_BYTES_S + 2 * one
