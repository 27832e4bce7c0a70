"""A cause that comes and goes: who is told of it how often in a night, and who has answered."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import pytest

from hapair.alerts.returns import NONE, REMEMBERED_MAX, REMEMBERED_S, Returns, decide_steadily
from hapair.core.alerts.book import FOR_EVER_S, Answer, Book, Cause, Open, Sight, answered
from hapair.model.alerts import Kind, Level, Message

DOWN: Final = Cause("orders down", Level.ALARM, "orders", "it does not run")
HOUR_S: Final = 3600.0
NIGHT_S: Final = 8 * HOUR_S
START_S: Final = 1e9
EMPTY: Final = Book()


@dataclass
class Night:
    """One node's nights. ``seen`` tells by the seconds since the start whether the cause holds."""

    seen: Callable[[float], bool]
    name: str = "node1"
    passed_s: float = 0.0
    returns: Returns = NONE
    book: Book = EMPTY
    theirs: tuple[Open, ...] | None = ()
    told: tuple[Message, ...] = ()

    def second(self) -> None:
        now_s = START_S + self.passed_s
        causes = (DOWN,) if self.seen(self.passed_s) else ()
        sight = Sight(self.name, self.name == "node1", now_s, causes, self.theirs, HOUR_S)
        self.returns, self.book, told = decide_steadily(self.returns, self.book, sight)
        self.told += told
        self.passed_s += 1.0

    def run(self, until_s: float) -> "Night":
        while self.passed_s < until_s:
            self.second()
        return self

    def answers(self, until_s: float) -> None:
        numbers = [each.number for each in self.book.opens]
        answer = Answer(START_S + self.passed_s, until_s, "I am on it")
        self.book = answered(self.book, numbers, answer)

    def kinds(self) -> Counter[Kind]:
        return Counter(message.kind for message in self.told)


def tried_each(period_s: float, lives_s: float) -> Callable[[float], bool]:
    return lambda passed_s: passed_s % period_s < period_s - lives_s


@pytest.mark.parametrize("lives_s", [12.0, 20.0, 60.0, 1500.0, 3000.0])
def test_what_comes_and_goes_wakes_nobody_more_often_than_what_stays(lives_s: float) -> None:
    """FAIL: an application that lives 20 s is told 160 times in a night, and 160 times over."""
    night = Night(tried_each(160.0 + lives_s, lives_s)).run(NIGHT_S)
    assert (night.kinds()[Kind.BEGIN], night.kinds()[Kind.OVER]) == (2, 1)
    assert 3 <= night.kinds()[Kind.REPEAT] <= 7
    assert "it comes and goes: back once since 2001-09-09" in night.told[2].text
    assert re.search(r"back \d+ times since 2001-09-09", night.told[-1].text)


@pytest.mark.parametrize("until_s", [START_S + NIGHT_S, FOR_EVER_S])
def test_who_answered_is_not_woken_again(until_s: float) -> None:
    night = Night(tried_each(180.0, 20.0)).run(60.0)
    night.answers(until_s)
    night.run(NIGHT_S)
    assert night.kinds() == {Kind.BEGIN: 1, Kind.OVER: 1}
    assert [each.answer.text for each in night.book.opens] == ["I am on it"]


def test_an_answer_that_ran_out_meanwhile_is_none() -> None:
    night = Night(lambda passed_s: not 100 < passed_s < 300).run(60.0)
    night.answers(START_S + 200.0)
    night.run(400.0)
    assert night.kinds() == {Kind.BEGIN: 2, Kind.OVER: 1}


def test_it_is_over_after_an_hour_without_it_and_nobody_is_reminded_of_it_meanwhile() -> None:
    night = Night(lambda passed_s: passed_s < 100 or 200 < passed_s < 300)
    night.run(300.0 + REMEMBERED_S)
    assert [message.kind for message in night.told] == [Kind.BEGIN, Kind.OVER, Kind.BEGIN]
    night.run(330.0 + REMEMBERED_S)
    assert night.told[-1].kind is Kind.OVER
    assert (night.book.opens, night.returns) == ((), NONE)


def test_a_reminder_waits_until_it_is_there_again() -> None:
    night = Night(lambda passed_s: passed_s < 100 or 200 < passed_s < 300 or passed_s > 3850)
    night.run(3845.0)
    assert night.kinds()[Kind.REPEAT] == 0
    night.run(3860.0)
    assert night.kinds()[Kind.REPEAT] == 1


def test_what_comes_back_after_more_than_an_hour_is_a_new_cause() -> None:
    night = Night(lambda passed_s: passed_s < 100 or passed_s > 120 + REMEMBERED_S)
    night.run(200 + REMEMBERED_S)
    assert [message.kind for message in night.told] == [Kind.BEGIN, Kind.OVER, Kind.BEGIN]
    assert "comes and goes" not in night.told[-1].text


def test_what_comes_back_for_a_moment_is_not_told() -> None:
    """A cause begins when it held for some seconds; one that comes and goes, too."""
    night = Night(lambda passed_s: passed_s < 100 or 200 < passed_s < 203).run(400.0)
    assert [message.kind for message in night.told] == [Kind.BEGIN, Kind.OVER]


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    night = Night(tried_each(180.0, 20.0)).run(600.0)
    night.passed_s -= 7200.0
    night.run(0.0)
    assert night.kinds()[Kind.BEGIN] == 2


def test_two_nodes_tell_it_as_one() -> None:
    both = Night(tried_each(180.0, 20.0)), Night(tried_each(180.0, 20.0), "node2")
    for second in range(4 * 3600):
        for mine, other in (both, both[::-1]):
            mine.theirs = other.book.opens
            mine.second()
        if second == 60:
            both[1].answers(START_S + NIGHT_S)
    assert [message.kind for message in both[0].told] == [Kind.BEGIN, Kind.OVER]
    assert both[1].told == ()


def test_the_other_node_goes_on_with_it_when_this_one_is_gone() -> None:
    both = Night(tried_each(180.0, 20.0)), Night(tried_each(180.0, 20.0), "node2")
    for _ in range(1000):
        for mine, other in (both, both[::-1]):
            mine.theirs = other.book.opens
            mine.second()
    both[1].theirs, both[1].seen = None, lambda _: False
    both[1].run(1000.0 + REMEMBERED_S + 60.0)
    assert both[1].kinds() == {Kind.OVER: 1}


def test_only_so_many_are_remembered() -> None:
    returns, book = NONE, Book()
    for number in range(2 * REMEMBERED_MAX):
        cause = replace(DOWN, key=f"app{number} down")
        for passed_s in (0, 6, 12, 24):
            now_s = START_S + 30.0 * number + passed_s
            causes = (cause,) if passed_s < 12 else ()
            sight = Sight("node1", first=True, now_s=now_s, seen=causes, theirs=(), repeat_s=HOUR_S)
            returns, book, _ = decide_steadily(returns, book, sight)
    assert len(returns.each) == REMEMBERED_MAX
    assert returns.each[-1].key == f"app{2 * REMEMBERED_MAX - 1} down"
