"""Events of the history, and one message for each failover, whatever came of it."""

import itertools
from dataclasses import replace
from typing import Final

from hapair.core.alerts.happened import (
    KINDS_MAX,
    QUIET_MAX_S,
    QUIET_S,
    UNFINISHED_S,
    Failover,
    Told,
    follow,
    tell,
)
from hapair.model.alerts import Kind, Level, Message
from hapair.model.timeline import Happening

NOW_S: Final = 1000.0


def line(name: str, application: str = "", at_s: float = 0.0, text: str = "") -> Happening:
    severity = "warning" if name != "info" else "info"
    return Happening(
        int(at_s * 10),
        NOW_S + at_s,
        50.0 + at_s,
        "node2",
        name,
        text or name,
        application,
        severity,
    )


TAKEN: Final = (
    line("silent", at_s=-2.0),
    line("detected", at_s=0.0),
    line("granted", at_s=0.1),
    line("decided", "orders", 0.2),
    line("decided", "mail", 0.2),
    line("info", at_s=0.3),
)
COMPLETE: Final = (line("started", "orders", 1.0), line("started", "mail", 1.5))


def texts(messages: tuple[Message, ...]) -> list[str]:
    return [message.text for message in messages]


def test_a_failover_is_told_once_when_all_of_it_runs() -> None:
    failover, messages = follow(Failover(), TAKEN, {}, NOW_S + 0.5)
    assert messages == ()
    failover, messages = follow(failover, COMPLETE[:1], {}, NOW_S + 1.1)
    assert messages == ()
    failover, messages = follow(failover, COMPLETE[1:], {}, NOW_S + 1.6)
    (told,) = messages
    assert (told.kind, told.level, told.about) == (Kind.FAILOVER, Level.WARNING, "node2")
    assert told.text == (
        "node2 has taken over orders, mail in 3.5 s (detected 2.0 s; granted 2.1 s; decided orders"
        " 2.2 s; decided mail 2.2 s; started orders 3.0 s; started mail 3.5 s)"
    )
    further = (line("failed-here", "orders", 9.0), line("together", at_s=60.0))
    failover, messages = follow(failover, further, {}, NOW_S + 600)
    assert (failover, messages) == (Failover(), ())


def test_an_application_without_a_program_is_complete_with_its_last_step() -> None:
    lines = (*TAKEN, line("started", "orders", 1.0), line("mounted", "mail", 1.0))
    assert follow(Failover(), lines, {}, NOW_S + 2)[1] == ()
    (told,) = follow(Failover(), lines, {"mail": "mounted"}, NOW_S + 2)[1]
    assert told.level is Level.WARNING


def test_a_failover_that_fails_is_told_too_with_the_reason() -> None:
    failed = (
        line("start-failed", "mail", 1.2, "start program failed: no licence"),
        line("failed-here", "mail", 1.3, "it failed to start on node2"),
    )
    failover, messages = follow(Failover(), (*TAKEN, failed[0], COMPLETE[0]), {}, NOW_S + 1.2)
    assert messages == ()
    (told,) = follow(failover, failed[1:], {}, NOW_S + 1.4)[1]
    assert told.level is Level.ALARM
    assert "but mail does not run: it failed to start on node2 (" in told.text
    assert told.to_do == "clstat --why mail"


def test_a_failover_that_takes_too_long_is_told_as_not_complete() -> None:
    failover, messages = follow(Failover(), (*TAKEN, COMPLETE[0]), {}, NOW_S + UNFINISHED_S)
    assert messages == ()
    failover, messages = follow(failover, (), {}, NOW_S + UNFINISHED_S + 1)
    assert "but mail does not run yet" in messages[0].text
    assert follow(failover, COMPLETE, {}, NOW_S + UNFINISHED_S + 2)[1] == ()


def test_a_failover_that_the_next_one_or_a_reboot_interrupts_is_told() -> None:
    again = (
        line("silent", at_s=5.0),
        line("decided", "orders", 6.0),
        line("started", "orders", 7.0),
    )
    first, second = follow(Failover(), (*TAKEN, *again), {}, NOW_S + 8)[1]
    assert "but orders does not run yet" in first.text
    assert second.text.startswith("node2 has taken over orders in 2.0 s")
    rebooted = replace(line("started", "orders"), at_s=1.0)
    (told,) = follow(Failover(), (*TAKEN, rebooted), {}, NOW_S + 8)[1]
    assert told.level is Level.ALARM


def test_a_silence_in_which_nothing_is_taken_over_is_no_failover() -> None:
    lines = (line("silent"), line("detected", at_s=2.0), line("together", at_s=9.0))
    assert follow(Failover(), lines, {}, NOW_S + 600) == (Failover(), ())


def test_many_applications_make_no_endless_text() -> None:
    names = [f"app{n}" for n in range(200)]
    lines = (*TAKEN[:3], *(line("decided", n, 0.2) for n in names))
    (told,) = follow(Failover(), (*lines, *(line("started", n, 3.0) for n in names)), {}, NOW_S)[1]
    assert "app9 and 190 more in 5.0 s" in told.text
    assert len(told.text) < 1000


def test_warnings_and_alarms_are_told_but_not_what_is_a_cause_or_part_of_a_failover() -> None:
    lines = (line("bug", text="broken"), line("no-room"), line("detected"), line("info"))
    _, messages = tell((), lines, frozenset({"no-room"}), NOW_S)
    assert texts(messages) == ["broken"]
    assert messages[0].about == "node2"


def test_what_happens_again_and_again_is_counted() -> None:
    told: tuple[Told, ...] = ()
    told, messages = tell(told, [line("bug", text=f"broken {n}") for n in range(1000)],
                          frozenset(), NOW_S)  # fmt: skip
    assert texts(messages) == ["broken 0"]
    told, messages = tell(told, (), frozenset(), NOW_S + QUIET_S)
    assert texts(messages) == ["broken 999 (999 times more by now)"]


def test_what_goes_on_all_night_is_told_ever_more_rarely_and_forgotten_once_it_is_over() -> None:
    told: tuple[Told, ...] = ()
    at_s: list[float] = []
    night_s = 12 * 3600
    for passed_s in range(0, night_s, 60):
        told, messages = tell(told, [line("bug")], frozenset(), NOW_S + passed_s)
        at_s += [passed_s] * len(messages)
    assert len(at_s) <= 8
    waits = [after - before for before, after in itertools.pairwise(at_s)]
    assert waits == sorted(waits)
    assert max(waits) <= QUIET_MAX_S
    told, messages = tell(told, (), frozenset(), NOW_S + night_s + QUIET_MAX_S)
    assert len(messages) == 1, "what was counted is told at last"
    told, messages = tell(told, (), frozenset(), NOW_S + night_s + 2 * QUIET_MAX_S)
    assert (told, messages) == ((), ())


def test_what_happened_once_is_told_once() -> None:
    told, _ = tell((), [line("bug")], frozenset(), NOW_S)
    assert tell(told, (), frozenset(), NOW_S + QUIET_S) == ((), ())
    assert tell(told, (), frozenset(), NOW_S - 5)[0] == ()  # The clock was set back.


def test_more_kinds_of_events_than_anybody_reads_are_counted() -> None:
    lines = [line(f"kind{n}") for n in range(KINDS_MAX + 30)]
    told, messages = tell((), lines, frozenset(), NOW_S)
    assert len(told) == KINDS_MAX
    assert messages[0].text == "30 more events are not told; see: clevents"
