"""Told stories: what the witnesses grant, deny, lose and forget; leases, promises, waivers."""

from dataclasses import replace

import pytest

from hapair.core.right.hearing import silent_s
from hapair.core.words.effects import Do
from hapair.core.words.events import ConfirmPeerDown, Form, Leave, Move
from hapair.model.status import Standing
from tests.sim.faults import (
    Cut,
    KillDaemon,
    LoseWitness,
    SlowWitness,
)
from tests.sim.settings import NODES, PRIVATE
from tests.sim.stage import (
    LONG_S,
    ONE_APPLICATION,
    ORDERS,
    WITH_WITNESS,
    Stage,
)

THREE_WITNESSES = replace(WITH_WITNESS, witnesses=3)
TWO_WITNESSES = replace(WITH_WITNESS, witnesses=2)
LOST_AFTER_S = 12.0  # Two looks in a row, and what it takes to agree on it.


def without_witness(stage: Stage) -> Stage:
    """All witnesses are lost while the nodes are together, and both have agreed on it."""
    stage.loses_witness()
    stage.waits_for(lambda: stage.stored("node1").tie.waiver, LOST_AFTER_S)
    assert stage.stored("node2").tie.yields
    return stage


# --- Doing without --------------------------------------------------------------------------------


def test_while_the_witness_is_lost_the_active_node_may_go_on_alone() -> None:
    stage = without_witness(Stage(WITH_WITNESS).begin())
    stage.dies("node2")
    stage.run_for(30.0)
    assert stage.served_by() == "node1"
    assert stage.acts == []
    assert stage.outage_s() < 3.5
    assert stage.reason("node1") == "waiver"
    stage.ends_well()


def test_a_partition_while_the_witness_is_lost_leaves_the_one_with_the_waiver_running() -> None:
    stage = without_witness(Stage(WITH_WITNESS).begin())
    stage.cuts_off(for_s=60.0)
    stage.run_for(58.0)
    assert stage.served_by() == "node1"
    assert stage.reason("node2") == "promised"
    assert "promised" in stage.alarms("node2")
    stage.ends_well()
    assert stage.served_by() == "node1"


def test_the_witness_that_comes_back_to_the_passive_side_alone_does_not_end_its_promise() -> None:
    stage = without_witness(Stage(WITH_WITNESS).begin())
    stage.loses_witness("node1")  # When it is mended, node1 alone does not reach it.
    stage.cuts_off()
    stage.run_for(5.0)
    for server in stage.world.third_parties.servers:
        server.down = 0
    stage.run_for(60.0)
    assert stage.served_by() == "node1"
    assert stage.holders() == {}, "node2 does not even ask"
    stage.ends_well()


def test_a_promise_survives_the_loss_of_power() -> None:
    stage = without_witness(Stage(WITH_WITNESS).begin())
    for node in NODES:
        stage.dies(node)
    stage.run_for(5.0)
    stage.world.power_on("node2")
    stage.run_for(80.0)
    assert stage.served_by() == ""
    assert "promised" in stage.alarms("node2")

    stage.world.power_on("node1")
    stage.waits_for(lambda: stage.served_by() == "node1", 60.0)
    stage.ends_well()


def test_after_a_loss_of_power_a_waiver_says_nothing() -> None:
    """A person may have let the other node go on meanwhile: only the witness or a person knows."""
    stage = without_witness(Stage(WITH_WITNESS).begin())
    for node in NODES:
        stage.dies(node)
    stage.run_for(5.0)
    stage.world.power_on("node1")
    stage.run_for(90.0)
    assert stage.served_by() == ""
    assert stage.reason("node1", "formation") == "ask-witness"
    assert "witness-lost" in stage.alarms("node1")

    for server in stage.world.third_parties.servers:
        server.down = 0
    stage.takes_over("node1", 20.0)
    stage.ends_well()


@pytest.mark.parametrize("survivor", ["off", "out of reach"])
def test_a_node_with_a_waiver_starts_nothing_when_a_person_let_the_other_one_go_on(
    survivor: str,
) -> None:
    """When node1 boots, the witness has recorded node2, which is off or out of reach."""
    stage = without_witness(Stage(WITH_WITNESS).begin())
    stage.dies("node1")
    stage.run_for(20.0)
    stage.world.confirm("node2")
    for server in stage.world.third_parties.servers:
        server.down = 0
    stage.waits_for(lambda: stage.served_by() == "node2", 20.0)
    stage.run_for(10.0)
    assert stage.holders() == {stage.stored("node2").epoch: {"node2"}}
    if survivor == "off":
        stage.dies("node2")
    else:
        stage.cuts_off()
    stage.world.power_on("node1")
    stage.run_for(100.0)
    assert "denied" in stage.alarms("node1")
    assert not stage.stored("node1").holds_right
    assert stage.runs_on() == (() if survivor == "off" else ("node2",))
    stage.ends_well()


def test_a_question_from_before_a_promise_that_is_answered_after_it_grants_nothing() -> None:
    """node2 is to hear of its grant just after the nodes were parted anew; node1 has a waiver."""
    for moment in range(12, 18):
        stage = Stage(WITH_WITNESS, seed=f"r{moment}").begin()
        for node in NODES:  # The witness lives, but no node reaches it.
            stage.loses_witness(node)
        stage.cuts_off(for_s=4.2)
        stage.run_for(25.0 + moment / 100)
        assert [stage.stored(node).asked for node in NODES] == [1, 1]
        assert stage.stored("node1").tie.waiver
        assert stage.stored("node2").tie.yields
        stage.cuts_off()
        stage.waits_for(lambda stage=stage: silent_s(stage.state("node2")) > 1.75, 3.0)  # type: ignore[misc]
        stage.world.third_parties.servers[0].unreached["node2"] = 0
        stage.run_for(12.0)
        assert stage.runs_on() == ("node1",)
        assert stage.reason("node2") == "promised"


def test_roles_that_are_swapped_while_the_waiver_holds_do_not_swap_it() -> None:
    """So the node that runs the application stops it when it is left alone, and waits."""
    stage = without_witness(Stage(WITH_WITNESS).begin())
    assert stage.types("node1", Move(ORDERS)).accepted
    stage.run_for(10.0)
    assert stage.stored("node1").tie.waiver
    assert not stage.stored("node2").tie.waiver

    stage.dies("node1")
    stage.waits_for(lambda: stage.copy("node2").suspended, 3.0)
    promised = stage.acknowledged()
    stage.run_for(30.0)
    assert stage.reason("node2") == "promised"
    assert stage.runs_on() == (), "its lease is over, and the peer may run it"
    assert stage.acknowledged() == promised
    assert stage.types("node2", ConfirmPeerDown()).accepted
    stage.run_for(20.0)
    assert stage.acknowledged() > promised
    stage.ends_well()


def test_after_a_swap_the_one_with_the_waiver_takes_over() -> None:
    stage = without_witness(Stage(WITH_WITNESS).begin())
    assert stage.types("node1", Move(ORDERS)).accepted
    stage.dies("node2")
    stage.takes_over("node1")
    stage.ends_well()


def test_a_witness_that_is_back_decides_again() -> None:
    stage = Stage(WITH_WITNESS).begin()
    stage.loses_witness(for_s=30.0)
    stage.waits_for(lambda: stage.stored("node1").tie.waiver, LOST_AFTER_S)
    stage.run_for(30.0)
    for node in NODES:
        tie = stage.stored(node).tie
        assert (tie.waiver, tie.yields, tie.lost_round) == (False, 0, 0)
    stage.dies("node1")
    stage.takes_over("node2")
    stage.ends_well()


def test_a_second_loss_of_the_witness_needs_a_new_promise() -> None:
    stage = Stage(WITH_WITNESS).begin()
    for loss in (1, 2):
        stage.loses_witness(for_s=25.0)
        stage.waits_for(lambda: stage.stored("node1").tie.waiver, LOST_AFTER_S)
        assert stage.stored("node2").tie.yields == stage.stored("node1").rounds == loss
        stage.run_for(40.0)
    stage.ends_well()


def test_peer_and_witness_lost_at_once_look_like_being_cut_off() -> None:
    """The price of a witness: the node that is left stops at the end of its lease."""
    stage = Stage(WITH_WITNESS).begin()
    stage.loses_witness()
    stage.dies("node2")
    stage.waits_for(lambda: stage.runs_on() == (), 20.0)
    assert stage.reason("node1") == "lease-over"
    for server in stage.world.third_parties.servers:
        server.down = 0
    stage.takes_over("node1", 10.0)
    stage.ends_well()


# --- Majorities -----------------------------------------------------------------------------------


def test_a_vote_that_is_split_between_three_witnesses_grants_nobody() -> None:
    stage = Stage(THREE_WITNESSES).begin()
    stage.suffers(
        LoseWitness(0, ("node2",), LONG_S),
        LoseWitness(1, (), 40.0),
        LoseWitness(2, ("node1",), LONG_S),
    )
    stage.cuts_off()
    stage.run_for(30.0)
    assert stage.holders() == {1: {"node1", "node2"}}
    assert not any(stage.stored(node).holds_right for node in NODES)
    assert stage.runs_on() == (), "at the end of the lease the active node stops as well"
    # The second witness is back, and its vote decides.
    stage.run_for(20.0)
    assert sum(stage.stored(node).holds_right for node in NODES) == 1
    assert stage.served_by() in NODES
    stage.ends_well()


def test_one_of_three_witnesses_may_be_lost() -> None:
    stage = Stage(THREE_WITNESSES).begin()
    stage.suffers(LoseWitness(1, (), LONG_S))
    stage.run_for(30.0)
    assert not stage.stored("node1").tie.lost_round, "two of three are enough"
    stage.dies("node1")
    stage.takes_over("node2")
    stage.ends_well()


def test_of_two_witnesses_both_are_needed() -> None:
    stage = Stage(TWO_WITNESSES).begin()
    stage.suffers(LoseWitness(1, (), LONG_S))
    stage.dies("node1")
    stage.run_for(60.0)
    assert stage.served_by() == ""
    stage.ends_well()


# --- Grants ---------------------------------------------------------------------------------------


def test_a_denied_node_never_recovers_by_asking() -> None:
    stage = Stage(WITH_WITNESS).begin()
    stage.cuts_off()
    stage.run_for(120.0)
    assert stage.served_by() == "node1"
    assert stage.reason("node2") == "denied"
    assert stage.holders() == {1: {"node1"}}
    assert not stage.stored("node2").holds_right
    assert (NODES[1], Do.PROMOTE) not in stage.acts
    stage.ends_well()


def test_an_epoch_that_was_granted_and_never_used_is_burned_when_the_nodes_meet() -> None:
    """node1 is recorded, and its answer is lost; then they are together again."""
    stage = Stage(WITH_WITNESS).begin()
    stage.suffers(SlowWitness(0, 20.0), LoseWitness(0, ("node2",), 20.0))
    stage.cuts_off(for_s=3.5)
    stage.run_for(3.5)
    assert stage.stored("node1").asked == 1
    stage.waits_for(stage.is_together, 10.0)
    stage.run_for(10.0)
    assert stage.holders() == {1: {"node1"}}, "long after node1 gave up"
    stage.run_for(20.0)
    assert [stage.stored(node).epoch for node in NODES] == [1, 1], "it was asked about again"
    # Otherwise the witness would deny node2 what it needs now.
    stage.dies("node1")
    stage.takes_over("node2")
    assert stage.holders()[2] == {"node2"}
    stage.ends_well()


def test_a_grant_whose_answer_was_lost_is_had_by_asking_again() -> None:
    stage = Stage(WITH_WITNESS).begin()
    stage.suffers(SlowWitness(0, 4.0))
    stage.dies("node2")
    stage.run_for(20.0)
    assert stage.served_by() == "node1"
    assert stage.acts == []
    assert stage.holders() == {1: {"node1"}}
    stage.ends_well()


def test_who_inherited_the_right_is_recorded_as_soon_as_the_witness_answers() -> None:
    stage = Stage(WITH_WITNESS).begin()
    assert stage.types("node2", Leave(handover=True)).accepted
    stage.run_for(5.0)
    epoch = stage.stored("node1").epoch
    assert stage.holders() == {epoch: {"node1"}}
    stage.ends_well()


def test_a_node_that_left_in_order_forms_alone_only_with_a_person() -> None:
    """Its peer needed no witness to go on, so none can tell how far it went (``ceded``)."""
    stage = Stage(WITH_WITNESS).begin()
    stage.loses_witness(for_s=25.0)
    assert stage.types("node2", Leave(handover=True)).accepted
    assert stage.stored("node2").ceded
    stage.run_for(10.0)
    stage.dies("node1")
    stage.run_for(20.0)
    refused = stage.types("node2", Form(timeout_s=10.0))
    assert not refused.accepted
    assert "peer may act alone" in refused.text
    stage.run_for(60.0)
    assert stage.served_by() == ""
    assert stage.holders() == {}
    stage.ends_well()


# --- The handler ----------------------------------------------------------------------------------


def test_the_handler_waits_for_a_daemon_that_was_killed() -> None:
    stage = Stage(WITH_WITNESS).begin()
    stage.world.replication.notices_after_s = (0.5, 0.6)
    stage.suffers(KillDaemon("node1", 2.5), Cut(PRIVATE, NODES, LONG_S))
    stage.waits_for(lambda: stage.copy("node1").suspended, 1.0)
    promised = stage.acknowledged()
    stage.run_for(2.0)
    assert stage.acknowledged() == promised, "nobody is there who could say: go on"
    stage.waits_for(lambda: stage.acknowledged() > promised, 8.0)
    assert stage.served_by() == "node1"
    assert stage.standing("node1") is Standing.TOGETHER
    assert stage.acts == []
    stage.ends_well()


def test_frozen_writes_go_on_when_the_daemon_was_away_longer_than_its_handler_waits() -> None:
    stage = Stage(ONE_APPLICATION).begin()
    stage.suffers(KillDaemon("node1", 70.0))
    stage.dies("node2")
    stage.run_for(68.0)
    assert stage.copy("node1").suspended
    assert stage.copy("node1").asked is None, "the handler has given up"
    promised = stage.acknowledged()
    stage.run_for(20.0)
    assert stage.acknowledged() > promised
    assert (NODES[0], Do.RESUME) in stage.acts
    stage.ends_well()
