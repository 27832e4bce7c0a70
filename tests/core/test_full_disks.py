"""A peer that says that it cannot store: where its word is needed, it counts as silent."""

from dataclasses import replace

import pytest

from hapair.core import explain, node
from hapair.core.right import hearing
from hapair.core.words.effects import Do
from hapair.core.words.events import Beat, ConfirmPeerDown, FenceAsked, Form, Move
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk
from hapair.model.status import Standing
from tests.core.bench import BEAT_S, ME, NAME, PEER, RESOURCE, Bench, built, facts, record
from tests.core.test_brake import freeze, freeze_what_runs, verdicts
from tests.sim.settings import application


def unable(bench: Bench, for_s: float, **changes: object) -> None:
    """Let time pass in heartbeats of a peer that cannot store."""
    end_s = bench.now_s + for_s
    while bench.now_s < end_s:
        bench.wait(BEAT_S, hearing=False)
        bench.hear(cannot_store=True, **changes)


def names(bench: Bench) -> list[str]:
    return [alarm.name for alarm in explain.alarms(bench.state)]


def test_while_nothing_waits_for_its_word_it_is_as_good_as_any_other() -> None:
    bench = Bench()
    bench.running()
    unable(bench, 60.0)
    assert bench.stands(Standing.TOGETHER)
    assert names(bench) == ["peer-cannot-store"]


def test_writes_that_wait_for_its_word_go_on_by_the_third_party() -> None:
    bench = Bench()
    freeze(bench)
    unable(bench, 1.0)
    assert bench.stands(Standing.TOGETHER)
    assert names(bench) == ["peer-cannot-store"]
    assert RESOURCE in explain.alarms(bench.state)[0].text
    unable(bench, 3.0)
    assert bench.stands(Standing.ALONE)
    assert verdicts(bench)
    assert any("counts as silent" in getattr(e, "text", "") for e in bench.effects)
    unable(bench, 60.0)
    assert bench.stands(Standing.ALONE), "its right is given up only to one that can store"
    assert "no-redundancy" not in names(bench)


def test_what_it_has_stored_before_is_enough() -> None:
    bench = Bench()
    freeze(bench)
    bench.peer_says(behind=(RESOURCE,))
    unable(bench, 10.0)
    assert bench.stands(Standing.TOGETHER)


def test_what_it_has_stored_before_the_last_loss_is_not() -> None:
    bench = Bench()
    freeze(bench)
    bench.peer_says(behind=(RESOURCE,), seen_losses=bench.state.losses - 1)
    assert not hearing.peer_stored_it(bench.state, RESOURCE)
    unable(bench, 4.0)
    assert bench.stands(Standing.ALONE)


def test_who_is_not_heard_is_not_echoed() -> None:
    bench = Bench()
    freeze(bench)
    unable(bench, 4.0)
    assert bench.state.beaten is not None
    assert bench.state.beaten.echo == 0


def test_a_node_that_is_cut_passes_it_over_until_its_kernel_answers() -> None:
    bench = Bench(built(kind=ArbitrationKind.OPERATOR))
    freeze(bench)
    unable(bench, 4.0)
    assert bench.stands(Standing.CUT)
    assert not bench.state.peer_heard
    assert "peer-cannot-store" in names(bench)
    assert "ask-operator" not in names(bench)
    bench.data(replace(bench.kernel[RESOURCE], connection=Connection.CONNECTED, suspended=False))
    unable(bench, 1.0)
    assert bench.state.peer_heard


def test_a_peer_that_cannot_store_is_not_confirmed_to_be_down() -> None:
    bench = Bench(built(kind=ArbitrationKind.OPERATOR))
    freeze(bench)
    unable(bench, 4.0)
    answer = bench.command(ConfirmPeerDown())
    assert answer is not None
    assert not answer.accepted
    assert "sends heartbeats" in answer.text


@pytest.mark.parametrize(
    ("standing", "idle", "lingers"),
    [
        (Standing.TOGETHER, False, True),
        (Standing.TOGETHER, True, True),
        (Standing.CUT, False, True),
        (Standing.CUT, True, False),
        (Standing.FORMING, True, False),
        (Standing.HALTED, False, False),
    ],
)
def test_what_has_no_data_is_left_to_a_peer_that_may_still_run_it(
    standing: Standing, *, idle: bool, lingers: bool
) -> None:
    web = application("web", volumes=0)
    bench = Bench(built(application(NAME), web))
    bench.running()
    bench.peer_says(records=(record(), replace(record(PEER), application="web")))
    freeze_what_runs(bench)
    bench.do(FenceAsked(bench.now_s, 7, RESOURCE))
    unable(bench, 60.0, standing=standing, idle=idle)
    assert bench.stands(Standing.ALONE)
    runs = ("program", "web", "") in bench.up
    assert runs is not lingers
    bench.wait(60.0, hearing=False)
    assert ("program", "web", "") in bench.up


def test_who_heard_a_newer_epoch_takes_nothing_over_by_silence() -> None:
    bench = Bench()
    bench.running()
    bench.disconnect()
    bench.hear(standing=Standing.ALONE, epoch=9)
    bench.wait(60.0, hearing=False)
    assert bench.stands(Standing.CUT)
    assert bench.state.reasons["arbitration"] == "peer-ahead"
    assert "peer-ahead" in names(bench)


def test_a_grant_by_proof_outranks_the_epoch_of_a_peer_that_was_ahead() -> None:
    bench = Bench()
    bench.running()
    bench.disconnect()
    bench.hear(standing=Standing.ALONE, epoch=9)
    bench.wait(10.0, hearing=False)
    bench.command(ConfirmPeerDown())
    bench.wait(1.0, hearing=False)
    assert bench.stands(Standing.ALONE)
    assert bench.state.stored.epoch > 9


@pytest.mark.parametrize("count", [1, 4, 29])
def test_frozen_volumes_are_one_alarm(count: int) -> None:
    bench = Bench(built(application(NAME, volumes=count)))
    bench.running()
    for each in tuple(bench.kernel.values()):
        bench.data(
            replace(
                each,
                connection=Connection.CONNECTING,
                peer_disk=Disk.UNKNOWN,
                suspended=True,
            )
        )
    assert names(bench).count("frozen") == 1
    unable(bench, 0.5)
    assert names(bench) == ["peer-cannot-store"]


def test_a_node_that_forms_waits_for_no_word_of_it() -> None:
    bench = Bench(attached=facts(connection=Connection.CONNECTING))
    bench.command(Form(timeout_s=10.0))
    unable(bench, 5.0)
    assert not bench.state.peer_heard
    assert hearing.peer_unable(bench.state)
    assert bench.stands(Standing.FORMING)


def test_an_incarnation_that_is_over_says_nothing() -> None:
    bench = Bench()
    bench.running()
    bench.hear(cannot_store=True, incarnation=bench.peer.incarnation - 1)
    assert not hearing.peer_unable(bench.state)
    assert Beat(1, 1, Standing.HALTED, 0).cannot_store is False


@pytest.mark.parametrize(("silent_s", "starts"), [(4.0, False), (30.0, True)])
def test_a_break_of_the_network_does_not_prove_that_it_runs_nothing_any_more(
    silent_s: float, *, starts: bool
) -> None:
    web = application("web", volumes=0)
    bench = Bench(built(application(NAME), web))
    bench.running()
    bench.peer_says(records=(record(), replace(record(PEER), application="web")))
    freeze_what_runs(bench)
    bench.do(FenceAsked(bench.now_s, 7, RESOURCE))
    unable(bench, 60.0, standing=Standing.TOGETHER)
    bench.wait(silent_s, hearing=False)
    unable(bench, 1.0, standing=Standing.TOGETHER)
    assert (("program", "web", "") in bench.up) is starts


def test_nothing_is_given_to_a_peer_that_cannot_store() -> None:
    """It could not even take note of it: nobody would run it."""
    bench = Bench()
    bench.running()
    unable(bench, 1.0)
    answer = bench.command(Move(NAME))
    assert answer is not None
    assert not answer.accepted
    assert "cannot store" in answer.text
    assert ("program", NAME, "") in bench.up
    bench.wait(3.0)
    assert bench.command(Move(NAME)) is None, "it can again"
    assert bench.record.owner == PEER


def test_a_move_is_given_up_when_the_peer_can_store_no_more() -> None:
    bench = Bench()
    bench.running()
    bench.deaf.add(Do.STOP_PROGRAM)
    assert bench.command(Move(NAME)) is None
    unable(bench, 1.0)
    assert "cannot-move" in bench.notes()
    assert bench.record.owner == ME


def begun_anew(kind: ArbitrationKind = ArbitrationKind.PATHS) -> Bench:
    """A new daemon, whose predecessor ended while the disk took nothing."""
    bench = Bench(built(kind=kind))
    bench.running()
    stored = bench.state.stored
    state, _ = node.begin(ME, "boot1", 2, bench.built, stored, bench.now_s)
    bench.state = node.forgetful(state)
    return bench


@pytest.mark.parametrize("kind", [ArbitrationKind.PATHS, ArbitrationKind.OPERATOR])
def test_a_daemon_that_may_have_missed_something_takes_nothing_over_by_silence(
    kind: ArbitrationKind,
) -> None:
    bench = begun_anew(kind)
    assert bench.state.forgot
    bench.data(facts(connection=Connection.CONNECTING, peer_disk=Disk.UNKNOWN))
    assert not bench.state.forgot
    assert bench.state.stored.joined_boot_id == ""
    bench.wait(60.0, hearing=False)
    assert bench.stands(Standing.CUT)
    assert "never-joined" in names(bench)
    assert bench.notes().count("forgotten") == 1
    bench.command(ConfirmPeerDown())
    assert bench.stands(Standing.ALONE)


def test_it_trusts_its_copies_no_more_than_after_a_pause() -> None:
    bench = begun_anew()
    bench.data(facts(connection=Connection.CONNECTING, peer_disk=Disk.UNKNOWN))
    assert bench.state.stored.away == (RESOURCE,)


def test_a_peer_that_is_met_tells_all_that_was_missed() -> None:
    bench = begun_anew()
    bench.hear()
    bench.peer_says(accepted=2, standing=Standing.CUT)
    bench.peer_says(standing=Standing.TOGETHER)
    assert bench.stands(Standing.TOGETHER)
    assert not bench.state.forgot
    assert bench.state.stored.joined_boot_id == "boot1"


def test_nothing_was_missed_of_a_peer_that_left() -> None:
    """The right is given back to it later on: that is no reason to ask who is ahead."""
    bench = begun_anew()
    bench.hear(standing=Standing.HALTED)
    bench.peer_says(standing=Standing.HALTED, left=True)
    assert bench.stands(Standing.ALONE)
    assert not bench.state.forgot


def test_a_right_that_was_stored_is_none_that_was_missed() -> None:
    bench = begun_anew()
    stored = replace(bench.state.stored, holds_right=True)
    state, _ = node.begin(ME, "boot1", 3, bench.built, stored, bench.now_s)
    assert node.forgetful(state) == state
