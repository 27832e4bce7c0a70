"""When failures count."""

from hapair.lems.answers import Answer, failed, good, unknown, warning
from hapair.lems.record import Record
from hapair.model.monitor import Finding, Monitor, TcpProbe, Trouble


def record(failures: int = 1, counts_from_s: float = 0.0) -> Record:
    return Record(Monitor("tcp", TcpProbe("::1", 1), failures=failures), counts_from_s)


def take(one: Record, answer: Answer, now_s: float = 10.0) -> str:
    one.take(answer, 0.5, now_s, 1000.0 + now_s)
    return one.state


def test_it_waits_for_its_first_answer() -> None:
    assert record().state == "waiting"
    assert not record().answered


def test_a_failure_is_found_and_is_over_with_the_next_good_answer() -> None:
    one = record()
    assert take(one, failed("refused")) == "failed"
    assert one.finding == Finding("tcp", Trouble.PROGRAM, "refused")
    assert take(one, warning("slow")) == "warning"
    assert one.finding is None
    assert take(one, good("fine")) == "good"


def test_a_good_answer_between_failures_makes_them_count_anew() -> None:
    one = record(failures=2)
    states = [take(one, each) for each in (failed("a"), good("b"), failed("c"), failed("d"))]
    assert states == ["warning", "good", "warning", "failed"]
    assert one.finding == Finding("tcp", Trouble.PROGRAM, "d")


def test_what_could_not_be_asked_is_neither_better_nor_worse() -> None:
    one = record(failures=2)
    assert take(one, unknown("not installed")) == "warning"
    assert one.finding is None
    states = [take(one, each) for each in (failed("a"), unknown("b"), failed("c"), unknown("d"))]
    assert states == ["warning", "warning", "failed", "failed"]
    assert one.finding == Finding("tcp", Trouble.PROGRAM, "c")


def test_what_does_not_count_is_no_answer() -> None:
    late, slow = record(counts_from_s=20.0), record(failures=3)
    for one in (late, slow):
        take(one, failed("refused"))
        assert (one.answered, one.well) == (False, False)
    take(late, failed("refused"), 20.0)
    take(slow, warning("slow"))
    assert (late.answered, late.well) == (True, False)
    assert (slow.answered, slow.well) == (True, True)
    slow.halt(halted=True, wall_s=0.0)
    assert (slow.answered, slow.well) == (True, False)
    strange = record()
    take(strange, unknown("not installed"))
    assert (strange.answered, strange.well) == (True, False)


def test_failures_before_the_delay_count_for_nothing() -> None:
    one = record(failures=2, counts_from_s=20.0)
    assert [take(one, failed("a"), now_s) for now_s in (10.0, 19.9, 20.0, 21.0)] == [
        "waiting", "waiting", "warning", "failed",
    ]  # fmt: skip


def test_a_finding_keeps_its_text_until_its_trouble_is_another_one() -> None:
    """Else each look at a clock would be news for the daemon."""
    one = record()
    take(one, failed("3 s late"))
    take(one, failed("4 s late"))
    assert one.text == "4 s late"
    assert one.finding == Finding("tcp", Trouble.PROGRAM, "3 s late")
    take(one, failed("read-only", Trouble.STORAGE))
    assert one.finding == Finding("tcp", Trouble.STORAGE, "read-only")


def test_halted_it_finds_nothing_and_counts_nothing() -> None:
    one = record()
    take(one, failed("a"))
    one.halt(halted=True, wall_s=5.0)
    assert (one.state, one.finding, one.answered) == ("halted", None, True)
    take(one, failed("late"))
    assert (one.state, one.checks) == ("halted", 1)
    one.halt(halted=False, wall_s=6.0)
    assert (one.state, one.answered) == ("waiting", False)


def test_it_shows_since_when_it_is_as_it_is() -> None:
    one = record()
    take(one, good("a"), 1.0)
    take(one, good("b"), 2.0)
    take(one, Answer("failed", "c", perf={"time": "5ms"}), 3.0)
    assert one.shown() == {
        "name": "tcp", "state": "failed", "text": "c", "since_s": 1003.0, "checks": 3,
        "failures": 1, "last_s": 0.5, "perf": {"time": "5ms"},
    }  # fmt: skip
