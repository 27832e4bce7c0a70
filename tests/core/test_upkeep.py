"""What runs is looked at: a removed address comes back, an unmounted file system is told."""

from dataclasses import replace
from typing import Final

import pytest

from hapair.core import node
from hapair.core.applications.upkeep import (
    AT_ONCE_MAX,
    CALM_S,
    LOOKED_AT,
    PAUSE_DOUBLINGS_MAX,
    PAUSE_S,
    doubt,
)
from hapair.core.explain import alarms, report
from hapair.core.words.effects import Act, Do, Layer, Look, Note
from hapair.core.words.events import Configured, Ended, Halt, LookAgain, Looked, Move, Seen, Tick
from hapair.core.words.item import Item, ItemState, Upkeep
from hapair.core.words.turn import Turn
from hapair.model.outcome import Done, Refused, Unknown
from hapair.model.status import Phase, Standing
from tests.core.bench import NAME, RESOURCE, Bench, built

ADDRESSED: Final = ("addressed", NAME, "")
MOUNTED: Final = ("mounted", NAME, RESOURCE)
GONE: Final = "10.77.1.50 is on no card"


def remove(bench: Bench, *, told: bool = True) -> None:
    """Take the address away, as a person or a program beside us does."""
    bench.up.discard(ADDRESSED)
    bench.troubles[ADDRESSED] = GONE
    if told:
        look_again(bench)


def look_again(bench: Bench) -> None:
    bench.do(LookAgain(bench.now_s, seen(bench)))


def seen(bench: Bench) -> tuple[Seen, ...]:
    """Return what a round of the daemon sees."""
    found = ((item, "" if item == ADDRESSED else RESOURCE) for item in (MOUNTED, ADDRESSED))
    return tuple(
        Seen(
            NAME,
            resource,
            None if item in bench.in_part else item in bench.up,
            bench.troubles.get(item, ""),
        )
        for item, resource in found
    )


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.running()
    made.forget_effects()

    def restored(effect: object) -> None:
        if isinstance(effect, Act) and effect.do is Do.RESTORE_ADDRESSES:
            made.troubles.pop(ADDRESSED, None)

    made.on_effect = restored
    return made


def upkeep(bench: Bench) -> Upkeep:
    return bench.state.items_of(NAME)[Item(NAME, Layer.ADDRESSED)].upkeep


def alarmed(bench: Bench) -> list[str]:
    return [alarm.name for alarm in alarms(bench.state)]


def texts(bench: Bench) -> list[str]:
    return [e.text for e in bench.effects if isinstance(e, Note)]


def test_a_removed_address_is_put_back_at_once_and_the_history_says_what_was_missing(
    bench: Bench,
) -> None:
    at_s = bench.now_s
    remove(bench)
    assert bench.now_s == at_s
    assert ADDRESSED in bench.up
    assert bench.acts() == [Do.RESTORE_ADDRESSES]
    assert bench.notes() == ["address-restored"]
    assert texts(bench) == [f"{GONE}: put back"]
    assert alarmed(bench) == []


def test_addresses_that_are_there_in_part_are_put_back(bench: Bench) -> None:
    bench.in_part.add(ADDRESSED)
    bench.on_effect = lambda effect: bench.in_part.clear() if isinstance(effect, Act) else None
    look_again(bench)
    assert bench.acts() == [Do.RESTORE_ADDRESSES]


def test_nothing_is_done_where_nothing_is_missing(bench: Bench) -> None:
    look_again(bench)
    assert bench.effects == [], "what is seen as it is known is not looked at"
    bench.do(LookAgain(bench.now_s, seen=()))
    assert bench.effects == [], "nor is what could not be seen"
    bench.do(LookAgain(bench.now_s))
    assert all(isinstance(effect, Look) for effect in bench.effects)
    assert {e.layer for e in bench.effects if isinstance(e, Look)} == set(LOOKED_AT)


def test_what_was_seen_is_no_evidence(bench: Bench) -> None:
    """It may be older than what was done since: only a look tells."""
    gone = tuple(replace(each, up=False, trouble=GONE) for each in seen(bench))
    bench.do(LookAgain(bench.now_s, gone))
    assert len([e for e in bench.effects if isinstance(e, Look)]) == len(LOOKED_AT)
    assert bench.acts() == []
    assert bench.notes() == []
    assert alarmed(bench) == []


def test_what_is_in_doubt_stays_so_until_it_was_looked_at(bench: Bench) -> None:
    bench.deaf = {Do.RESTORE_ADDRESSES}
    remove(bench)
    before = replace(bench.state, unsure=(Item(NAME, Layer.MOUNTED, RESOURCE),))
    turn = Turn(before)
    doubt(turn, seen(bench))
    assert turn.state.unsure == (
        Item(NAME, Layer.MOUNTED, RESOURCE),
        Item(NAME, Layer.ADDRESSED),
    ), "the one that is worked on may change after it was seen"


def test_what_is_not_up_is_not_looked_at() -> None:
    idle = Bench()
    idle.together()
    idle.forget_effects()
    look_again(idle)
    assert idle.effects == []


def test_the_application_goes_on_whatever_becomes_of_the_address(bench: Bench) -> None:
    for outcome in (Refused("another machine has this address"), Unknown("no answer")):
        bench.outcomes = {Do.RESTORE_ADDRESSES: outcome}
        remove(bench)
        bench.wait(5.0)
    assert set(bench.acts()) == {Do.RESTORE_ADDRESSES}
    assert report(bench.state, bench.now_s).applications[0].phase is Phase.RUNNING
    assert bench.record.failed_on == ()


def test_an_address_that_cannot_be_put_back_is_an_alarm_until_it_can(bench: Bench) -> None:
    bench.outcomes = {Do.RESTORE_ADDRESSES: Refused("another machine has this address")}
    remove(bench)
    bench.wait(20.0)
    assert bench.notes() == ["address-missing"], "once, for one and the same reason"
    assert texts(bench) == [f"{GONE}, and cannot be put back: another machine has this address"]
    assert alarmed(bench) == ["address-missing"]
    bench.outcomes = {}
    bench.wait(PAUSE_S * 2**PAUSE_DOUBLINGS_MAX)
    assert ADDRESSED in bench.up
    assert bench.notes() == ["address-missing", "address-restored"]
    assert alarmed(bench) == []


def test_a_start_has_the_address_back_even_if_the_first_try_fails(bench: Bench) -> None:
    bench.outcomes = {Do.RESTORE_ADDRESSES: Unknown("no answer within 10 s")}
    remove(bench)
    assert len(bench.acts()) == 1
    bench.outcomes = {}
    bench.wait(1.5)
    assert bench.acts() == [Do.RESTORE_ADDRESSES] * 2
    assert bench.notes() == ["address-missing", "address-restored"]


def test_who_fights_is_answered_at_once_a_few_times_and_then_ever_more_slowly(
    bench: Bench,
) -> None:
    """Somebody removes it five times a second for two minutes."""
    for _ in range(240):
        remove(bench)
        bench.wait(0.5)
    acts = len(bench.acts())
    doubled_s = sum(PAUSE_S * 2**n for n in range(PAUSE_DOUBLINGS_MAX))
    assert AT_ONCE_MAX < acts <= AT_ONCE_MAX + PAUSE_DOUBLINGS_MAX + (120 - doubled_s) / 32 + 1
    assert bench.notes().count("address-restored") == AT_ONCE_MAX - 1
    assert bench.notes().count("address-fought") == 1
    assert alarmed(bench) == ["address-fought"]
    (alarm,) = alarms(bench.state)
    assert f"{acts} times" in alarm.text
    assert report(bench.state, bench.now_s).applications[0].phase is Phase.RUNNING


def test_when_the_fight_is_over_it_is_forgotten(bench: Bench) -> None:
    for _ in range(AT_ONCE_MAX):
        remove(bench)
    bench.forget_effects()
    bench.wait(CALM_S / 2)
    look_again(bench)
    assert alarmed(bench) == ["address-fought"]
    bench.wait(CALM_S)
    look_again(bench)
    assert alarmed(bench) == []
    assert bench.notes() == ["addresses-stay"]
    assert upkeep(bench) == replace(upkeep(bench), missing=False, tries=0)
    remove(bench)
    assert bench.acts() == [Do.RESTORE_ADDRESSES], "at once again"


def test_one_removal_is_forgotten_without_a_word(bench: Bench) -> None:
    remove(bench)
    bench.wait(CALM_S + 1)
    bench.forget_effects()
    look_again(bench)
    assert upkeep(bench).tries == 0
    assert bench.notes() == []


def test_nothing_is_put_back_without_the_right() -> None:
    """The node is cut off and nobody has granted it anything: it may be about to stop."""
    cut = Bench()
    cut.running()
    cut.references_answer = lambda: Tick(cut.now_s)  # type: ignore[method-assign]
    cut.disconnect()
    cut.wait(3.0, hearing=False)
    assert cut.stands(Standing.CUT)
    cut.forget_effects()
    remove(cut)
    cut.wait(1.0, hearing=False)
    assert cut.acts() == []
    assert "address-trouble" in alarmed(cut)


def test_who_gets_the_right_puts_it_back(bench: Bench) -> None:
    bench.alone()
    bench.forget_effects()
    remove(bench)
    assert bench.acts() == [Do.RESTORE_ADDRESSES]


@pytest.mark.parametrize("command", [Halt(NAME), Move(NAME)])
def test_nothing_is_put_back_while_it_stops(bench: Bench, command: Halt | Move) -> None:
    bench.deaf = {Do.STOP_PROGRAM}
    bench.command(command)
    assert bench.acts() == [Do.STOP_PROGRAM]
    remove(bench)
    bench.wait(2.0)
    assert bench.acts() == [Do.STOP_PROGRAM]


def test_a_stop_waits_for_an_address_that_is_being_put_back_and_removes_it(bench: Bench) -> None:
    bench.deaf = {Do.RESTORE_ADDRESSES}
    remove(bench)
    bench.command(Halt(NAME))
    assert bench.acts() == [Do.RESTORE_ADDRESSES, Do.STOP_PROGRAM]
    (act,) = (e for e in bench.effects if isinstance(e, Act) and e.do is Do.RESTORE_ADDRESSES)
    bench.up.add(ADDRESSED)
    bench.do(Ended(bench.now_s, act.effect_id, Done()))
    assert Do.REMOVE_ADDRESSES in bench.acts()
    assert ADDRESSED not in bench.up
    assert upkeep(bench) == Upkeep(), "the next start begins anew"


def test_what_happens_while_something_works_on_it_is_looked_at_afterwards(bench: Bench) -> None:
    bench.deaf = {Do.RESTORE_ADDRESSES}
    remove(bench)
    (act,) = (e for e in bench.effects if isinstance(e, Act))
    looks = sum(isinstance(e, Look) for e in bench.effects)
    look_again(bench)
    look_again(bench)
    bench.up.add(ADDRESSED)
    bench.do(Ended(bench.now_s, act.effect_id, Done()))
    assert bench.state.unsure == ()
    later = [e for e in bench.effects if isinstance(e, Look)][looks:]
    assert [e.layer for e in later].count(Layer.ADDRESSED) == 1


def test_what_is_no_longer_built_is_not_looked_at(bench: Bench) -> None:
    bench.deaf = {Do.RESTORE_ADDRESSES}
    remove(bench)
    look_again(bench)
    assert bench.state.unsure
    bench.do(Configured(bench.now_s, replace(built(), applications=())))
    assert not bench.state.unsure


def test_an_address_that_serves_but_has_a_trouble_is_told_and_left(bench: Bench) -> None:
    """The node's own address is gone: that is for the operating system to mend."""
    bench.troubles[ADDRESSED] = "this node's own address 10.77.1.1 is on no card"
    for _ in range(3):
        look_again(bench)
    assert bench.acts() == []
    assert bench.notes() == ["address-trouble"]
    assert alarmed(bench) == ["address-trouble"]
    bench.troubles.clear()
    look_again(bench)
    assert alarmed(bench) == []


def test_a_look_that_nobody_waits_for_changes_nothing(bench: Bench) -> None:
    before = bench.state.items
    state, effects = node.step(bench.state, Looked(bench.now_s, 9999, up=False))
    assert state.items == before
    assert effects == ()
    assert ItemState().upkeep == Upkeep()
