"""Told stories: nodes that die, return, reboot, stand still (rows 1, 3, 8, 9, 14 to 16, 21, 25)."""

from dataclasses import replace

from hapair.core.effects import Do
from hapair.core.events import ConfirmPeerDown, Form, Leave, Start
from hapair.model.data import Connection, Disk, Role
from hapair.model.status import Standing
from tests.sim.faults import BreakDisk, Cut, Pause, PowerOff, Reboot
from tests.sim.settings import NODES, PRIVATE, application
from tests.sim.stage import ASK_OPERATOR, DATA, ONE_APPLICATION, ORDERS, Stage

LONG_S = 10_000.0
CLEAN_S = 6.0  # Detection of 2 s, then promote, mount, addresses and the start script.


def test_row_1_the_standby_takes_over_and_the_dead_node_returns_as_standby() -> None:
    stage = Stage().begin()
    stage.suffers(PowerOff("node1", LONG_S))
    stage.waits_for(lambda: stage.served_by() == "node2", CLEAN_S)
    assert stage.standing("node2") is Standing.ALONE

    stage.world.power_on("node1")
    stage.waits_for(stage.is_redundant, 30.0)
    stage.run_for(30.0)
    assert stage.served_by() == "node2", "R6: it does not move back by itself"
    assert stage.copy("node1").role is Role.SECONDARY
    assert stage.outage_s() < CLEAN_S + 1.0


def test_row_1_with_the_operator_as_arbiter_nothing_starts_before_he_confirms() -> None:
    stage = Stage(ASK_OPERATOR).begin()
    stage.suffers(PowerOff("node1", LONG_S))
    stage.run_for(60.0)
    assert stage.served_by() == ""
    assert "ask-operator" in stage.alarms("node2")

    assert stage.types("node2", ConfirmPeerDown()).accepted
    stage.waits_for(lambda: stage.served_by() == "node2", CLEAN_S)
    stage.ends_well()


def test_the_loss_of_the_standby_costs_nothing() -> None:
    stage = Stage().begin()
    stage.suffers(PowerOff("node2", LONG_S))
    stage.run_for(30.0)
    assert stage.served_by() == "node1"
    assert stage.standing("node1") is Standing.ALONE
    assert stage.acts == []
    assert stage.outage_s() < 2.5, "DRBD holds writes until it notices the loss, no longer"
    stage.ends_well()


def test_row_8_after_the_loss_of_both_the_one_that_was_not_ahead_waits() -> None:
    stage = Stage().begin()
    stage.suffers(PowerOff("node1", LONG_S), PowerOff("node2", LONG_S))
    stage.run_for(10.0)
    stage.world.power_on("node2")
    stage.run_for(200.0)
    assert stage.served_by() == ""
    assert "peer-may-be-ahead" in stage.alarms("node2")

    assert stage.types("node2", ConfirmPeerDown()).accepted
    stage.waits_for(lambda: stage.served_by() == "node2", CLEAN_S)
    stage.ends_well()


def test_row_8_after_the_loss_of_both_the_one_that_held_the_right_starts_alone() -> None:
    stage = Stage().begin()
    stage.suffers(PowerOff("node2", LONG_S))
    stage.waits_for(lambda: stage.standing("node1") is Standing.ALONE, 5.0)
    stage.suffers(PowerOff("node1", LONG_S))
    stage.run_for(10.0)
    stage.world.power_on("node1")
    stage.waits_for(lambda: stage.served_by() == "node1", 90.0)
    stage.ends_well()


def test_a_cold_start_of_both_places_the_application_on_its_preferred_node() -> None:
    shape = replace(ONE_APPLICATION, applications=(application(ORDERS, preferred="node2"),))
    stage = Stage(shape).begin()
    assert stage.served_by() == "node2"
    stage.suffers(PowerOff("node1", 20.0), PowerOff("node2", 25.0))
    stage.run_for(25.0)
    stage.waits_for(lambda: stage.served_by() == "node2", 40.0)
    stage.ends_well()
    assert stage.served_by() == "node2"


def test_row_9_a_node_that_was_away_for_long_knows_that_it_is_behind() -> None:
    stage = Stage().begin()
    stage.suffers(PowerOff("node2", LONG_S))
    stage.run_for(120.0)
    stage.suffers(PowerOff("node1", LONG_S))
    stage.run_for(5.0)
    stage.world.power_on("node2")
    stage.run_for(200.0)
    assert stage.served_by() == ""
    assert "peer-may-be-ahead" in stage.alarms("node2")

    stage.world.power_on("node1")
    stage.waits_for(lambda: stage.served_by() == "node1", 90.0)
    stage.ends_well()


def test_row_15_a_sync_target_is_not_promoted_when_its_source_dies() -> None:
    stage = Stage().begin()
    stage.world.replication.resync_takes_s = (30.0, 30.0)
    stage.suffers(PowerOff("node2", 5.0))
    stage.waits_for(lambda: stage.copy("node2").connection is Connection.SYNC_TARGET, 30.0)
    stage.run_for(5.0)
    stage.suffers(PowerOff("node1", LONG_S))
    stage.run_for(120.0)
    assert stage.served_by() == ""
    assert stage.copy("node2").disk is Disk.INCONSISTENT
    assert stage.copy("node2").role is Role.SECONDARY
    stage.ends_well()
    assert stage.served_by() == "node1"


def test_row_16_failback_waits_for_the_resync() -> None:
    falls_back = application(ORDERS, failback=True)
    stage = Stage(replace(ONE_APPLICATION, applications=(falls_back,))).begin()
    stage.world.replication.resync_takes_s = (20.0, 20.0)
    stage.suffers(PowerOff("node1", 5.0))
    stage.waits_for(lambda: stage.served_by() == "node2", CLEAN_S)
    stage.waits_for(lambda: stage.copy("node1").connection is Connection.SYNC_TARGET, 30.0)
    stage.run_for(15.0)
    assert stage.served_by() == "node2"
    stage.waits_for(lambda: stage.served_by() == "node1", 30.0)
    stage.ends_well()


def test_row_21_a_machine_that_stood_still_asks_before_it_acts() -> None:
    stage = Stage(ASK_OPERATOR).begin()
    stage.suffers(Pause("node2", 10.0))
    stage.run_for(10.0)
    stage.suffers(PowerOff("node1", LONG_S))
    stage.run_for(60.0)
    assert stage.served_by() == ""
    assert stage.alarms("node2") & {"never-joined", "ask-operator"}
    stage.ends_well()


def test_row_21_a_short_stand_still_of_the_active_node_stops_nothing() -> None:
    stage = Stage().begin()
    stage.suffers(Pause("node1", 1.0))
    stage.run_for(20.0)
    assert stage.served_by() == "node1"
    assert stage.acts == []
    stage.ends_well()


def test_row_25_a_reboot_of_the_active_node_moves_the_application_first() -> None:
    stage = Stage().begin()
    stage.suffers(Reboot("node1"))
    stage.waits_for(lambda: stage.served_by() == "node2", 10.0)
    assert stage.standing("node2") in (Standing.ALONE, Standing.TOGETHER)
    stage.waits_for(stage.is_redundant, 60.0)
    assert stage.served_by() == "node2"
    assert stage.outage_s() < 6.0, "no detection time is lost"


def test_a_halt_of_one_node_without_hand_over_stops_its_applications() -> None:
    stage = Stage().begin()
    assert stage.types("node1", Leave(handover=False)).accepted
    assert stage.standing("node1") is Standing.HALTED
    assert stage.copy("node1").configured is False
    stage.run_for(5.0)
    assert stage.types("node1", Form()).accepted
    stage.ends_well()


def test_the_node_that_halts_last_starts_alone_and_the_other_one_waits() -> None:
    stage = Stage().begin()
    leaving = stage.world.command("node2", Leave(handover=False))
    assert stage.types("node1", Leave(handover=False, last=True)).accepted
    assert leaving in stage.world.replies
    for node in NODES:
        stage.world.power_off(node)

    stage.world.power_on("node2", form=False)
    stage.run_for(2.0)
    refused = stage.types("node2", Form(timeout_s=10.0))
    assert not refused.accepted
    stage.world.power_off("node2")

    stage.world.power_on("node1", form=False)
    stage.run_for(2.0)
    assert stage.types("node1", Form(timeout_s=10.0)).accepted
    stage.waits_for(lambda: stage.served_by() == "node1", 10.0)
    stage.ends_well()


def test_a_boot_policy_that_says_no_joins_nothing() -> None:
    stage = Stage().begin()
    stage.world.power_off("node2")
    stage.run_for(10.0)
    stage.world.power_on("node2", form=False)
    stage.run_for(2.0)
    policy = Form(start=Start.BY_BOOT, join_existing_cluster=False)
    assert not stage.types("node2", policy).accepted
    assert stage.standing("node2") is Standing.HALTED
    stage.ends_well()


def test_row_14_a_node_that_lost_its_disk_serves_from_the_peers_copy() -> None:
    stage = Stage().begin()
    stage.suffers(BreakDisk("node1", DATA, LONG_S))
    stage.run_for(20.0)
    assert stage.served_by() == "node1"
    assert stage.acts == []

    # Its own disk misses writes now: after a boot it must not be believed.
    stage.copy("node1").broken = False
    stage.suffers(PowerOff("node1", LONG_S))
    stage.waits_for(lambda: stage.served_by() == "node2", CLEAN_S)
    stage.suffers(PowerOff("node2", LONG_S))
    stage.world.power_on("node1")
    stage.run_for(200.0)
    assert stage.served_by() == ""
    stage.ends_well()


def test_row_3_a_standby_that_was_told_to_be_behind_refuses_when_the_active_node_dies() -> None:
    stage = Stage().begin()
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    stage.run_for(20.0)
    assert stage.served_by() == "node1"
    stage.suffers(PowerOff("node1", LONG_S))
    stage.run_for(60.0)
    assert stage.served_by() == ""
    assert stage.world.machines["node2"].disk.behind == (DATA,)
    assert (NODES[1], Do.PROMOTE) not in stage.acts
    stage.ends_well()
