"""What is done about what monitors find: restart here, move, rest; or a person is told."""

from dataclasses import replace
from typing import Final

import pytest

from hapair.core.applications import dependencies, failures
from hapair.core.applications.failures import EXPIRES_S
from hapair.core.applications.health import HELD_S, SILENCE_LASTS_S
from hapair.core.applications.placement import view
from hapair.core.explain import alarms, report, why
from hapair.core.words.effects import Do
from hapair.core.words.events import Clear, Halt, Introduce, Run, Unwatched
from hapair.core.words.turn import Turn
from hapair.model.data import Role, VolumeFacts
from hapair.model.monitor import NO_MONITORS, Finding, Monitors, Trouble
from hapair.model.outcome import Refused, Unknown
from hapair.model.status import Failure, Phase, Version, Wanted
from tests.core.bench import ME, NAME, PEER, RESOURCE, Bench, built, facts
from tests.core.test_lifecycle import said_phase
from tests.sim.settings import application

EXITED: Final = Finding("process", Trouble.PROGRAM, "the main process exited with 1")
HANGS: Final = Finding("filesystem", Trouble.STORAGE, "/srv/orders does not answer")
FULL: Final = Finding("filesystem", Trouble.DATA, "/srv/orders is full")
TWICE: Final = Monitors(restarts=2)


def running(monitors: Monitors = TWICE, *, current: bool = True, failback: bool = False) -> Bench:
    """Run ``orders`` here; the peer could have it only with a current copy."""
    preferred = PEER if failback else ME
    wanted = application(NAME, preferred=preferred, failback=failback)
    bench = Bench(built(replace(wanted, monitors=monitors)))
    bench.together_with(current=current)
    bench.command(Introduce(NAME, Wanted.UP))
    bench.forget_effects()
    return bench


def alarm_names(bench: Bench) -> set[str]:
    return {each.name for each in alarms(bench.state)}


def reason(bench: Bench) -> str:
    reasons = why(bench.state, bench.built.applications[0].application)
    return next((each.rule for each in reasons if each.table == "health"), "")


def test_a_program_that_failed_is_restarted_here_and_nothing_else_stops() -> None:
    bench = running()
    bench.finds(EXITED)
    assert bench.acts() == [Do.STOP_PROGRAM, Do.START_PROGRAM]
    assert bench.watches() == [0, 2]
    assert bench.record.failures == (Failure(ME, 1, runs=1),)
    assert bench.record.failed_on == ()
    assert "health-restart" in bench.notes()


def test_what_has_no_data_is_restarted_beside_a_peer_that_cannot_tell_whether_it_runs_it() -> None:
    """The looks of its new daemon hang, say, for ever."""
    bench = Bench(built(replace(application(NAME, volumes=0), monitors=TWICE)))
    bench.running()
    bench.peer_has(Phase.UNKNOWN)
    bench.forget_effects()
    bench.finds(EXITED)
    assert bench.acts() == [Do.STOP_PROGRAM, Do.START_PROGRAM]


@pytest.mark.parametrize("found", [EXITED, HANGS])
@pytest.mark.parametrize(
    "waits",
    [
        replace(facts(role=Role.PRIMARY), suspended=True),
        replace(facts(role=Role.PRIMARY), overdue=True),
    ],
)
def test_while_its_writes_wait_for_the_peer_nothing_that_is_found_counts(
    found: Finding, waits: VolumeFacts
) -> None:
    """What waits for a write that DRBD holds back looks like a disk or a program that hangs.

    So does what waits for a stand-by whose disk hangs, for 42 s, with the connection in order.
    """
    bench = running()
    bench.data(waits)
    assert ("peer-overdue" in alarm_names(bench)) is waits.overdue
    bench.finds(found)
    bench.wait(200.0)
    bench.data(facts(role=Role.PRIMARY))
    bench.wait(HELD_S - 1.0)
    assert bench.acts() == []
    assert reason(bench) == "held-back"
    bench.wait(2.0)
    assert Do.STOP_PROGRAM in bench.acts()


def test_nothing_goes_where_the_disk_hangs() -> None:
    bench = running()
    wanted = bench.built.applications[0].application
    assert dependencies.peer_takes(view(bench.state, wanted))
    bench.data(replace(facts(role=Role.PRIMARY), overdue=True))
    assert not dependencies.peer_takes(view(bench.state, wanted))


def test_a_program_that_ended_while_writes_are_held_back_is_started_when_they_go_on() -> None:
    bench = running()
    bench.data(facts(role=Role.PRIMARY, suspended=True))
    bench.finds(HANGS, replace(EXITED, certain=True))
    bench.wait(20.0)
    assert bench.acts() == []
    bench.data(facts(role=Role.PRIMARY))
    assert bench.acts() == [Do.STOP_PROGRAM, Do.START_PROGRAM]
    assert "health-restart" in bench.notes()


def test_a_word_about_another_run_says_nothing() -> None:
    bench = running()
    bench.finds(EXITED)
    bench.forget_effects()
    bench.finds(EXITED, run=1)
    bench.finds(EXITED, run=3)
    assert bench.effects == []


def test_what_is_found_again_in_the_same_run_counts_once() -> None:
    bench = running()
    bench.deaf = {Do.STOP_PROGRAM}
    bench.finds(EXITED)
    bench.finds(EXITED, HANGS)
    assert bench.record.failures[0].count == 1
    assert bench.acts() == [Do.STOP_PROGRAM]


def test_after_too_many_restarts_the_peer_gets_it() -> None:
    bench = running()
    for _ in range(2):
        bench.finds(EXITED)
    assert bench.record.owner == ME
    bench.finds(EXITED)
    assert bench.record.owner == PEER
    assert bench.record.failed_on == (ME,)
    assert bench.record.failures == (Failure(ME, 3, runs=3, left=True),)


def test_without_restarts_it_moves_at_once() -> None:
    bench = running(Monitors(restarts=0))
    bench.finds(EXITED)
    assert bench.record.owner == PEER


def test_without_a_program_there_is_nothing_to_restart() -> None:
    wanted = replace(application(NAME), program=None)
    bench = Bench(built(wanted))
    bench.together()
    bench.command(Introduce(NAME, Wanted.UP))
    bench.finds(EXITED)
    assert bench.record.owner == PEER


def test_restarts_are_counted_anew_when_it_stayed_well_for_the_period() -> None:
    bench = running()
    for _ in range(2):
        bench.finds(EXITED)
    bench.wait(EXPIRES_S + 1.0)
    assert bench.record.failures == ()
    bench.finds(EXITED)
    assert bench.record.owner == ME


def test_restarts_are_remembered_by_a_new_daemon() -> None:
    bench = running()
    for _ in range(2):
        bench.finds(EXITED)
    bench.starts_daemon_anew()
    bench.peer_has()
    bench.wait(10.0)
    bench.finds(EXITED)
    assert bench.record.owner == PEER


def test_what_only_this_node_can_run_is_tried_here_ever_more_slowly() -> None:
    bench = running(Monitors(restarts=0), current=False)
    bench.finds(EXITED)
    assert bench.acts() == [Do.STOP_PROGRAM], "it is not started at once"
    assert alarm_names(bench) >= {"failed-here"}
    bench.wait(6.0)
    assert bench.acts() == [Do.STOP_PROGRAM, Do.START_PROGRAM]
    assert bench.record.failed_on == ()
    bench.finds(EXITED)
    bench.wait(6.0)
    assert bench.acts().count(Do.START_PROGRAM) == 1
    bench.wait(6.0)
    assert bench.acts().count(Do.START_PROGRAM) == 2
    bench.finds(EXITED)
    bench.peer_has()
    assert bench.record.owner == PEER, "who can run it gets it as soon as it can"


def test_it_never_goes_where_it_used_its_restarts_up_whatever_ran_there_since() -> None:
    bench = running(Monitors(restarts=0))
    worn = (Failure(PEER, 1, runs=1),)
    bench.peer_says(records=(replace(bench.record, failures=worn, version=Version(0, 50)),))
    bench.finds(EXITED)
    assert bench.record.owner == ME
    bench.wait(EXPIRES_S + 1.0)
    bench.finds(EXITED)
    assert bench.record.owner == PEER


# --- On both nodes ---------------------------------------------------------------------------


def failed_on_both() -> Bench:
    """It failed on the peer, came here, and fails here as well."""
    bench = running(Monitors(restarts=0))
    there = replace(
        bench.record,
        failed_on=(PEER,),
        failures=(Failure(PEER, 1, runs=1, left=True),),
        version=Version(0, 50),
    )
    bench.peer_says(records=(there,))
    bench.forget_effects()
    bench.finds(EXITED)
    return bench


def test_what_failed_on_both_nodes_rests_with_one_alarm() -> None:
    bench = failed_on_both()
    bench.wait(EXPIRES_S - 10.0)
    assert bench.acts() == [Do.STOP_PROGRAM]
    assert bench.record.owner == ME
    assert bench.notes().count("gave-up") == 1
    assert alarm_names(bench) == {"gave-up"}


def test_after_the_period_it_is_tried_once_more() -> None:
    bench = failed_on_both()
    bench.wait(EXPIRES_S + 1.0)
    assert bench.record.owner == PEER, "the peer's failure is the older one"


def test_after_the_period_it_is_tried_here_where_nobody_else_can() -> None:
    bench = failed_on_both()
    bench.peer_has(current=False)
    bench.wait(EXPIRES_S + 11.0)
    assert bench.acts() == [Do.STOP_PROGRAM, Do.START_PROGRAM]
    assert bench.record.failures == (Failure(PEER, 1, runs=1, left=True),)


def test_clear_forgets_what_failed_on_both_nodes_and_it_is_tried_at_once() -> None:
    bench = failed_on_both()
    bench.command(Clear(NAME))
    assert bench.record.failures == ()
    assert bench.record.failed_on == ()
    assert bench.acts() == [Do.STOP_PROGRAM, Do.START_PROGRAM]
    assert bench.replies()[-1] == (True, f"what failed of {NAME} is forgotten, on both nodes")


def test_clear_forgets_restarts_and_starts_nothing_that_is_halted() -> None:
    bench = running()
    bench.finds(EXITED)
    bench.command(Halt(NAME))
    bench.forget_effects()
    bench.command(Clear(NAME))
    assert bench.record.failures == ()
    assert bench.acts() == []


def test_a_run_that_a_person_orders_forgets_restarts_too() -> None:
    bench = running()
    bench.finds(EXITED)
    bench.command(Run(NAME))
    assert bench.record.failures == ()


def test_a_start_that_fails_on_both_nodes_keeps_its_tries() -> None:
    """Decision 0035: only what its monitors found rests."""
    bench = running(Monitors(restarts=0))
    bench.command(Halt(NAME))
    there = replace(
        bench.record, failed_on=(PEER,), failures=(Failure(PEER, 1),), version=Version(0, 50)
    )
    bench.outcomes[Do.START_PROGRAM] = Refused("no licence")
    bench.peer_says(records=(replace(there, wanted=Wanted.UP),))
    bench.wait(30.0)
    assert bench.acts().count(Do.START_PROGRAM) >= 3
    assert "failed-everywhere" in alarm_names(bench)


# --- Failing back ----------------------------------------------------------------------------


def test_it_does_not_fall_back_soon_to_a_node_that_it_had_to_leave() -> None:
    bench = running(failback=True)
    left = (Failure(PEER, 3, runs=3, left=True),)
    here = replace(bench.record, owner=ME, failed_on=(PEER,), failures=left)
    bench.peer_says(records=(replace(here, version=Version(0, 50)),))
    bench.wait(EXPIRES_S + 10.0)
    assert bench.record.failed_on == (), "it may go there where it must"
    assert bench.record.owner == ME
    bench.command(Clear(NAME))
    assert bench.record.owner == PEER, "a person said that it is mended"


def test_what_made_it_leave_is_remembered_after_its_restarts_count_anew() -> None:
    bench = running()
    left = (Failure(ME, 3, runs=3, left=True),)
    bench.peer_says(records=(replace(bench.record, failures=left, version=Version(0, 50)),))
    bench.wait(EXPIRES_S * 2)
    assert bench.record.failures == left
    bench.finds(EXITED)
    assert bench.record.owner == ME
    assert bench.record.failures == (Failure(ME, 4, runs=1, left=True),)


def test_what_made_it_leave_is_forgotten_one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FALLS_BACK_AFTER_S", EXPIRES_S + 100.0)
    bench = running()
    left = (Failure(ME, 3, runs=3, left=True),)
    bench.peer_says(records=(replace(bench.record, failures=left, version=Version(0, 50)),))
    bench.wait(EXPIRES_S + 99.0)
    assert bench.record.failures == left
    bench.wait(2.0)
    assert not bench.record.failures


# --- Storage and data ------------------------------------------------------------------------


def test_a_file_system_that_hangs_is_stopped_as_a_whole_and_goes_to_the_peer() -> None:
    bench = running()
    bench.finds(HANGS)
    assert bench.acts() == [Do.STOP_PROGRAM, Do.REMOVE_ADDRESSES, Do.UNMOUNT, Do.DEMOTE]
    assert bench.record.owner == PEER


def test_a_file_system_that_hangs_is_mounted_anew_where_nobody_else_can() -> None:
    bench = running(current=False)
    bench.finds(HANGS)
    assert bench.acts() == [Do.STOP_PROGRAM, Do.REMOVE_ADDRESSES, Do.UNMOUNT]
    bench.forget_effects()
    bench.wait(6.0)
    assert bench.acts() == [Do.MOUNT, Do.ADD_ADDRESSES, Do.START_PROGRAM]
    assert ("mounted", NAME, RESOURCE) in bench.up


def test_what_is_wrong_with_the_data_is_told_and_neither_restarts_nor_moves() -> None:
    bench = running(Monitors(restarts=0))
    bench.finds(FULL)
    assert bench.acts() == []
    assert bench.notes() == ["travels"]
    assert "monitor-failed" in alarm_names(bench)
    assert reason(bench) == "travels"
    bench.finds()
    assert "monitor-failed" not in alarm_names(bench)
    assert reason(bench) == "well"


def test_a_program_that_fails_on_a_full_file_system_is_restarted_but_not_moved() -> None:
    bench = running(Monitors(restarts=1))
    bench.finds(EXITED, FULL)
    assert bench.acts() == [Do.STOP_PROGRAM, Do.START_PROGRAM]
    bench.finds(EXITED, FULL)
    assert bench.acts() == [Do.STOP_PROGRAM, Do.START_PROGRAM]
    assert "restarted-in-vain" in bench.notes()
    bench.finds(EXITED)
    assert bench.record.owner == ME, "somebody made room: what it did before counts for nothing"
    assert bench.record.failed_on == ()
    assert said_phase(bench.state) is Phase.RUNNING


# --- What stops nothing ----------------------------------------------------------------------


def test_the_record_of_what_the_peer_owns_is_the_peers_to_change() -> None:
    bench = running()
    bench.finds(EXITED)
    theirs = replace(bench.record, owner=PEER, version=Version(5, 0))
    bench.peer_says(records=(theirs,))
    turn = Turn(bench.state)
    failures.count_anew(turn, NAME)
    assert turn.state.record(NAME) == theirs


@pytest.mark.parametrize("outcome", [Refused("not running"), Unknown("ended with 5")])
def test_a_stop_that_fails_of_a_program_that_is_dead_already_blocks_nothing(
    outcome: Refused | Unknown,
) -> None:
    bench = running()
    bench.up.discard(("program", NAME, ""))
    bench.outcomes = {Do.STOP_PROGRAM: outcome, Do.KILL_PROGRAM: outcome}
    bench.finds(EXITED)
    assert bench.acts()[-1] is Do.START_PROGRAM
    assert ("program", NAME, "") in bench.up


def test_a_program_that_lives_and_cannot_be_ended_is_stuck() -> None:
    bench = running()
    outcome = Refused("in uninterruptible sleep")
    bench.outcomes = {Do.STOP_PROGRAM: outcome, Do.KILL_PROGRAM: outcome}
    bench.finds(EXITED)
    assert bench.acts() == [Do.STOP_PROGRAM, Do.KILL_PROGRAM, Do.KILL_PROGRAM]
    assert report(bench.state, bench.now_s).applications[0].phase is Phase.STUCK


def test_a_lems_that_is_silent_is_told_and_changes_nothing() -> None:
    bench = running()
    bench.do(Unwatched(bench.now_s, NAME, "no sign of life for 6 s"))
    bench.do(Unwatched(bench.now_s, NAME, "it ended"))
    assert bench.acts() == []
    assert bench.notes() == ["unwatched"]
    bench.wait(SILENCE_LASTS_S + 5.0)
    assert bench.notes() == ["unwatched", "unwatched-for-long"]
    assert "unwatched-for-long" in alarm_names(bench)
    bench.do(Unwatched(bench.now_s, NAME, ""))
    assert bench.notes()[-1] == "watched-again"
    assert "unwatched-for-long" not in alarm_names(bench)
    bench.do(Unwatched(bench.now_s, NAME, ""))
    assert bench.notes()[-1] == "watched-again"


def test_the_silence_about_a_run_ends_with_the_run() -> None:
    bench = running()
    bench.do(Unwatched(bench.now_s, NAME, "it ended"))
    bench.command(Halt(NAME))
    bench.do(Unwatched(bench.now_s, NAME, "it ended"))
    bench.wait(SILENCE_LASTS_S + 5.0)
    assert "unwatched-for-long" not in bench.notes()


def test_what_is_found_while_nobody_may_act_is_mended_later() -> None:
    bench = running(NO_MONITORS)
    bench.wait(2.2, hearing=False)
    bench.finds(EXITED)
    assert bench.acts() == []
    assert reason(bench) == "not-up"
    bench.hear()
    bench.peer_says(accepted=bench.state.incarnation)
    assert bench.acts()[0] is Do.STOP_PROGRAM
    assert bench.acts()[-1] is Do.START_PROGRAM


def test_one_run_counts_once_whatever_becomes_of_the_daemon() -> None:
    bench = running(Monitors(restarts=1))
    bench.outcomes = {
        each: Unknown("it still stops") for each in (Do.STOP_PROGRAM, Do.KILL_PROGRAM)
    }
    bench.finds(EXITED)
    assert bench.record.failures == (Failure(ME, 1, runs=1),)
    bench.outcomes.clear()
    bench.starts_daemon_anew()
    bench.finds(EXITED)
    bench.wait(5.0)
    assert bench.record.owner == ME
    assert bench.record.failures == (Failure(ME, 1, runs=1),)
    assert said_phase(bench.state) is Phase.RUNNING
