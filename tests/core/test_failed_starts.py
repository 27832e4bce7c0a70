"""What failed to start is never given up: it is counted, tried again, and forgotten in the end."""

from dataclasses import replace

import pytest

from hapair.core import node
from hapair.core.applications.endings import START_WAITS_MAX, STOP_WAITS_MAX
from hapair.core.applications.failures import EXPIRES_S, PAUSE_MAX_S
from hapair.core.explain import alarms
from hapair.core.invariants import BrokenInvariantError, check_step
from hapair.core.right import holding
from hapair.core.words.effects import Act, Do, Layer
from hapair.core.words.events import Ended, Halt, Introduce, PeerApplication, Run, Tick
from hapair.core.words.item import Is, Item, ItemState
from hapair.model.built import Built
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Disk, Role
from hapair.model.outcome import Done, HeldByPeer, NotNow, Outcome, Refused, Unknown
from hapair.model.status import Failure, Phase, Standing, Version, Wanted
from tests.core.bench import ME, NAME, PEER, RESOURCE, Bench, built, facts
from tests.core.test_lifecycle import said_phase
from tests.sim.settings import Shape, application, built_from

WHY = Refused("no licence")


def introduced(
    do: Do, outcome: Outcome, *, current: bool = False, wanted: Wanted = Wanted.UP
) -> Bench:
    """Let the application start here; the peer could run it only with a current copy."""
    bench = Bench()
    bench.together()
    bench.outcomes = {do: outcome}
    bench.peer_has(current=current)
    bench.command(Introduce(NAME, wanted))
    return bench


def count(bench: Bench, node: str = ME) -> int:
    return next((each.count for each in bench.record.failures if each.node == node), 0)


def test_what_only_this_node_can_run_is_tried_again_ever_more_slowly() -> None:
    bench = introduced(Do.START_PROGRAM, WHY)
    assert "failed-here" in bench.notes()
    assert said_phase(bench.state) is Phase.STARTING
    assert bench.kernel[RESOURCE].role is Role.PRIMARY, "the data stays up"
    bench.wait(700.0)
    assert bench.acts().count(Do.START_PROGRAM) == count(bench)
    assert 8 <= count(bench) <= 10
    at_s = bench.state.failures[NAME, ME].at_s
    bench.wait(PAUSE_MAX_S + 1.0 - (bench.now_s - at_s))
    assert bench.state.failures[NAME, ME].at_s > at_s
    bench.outcomes.clear()
    bench.wait(PAUSE_MAX_S + 1.0)
    assert said_phase(bench.state) is Phase.RUNNING
    assert bench.record.failed_on == ()
    assert count(bench) > 0, "what is up may fail again soon"
    bench.wait(EXPIRES_S)
    assert bench.record.failures == ()


def test_what_a_failed_start_left_of_a_program_is_ended_before_the_next_try() -> None:
    bench = introduced(Do.START_PROGRAM, Unknown("ended with 1"))
    assert bench.acts()[-1] is Do.STOP_PROGRAM
    bench.forget_effects()
    bench.wait(6.0)
    assert bench.acts() == [Do.START_PROGRAM, Do.STOP_PROGRAM]


def test_only_the_data_is_tried_again_as_well() -> None:
    bench = introduced(Do.MOUNT, Refused("wrong file system"), wanted=Wanted.DATA)
    bench.wait(4.0)
    assert "start-failed" in bench.notes()
    bench.outcomes.clear()
    bench.wait(6.0)
    assert ("mounted", NAME, RESOURCE) in bench.up
    assert bench.record.failed_on == ()


def test_the_peer_gets_it_as_soon_as_it_can_run_it() -> None:
    bench = introduced(Do.START_PROGRAM, WHY)
    bench.peer_has()
    assert bench.record.owner == PEER
    assert bench.record.failed_on == (ME,)
    assert "peer-tries" in bench.notes()


def test_a_failure_on_the_peer_is_forgotten_and_it_may_try_again() -> None:
    bench = introduced(Do.START_PROGRAM, WHY)
    failed = replace(
        bench.record, failed_on=(PEER, ME), failures=(Failure(ME, 1),), version=Version(0, 99)
    )
    bench.peer_says(records=(failed,))  # As a peer of an older version writes it.
    assert bench.state.failures[NAME, PEER].count == 1
    bench.peer_has()
    assert bench.record.owner == ME
    bench.wait(EXPIRES_S + 1.0)
    assert bench.record.owner == PEER
    assert bench.record.failed_on == (ME,)


def test_a_command_that_failed_is_answered_and_goes_on() -> None:
    bench = introduced(Do.START_PROGRAM, WHY)
    bench.command(Halt(NAME))
    assert bench.record.failures == ()
    bench.command(Run(NAME, ME))
    bench.wait(2.0)
    refused = [text for accepted, text in bench.replies() if not accepted]
    told = f"{NAME} failed on {ME}, and is tried again, ever more slowly"
    assert any(text.startswith(told) for text in refused)


def test_what_has_failed_for_weeks_is_still_tried() -> None:
    bench = introduced(Do.START_PROGRAM, WHY)
    failures = (Failure(ME, 10_000),)
    stored = replace(bench.state.stored, records=(replace(bench.record, failures=failures),))
    bench.state = replace(bench.state, stored=stored)
    bench.outcomes.clear()
    bench.wait(PAUSE_MAX_S + 1.0)
    assert said_phase(bench.state) is Phase.RUNNING


def test_the_time_of_a_failure_is_told_as_it_was_on_the_wall() -> None:
    bench = Bench()
    bench.together()
    bench.deaf = {Do.START_PROGRAM}
    bench.command(Introduce(NAME, Wanted.UP))
    start = next(e for e in bench.effects if isinstance(e, Act) and e.do is Do.START_PROGRAM)
    bench.do(Ended(bench.now_s, start.effect_id, WHY, 1_795_000_000.0))
    assert bench.record.failures == (Failure(ME, 1, 1_795_000_000, left=True),)


def test_a_new_daemon_waits_before_it_tries_again() -> None:
    bench = introduced(Do.START_PROGRAM, WHY)
    state, _ = node.begin(ME, "boot2", 9, built(), bench.state.stored, 50.0)
    assert state.failures[NAME, ME].at_s == 50.0


def test_a_start_that_outlived_its_daemon_is_waited_for_whatever_failed_before() -> None:
    bench = introduced(Do.START_PROGRAM, WHY)
    item = Item(NAME, Layer.PROGRAM)
    items = {**bench.state.items[NAME], item: ItemState(Is.PART)}
    bench.state = replace(bench.state, items={**bench.state.items, NAME: items})
    bench.in_part.add((Layer.PROGRAM, NAME, ""))
    bench.forget_effects()
    bench.wait(2.0)
    assert bench.acts() == []
    bench.in_part.clear()
    bench.up.add((Layer.PROGRAM, NAME, ""))
    bench.wait(2.0)
    assert bench.acts() == []
    assert said_phase(bench.state) is Phase.RUNNING


def test_a_start_that_fails_beside_a_full_file_system_moves_nothing() -> None:
    """The other node has the same data (row 20)."""
    bench = Bench()
    bench.together()
    bench.outcomes, bench.full = {Do.START_PROGRAM: WHY}, ("/srv/orders",)
    bench.peer_has(current=True)
    bench.command(Introduce(NAME, Wanted.UP))
    bench.wait(120.0)
    assert bench.record.owner == ME
    assert bench.record.failed_on == ()
    tries = bench.acts().count(Do.START_PROGRAM)
    assert 4 <= tries <= 12
    (alarm,) = (each for each in alarms(bench.state) if each.name == "no-room")
    assert alarm.text.startswith("it cannot be started: no room is left on /srv/orders")
    bench.outcomes.clear()
    bench.wait(60.0)
    assert said_phase(bench.state) is Phase.RUNNING
    assert [each for each in alarms(bench.state) if each.name == "no-room"] == []


# --- Not now ---------------------------------------------------------------------------------

NOT_NOW = NotNow("too many open files")


@pytest.mark.parametrize("do", [Do.PROMOTE, Do.MOUNT, Do.ADD_ADDRESSES, Do.START_PROGRAM])
def test_a_node_that_lacks_the_means_for_a_moment_has_not_failed(do: Do) -> None:
    bench = introduced(do, NOT_NOW, current=True)
    bench.wait(START_WAITS_MAX / 2)
    assert bench.record.owner == ME
    assert bench.record.failed_on == ()
    assert bench.notes().count("start-failed") == 1
    bench.outcomes.clear()
    bench.wait(2.0)
    assert said_phase(bench.state) is Phase.RUNNING


def test_a_node_that_lacks_the_means_for_long_lets_the_peer_try() -> None:
    bench = introduced(Do.START_PROGRAM, NOT_NOW, current=True)
    bench.wait(START_WAITS_MAX * 1.6)
    assert bench.record.owner == PEER


def test_the_replication_is_brought_up_again_whatever_was_missing() -> None:
    bench = introduced(Do.BRING_UP, NOT_NOW)
    bench.wait(5.0)
    bench.outcomes.clear()
    bench.wait(20.0)
    assert said_phase(bench.state) is Phase.RUNNING


def test_a_stop_that_cannot_be_begun_climbs_no_rung_at_once() -> None:
    bench = Bench()
    bench.running()
    bench.outcomes[Do.STOP_PROGRAM] = NOT_NOW
    bench.forget_effects()
    bench.command(Halt(NAME))
    bench.wait(2.5)
    assert bench.acts() == [Do.STOP_PROGRAM] * STOP_WAITS_MAX
    bench.wait(3.0)
    assert Do.KILL_PROGRAM in bench.acts()
    assert said_phase(bench.state) is Phase.STOPPED


# --- Addresses that the silent peer still has ------------------------------------------------

HELD = HeldByPeer("10.77.1.20 answers from a card of node2")


def lone(what: Built | None = None) -> Bench:
    bench = Bench(what)
    bench.running()
    bench.alone()
    bench.outcomes[Do.ADD_ADDRESSES] = HELD
    bench.command(Halt(NAME))
    bench.forget_effects()
    bench.command(Run(NAME))
    return bench


def adds(bench: Bench) -> list[Act]:
    return [e for e in bench.effects if isinstance(e, Act) and e.do is Do.ADD_ADDRESSES]


def test_an_address_of_the_silent_peer_is_waited_for_and_then_taken() -> None:
    bench = lone()
    assert bench.state.now_s < bench.state.addresses_until_s
    bench.wait(bench.state.addresses_until_s - bench.now_s - 1.5, hearing=False)
    assert len(adds(bench)) > 2
    assert not any(act.despite_peer for act in adds(bench))
    assert bench.record.failed_on == ()
    bench.wait(3.0, hearing=False)
    assert adds(bench)[-1].despite_peer


def test_a_peer_that_is_heard_again_has_its_addresses_until_it_had_time_to_stop() -> None:
    bench = lone()
    bench.wait(60.0, hearing=False)
    assert holding.may_take_addresses(bench.state, NAME)
    bench.hear(incarnation=99, echo=0)
    heard_s = bench.now_s
    assert not holding.may_take_addresses(bench.state, NAME)
    for _ in range(80):  # It goes on to be heard, and has no more time for that.
        bench.wait(0.5, hearing=False)
        bench.hear(incarnation=99, echo=0)
    assert bench.now_s - heard_s < 60.0
    assert holding.may_take_addresses(bench.state, NAME)


def test_a_try_that_outlasts_the_wait_for_an_address_is_no_failed_start() -> None:
    bench = lone()
    bench.deaf = {Do.ADD_ADDRESSES}
    bench.wait(bench.state.addresses_until_s - bench.now_s + 0.5, hearing=False)
    begun = adds(bench)[-1]
    assert not begun.despite_peer
    bench.deaf = set()
    bench.do(Ended(bench.now_s, begun.effect_id, HELD))
    assert bench.record.failed_on == ()
    bench.wait(1.5, hearing=False)
    assert adds(bench)[-1].despite_peer


@pytest.mark.parametrize(
    ("kind", "watchdog", "until_s", "may"),
    [
        (ArbitrationKind.WITNESS, True, 1.0, True),
        (ArbitrationKind.WITNESS, False, 1.0, False),
        (ArbitrationKind.PATHS, False, 1.0, False),
        (ArbitrationKind.PATHS, False, 0.0, True),
    ],
)
def test_without_data_to_freeze_only_a_proof_or_a_watchdog_takes_an_address(
    *, kind: ArbitrationKind, watchdog: bool, until_s: float, may: bool
) -> None:
    shape = Shape(kind, (application("web", volumes=0),), watchdog=watchdog)
    state = Bench(built_from(shape)).state
    state = replace(state, standing=Standing.ALONE, addresses_until_s=until_s)
    assert holding.may_take_addresses(state, "web") is may


def beside_a_peer_that_is_back(*deaf: Do) -> Bench:
    """Nothing froze there what this node took over: it removes its address, then ends it."""
    bench = lone(built(application(NAME, volumes=0)))
    bench.outcomes.clear()
    bench.deaf = {*deaf}
    if deaf:
        bench.wait(1.5, hearing=False)
    bench.forget_effects()
    bench.peer = replace(bench.peer, incarnation=99, standing=Standing.CUT, accepted=0)
    bench.hear()
    return bench


def test_a_program_without_data_is_started_when_a_peer_that_is_back_says_that_it_ended_it() -> None:
    bench = beside_a_peer_that_is_back()
    bench.wait(1.5)
    bench.peer_has(Phase.STOPPING)
    bench.wait(1.5)
    assert bench.acts() == []
    assert bench.state.reasons[f"{NAME}/goal"] == "peer-back"
    bench.peer_has(Phase.STOPPED)
    bench.wait(1.5)
    assert bench.acts() == [Do.ADD_ADDRESSES, Do.START_PROGRAM]


def test_what_it_said_before_it_heard_of_the_right_does_not_count() -> None:
    bench = beside_a_peer_that_is_back()
    stopped = PeerApplication(NAME, Phase.STOPPED, data_current=True)
    bench.peer_says(applications=(stopped,), seen_losses=bench.state.losses - 1)
    bench.wait(1.5)
    assert bench.acts() == []


@pytest.mark.parametrize("said", [(), None])
def test_a_word_that_does_not_come_is_not_waited_for_for_ever(said: tuple[()] | None) -> None:
    """It does not hear this node, say; one that does not know the application runs none."""
    bench = beside_a_peer_that_is_back()
    if said is not None:
        bench.peer_says(applications=said)
    bench.wait(10.0 if said is None else 1.5)
    assert (bench.acts() == []) is (said is None)
    bench.wait(5.0)
    assert bench.acts() == [Do.ADD_ADDRESSES, Do.START_PROGRAM]


def test_a_start_that_was_under_way_when_it_came_back_waits_as_well() -> None:
    bench = beside_a_peer_that_is_back(Do.ADD_ADDRESSES)
    begun = bench.state.next_effect_id - 1
    bench.deaf = set()
    bench.peer_has(Phase.STOPPING)
    bench.peer_says(accepted=bench.state.incarnation)
    bench.peer_says(standing=Standing.TOGETHER, epoch=bench.state.stored.epoch)
    assert bench.stands(Standing.TOGETHER)
    bench.do(Ended(bench.now_s, begun, Done()))
    bench.wait(1.5)
    assert Do.START_PROGRAM not in bench.acts()
    bench.peer_has(Phase.STOPPED)
    assert Do.START_PROGRAM in bench.acts()


def test_together_with_the_peer_an_address_of_its_is_a_conflict() -> None:
    bench = introduced(Do.ADD_ADDRESSES, HELD)
    assert bench.record.failed_on == (ME,)
    assert not any(act.despite_peer for act in adds(bench))


def test_no_address_is_taken_too_early() -> None:
    bench = lone()
    early = Act(99, Do.ADD_ADDRESSES, NAME, "", 10.0, despite_peer=True)
    with pytest.raises(BrokenInvariantError, match="rightly"):
        check_step(bench.state, bench.state, (early,))


def test_after_a_restart_of_the_daemon_the_wait_begins_anew() -> None:
    bench = lone()
    assert bench.stands(Standing.ALONE)
    state, _ = node.begin(ME, "boot1", 9, built(), bench.state.stored, bench.now_s)
    assert state.addresses_until_s > bench.now_s
    assert node.step(state, Tick(bench.now_s + 0.1))[0].standing is Standing.ALONE


def test_a_peer_on_which_it_failed_tries_again_when_there_is_no_copy_here() -> None:
    bench = introduced(Do.START_PROGRAM, WHY, current=True)
    assert bench.record.owner == PEER
    failed = replace(bench.record, owner=ME, failed_on=(PEER,), version=Version(0, 90))
    bench.data(facts(disk=Disk.DISKLESS))
    bench.peer_says(records=(failed,))
    assert bench.record.owner == PEER
    assert bench.record.failed_on == (PEER,), "it is tried there ever more slowly"
