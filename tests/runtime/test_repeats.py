"""A history of which one line says what a thousand would."""

from hapair.runtime.history.repeats import QUIET_S, Repeats


def test_a_thousand_repetitions_are_four_lines() -> None:
    repeats = Repeats()
    told = [line for n in range(1500) if (line := repeats.told("denied", n * 0.25))]
    assert told == [
        "denied",
        "denied (10 times by now)",
        "denied (100 times by now)",
        "denied (1000 times by now)",
    ]


def test_each_kind_is_counted_by_itself() -> None:
    repeats = Repeats()
    told = [repeats.told(text, 1.0) for text in ("a", "b", "a", "b")]
    assert told == ["a", "b", "", ""]


def test_what_was_quiet_is_news_again() -> None:
    repeats = Repeats()
    assert repeats.told("a", 0.0)
    assert not repeats.told("a", QUIET_S - 1)
    assert repeats.told("a", 2 * QUIET_S) == "a"


def test_only_what_happened_lately_is_kept_in_mind() -> None:
    repeats = Repeats()
    for n in range(10_000):
        repeats.told(str(n), float(n))
    assert len(repeats.seen) <= QUIET_S
