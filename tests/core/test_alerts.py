"""Once for each cause, by one of two nodes, repeated while unanswered, and told to be over."""

import random
from dataclasses import replace
from typing import Final

import pytest

from hapair.core.alerts.book import (
    CLEAR_S,
    FOR_EVER_S,
    GRACE_S,
    HOLD_S,
    OPEN_MAX,
    Answer,
    Book,
    Cause,
    Sight,
    answered,
    decide,
)
from hapair.model.alerts import Kind, Level, Message

REPEAT_S: Final = 3600.0
DISK: Final = Cause("orders disk-lost", Level.ALARM, "orders", "the disk is lost", "replace it")
LINK: Final = Cause("public no-link", Level.WARNING, "public", "no link", "look at the cable")


class Node:
    """One node's process, by a clock of the test."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.book = Book()
        self.told: list[Message] = []

    def kinds(self) -> list[Kind]:
        return [message.kind for message in self.told]


class Pair:
    """Both nodes; what each says of its book the other one sees in the next round."""

    def __init__(self) -> None:
        self.nodes = (Node("node1"), Node("node2"))
        self.now_s = 1e6
        self.together = True
        self.running = {"node1", "node2"}

    def pass_time(self, span_s: float, *seen: Cause, step_s: float = 1.0) -> None:
        until_s = self.now_s + span_s
        while self.now_s < until_s:
            self.now_s += step_s
            before = [node.book for node in self.nodes]
            for node, theirs in zip(self.nodes, reversed(before), strict=True):
                if node.name in self.running:
                    self._round(node, theirs, seen)

    def _round(self, node: Node, theirs: Book, seen: tuple[Cause, ...]) -> None:
        heard = self.together and len(self.running) == 2
        first, opens = node.name == "node1", theirs.opens if heard else None
        sight = Sight(node.name, first, self.now_s, seen, opens, REPEAT_S)
        node.book, messages = decide(node.book, sight)
        node.told += messages

    def kinds(self) -> list[Kind]:
        return [kind for node in self.nodes for kind in node.kinds()]


def test_a_cause_is_told_once_although_both_nodes_see_it() -> None:
    pair = Pair()
    pair.pass_time(600, DISK, LINK)
    assert pair.kinds() == [Kind.BEGIN, Kind.BEGIN]
    assert pair.nodes[0].told[0].to_do == "replace it"


def test_what_is_over_at_once_was_never_there() -> None:
    pair = Pair()
    pair.pass_time(HOLD_S - 1, DISK)
    pair.pass_time(60)
    assert pair.kinds() == []
    assert pair.nodes[0].book.opens == ()


def test_it_is_told_once_that_it_is_over() -> None:
    pair = Pair()
    pair.pass_time(60, DISK)
    pair.pass_time(60)
    assert pair.kinds() == [Kind.BEGIN, Kind.OVER]
    assert all(node.book.opens == () for node in pair.nodes)


def test_what_comes_back_soon_was_not_over() -> None:
    pair = Pair()
    pair.pass_time(60, DISK)
    pair.pass_time(CLEAR_S - 1)
    pair.pass_time(60, DISK)
    assert pair.kinds() == [Kind.BEGIN]


def test_a_text_that_changes_is_the_same_cause() -> None:
    pair = Pair()
    pair.pass_time(60, DISK)
    pair.pass_time(60, replace(DISK, text="the disk is lost, tried 7 times"))
    assert pair.kinds() == [Kind.BEGIN]


def test_it_is_repeated_while_nobody_answers() -> None:
    pair = Pair()
    pair.pass_time(3 * REPEAT_S + 60, DISK, step_s=5.0)
    assert pair.kinds() == [Kind.BEGIN, Kind.REPEAT, Kind.REPEAT, Kind.REPEAT]


def test_an_answer_on_either_node_ends_the_repeating_until_it_expires() -> None:
    pair = Pair()
    pair.pass_time(60, DISK)
    other = pair.nodes[1]
    number = pair.nodes[0].told[0].number  # What the letter says holds on both nodes.
    other.book = answered(
        other.book, [number], Answer(pair.now_s, pair.now_s + 5 * REPEAT_S, "disk ordered")
    )
    pair.pass_time(5 * REPEAT_S - 60, DISK, step_s=5.0)
    assert pair.kinds() == [Kind.BEGIN]
    assert pair.nodes[0].book.opens[0].answer.text == "disk ordered"
    pair.pass_time(120, DISK, step_s=5.0)
    assert pair.kinds() == [Kind.BEGIN, Kind.REPEAT]


def test_of_two_answers_the_later_one_counts_on_both_nodes() -> None:
    pair = Pair()
    pair.pass_time(60, DISK)
    number = pair.nodes[0].told[0].number
    for node, until_s in zip(pair.nodes, (FOR_EVER_S, pair.now_s + 60), strict=True):
        node.book = answered(node.book, [number], Answer(pair.now_s, until_s))
        pair.pass_time(10, DISK)
    pair.pass_time(REPEAT_S, DISK, step_s=5.0)
    assert pair.kinds() == [Kind.BEGIN, Kind.REPEAT]


def test_an_answer_for_ever_lasts_until_it_is_over() -> None:
    pair = Pair()
    pair.pass_time(60, DISK)
    first = pair.nodes[0]
    first.book = answered(first.book, [first.book.opens[0].number], Answer(pair.now_s, FOR_EVER_S))
    pair.pass_time(9 * REPEAT_S, DISK, step_s=30.0)
    pair.pass_time(60)
    assert pair.kinds() == [Kind.BEGIN, Kind.OVER]


def test_nodes_that_hear_nothing_of_each_other_both_tell() -> None:
    """Rather twice than never."""
    pair = Pair()
    pair.together = False
    pair.pass_time(60, DISK)
    assert pair.kinds() == [Kind.BEGIN, Kind.BEGIN]


def test_when_they_meet_again_one_of_them_goes_on() -> None:
    pair = Pair()
    pair.together = False
    pair.pass_time(60, DISK)
    pair.together = True
    pair.pass_time(REPEAT_S + 60, DISK, step_s=5.0)
    pair.pass_time(60)
    assert pair.nodes[0].kinds() == [Kind.BEGIN, Kind.REPEAT, Kind.OVER]
    assert pair.nodes[1].kinds() == [Kind.BEGIN]


@pytest.mark.parametrize("lost", ["node1", "node2"])
def test_who_is_left_goes_on_with_what_the_other_one_told(lost: str) -> None:
    pair = Pair()
    pair.pass_time(60, DISK)
    pair.running = {"node1", "node2"} - {lost}
    pair.pass_time(60, DISK)
    assert pair.kinds() == [Kind.BEGIN]
    pair.pass_time(REPEAT_S + 60, DISK, step_s=5.0)
    pair.pass_time(60)
    (left,) = (node for node in pair.nodes if node.name in pair.running)
    assert left.kinds()[-2:] == [Kind.REPEAT, Kind.OVER]
    assert pair.kinds().count(Kind.OVER) == 1


def test_the_second_node_tells_what_the_first_one_keeps_to_itself() -> None:
    """The first one hangs, or does not see it; its book is heard of all the same."""
    pair = Pair()
    node = pair.nodes[1]
    for second in range(int(GRACE_S) + 2):
        sight = Sight("node2", first=False, now_s=1000.0 + second, seen=(DISK,), theirs=(),
                      repeat_s=REPEAT_S)  # fmt: skip
        node.book, messages = decide(node.book, sight)
        node.told += messages
    assert node.kinds() == [Kind.BEGIN]


def test_a_clock_that_is_set_back_delays_nothing_for_long() -> None:
    pair = Pair()
    pair.now_s = 1e9
    pair.pass_time(60, DISK)
    pair.now_s = 1000.0
    pair.pass_time(REPEAT_S + 60, DISK, step_s=5.0)
    pair.pass_time(1)
    pair.now_s -= 500
    pair.pass_time(60)
    assert pair.kinds() == [Kind.BEGIN, Kind.REPEAT, Kind.OVER]


def test_a_storm_of_causes_stays_bounded_and_says_how_many() -> None:
    pair = Pair()
    storm = [Cause(f"a{n} down", Level.ALARM, f"a{n}", "does not run") for n in range(1000)]
    pair.pass_time(60, LINK, *storm)
    assert len(pair.kinds()) == OPEN_MAX
    assert "952 more things" in pair.nodes[0].told[-1].text
    assert "no link" not in {message.text for message in pair.nodes[0].told}


def test_whatever_happened_before_a_cause_is_told_once_when_both_nodes_are_together() -> None:
    """Links and processes come and go; nothing of it stays."""
    for seed in range(50):
        chance, pair = random.Random(seed), Pair()
        for _ in range(8):
            pair.together = chance.random() < 0.7
            pair.running = chance.choice([{"node1", "node2"}] * 3 + [{"node1"}, {"node2"}])
            pair.pass_time(chance.choice([3, 20, 60]), *((DISK,) if chance.random() < 0.6 else ()))
        pair.together, pair.running = True, {"node1", "node2"}
        pair.pass_time(60)
        for node in pair.nodes:
            assert node.book.opens == (), seed
            node.told.clear()
        pair.pass_time(60, DISK)
        pair.pass_time(60)
        assert pair.kinds() == [Kind.BEGIN, Kind.OVER], seed
