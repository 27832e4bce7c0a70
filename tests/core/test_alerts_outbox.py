"""What waits for a receiver: bursts, back-off, and what is left out."""

import itertools
from dataclasses import replace
from typing import Final

from hapair.core.alerts import outbox as boxes
from hapair.core.alerts.outbox import BURST, LETTER_MAX, REFILL_S, WAITING_MAX, Outbox
from hapair.model.alerts import Kind, Letter, Level, Message, Method, Receiver

ADMINS: Final = Receiver("admins", Method.MAIL, "root")
PAGER: Final = Receiver("pager", Method.HOOK, "/bin/pager", least=Level.ALARM)


def message(text: str, level: Level = Level.ALARM) -> Message:
    return Message(Kind.EVENT, level, "orders", text, 5.0, "node1")


def burst(count: int, level: Level = Level.ALARM) -> list[Message]:
    return [message(f"number {n}", level) for n in range(count)]


def test_a_receiver_is_told_only_what_is_bad_enough_for_it() -> None:
    both = [message("mild", Level.WARNING), message("bad")]
    assert [m.text for m in boxes.put(Outbox("pager"), PAGER, both).waiting] == ["bad"]
    assert len(boxes.put(Outbox("admins"), ADMINS, both).waiting) == 2


def test_of_a_storm_what_is_left_out_is_counted_in_the_next_letter() -> None:
    box = boxes.put(Outbox("admins"), ADMINS, burst(1000))
    box, messages, left_out = boxes.ready(box, 100.0)
    assert (len(messages), left_out) == (LETTER_MAX, 1000 - WAITING_MAX)
    assert messages[0].text == "number 0"
    box = boxes.put(box, ADMINS, burst(5))
    box = boxes.sent(box)
    box, messages, left_out = boxes.ready(box, 101.0)
    assert (len(messages), left_out) == (LETTER_MAX, 5)
    told = Letter("shop", "node1", messages, left_out)
    assert told.subject.endswith("(and 24 more)")
    assert told.lines()[-1] == "5 more were left out; see: clevents"


def test_alarms_drive_warnings_out_and_never_the_other_way() -> None:
    box = boxes.put(Outbox("admins"), ADMINS, burst(WAITING_MAX, Level.WARNING))
    box = boxes.put(box, ADMINS, burst(3))
    assert [m.level for m in box.waiting].count(Level.ALARM) == 3
    box = boxes.put(box, ADMINS, burst(WAITING_MAX))
    box = boxes.put(box, ADMINS, [message("mild", Level.WARNING)])
    assert {m.level for m in box.waiting} == {Level.ALARM}
    assert len(box.waiting) == WAITING_MAX


def test_bursts_are_bounded_and_one_more_letter_may_go_after_a_while() -> None:
    box, now_s, letters = Outbox("admins"), 1000.0, 0
    for _ in range(100):
        box, messages, _ = boxes.ready(boxes.put(box, ADMINS, [message("x")]), now_s)
        if messages:
            letters += 1
            box = boxes.sent(box)
    assert letters == BURST
    assert not boxes.ready(box, now_s + REFILL_S / 2)[1]
    assert boxes.ready(box, now_s + REFILL_S)[1]


def test_nothing_is_sent_while_a_letter_is_on_its_way() -> None:
    box, messages, _ = boxes.ready(boxes.put(Outbox("admins"), ADMINS, burst(1)), 1.0)
    assert len(messages) == 1
    assert not boxes.ready(boxes.put(box, ADMINS, burst(1)), 2.0)[1]


def test_what_did_not_arrive_is_tried_again_ever_more_rarely_and_costs_no_letter() -> None:
    box, now_s = boxes.put(Outbox("admins"), ADMINS, burst(1)), 0.0
    tries = []
    while now_s < 7200:
        box, messages, _ = boxes.ready(box, now_s)
        if messages:
            tries.append(now_s)
            box = boxes.failed(box, now_s, "refused")
        now_s += 1.0
    assert tries[:4] == [0.0, 5.0, 15.0, 35.0]
    assert all(b - a <= boxes.RETRY_MAX_S + 1 for a, b in itertools.pairwise(tries))
    assert len(tries) < 25
    assert (box.error, box.letters) == ("refused", BURST)
    box, messages, _ = boxes.ready(box, now_s + 600)
    assert len(messages) == 1
    assert boxes.sent(box).waiting == ()


def test_a_process_that_starts_again_sends_what_was_on_its_way() -> None:
    box, _, _ = boxes.ready(boxes.put(Outbox("admins"), ADMINS, burst(70)), 1e6)
    again, messages, left_out = boxes.ready(boxes.restored(box), 3.0)
    assert (len(messages), left_out) == (LETTER_MAX, 10)
    assert again.sending == LETTER_MAX


def test_a_subject_is_one_short_line() -> None:
    long = message("a\nb " + "c" * 500)
    assert len(Letter("shop", "node1", (long,)).subject) < 250
    over = replace(message("the disk"), kind=Kind.OVER, level=Level.WARNING)
    assert Letter("shop", "node1", (over,)).subject == "[shop] warning: over: orders: the disk"
    failover = replace(message("taken"), kind=Kind.FAILOVER, to_do="look", number=4)
    letter = Letter("shop", "node1", (failover,))
    assert letter.subject == "[shop] failover: orders: taken"
    assert letter.lines() == ("failover alarm [4] orders: taken", "  to do: look")
    assert (letter.level, Letter("s", "n", (over,)).level) == (Level.ALARM, Level.WARNING)
