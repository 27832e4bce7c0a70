"""A mount that somebody took away below a running application, or that does not serve any more."""

from dataclasses import replace
from typing import Final

import pytest

from hapair.core import node
from hapair.core.applications.failures import EXPIRES_S
from hapair.core.explain import alarms, report
from hapair.core.words.effects import Act, Do, Layer, Look, Note, Severity
from hapair.core.words.events import Halt, Introduce, LookAgain, Looked, LookedTogether, Run, Seen
from hapair.core.words.item import Is, Item, Upkeep
from hapair.model.monitor import Finding, Monitors, Trouble
from hapair.model.outcome import Refused
from hapair.model.status import Phase, Wanted
from tests.core.bench import NAME, RESOURCE, Bench, built
from tests.sim.settings import application

MOUNTED: Final = ("mounted", NAME, RESOURCE)
ITEM: Final = Item(NAME, Layer.MOUNTED, RESOURCE)
MENDS: Final = [Do.STOP_PROGRAM, Do.MOUNT, Do.START_PROGRAM]


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.running()
    made.forget_effects()
    return made


def look_again(bench: Bench) -> None:
    up = None if MOUNTED in bench.in_part else MOUNTED in bench.up
    seen = Seen(NAME, RESOURCE, up, bench.troubles.get(MOUNTED, ""))
    bench.do(LookAgain(bench.now_s, (seen,)))


def unmount(bench: Bench) -> None:
    bench.up.discard(MOUNTED)
    look_again(bench)


def alarmed(bench: Bench) -> list[str]:
    return [alarm.name for alarm in alarms(bench.state)]


def upkeep(bench: Bench) -> Upkeep:
    return bench.state.items_of(NAME)[ITEM].upkeep


def severe(bench: Bench) -> list[tuple[str, Severity]]:
    return [(e.name, e.severity) for e in bench.effects if isinstance(e, Note)]


def test_the_program_stops_before_it_is_mounted_again_and_runs_over_it(bench: Bench) -> None:
    unmount(bench)
    assert bench.acts() == MENDS
    assert ("not-mounted", Severity.ALARM) in severe(bench)
    assert ("mounted-again", Severity.WARNING) in severe(bench)
    assert alarmed(bench) == []
    assert report(bench.state, bench.now_s).applications[0].phase is Phase.RUNNING


def test_what_was_lost_unseen_is_mounted_before_a_program_that_died_is_started_again() -> None:
    bench = Bench(built(replace(application(NAME), monitors=Monitors(restarts=2))))
    bench.running()
    bench.forget_effects()
    bench.up.discard(MOUNTED)
    bench.finds(Finding("process", Trouble.PROGRAM, "the main process exited with 1"))
    assert bench.acts() == MENDS


def test_it_is_an_alarm_until_it_is_mounted(bench: Bench) -> None:
    bench.deaf = {Do.STOP_PROGRAM}
    unmount(bench)
    assert alarmed(bench) == ["not-mounted"]
    assert bench.acts() == [Do.STOP_PROGRAM], "nothing is mounted below a program that runs"


def test_whoever_mounts_it_meanwhile_is_believed(bench: Bench) -> None:
    bench.deaf = {Do.STOP_PROGRAM}
    unmount(bench)
    bench.up.add(MOUNTED)
    look_again(bench)
    assert alarmed(bench) == []
    assert ("mounted-again", Severity.INFO) in severe(bench)


def test_an_application_without_a_program_is_mounted_again_at_once() -> None:
    bench = Bench(built(replace(application(NAME), program=None)))
    bench.together()
    bench.command(Introduce(NAME, Wanted.UP))
    bench.forget_effects()
    unmount(bench)
    assert bench.acts() == [Do.MOUNT]


def test_where_only_the_data_is_wanted_it_is_told_and_left_to_who_works_on_it() -> None:
    bench = Bench()
    bench.together()
    bench.command(Introduce(NAME, Wanted.DATA))
    bench.forget_effects()
    for _ in range(3):
        unmount(bench)
    assert bench.acts() == []
    assert bench.notes() == ["not-mounted"]
    assert alarmed(bench) == ["not-mounted"]
    bench.command(Halt(NAME))
    assert alarmed(bench) == []


def test_the_second_time_within_a_while_counts_as_a_start_that_failed(bench: Bench) -> None:
    unmount(bench)
    assert [each.node for each in bench.record.failures] == []
    unmount(bench)
    assert [each.node for each in bench.record.failures] == ["node1"]
    assert report(bench.state, bench.now_s).applications[0].phase is not Phase.RUNNING
    assert Do.DEMOTE in bench.acts(), "it goes to the peer, which can run it"


def test_what_has_stayed_for_a_while_is_forgotten(bench: Bench) -> None:
    unmount(bench)
    assert upkeep(bench).tries == 1
    bench.wait(EXPIRES_S + 1.0)
    unmount(bench)
    assert bench.record.failures == ()
    assert upkeep(bench).tries == 1


def test_one_that_cannot_be_mounted_again_stays_an_alarm_and_a_start_that_failed(
    bench: Bench,
) -> None:
    bench.peer_has(current=False)
    bench.outcomes[Do.MOUNT] = Refused("the device is in use")
    unmount(bench)
    bench.wait(10.0)
    assert alarmed(bench).count("not-mounted") == 1
    (failure,) = bench.record.failures
    assert failure.count >= 1
    assert Do.START_PROGRAM not in bench.acts()


def test_what_is_mounted_over_it_is_told_once_and_stops_nothing(bench: Bench) -> None:
    bench.in_part.add(MOUNTED)
    bench.troubles[MOUNTED] = "/srv/orders is hidden: tmpfs is mounted over it"
    for _ in range(3):
        look_again(bench)
    assert bench.acts() == []
    assert severe(bench) == [("mount-trouble", Severity.ALARM)]
    assert alarmed(bench) == ["mount-trouble"]
    bench.in_part.clear()
    bench.troubles.clear()
    look_again(bench)
    assert alarmed(bench) == []


def test_one_that_became_read_only_is_told_and_stops_nothing(bench: Bench) -> None:
    bench.troubles[MOUNTED] = "/dev/drbd10 on /srv/orders has become read-only"
    look_again(bench)
    assert bench.acts() == []
    assert alarmed(bench) == ["mount-trouble"]


def test_the_errors_after_a_disk_was_given_up_are_no_news(bench: Bench) -> None:
    spent = {
        item: replace(state, spent=True) if item.layer is Layer.ATTACHED else state
        for item, state in bench.state.items_of(NAME).items()
    }
    state = replace(bench.state, items={NAME: spent})
    looking = dict(state.items_of(NAME)) | {ITEM: replace(state.items_of(NAME)[ITEM], busy=77)}
    state = replace(state, items={NAME: looking})
    state, _ = node.step(state, Looked(bench.now_s, 77, up=True, trouble="it is read-only"))
    assert state.items_of(NAME)[ITEM].upkeep.trouble == ""


def test_two_mounts_that_vanish_together_are_mounted_together() -> None:
    bench = Bench(built(application(NAME, volumes=2)))
    bench.running()
    bench.forget_effects()
    bench.up -= {("mounted", NAME, f"{NAME}.data{number}") for number in (0, 1)}
    bench.do(LookAgain(bench.now_s))
    assert sorted(bench.acts()) == sorted([Do.STOP_PROGRAM, Do.MOUNT, Do.MOUNT, Do.START_PROGRAM])


def test_what_is_looked_at_just_now_is_not_mounted_before_the_answer(bench: Bench) -> None:
    bench.deaf = {Do.STOP_PROGRAM}
    unmount(bench)
    state, effects = node.step(bench.state, LookAgain(bench.now_s))
    (look,) = (e for e in effects if isinstance(e, Look) and e.layer is Layer.MOUNTED)
    program = Item(NAME, Layer.PROGRAM)
    items = dict(state.items_of(NAME)) | {program: replace(state.items_of(NAME)[program], busy=0)}
    items[program] = replace(items[program], known=Is.DOWN, doing=None)
    state, effects = node.step(replace(state, items={NAME: items}), LookAgain(bench.now_s, ()))
    assert not [e for e in effects if isinstance(e, Act) and e.do is Do.MOUNT]
    answer = Looked(bench.now_s, look.effect_id, up=True)
    state, effects = node.step(state, LookedTogether(bench.now_s, (answer,)))
    assert not [e for e in effects if isinstance(e, Act) and e.do is Do.MOUNT]


def test_who_could_not_look_does_not_say_that_it_was_unmounted(bench: Bench) -> None:
    state, effects = node.step(bench.state, LookAgain(bench.now_s))
    (look,) = (e for e in effects if isinstance(e, Look) and e.layer is Layer.MOUNTED)
    why = "cannot tell whether it is mounted"
    answer = Looked(bench.now_s, look.effect_id, up=None, trouble=why, blind=True)
    state, effects = node.step(state, answer)
    assert not any(isinstance(e, Note) for e in effects)
    assert alarms(state) == ()
    assert state.items_of(NAME)[ITEM].known is Is.UP


def test_an_unmounted_application_can_be_halted(bench: Bench) -> None:
    bench.deaf = {Do.STOP_PROGRAM}
    unmount(bench)
    bench.deaf = set()
    bench.command(Halt(NAME))
    bench.wait(1.0)
    assert Do.START_PROGRAM not in bench.acts()


def test_a_mount_that_is_lost_while_the_next_start_is_awaited_ends_what_is_left_first() -> None:
    """The peer cannot run it, so this node waits before it tries again."""
    bench = Bench()
    bench.running()
    bench.peer_has(current=False)
    bench.outcomes[Do.START_PROGRAM] = Refused("exit code 1")
    for _ in range(3):
        unmount(bench)
        bench.wait(0.1)
    bench.deaf = {Do.STOP_PROGRAM, Do.KILL_PROGRAM}
    bench.wait(200.0)
    assert Do.MOUNT in bench.acts()


def test_a_program_that_fails_to_start_has_its_mounts_looked_at_first(bench: Bench) -> None:
    """One may have been lost while nobody could look: it would fail for ever."""
    bench.peer_has(current=False)
    bench.command(Halt(NAME))
    bench.outcomes[Do.START_PROGRAM] = Refused("exit code 1")
    bench.forget_effects()
    bench.command(Run(NAME))
    looks = [e for e in bench.effects if isinstance(e, Look) and e.layer is Layer.MOUNTED]
    assert looks


# --- What a new daemon finds there in part -----------------------------------------------------

PROGRAM: Final = ("program", NAME, "")
ADDRESSED: Final = ("addressed", NAME, "")
HIDDEN: Final = "something is mounted over it"


def found_in_part(bench: Bench, what: tuple[str, str, str], does: Do) -> None:
    """Let all be looked at anew; ``what`` is there in part, and completing it is refused."""
    bench.in_part.add(what)
    bench.troubles[MOUNTED] = HIDDEN
    bench.outcomes[does] = Refused(HIDDEN)
    items = {
        item: item_state
        if item.layer in (Layer.ATTACHED, Layer.PROMOTED)
        else replace(item_state, known=Is.UNKNOWN)
        for item, item_state in bench.state.items_of(NAME).items()
    }
    bench.state = replace(bench.state, items={NAME: items})
    bench.wait(2.0)


def test_what_runs_over_a_hidden_mount_goes_on_when_it_cannot_be_mounted_again(
    bench: Bench,
) -> None:
    found_in_part(bench, MOUNTED, Do.MOUNT)
    bench.wait(30.0)
    assert bench.acts() == [Do.MOUNT]
    assert bench.record.failed_on == ()
    assert severe(bench) == [("mount-trouble", Severity.ALARM)]
    assert upkeep(bench).trouble == HIDDEN
    bench.in_part.clear()
    bench.troubles.clear()
    look_again(bench)
    assert upkeep(bench).trouble == ""


def test_what_was_known_to_be_hidden_is_told_once(bench: Bench) -> None:
    bench.troubles[MOUNTED] = HIDDEN
    bench.in_part.add(MOUNTED)
    look_again(bench)
    found_in_part(bench, MOUNTED, Do.MOUNT)
    assert severe(bench) == [("mount-trouble", Severity.ALARM)]


@pytest.mark.parametrize(
    ("what", "does", "ends"),
    [
        (MOUNTED, Do.MOUNT, Do.UNMOUNT),
        (ADDRESSED, Do.ADD_ADDRESSES, Do.REMOVE_ADDRESSES),
    ],
)
def test_what_is_there_in_part_and_cannot_be_completed_is_taken_down(
    bench: Bench, what: tuple[str, str, str], does: Do, ends: Do
) -> None:
    bench.up.discard(PROGRAM)
    found_in_part(bench, what, does)
    bench.command(Halt(NAME))
    bench.wait(2.0)
    acts = bench.acts()
    assert ends in acts[acts.index(does) :]
