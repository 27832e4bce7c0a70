"""Runs of an application: counted before they begin, and announced to Lems when they are up."""

from dataclasses import replace

from hapair.core.words.effects import Act, Do, Store
from hapair.core.words.events import Configured, Forget, Halt, Introduce, Run
from hapair.core.words.stored import RunCount
from hapair.model.outcome import Refused
from hapair.model.status import Standing, Wanted
from tests.core.bench import NAME, RESOURCE, Bench, built
from tests.sim.settings import application


def running() -> Bench:
    bench = Bench()
    bench.running()
    return bench


def test_a_run_is_watched_from_when_it_is_up_until_it_stops() -> None:
    bench = running()
    assert bench.watches() == [0, 1]
    bench.forget_effects()
    bench.command(Halt(NAME))
    assert bench.watches() == [0]
    bench.command(Run(NAME))
    assert bench.watches() == [0, 2]


def test_a_run_has_its_number_on_the_disk_before_it_begins() -> None:
    bench = running()
    does = [getattr(each, "do", None) for each in bench.effects]
    before = bench.effects[: does.index(Do.START_PROGRAM)]
    stored = [each.stored.runs for each in before if isinstance(each, Store)]
    assert stored[-1] == (RunCount(NAME, 1),)
    assert all(not runs for runs in stored[:-1]), "it is counted once"


def test_each_try_of_a_start_is_a_run_of_its_own() -> None:
    bench = Bench()
    bench.together()
    bench.outcomes[Do.START_PROGRAM] = Refused("no licence")
    bench.peer_has(current=False)
    bench.command(Introduce(NAME, Wanted.UP))
    bench.wait(6.0)
    bench.outcomes.clear()
    bench.wait(11.0)
    starts = [e for e in bench.effects if isinstance(e, Act) and e.do is Do.START_PROGRAM]
    assert bench.watches() == [0, len(starts)]


def test_a_new_daemon_says_again_which_run_it_adopted() -> None:
    bench = running()
    bench.forget_effects()
    bench.starts_daemon_anew()
    assert bench.watches() == [1], "never 0: what watches it may have outlived the daemon"


def test_a_new_daemon_that_finds_it_down_begins_another_run() -> None:
    bench = running()
    bench.up.discard(("program", NAME, ""))
    bench.forget_effects()
    bench.starts_daemon_anew()
    assert bench.watches() == [0, 2]


def test_a_node_that_is_cut_off_has_its_run_watched_as_before() -> None:
    bench = running()
    bench.forget_effects()
    bench.wait(2.2, hearing=False)
    assert bench.stands(Standing.CUT)
    assert bench.watches() == []


def test_what_is_no_longer_built_is_watched_by_nobody() -> None:
    bench = running()
    bench.forget_effects()
    bench.do(Configured(bench.now_s, replace(built(), generation=2, applications=())))
    assert bench.watches() == [0]
    assert bench.state.watched == {}
    bench.command(Forget(NAME, RESOURCE))
    assert bench.state.stored.runs == ()


def test_without_a_program_a_run_begins_with_the_addresses() -> None:
    bench = Bench(built(replace(application(NAME), program=None)))
    bench.together()
    bench.command(Introduce(NAME, Wanted.UP))
    assert bench.watches() == [0, 1]


def test_what_ran_before_anybody_counted_is_watched_as_the_first_run() -> None:
    bench = Bench()
    bench.running()
    bench.state = replace(bench.state, stored=replace(bench.state.stored, runs=()))
    bench.forget_effects()
    bench.starts_daemon_anew()
    bench.wait(5.0)
    assert bench.watches()[-1] == 1
