"""DRBD asks: when frozen writes go on, and when a copy may be promoted without its peer."""

from dataclasses import replace

import pytest

from hapair.core import explain
from hapair.core.applications import brake
from hapair.core.words.effects import AnswerFence, Do, FenceVerdict, SetBeat
from hapair.core.words.events import FenceAsked, FenceAskerGone, Halt, Run
from hapair.model import timing
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk, Role
from hapair.model.outcome import Unknown
from hapair.model.status import Phase, Standing
from hapair.model.witness import Answer
from tests.core.bench import BEAT_S, NAME, PEER, RESOURCE, Bench, built, facts, record
from tests.core.test_witness import answer, by_witness, cut_off
from tests.sim.settings import application


def verdicts(bench: Bench) -> list[tuple[int, FenceVerdict]]:
    return [(e.request_id, e.verdict) for e in bench.effects if isinstance(e, AnswerFence)]


def freeze_what_runs(bench: Bench) -> None:
    frozen = replace(bench.kernel[RESOURCE], connection=Connection.CONNECTING, suspended=True)
    bench.data(replace(frozen, peer_disk=Disk.UNKNOWN, peer_role=Role.UNKNOWN))


def freeze(bench: Bench, *, asks: bool = True) -> None:
    """Let the kernel lose its peer while the heartbeats go on."""
    bench.running()
    freeze_what_runs(bench)
    if asks:
        bench.do(FenceAsked(bench.now_s, 7, RESOURCE))


def test_frozen_writes_are_told_of_their_application_only() -> None:
    bench = Bench(built(application(NAME), application("web", volumes=1)))
    freeze(bench)
    told = [alarm for alarm in explain.alarms(bench.state) if alarm.name == "frozen"]
    assert [alarm.application for alarm in told] == [NAME]


def test_writes_go_on_when_the_peer_has_stored_that_its_copy_is_behind() -> None:
    bench = Bench()
    freeze(bench)
    assert verdicts(bench) == []
    assert "frozen" in {alarm.name for alarm in explain.alarms(bench.state)}
    assert any(
        isinstance(e, SetBeat) and RESOURCE in (e.beat.unprotected or ()) for e in bench.effects
    )
    bench.peer_says(behind=(RESOURCE,))
    assert verdicts(bench) == [(7, FenceVerdict.PEER_OUTDATED)]


def test_writes_go_on_when_this_node_may_act_alone() -> None:
    bench = Bench()
    freeze(bench)
    bench.wait(3.0, hearing=False)
    assert bench.stands(Standing.ALONE)
    assert verdicts(bench) == [(7, FenceVerdict.PEER_FENCED)]


def test_with_the_kind_operator_a_silent_peer_takes_nothing_over_so_writes_go_on() -> None:
    bench = Bench(built(kind=ArbitrationKind.OPERATOR))
    freeze(bench)
    bench.wait(2.5, hearing=False)
    assert bench.stands(Standing.CUT)
    assert verdicts(bench) == [(7, FenceVerdict.PEER_FENCED)]


def test_what_the_peer_stored_of_an_earlier_loss_lets_nothing_go_on() -> None:
    """It clears that when the copies are connected, and may be unable to say so."""
    bench = Bench()
    freeze(bench)
    bench.peer_says(behind=(RESOURCE,))
    assert verdicts(bench) == [(7, FenceVerdict.PEER_OUTDATED)]
    bench.data(facts(role=Role.PRIMARY))
    bench.forget_effects()
    bench.data(replace(bench.kernel[RESOURCE], connection=Connection.CONNECTING, suspended=True))
    bench.do(FenceAsked(bench.now_s, 8, RESOURCE))
    assert verdicts(bench) == []
    bench.peer_says(behind=(RESOURCE,), seen_losses=1)
    assert verdicts(bench) == [], "it has not heard of this loss"
    bench.peer_says(behind=(RESOURCE,), seen_losses=2)
    assert verdicts(bench) == [(8, FenceVerdict.PEER_OUTDATED)]


def test_nothing_goes_on_without_a_disk() -> None:
    """DRBD 8.4 would crash its kernel over it, see docs/internals/drbd-facts.md."""
    bench = Bench()
    freeze(bench, asks=False)
    bench.wait(3.0, hearing=False)
    assert bench.stands(Standing.ALONE)
    bench.data(replace(bench.kernel[RESOURCE], disk=Disk.FAILED))
    bench.do(FenceAsked(bench.now_s, 7, RESOURCE))
    assert verdicts(bench) == [(7, FenceVerdict.DENIED)]


def test_a_disk_is_kept_until_the_handler_that_was_told_to_go_on_has_ended() -> None:
    bench = Bench(by_witness())
    freeze(bench)
    bench.peer_says(behind=(RESOURCE,))
    assert verdicts(bench) == [(7, FenceVerdict.PEER_OUTDATED)]
    bench.deaf = {Do.UNMOUNT}
    bench.wait(2.1, hearing=False)
    answer(bench, Answer.DENIED, holder=PEER)
    assert bench.state.lost
    assert Do.REMOVE_ADDRESSES in bench.acts()
    assert Do.DETACH not in bench.acts()
    bench.wait(1.0, hearing=False)
    assert Do.DETACH in bench.acts()


def asks_early(bench: Bench) -> None:
    """Let the handler ask before the kernel's word that the connection ended was read."""
    bench.running()
    bench.do(FenceAsked(bench.now_s, 7, RESOURCE))
    assert verdicts(bench) == []


def test_a_handler_that_asks_before_the_loss_is_known_waits_for_the_kernels_word() -> None:
    bench = Bench()
    asks_early(bench)
    assert brake.verdict(bench.state, RESOURCE).name == "early"
    freeze_what_runs(bench)
    assert verdicts(bench) == [], "that it asks does not let its writes go on"
    bench.peer_says(behind=(RESOURCE,))
    assert verdicts(bench) == [(7, FenceVerdict.PEER_OUTDATED)]
    assert Do.RESUME not in bench.acts()


def test_nothing_that_was_known_before_the_loss_answers_a_handler_that_asks_early() -> None:
    bench = Bench()
    bench.running()
    bench.peer_says(behind=(RESOURCE,))
    bench.do(FenceAsked(bench.now_s, 7, RESOURCE))
    freeze_what_runs(bench)
    assert verdicts(bench) == [], "the peer has not heard of this loss"


def test_a_handler_that_asks_of_a_connection_that_stays_is_answered_in_the_end() -> None:
    bench = Bench()
    asks_early(bench)
    bench.wait(timing.TOLD_S - BEAT_S)
    assert verdicts(bench) == []
    bench.wait(2 * BEAT_S)
    assert verdicts(bench) == [(7, FenceVerdict.DENIED)]
    assert bench.state.early_until_s == {}


def test_a_handler_that_asked_early_is_answered_at_once_when_the_connection_is_back() -> None:
    bench = Bench()
    asks_early(bench)
    freeze_what_runs(bench)
    bench.data(facts(role=Role.PRIMARY))
    assert verdicts(bench) == [(7, FenceVerdict.DENIED)]


def test_a_connection_that_is_back_needs_no_verdict() -> None:
    bench = Bench()
    freeze(bench)
    bench.data(facts(role=Role.PRIMARY))
    assert verdicts(bench) == [(7, FenceVerdict.DENIED)]


def test_a_resource_that_no_application_has_is_never_agreed_to() -> None:
    bench = Bench()
    bench.running()
    bench.do(FenceAsked(bench.now_s, 8, "other.data"))
    assert verdicts(bench) == [(8, FenceVerdict.DENIED)]


def test_a_handler_that_is_gone_is_forgotten_and_writes_go_on_without_it() -> None:
    bench = Bench()
    freeze(bench)
    bench.do(FenceAskerGone(bench.now_s, 7))
    bench.peer_says(behind=(RESOURCE,))
    assert Do.RESUME not in bench.acts(), "a new handler may be on its way"
    bench.wait(timing.HANDLER_S + 0.6)
    assert bench.acts().count(Do.RESUME) == 1
    bench.wait(timing.RESUME_S + 0.6)
    assert bench.acts().count(Do.RESUME) == 1
    assert bench.state.resume_at_s == {}


def test_before_a_promotion_without_its_peer_the_peer_stores_that_it_is_behind() -> None:
    bench = Bench()
    bench.running()
    bench.command(Halt(NAME))
    bench.disconnect()
    bench.forget_effects()
    bench.command(Run(NAME))
    assert bench.state.claims == (RESOURCE,)
    assert Do.PROMOTE not in bench.acts()
    bench.peer_says(behind=(RESOURCE,))
    assert Do.PROMOTE in bench.acts()
    assert len(bench.state.claims) == 0


def test_the_owner_does_not_believe_that_the_frozen_writes_of_the_loser_make_its_copy_old() -> None:
    bench = Bench()
    bench.running()
    bench.hear(unprotected=(RESOURCE,))
    assert bench.state.stored.behind == ()


def test_a_mount_that_stays_busy_because_writes_are_frozen_costs_the_disk() -> None:
    bench = Bench()
    freeze(bench, asks=False)
    bench.outcomes[Do.UNMOUNT] = Unknown("target is busy")
    bench.forget_effects()
    bench.command(Halt(NAME))
    bench.wait(2.0)
    acts = bench.acts()
    assert acts.index(Do.END_HOLDERS) < acts.index(Do.DETACH)


def test_no_disk_is_given_up_before_a_handler_that_was_told_to_go_on_has_ended() -> None:
    """The answer waited for the disk, and what came meanwhile is dated before it was given."""
    bench = Bench()
    bench.slow = True
    bench.outcomes[Do.UNMOUNT] = Unknown("target is busy")
    bench.deaf = {Do.RESUME}
    freeze(bench)
    bench.peer_says(behind=(RESOURCE,))
    assert verdicts(bench) == [(7, FenceVerdict.PEER_OUTDATED)]
    bench.command(Halt(NAME))
    bench.wait(4 * timing.HANDLER_S)
    assert Do.END_HOLDERS in bench.acts()
    assert Do.DETACH not in bench.acts(), "nobody knows yet when it was told"
    bench.do(FenceAskerGone(bench.now_s, 7))
    bench.wait(timing.HANDLER_S - BEAT_S)
    assert Do.DETACH not in bench.acts(), "it takes its time to tell the kernel"
    bench.wait(60.0)
    assert Do.DETACH in bench.acts()


def test_a_handler_that_was_told_no_keeps_no_disk() -> None:
    bench = Bench()
    bench.running()
    bench.slow = True
    bench.do(FenceAsked(bench.now_s, 8, "other.data"))
    assert bench.state.going_on == {}


def alarms(bench: Bench) -> dict[str, str]:
    return {alarm.name: alarm.text for alarm in explain.alarms(bench.state)}


@pytest.mark.parametrize("by_kernel", [False, True])
def test_what_a_person_froze_is_not_let_go_whatever_the_right(*, by_kernel: bool) -> None:
    """To resume would let go what he froze as well."""
    bench = Bench()
    freeze(bench, asks=False)
    bench.data(replace(bench.kernel[RESOURCE], suspended=by_kernel, held=True))
    bench.wait(20.0, hearing=False)
    assert bench.stands(Standing.ALONE)
    assert Do.RESUME not in bench.acts()
    assert "frozen" not in alarms(bench)
    assert RESOURCE in alarms(bench)["frozen-by-hand"]
    assert ("by DRBD" in alarms(bench)["frozen-by-hand"]) is by_kernel
    bench.data(replace(bench.kernel[RESOURCE], suspended=by_kernel, held=False))
    bench.wait(20.0, hearing=False)
    assert (Do.RESUME in bench.acts()) is by_kernel
    assert "frozen-by-hand" not in alarms(bench)


@pytest.mark.parametrize("by_kernel", [False, True])
def test_what_a_person_froze_costs_no_disk(*, by_kernel: bool) -> None:
    """The stop waits for him, and says so, also where this side has to give way."""
    bench = Bench(by_witness())
    cut_off(bench)
    bench.data(replace(bench.kernel[RESOURCE], suspended=by_kernel, held=True))
    bench.outcomes[Do.UNMOUNT] = Unknown("no answer")
    answer(bench, Answer.DENIED)
    bench.wait(60.0, hearing=False)
    assert Do.DETACH not in bench.acts()
    assert {"stuck", "frozen-by-hand"} <= set(alarms(bench))


def test_a_disk_that_was_given_up_is_taken_down_before_it_is_used_again() -> None:
    bench = Bench(by_witness())
    cut_off(bench)
    bench.data(replace(bench.kernel[RESOURCE], suspended=True))
    bench.outcomes = {do: Unknown("no answer") for do in (Do.DETACH, Do.UNMOUNT)}
    answer(bench, Answer.DENIED)
    bench.wait(3.0, hearing=False)
    assert bench.acts().count(Do.DETACH) > 1
    bench.outcomes.clear()
    bench.wait(20.0, hearing=False)
    assert "detached" in bench.notes()
    acts = bench.acts()
    assert acts.index(Do.DEMOTE) < acts.index(Do.TAKE_DOWN) < len(acts)
    assert Do.BRING_UP in acts[acts.index(Do.TAKE_DOWN) :]
    assert not any(each.spent for _, each in bench.state.every_item())


def test_a_right_that_comes_too_late_starts_everything_anew_on_the_disk() -> None:
    bench = Bench(by_witness())
    cut_off(bench)
    bench.data(replace(bench.kernel[RESOURCE], suspended=True))
    answer(bench, Answer.UNREACHABLE)
    bench.outcomes[Do.UNMOUNT] = Unknown("busy")
    bench.wait(4.5, hearing=False)
    assert "detached" in bench.notes()
    answer(bench, Answer.GRANTED)
    bench.wait(2.0, hearing=False)
    assert bench.stands(Standing.ALONE)
    assert any(each.spent for _, each in bench.state.every_item())
    del bench.outcomes[Do.UNMOUNT]
    bench.forget_effects()
    bench.wait(30.0, hearing=False)
    acts = bench.acts()
    assert acts.index(Do.TAKE_DOWN) < acts.index(Do.BRING_UP) < acts.index(Do.PROMOTE)


def test_a_resource_that_gave_up_is_connected_again_when_the_peer_has_stopped() -> None:
    bench = Bench()
    bench.running()
    apart = replace(bench.kernel[RESOURCE], connection=Connection.STAND_ALONE)
    bench.peer_has(Phase.STOPPING)
    bench.data(apart)
    bench.forget_effects()
    bench.wait(5.0)
    assert Do.BRING_UP not in bench.acts()
    bench.deaf = {Do.BRING_UP}
    bench.peer_has(Phase.STOPPED)
    bench.wait(300.0)
    assert bench.acts().count(Do.BRING_UP) == 6
    bench.data(facts(role=Role.PRIMARY))
    assert bench.state.reconnects == {}


def test_a_resource_that_gave_up_waits_while_the_peer_is_silent() -> None:
    bench = Bench()
    bench.running()
    bench.data(replace(bench.kernel[RESOURCE], connection=Connection.STAND_ALONE))
    bench.wait(10.0, hearing=False)
    bench.forget_effects()
    bench.wait(10.0, hearing=False)
    assert Do.BRING_UP not in bench.acts()


def test_nobody_is_met_on_a_network_where_the_peer_is_not_heard_and_then_all_tries_count() -> None:
    """Somebody else has the peer's address there; the nodes still hear each other elsewhere."""
    bench = Bench()
    bench.running()
    bench.peer_has(Phase.STOPPED)
    bench.deaf = {Do.BRING_UP}
    bench.forget_effects()
    bench.data(replace(bench.kernel[RESOURCE], connection=Connection.STAND_ALONE))
    bench.wait(300.0)
    assert bench.acts().count(Do.BRING_UP) == 6
    bench.forget_effects()
    for _ in range(100):
        bench.wait(BEAT_S, hearing=False)
        bench.hear("public")
    assert bench.stands(Standing.TOGETHER)
    assert Do.BRING_UP not in bench.acts()
    bench.wait(3.0)
    assert bench.acts().count(Do.BRING_UP) == 1
    bench.wait(300.0)
    assert bench.acts().count(Do.BRING_UP) == 6


def flap(bench: Bench, *, times: int, up_s: float, silent: bool = False) -> None:
    """Let the copies give each other up, and be connected or unheard for a moment, in turn."""
    whole = bench.kernel[RESOURCE]
    for _ in range(times):
        bench.data(replace(whole, connection=Connection.STAND_ALONE))
        bench.wait(7.0)
        if not silent:
            bench.data(whole)
            bench.wait(up_s)
            continue
        for _ in range(int(up_s / BEAT_S)):
            bench.wait(BEAT_S, hearing=False)
            bench.hear("public")


@pytest.mark.parametrize("silent", [False, True])
def test_a_connection_that_flaps_is_not_tried_for_ever(silent: bool) -> None:  # noqa: FBT001
    bench = Bench()
    bench.running()
    bench.peer_has(Phase.STOPPED)
    bench.deaf = {Do.BRING_UP}
    bench.forget_effects()
    flap(bench, times=4, up_s=5.0, silent=silent)
    tries = bench.acts().count(Do.BRING_UP)
    assert 3 <= tries <= 6
    flap(bench, times=1, up_s=20.0, silent=silent)
    assert bench.state.reconnects, "it did not hold for long enough"
    flap(bench, times=1, up_s=61.0, silent=silent)
    assert bench.state.reconnects == {}
    bench.forget_effects()
    bench.data(replace(bench.kernel[RESOURCE], connection=Connection.STAND_ALONE))
    bench.wait(300.0)
    assert bench.acts().count(Do.BRING_UP) == 6, "then all tries count again"


def test_nobody_is_met_before_the_nodes_agree() -> None:
    bench = Bench()
    bench.running()
    bench.data(replace(bench.kernel[RESOURCE], connection=Connection.STAND_ALONE))
    bench.peer_says(accepted=0)
    assert bench.stands(Standing.CUT)
    bench.forget_effects()
    bench.wait(3.0)
    assert Do.BRING_UP not in bench.acts()


def test_a_standby_that_gave_up_tries_again() -> None:
    bench = Bench()
    bench.together()
    bench.peer_says(records=(record(PEER),))
    bench.deaf = {Do.BRING_UP}
    bench.data(facts(connection=Connection.STAND_ALONE))
    bench.forget_effects()
    bench.wait(3.0)
    assert Do.BRING_UP in bench.acts()
