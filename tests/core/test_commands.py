"""What an operator may type, what is refused with its mend, and when the answer comes."""

from dataclasses import replace

import pytest

from hapair.core.words.effects import Do
from hapair.core.words.events import (
    Configured,
    ConfirmPeerDown,
    Form,
    Halt,
    Introduce,
    Leave,
    Move,
    Run,
)
from hapair.core.words.stored import Stored
from hapair.model import timing
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Disk, Role
from hapair.model.outcome import Refused
from hapair.model.status import Phase, Standing, Version, Wanted
from tests.core.bench import ME, NAME, PEER, RESOURCE, Bench, built, facts, record
from tests.core.test_lifecycle import HELD, said_phase
from tests.core.test_membership import MEMBER, SEPARATED
from tests.sim.settings import application


def refusal(bench: Bench, command: Run | Halt | Move | Form | Introduce | ConfirmPeerDown) -> str:
    """Type the command; return why it was refused, at once and without any change."""
    before = bench.state.stored
    reply = bench.command(command)
    assert reply is not None
    assert not reply.accepted
    assert bench.state.stored == before
    return reply.text


def gives_to_peer(bench: Bench, phase: Phase = Phase.RUNNING) -> None:
    """The peer took the application over that was given to it."""
    bench.peer_says(records=bench.state.stored.records)
    bench.peer_has(phase)


# --- Form and leave --------------------------------------------------------------------------


def test_form_is_answered_when_the_nodes_are_together() -> None:
    bench = Bench()
    bench.together()
    assert bench.replies() == [(True, "node1 and node2 are together")]
    bench.command(Form())
    assert bench.replies()[-1] == (True, "node1 and node2 are together")


def test_form_may_be_typed_again_with_another_limit() -> None:
    bench = Bench(attached=SEPARATED)
    bench.command(Form(timeout_s=60.0))
    bench.command(Form(timeout_s=3.0, allow_single_node=False))
    bench.wait(4.0, hearing=False)
    assert all(not accepted for accepted, _ in bench.replies())
    assert "clform --alone" in bench.replies()[-1][1]


def test_form_says_when_it_was_too_slow_and_goes_on() -> None:
    bench = Bench()
    bench.command(Form(timeout_s=1.0))
    bench.wait(12.0)
    assert bench.replies() == [(False, "form is not complete yet; it goes on, see: clstat")]
    assert bench.stands(Standing.FORMING)


def test_form_takes_a_leave_back_that_has_left_nothing_to_the_peer_yet() -> None:
    bench = Bench()
    bench.running()
    bench.outcomes[Do.DEMOTE] = HELD
    bench.command(Leave(handover=False))
    assert bench.stands(Standing.LEAVING)
    bench.command(Form())
    assert bench.stands(Standing.TOGETHER)
    assert said_phase(bench.state) is Phase.RUNNING
    (_, left), (formed, _) = bench.replies()[-2:]
    assert "node1 stays in the cluster: orders cannot be stopped: " in left
    assert "the mount on /export" in left
    assert formed


def test_a_node_alone_is_alone_again_when_its_leave_is_taken_back() -> None:
    bench = Bench()
    bench.running()
    bench.alone()
    bench.deaf = {Do.STOP_PROGRAM}
    bench.command(Leave(handover=True))
    bench.command(Form())
    assert bench.stands(Standing.ALONE)
    assert (False, "it joined again") in bench.replies()


def test_form_is_refused_once_the_node_has_left_its_right_to_the_peer() -> None:
    bench = Bench()
    bench.running()
    bench.deaf = {Do.TAKE_DOWN}
    bench.command(Leave(handover=False))
    assert not bench.state.stored.formed
    assert "is being halted" in refusal(bench, Form())


def test_a_hand_over_that_a_second_holder_stops_half_way_is_given_up() -> None:
    bench = Bench()
    bench.running()
    bench.outcomes[Do.DEMOTE] = HELD
    bench.command(Leave(handover=True))
    assert bench.stands(Standing.TOGETHER)
    assert said_phase(bench.state) is Phase.RUNNING
    assert bench.record.owner == ME
    accepted, text = bench.replies()[-1]
    assert not accepted
    assert "the mount on /export" in text
    bench.wait(60.0)
    assert bench.notes().count("leaving") == bench.notes().count("cannot-leave") == 1
    bench.outcomes.clear()
    bench.command(Leave(handover=True))
    assert bench.record.owner == PEER


@pytest.mark.parametrize("leave", [Leave(handover=False), Leave(handover=True, shutdown=True)])
def test_a_halt_and_a_shutdown_bring_nothing_up_again(leave: Leave) -> None:
    bench = Bench()
    bench.running()
    bench.outcomes[Do.DEMOTE] = HELD
    bench.command(leave)
    bench.forget_effects()
    bench.wait(60.0)
    assert bench.stands(Standing.LEAVING)
    assert Do.START_PROGRAM not in bench.acts()
    bench.outcomes.clear()
    bench.wait(90.0)
    assert not bench.up


def test_a_shutdown_that_overtakes_a_leave_is_one() -> None:
    bench = Bench()
    bench.running()
    bench.deaf = {Do.STOP_PROGRAM}
    bench.command(Leave(handover=True))
    bench.command(Leave(handover=True, shutdown=True))
    bench.command(Leave(handover=True))
    assert bench.state.leave == Leave(handover=True, shutdown=True)


def test_a_node_leaves_although_what_an_operator_halted_before_is_stuck_there() -> None:
    bench = Bench()
    bench.running()
    bench.outcomes[Do.DEMOTE] = HELD
    bench.command(Halt(NAME))
    bench.command(Leave(handover=True))
    bench.wait(60.0)
    assert bench.stands(Standing.LEAVING)


def test_a_form_that_a_leave_overtakes_is_answered() -> None:
    bench = Bench()
    bench.command(Form())
    bench.command(Leave(handover=False))
    assert bench.stands(Standing.HALTED)
    assert bench.replies() == [
        (False, "this node was halted meanwhile"),
        (True, "node1 is halted"),
    ]


def test_a_node_without_applications_leaves_at_once() -> None:
    bench = Bench(replace(built(), applications=()))
    bench.together()
    bench.command(Leave(handover=True))
    bench.peer_says(left=True, standing=Standing.LEAVING)
    bench.wait(0.5)
    assert bench.stands(Standing.HALTED)


def test_leaving_hands_over_and_waits_for_the_peer_to_take_the_right() -> None:
    bench = Bench()
    bench.running()
    bench.command(Leave(handover=True))
    assert bench.record.owner == PEER
    assert not bench.up
    assert bench.stands(Standing.LEAVING)
    bench.peer_says(holds_right=True, standing=Standing.ALONE, epoch=1)
    bench.wait(0.5)
    assert bench.stands(Standing.HALTED)
    assert bench.replies()[-1] == (True, "node1 is halted")
    assert bench.state.published is not None
    assert bench.state.published.left


def test_leaving_twice_is_one_leave_with_two_answers() -> None:
    bench = Bench()
    bench.running()
    bench.command(Leave(handover=False))
    bench.command(Leave(handover=False))
    bench.peer_says(holds_right=True, standing=Standing.ALONE, epoch=1)
    bench.wait(0.5)
    assert bench.replies()[-2:] == [(True, "node1 is halted")] * 2
    assert bench.notes().count("leaving") == 1


def test_a_node_that_leaves_last_does_not_wait_for_ever() -> None:
    bench = Bench()
    bench.together()
    bench.command(Leave(handover=False, last=True))
    bench.wait(5.0)
    assert bench.state.stored.formed
    bench.wait(100.0)
    assert bench.stands(Standing.HALTED)


def test_a_node_alone_takes_its_right_with_it() -> None:
    bench = Bench()
    bench.running()
    bench.alone()
    bench.command(Leave(handover=False))
    bench.wait(0.5, hearing=False)
    assert bench.stands(Standing.HALTED)
    assert bench.state.stored.holds_right
    assert not bench.kernel


# --- Confirm ---------------------------------------------------------------------------------


def test_nothing_is_confirmed_where_nothing_waits_for_it() -> None:
    assert "nothing waits" in refusal(Bench(), ConfirmPeerDown())


def test_a_peer_that_answers_is_not_confirmed_down() -> None:
    bench = Bench()
    bench.command(Form())
    bench.hear()
    assert "sends heartbeats" in refusal(bench, ConfirmPeerDown())


def test_a_peer_that_is_heard_but_does_not_hear_is_not_confirmed_down() -> None:
    bench = Bench(stored=MEMBER)
    bench.wait(3.0, hearing=False)
    bench.hear("public", echo=0)
    assert "sends heartbeats" in refusal(bench, ConfirmPeerDown())


def test_a_peer_whose_kernel_answers_is_not_confirmed_down() -> None:
    bench = Bench()
    bench.running()
    bench.wait(3.0, hearing=False)
    assert bench.state.reasons["arbitration"] == "kernel-answers"
    assert "power it off first" in refusal(bench, ConfirmPeerDown())


def test_nothing_is_confirmed_before_the_state_of_the_data_is_known() -> None:
    bench = Bench(stored=MEMBER)
    bench.state = replace(bench.state, facts_read=False)
    assert "not known yet" in refusal(bench, ConfirmPeerDown())


def test_a_statement_that_the_kernel_of_the_peer_disproves_counts_no_longer() -> None:
    bench = Bench(stored=MEMBER, attached=SEPARATED)
    bench.command(ConfirmPeerDown())
    assert bench.state.confirmed
    bench.data(facts())
    assert not bench.state.confirmed
    assert "not-confirmed" in bench.notes()


def test_a_confirmation_on_a_node_alone_trusts_its_copies() -> None:
    stored = replace(MEMBER, holds_right=True, unproven=(RESOURCE,), records=(record(),))
    bench = Bench(stored=stored, attached=SEPARATED)
    bench.wait(1.0, hearing=False)
    assert ("program", NAME, "") not in bench.up
    reply = bench.command(ConfirmPeerDown())
    assert reply is not None
    assert reply.accepted
    assert not bench.state.stored.unproven
    assert ("program", NAME, "") in bench.up


# --- Introduce -------------------------------------------------------------------------------


def test_introducing_twice_changes_nothing() -> None:
    bench = Bench()
    bench.running()
    reply = bench.command(Introduce(NAME, Wanted.DOWN))
    assert reply is not None
    assert reply.accepted
    assert bench.record.wanted is Wanted.UP


def test_only_what_is_built_can_be_introduced() -> None:
    assert refusal(Bench(), Introduce("web", Wanted.UP)) == "web is not built"


# --- Refusals of commands about an application -----------------------------------------------


def test_commands_about_an_application_are_refused_with_the_mend() -> None:
    bench = Bench(built(application(NAME), application("web")))
    assert refusal(bench, Run("mail")) == "there is no application mail; see: clstat"
    assert refusal(bench, Halt(NAME)) == "this node is halted; type: clform"
    bench.together()
    assert "clbuildapp orders" in refusal(bench, Run(NAME))
    bench.peer_says(records=(record(PEER),))
    assert refusal(bench, Move(NAME)) == "orders belongs to node2, which does not answer"
    bench.command(Introduce("web", Wanted.UP))
    assert refusal(bench, Run("web", "node3")) == (
        "there is no node node3 in this cluster; type: --node node1 or --node node2"
    )
    assert "already runs on node1" in refusal(bench, Run("web", PEER))


def test_nothing_moves_to_a_peer_whose_copy_misses_writes() -> None:
    bench = Bench()
    bench.running()
    bench.data(facts(role=Role.PRIMARY, peer_disk=Disk.INCONSISTENT))
    bench.peer_has(current=False)
    assert "not UpToDate" in refusal(bench, Move(NAME))


def test_nothing_moves_without_a_peer_and_nothing_that_is_halted() -> None:
    bench = Bench()
    bench.running()
    bench.alone()
    assert "not together" in refusal(bench, Move(NAME))
    bench.command(Halt(NAME))
    assert "not together" in refusal(bench, Run(NAME, PEER))
    assert "clrunapp orders --node NODE" in refusal(bench, Move(NAME))


# --- Run, halt, move -------------------------------------------------------------------------


def test_halt_and_run_are_answered_when_they_are_complete() -> None:
    bench = Bench()
    bench.running()
    bench.command(Halt(NAME))
    assert not bench.up
    halted = (True, "orders is halted")
    assert halted not in bench.replies(), "the peer, too, must know that it is not to start it"
    bench.peer_says(records=bench.state.stored.records)
    assert bench.replies()[-1] == halted
    bench.command(Run(NAME))
    assert bench.replies()[-1] == (True, "orders runs on node1")
    bench.command(Run(NAME, ME))
    assert bench.replies()[-1] == (True, "orders runs on node1")
    assert bench.record.version == Version(0, 3)


def test_a_halt_of_which_a_silent_peer_does_not_know_says_so() -> None:
    bench = Bench(built(kind=ArbitrationKind.OPERATOR))
    bench.running()
    bench.disconnect()
    bench.wait(3.0, hearing=False)
    bench.command(Halt(NAME))
    ok, text = bench.replies()[-1]
    assert ok
    assert "node2 has not heard of it" in text


def test_a_halt_that_a_run_overtakes_is_answered() -> None:
    bench = Bench()
    bench.running()
    bench.deaf = {Do.STOP_PROGRAM}
    bench.command(Halt(NAME))
    bench.command(Run(NAME))
    assert (False, "orders was started again meanwhile") in bench.replies()


def test_run_chooses_the_preferred_node_when_it_can_take_it() -> None:
    bench = Bench(built(application(NAME, preferred=PEER)))
    bench.together()
    bench.command(Introduce(NAME, Wanted.DOWN))
    bench.command(Run(NAME))
    assert bench.record.owner == PEER
    assert bench.replies()[-1] == (True, "orders is known")
    gives_to_peer(bench)
    assert bench.replies()[-1] == (True, "orders runs on node2")


def test_a_move_stops_here_gives_the_record_and_is_answered_when_it_runs_there() -> None:
    bench = Bench()
    bench.running()
    bench.command(Move(NAME))
    assert bench.record.owner == PEER
    assert not bench.up
    gives_to_peer(bench)
    assert bench.replies()[-1] == (True, "orders runs on node2")


def test_a_move_that_comes_back_says_so() -> None:
    bench = Bench()
    bench.running()
    bench.command(Move(NAME))
    back = replace(bench.record, owner=ME, failed_on=(PEER,), version=Version(0, 9))
    bench.peer_says(records=(back,))
    text = "orders runs on node1 again: it could not be started on node2"
    assert bench.replies()[-1] == (False, text)


def test_a_move_to_a_peer_that_fails_meanwhile_is_given_up() -> None:
    bench = Bench()
    bench.running()
    bench.deaf = {Do.STOP_PROGRAM}
    bench.command(Move(NAME))
    bench.peer_has(current=False)
    assert "cannot-move" in bench.notes()
    assert bench.record.owner == ME


def test_a_start_that_fails_on_both_nodes_is_answered() -> None:
    bench = Bench()
    bench.running()
    bench.command(Halt(NAME))
    bench.outcomes[Do.START_PROGRAM] = Refused("no licence")
    bench.command(Run(NAME))
    assert bench.record.owner == PEER
    assert bench.record.failed_on == (ME,)
    both = replace(bench.record, failed_on=(ME, PEER), version=Version(0, 9))
    bench.peer_says(records=(both,))
    assert bench.replies()[-1][1].startswith("orders failed on both nodes")


def test_a_command_about_an_application_that_is_taken_away_is_answered() -> None:
    bench = Bench()
    bench.running()
    bench.deaf = {Do.STOP_PROGRAM}
    bench.command(Halt(NAME))
    bench.do(Configured(bench.now_s, replace(bench.built, generation=2, applications=())))
    assert bench.replies()[-1] == (False, "orders is no longer part of the cluster")


def test_an_application_that_is_built_later_gets_its_items() -> None:
    bench = Bench(replace(built(), applications=()))
    bench.together()
    bench.do(Configured(bench.now_s, built(generation=2)))
    bench.command(Introduce(NAME, Wanted.DATA))
    assert [item.layer for item in bench.state.items_of(NAME)] == [
        "attached", "promoted", "mounted", "addressed", "program",
    ]  # fmt: skip
    assert bench.up == set(), "the kernel may tell of it in a moment"
    bench.wait(timing.UNTOLD_S)
    assert bench.up == {("mounted", NAME, RESOURCE)}


def test_a_leave_of_a_node_that_was_given_the_right_meanwhile_is_answered() -> None:
    """A daemon that was started anew while its node left knows nothing of the leave."""
    bench = Bench(stored=Stored())
    bench.data(facts())
    bench.command(Leave(handover=False))
    assert bench.replies() == [(True, "node1 is halted")]
