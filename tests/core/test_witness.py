"""Who asks the witness for what, how answers are counted, and how both do without it."""

from dataclasses import replace

import pytest

from hapair.core import explain, node
from hapair.core.right.witness import LOOK_S
from hapair.core.words.effects import AskWitnesses, Do, Guard, Note, Severity, Store
from hapair.core.words.events import (
    Configured,
    ConfirmPeerDown,
    DataChanged,
    Form,
    Leave,
    Tick,
    WitnessAnswered,
    WitnessTie,
)
from hapair.core.words.stored import Stored
from hapair.model.application import Application
from hapair.model.built import Built
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk
from hapair.model.status import Phase, Standing
from hapair.model.witness import Answer, WitnessAnswer
from tests.core.bench import ME, NAME, PEER, RESOURCE, Bench, facts, record
from tests.core.test_membership import MEMBER, SEPARATED
from tests.sim.settings import Shape, application, built_from


def by_witness(*applications: Application, witnesses: int = 1) -> Built:
    chosen = applications or (application(NAME),)
    return built_from(Shape(ArbitrationKind.WITNESS, chosen, witnesses=witnesses))


def asked(bench: Bench) -> list[int]:
    return [e.epoch for e in bench.effects if isinstance(e, AskWitnesses)]


def answer(
    bench: Bench, what: Answer, epoch: int = 1, *, index: int = 0, newest: int = 0, holder: str = ""
) -> None:
    said = WitnessAnswer(what, newest or epoch, holder)
    bench.do(WitnessAnswered(bench.now_s, index, epoch, said))


def cut_off(bench: Bench, *, for_s: float = 2.1) -> None:
    """Run ``orders`` here, then hear nothing of the peer any more."""
    bench.running()
    bench.peer_has()
    bench.disconnect()
    bench.forget_effects()
    bench.wait(for_s, hearing=False)


def test_the_active_node_asks_at_once_and_acts_alone_when_granted() -> None:
    bench = Bench(by_witness())
    cut_off(bench)
    assert asked(bench) == [1]
    assert bench.stands(Standing.CUT)
    assert bench.state.stored.asked == 1
    answer(bench, Answer.GRANTED, holder="node1")
    assert bench.stands(Standing.ALONE)
    assert bench.state.stored.epoch == 1
    assert Do.STOP_PROGRAM not in bench.acts()


def leaving_slowly() -> Bench:
    """Return a node whose program does not stop, and that hears nothing any more."""
    bench = Bench(by_witness())
    bench.running()
    bench.peer_has()
    bench.deaf = {Do.STOP_PROGRAM}
    bench.command(Leave(handover=True))
    bench.disconnect()
    return bench


def test_a_node_that_leaves_slowly_and_is_cut_off_minds_its_lease() -> None:
    bench = leaving_slowly()
    bench.wait(bench.state.built.cluster.lease_s - 1.0, hearing=False)
    assert bench.stands(Standing.LEAVING)
    assert Do.KILL_PROGRAM not in bench.acts()
    bench.wait(2.0, hearing=False)
    assert Do.KILL_PROGRAM in bench.acts()


def test_what_former_witnesses_said_counts_for_no_new_ones() -> None:
    bench = Bench(by_witness())
    cut_off(bench)
    answer(bench, Answer.GRANTED, holder="node1")
    bench.forget_effects()
    bench.do(Configured(bench.now_s, by_witness(witnesses=3)))
    assert not bench.state.witness.answers
    bench.wait(2.0, hearing=False)
    assert asked(bench)[0] == 1, "the new ones are to record it"


def test_what_is_asked_for_is_stored_before_it_is_asked() -> None:
    bench = Bench(by_witness())
    cut_off(bench)
    kinds = [type(e) for e in bench.effects]
    assert kinds.index(Store) < kinds.index(AskWitnesses)


def test_the_passive_node_lets_the_active_one_ask_first() -> None:
    bench = Bench(by_witness())
    bench.together()
    bench.peer_says(records=(record(PEER),))
    bench.disconnect()
    bench.forget_effects()
    bench.wait(2.1, hearing=False)
    assert asked(bench) == []
    bench.wait(1.1, hearing=False)
    assert asked(bench) == [1]


def test_the_denied_side_gives_way_addresses_first_and_its_frozen_writes_fail() -> None:
    bench = Bench(by_witness())
    cut_off(bench)
    bench.data(replace(bench.kernel[RESOURCE], suspended=True))
    bench.forget_effects()
    bench.deaf = {Do.DETACH}
    answer(bench, Answer.DENIED, holder=PEER)
    assert bench.state.lost
    acts = bench.acts()
    assert acts.index(Do.REMOVE_ADDRESSES) < acts.index(Do.KILL_PROGRAM)
    assert Do.DETACH in acts
    assert Do.STOP_PROGRAM not in acts
    assert {"denied", "lost"} & {alarm.name for alarm in explain.alarms(bench.state)}


def test_what_was_granted_is_not_taken_back_by_a_later_silence() -> None:
    bench = Bench(by_witness(witnesses=3))
    cut_off(bench)
    answer(bench, Answer.GRANTED, index=0)
    answer(bench, Answer.UNREACHABLE, index=1)
    answer(bench, Answer.UNREACHABLE, index=2)
    assert bench.stands(Standing.CUT)
    bench.wait(1.1, hearing=False)
    answer(bench, Answer.UNREACHABLE, index=0)
    answer(bench, Answer.GRANTED, index=2)
    assert bench.stands(Standing.ALONE)


def test_one_witness_of_three_is_not_enough() -> None:
    bench = Bench(by_witness(witnesses=3))
    cut_off(bench)
    answer(bench, Answer.GRANTED, index=0)
    answer(bench, Answer.DENIED, index=1)
    assert bench.stands(Standing.CUT)
    assert not bench.state.lost
    answer(bench, Answer.DENIED, index=2)
    assert bench.state.lost


def test_answers_to_other_questions_and_of_unknown_witnesses_count_for_nothing() -> None:
    bench = Bench(by_witness())
    cut_off(bench)
    answer(bench, Answer.GRANTED, epoch=7)
    answer(bench, Answer.GRANTED, index=4)
    assert bench.stands(Standing.CUT)


def meet(bench: Bench) -> None:
    """Hear the peer again, which was silent for a while and holds no right."""
    bench.peer_says(standing=Standing.CUT)
    bench.hear()
    bench.peer_says(accepted=bench.state.incarnation)
    bench.wait(1.0)
    assert bench.stands(Standing.TOGETHER)


def test_a_question_whose_answer_was_lost_is_settled_when_the_nodes_meet() -> None:
    bench = Bench(by_witness())
    cut_off(bench)
    answer(bench, Answer.UNREACHABLE)
    meet(bench)
    assert bench.state.stored.epoch == 0
    bench.wait(1.1)
    assert asked(bench)[-1] == 1
    answer(bench, Answer.GRANTED, holder="node1")
    assert bench.state.stored.epoch == 1, "the witness has recorded it: both go on from here"
    assert not bench.state.stored.holds_right


def test_a_question_that_the_peer_won_is_forgotten() -> None:
    bench = Bench(by_witness())
    cut_off(bench)
    answer(bench, Answer.UNREACHABLE)
    meet(bench)
    bench.wait(1.1)
    answer(bench, Answer.DENIED, holder=PEER)
    assert bench.state.stored.asked == bench.state.stored.epoch == 0


def test_the_epoch_of_a_peer_that_still_holds_the_right_is_not_taken_over() -> None:
    """Whoever takes part in an epoch may claim the next one."""
    bench = Bench(by_witness())
    cut_off(bench)
    answer(bench, Answer.DENIED, holder=PEER)
    bench.peer_says(standing=Standing.ALONE, epoch=1, holds_right=True, accepted=0)
    bench.hear()
    assert bench.state.accepted == bench.peer.incarnation
    assert bench.state.stored.epoch == 0
    bench.peer_says(standing=Standing.CUT, holds_right=False, accepted=bench.state.incarnation)
    bench.wait(1.0)
    assert bench.state.stored.epoch == 1
    assert bench.stands(Standing.TOGETHER)


def test_a_node_that_leaves_and_stood_still_has_a_short_lease() -> None:
    bench = leaving_slowly()
    bench.do(Tick(bench.now_s + 3.0))
    assert bench.stands(Standing.LEAVING)
    assert Do.KILL_PROGRAM not in bench.acts()
    bench.wait(4.0, hearing=False)
    assert Do.KILL_PROGRAM in bench.acts()


def test_without_peer_and_witness_the_node_stops_at_the_end_of_its_lease() -> None:
    bench = Bench(by_witness())
    cut_off(bench)
    answer(bench, Answer.UNREACHABLE)
    bench.wait(3.0, hearing=False)
    assert not bench.state.lost
    bench.wait(1.5, hearing=False)
    assert bench.state.lost
    assert Do.REMOVE_ADDRESSES in bench.acts()
    bench.forget_effects()
    bench.wait(2.0, hearing=False)
    answer(bench, Answer.GRANTED, holder="node1")
    bench.wait(5.0, hearing=False)
    assert bench.stands(Standing.ALONE)
    assert Do.START_PROGRAM in bench.acts()


def test_what_has_no_replicated_data_waits_for_the_lease_of_the_silent_peer() -> None:
    web = application("web", volumes=0)
    bench = Bench(by_witness(web))
    bench.together()
    theirs = replace(record(PEER), application="web")
    bench.peer_says(records=(theirs,))
    bench.wait(3.5, hearing=False)
    answer(bench, Answer.GRANTED, holder="node1")
    assert bench.stands(Standing.ALONE)
    assert Do.START_PROGRAM not in bench.acts()
    bench.wait(7.0, hearing=False)
    assert Do.START_PROGRAM not in bench.acts(), "it may hang, and its watchdog needs its time"
    bench.wait(7.0, hearing=False)
    assert Do.START_PROGRAM in bench.acts()


def test_a_node_that_stood_still_when_its_lease_ended_stops_at_once() -> None:
    bench = Bench(by_witness())
    cut_off(bench)
    bench.wait(1.0, hearing=False)
    assert not bench.state.lost
    bench.do(Tick(bench.now_s + 5.0))
    assert bench.state.lost
    assert bench.state.reasons["arbitration"] == "outstayed"
    assert Do.REMOVE_ADDRESSES in bench.acts()


def test_a_new_daemon_minds_its_lease_although_the_kernel_has_told_it_nothing() -> None:
    bench = Bench(by_witness())
    cut_off(bench)
    state, _ = node.begin(ME, "boot1", 9, bench.built, bench.state.stored, bench.now_s)
    state, _ = node.step(state, Tick(state.now_s + 1.9))
    state, _ = node.step(state, Tick(state.now_s + 1.5))
    assert state.reasons["arbitration"] == "listening"
    assert not state.lost
    state, _ = node.step(state, Tick(state.now_s + 0.2))
    assert state.reasons["arbitration"] == "kernel-untold"
    assert state.lost
    state, _ = node.step(state, DataChanged(state.now_s, (facts(),)))
    assert state.reasons["arbitration"] == "kernel-answers"
    assert not state.lost


def test_a_daemon_that_comes_back_waits_for_the_whole_lease_of_the_peer() -> None:
    """It does not know what it had taken over, and when."""
    web = application("web", volumes=0)
    here = replace(record(), application="web")
    bench = Bench(by_witness(web), stored=replace(MEMBER, holds_right=True, records=(here,)))
    assert bench.stands(Standing.ALONE)
    bench.wait(16.0, hearing=False)
    assert Do.START_PROGRAM not in bench.acts()
    bench.wait(1.0, hearing=False)
    assert Do.START_PROGRAM in bench.acts()


# --- A start with the peer missing ----------------------------------------------------------------


def forming_alone(stored: Stored, *, attached: Disk = Disk.CONSISTENT) -> Bench:
    bench = Bench(by_witness(), stored=stored, attached=facts(disk=attached))
    bench.disconnect()
    bench.command(Form(timeout_s=5.0))
    bench.wait(6.0, hearing=False)
    return bench


STOPPED = replace(MEMBER, formed=False, records=(record(),))


def test_a_cold_start_of_one_goes_on_when_the_witness_knows_of_nobody_ahead() -> None:
    bench = forming_alone(STOPPED)
    assert asked(bench)[-1] == 4
    answer(bench, Answer.GRANTED, epoch=4, holder="node1")
    assert bench.stands(Standing.ALONE)
    assert bench.state.stored.away == ()


def test_a_cold_start_of_one_waits_when_the_peer_is_ahead_or_the_witness_is_silent() -> None:
    for what in (Answer.DENIED, Answer.UNREACHABLE):
        bench = forming_alone(replace(STOPPED, holds_right=True))
        answer(bench, what, epoch=4, newest=6, holder=PEER)
        bench.wait(3.0, hearing=False)
        assert bench.stands(Standing.FORMING)


def test_who_left_in_order_does_not_form_by_the_witness() -> None:
    bench = forming_alone(replace(STOPPED, ceded=True))
    assert asked(bench) == [0] * len(asked(bench))
    assert "promised" in {alarm.name for alarm in explain.alarms(bench.state)}


def test_a_statement_that_no_witness_can_record_is_an_alarm() -> None:
    bench = forming_alone(STOPPED)
    for _ in range(3):
        answer(bench, Answer.UNREACHABLE, epoch=4)
        bench.wait(2.0, hearing=False)
    bench.command(ConfirmPeerDown())
    assert bench.stands(Standing.ALONE)
    (told,) = (e for e in bench.effects if isinstance(e, Note) and e.name == "not-recorded")
    assert told.severity is Severity.ALARM
    assert PEER in told.text


def test_a_person_outranks_what_the_witness_gave_to_the_peer() -> None:
    bench = forming_alone(STOPPED)
    answer(bench, Answer.DENIED, epoch=4, newest=6, holder=PEER)
    bench.command(ConfirmPeerDown())
    assert bench.stands(Standing.ALONE)
    epoch = bench.state.stored.epoch
    assert epoch > 1000, "nobody can have come so far by itself"
    bench.forget_effects()
    bench.wait(2.0, hearing=False)
    assert asked(bench)[0] == epoch, "the witness is to know it too"
    answer(bench, Answer.GRANTED, epoch=epoch, holder="node1")
    bench.forget_effects()
    bench.wait(2.0, hearing=False)
    assert epoch not in asked(bench)


def test_leaving_in_order_is_remembered_as_ceded() -> None:
    bench = Bench(by_witness())
    bench.together()
    bench.command(Leave(handover=False))
    bench.wait(1.0)
    bench.peer_says(holds_right=True, standing=Standing.ALONE, epoch=1)
    bench.wait(1.0)
    assert bench.stands(Standing.HALTED)
    assert bench.state.stored.ceded


# --- Without the witness --------------------------------------------------------------------------


def lose_witness(bench: Bench) -> None:
    for _ in range(2):
        bench.wait(LOOK_S + 0.5)
        answer(bench, Answer.UNREACHABLE, epoch=0)


def find_witness(bench: Bench) -> None:
    bench.wait(LOOK_S + 0.5)
    answer(bench, Answer.SEEN, epoch=0)


def test_a_lost_witness_stops_nothing_and_is_told() -> None:
    bench = Bench(by_witness())
    bench.running()
    lose_witness(bench)
    assert bench.stands(Standing.TOGETHER)
    assert "witness-lost" in bench.notes()
    assert "witness-lost" in {alarm.name for alarm in explain.alarms(bench.state)}
    find_witness(bench)
    assert "witness-back" in bench.notes()


def test_the_active_side_acts_alone_by_the_promise_of_the_other() -> None:
    bench = Bench(by_witness())
    bench.running()
    lose_witness(bench)
    assert bench.state.stored.tie == WitnessTie(lost_round=1)
    bench.peer_says(tie=WitnessTie(yields=1))
    assert bench.state.stored.tie.waiver
    assert "only node1" in explain.alarms(bench.state)[0].text
    bench.disconnect()
    bench.wait(2.1, hearing=False)
    assert bench.stands(Standing.ALONE)


def test_an_old_promise_is_none() -> None:
    bench = Bench(by_witness())
    bench.running()
    lose_witness(bench)
    bench.peer_says(tie=WitnessTie(yields=1))
    find_witness(bench)
    assert bench.state.stored.tie == WitnessTie()
    lose_witness(bench)
    assert bench.state.stored.tie == WitnessTie(lost_round=2)


def test_the_passive_side_promises_and_is_free_when_the_other_said_so() -> None:
    bench = Bench(by_witness())
    bench.together()
    bench.peer_says(records=(record(PEER),))
    bench.peer_says(tie=WitnessTie(lost_round=3))
    assert bench.state.stored.tie.yields == 3
    assert "yields" in {alarm.name for alarm in explain.alarms(bench.state)}
    bench.peer_says(tie=WitnessTie(lost_round=3, waiver=True))
    assert bench.state.stored.tie.yields == 3
    lose_witness(bench)
    assert "only node2" in explain.alarms(bench.state)[0].text
    bench.peer_says(tie=WitnessTie())
    assert bench.state.stored.tie.yields == 0
    assert "no-longer-yields" in bench.notes()


def test_who_promised_does_not_ask_the_witness() -> None:
    bench = Bench(by_witness())
    bench.together()
    bench.peer_says(records=(record(PEER),))
    bench.peer_says(tie=WitnessTie(lost_round=3, waiver=True))
    bench.disconnect()
    bench.forget_effects()
    bench.wait(9.0, hearing=False)
    assert set(asked(bench)) <= {0}
    assert bench.stands(Standing.CUT)


@pytest.mark.parametrize("theirs", [WitnessTie(lost_round=2), WitnessTie()])
def test_where_both_run_something_the_first_node_gives_no_promise(theirs: WitnessTie) -> None:
    web = application("web", volumes=0)
    bench = Bench(by_witness(application(NAME), web))
    bench.running()
    there = replace(record(PEER), application="web")
    bench.peer_says(records=(there,))
    bench.peer_says(tie=theirs)
    assert bench.state.stored.tie.yields == 0


def test_the_watchdog_guards_a_node_as_long_as_it_runs_something() -> None:
    bench = Bench(by_witness())
    bench.running()
    guards = [e.on for e in bench.effects if isinstance(e, Guard)]
    assert guards == [False, True]
    first = next(i for i, e in enumerate(bench.effects) if isinstance(e, Guard) and e.on)
    acts = [i for i, e in enumerate(bench.effects) if getattr(e, "do", None) is Do.PROMOTE]
    assert first < acts[0]


def test_a_copy_that_was_away_is_proven_by_a_grant_but_not_one_that_misses_writes() -> None:
    stored = replace(STOPPED, behind=(RESOURCE,))
    bench = forming_alone(stored)
    answer(bench, Answer.GRANTED, epoch=4, holder="node1")
    assert bench.stands(Standing.ALONE)
    assert Do.PROMOTE not in bench.acts()


def test_a_separated_copy_of_a_silent_peer_is_taken_over_after_the_grant() -> None:
    bench = Bench(by_witness())
    bench.together()
    bench.peer_says(records=(record(PEER),))
    bench.peer_has(Phase.RUNNING)
    bench.data(replace(SEPARATED, connection=Connection.CONNECTING))
    bench.wait(3.5, hearing=False)
    answer(bench, Answer.GRANTED, holder="node1")
    assert Do.PROMOTE in bench.acts()
