"""What is old, or was not seen, is no evidence."""

from dataclasses import replace
from typing import Final

import pytest

from hapair.core.applications.unseen import ALARM_AFTER, PAUSE_DOUBLINGS_MAX
from hapair.core.explain import alarms
from hapair.core.words.effects import Do, Layer, Look
from hapair.core.words.events import Halt, Move
from hapair.core.words.item import Is, Item, ItemState, Upkeep
from hapair.model.outcome import Unknown
from hapair.model.status import Standing
from tests.core.bench import NAME, Bench

PROGRAM: Final = ("program", NAME, "")
ITEM: Final = Item(NAME, Layer.PROGRAM)
WHY: Final = "cannot tell whether its program runs: Too many open files"
SLOWEST_S: Final = 2.0**PAUSE_DOUBLINGS_MAX


def test_the_right_is_kept_until_the_peer_has_heard_of_it() -> None:
    """What it said before this node went on alone may be repeated by a heart that beats on."""
    bench = Bench()
    bench.running()
    bench.alone()
    bench.hear()
    assert bench.stands(Standing.ALONE)
    bench.peer_says(accepted=bench.state.incarnation)
    assert not bench.state.stored.holds_right


def put(bench: Bench, item_state: ItemState) -> None:
    items = {NAME: {**bench.state.items_of(NAME), ITEM: item_state}}
    bench.state = replace(bench.state, items=items)


@pytest.fixture
def bench() -> Bench:
    """A daemon that was started anew beside what runs, and cannot look at it."""
    made = Bench()
    made.running()
    made.troubles[PROGRAM] = WHY
    put(made, ItemState())
    made.forget_effects()
    return made


def known(bench: Bench) -> Is:
    return bench.state.items_of(NAME)[ITEM].known


def looks(bench: Bench) -> int:
    return sum(isinstance(each, Look) for each in bench.effects)


def alarmed(bench: Bench) -> list[str]:
    return [each.name for each in alarms(bench.state)]


def test_a_program_that_cannot_be_looked_at_is_left_alone_and_asked_ever_more_slowly(
    bench: Bench,
) -> None:
    bench.wait(1.0)
    assert (looks(bench), bench.notes(), alarmed(bench)) == (1, ["not-seen"], [])
    bench.wait(9.0)
    assert looks(bench) == 4
    assert alarmed(bench) == ["not-seen"]
    bench.wait(10 * SLOWEST_S)
    assert 12 <= looks(bench) <= 17
    assert bench.notes() == ["not-seen", "not-seen"], "said once, and once more as an alarm"
    assert bench.acts() == []
    assert known(bench) is Is.UP


@pytest.mark.parametrize("runs", [True, False])
def test_the_first_look_that_tells_decides(bench: Bench, *, runs: bool) -> None:
    bench.wait(SLOWEST_S)
    bench.troubles.clear()
    if not runs:
        bench.up.discard(PROGRAM)
    bench.wait(SLOWEST_S + 1.0)
    assert bench.acts() == ([] if runs else [Do.START_PROGRAM])
    assert "seen-again" in bench.notes()
    assert known(bench) is Is.UP
    assert alarmed(bench) == []
    bench.forget_effects()
    bench.wait(2 * SLOWEST_S)
    assert looks(bench) == 0


def test_what_counts_as_running_can_be_stopped(bench: Bench) -> None:
    bench.wait(10.0)
    bench.command(Halt(NAME))
    assert bench.acts()[0] is Do.STOP_PROGRAM
    assert known(bench) is Is.DOWN


def test_a_stop_does_not_wait_for_a_look_that_hangs(bench: Bench) -> None:
    asked = Upkeep(trouble=WHY, tries=ALARM_AFTER, again_at_s=bench.now_s)
    put(bench, ItemState(known=Is.UP, busy=9999, upkeep=asked))
    bench.command(Move(NAME))
    assert bench.acts()[0] is Do.STOP_PROGRAM


def test_a_stop_that_goes_on_is_not_asked_for_twice(bench: Bench) -> None:
    bench.wait(10.0)
    bench.deaf.add(Do.STOP_PROGRAM)
    bench.command(Halt(NAME))
    bench.wait(3.0)
    assert bench.acts() == [Do.STOP_PROGRAM]


def test_after_a_stop_that_may_have_failed_it_counts_as_running_again(bench: Bench) -> None:
    bench.wait(10.0)
    bench.outcomes[Do.STOP_PROGRAM] = Unknown("no answer within 20 s")
    bench.command(Halt(NAME))
    assert bench.acts()[:2] == [Do.STOP_PROGRAM, Do.KILL_PROGRAM]
    assert known(bench) is Is.DOWN
