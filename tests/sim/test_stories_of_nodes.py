"""Told stories: nodes that die, return, reboot, stand still (rows 1, 8, 9, 14 to 16, 21, 25)."""

from dataclasses import replace

import pytest

from hapair.core.words.effects import Do
from hapair.core.words.events import ConfirmPeerDown, Form, Leave, Start
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk, Role
from hapair.model.status import Standing
from tests.sim.faults import BreakDisk, FailActions, Pause, PowerOff, Reboot
from tests.sim.machine import Trouble
from tests.sim.settings import NODES, application
from tests.sim.stage import (
    ASK_OPERATOR,
    DATA,
    FENCING,
    KINDS,
    LONG_S,
    ONE_APPLICATION,
    ORDERS,
    PATHS,
    WITNESS,
    Stage,
    with_kind,
)

each_kind = pytest.mark.parametrize("kind", KINDS)
every_kind = pytest.mark.parametrize("kind", [*KINDS, ArbitrationKind.OPERATOR])
# Why a node that returns alone starts nothing.
AHEAD = {WITNESS: "denied", FENCING: "peer-may-be-ahead", PATHS: "peer-may-be-ahead"}


@each_kind
def test_row_01_the_standby_takes_over_and_the_dead_node_returns_as_standby(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.dies("node1")
    took_s = stage.takes_over("node2")
    assert stage.standing("node2") is Standing.ALONE

    stage.world.power_on("node1")
    stage.waits_for(stage.is_redundant, 30.0)
    stage.run_for(30.0)
    assert stage.served_by() == "node2", "R6: it does not move back by itself"
    assert stage.copy("node1").role is Role.SECONDARY
    assert stage.outage_s() < took_s + 1.0


def test_row_01_with_the_operator_as_arbiter_nothing_starts_before_he_confirms() -> None:
    stage = Stage(ASK_OPERATOR).begin()
    stage.dies("node1")
    stage.run_for(60.0)
    assert stage.served_by() == ""
    assert "ask-operator" in stage.alarms("node2")

    assert stage.types("node2", ConfirmPeerDown()).accepted
    stage.takes_over("node2")
    stage.ends_well()


@each_kind
def test_row_01_the_loss_of_the_standby_costs_no_more_than_the_frozen_writes(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.dies("node2")
    stage.run_for(30.0)
    assert stage.served_by() == "node1"
    assert stage.standing("node1") is Standing.ALONE
    assert stage.acts == []
    # DRBD holds the writes until the right is there: detection, and the third party's answer.
    assert stage.outage_s() < (6.5 if kind is FENCING else 3.5)
    stage.ends_well()


@every_kind
def test_row_08_both_lost_power_at_once_and_one_returns(kind: ArbitrationKind) -> None:
    """Only a witness can say that nobody went on; without one a person has to."""
    stage = Stage(with_kind(kind)).begin()
    for node in NODES:
        stage.dies(node)
    stage.run_for(10.0)
    stage.world.power_on("node2")
    if kind is WITNESS:
        stage.takes_over("node2", 75.0)
        stage.ends_well()
        return
    stage.run_for(80.0)
    assert stage.served_by() == ""
    assert "peer-may-be-ahead" in stage.alarms("node2")

    assert stage.types("node2", ConfirmPeerDown()).accepted
    stage.takes_over("node2")
    stage.ends_well()


@each_kind
def test_row_08_the_one_that_was_ahead_starts_alone(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.dies("node2")
    stage.waits_for(lambda: stage.standing("node1") is Standing.ALONE, 10.0)
    stage.run_for(5.0)
    stage.dies("node1")
    stage.run_for(10.0)
    stage.world.power_on("node1")
    stage.takes_over("node1", 90.0)
    stage.ends_well()


@each_kind
def test_row_08_the_one_that_was_not_ahead_waits_for_the_other_or_a_person(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.dies("node2")
    stage.waits_for(lambda: stage.standing("node1") is Standing.ALONE, 10.0)
    stage.run_for(5.0)
    stage.dies("node1")
    stage.run_for(10.0)
    stage.world.power_on("node2")
    stage.run_for(80.0)
    assert stage.served_by() == ""
    assert AHEAD[kind] in stage.alarms("node2")

    # A person gives up what the other copy has: from now on this one counts (runbook 17).
    stage.world.confirm("node2")
    stage.takes_over("node2")
    stage.ends_well()
    assert stage.served_by() == "node2"


@every_kind
def test_row_08_a_cold_start_of_both_places_the_application_on_its_preferred_node(
    kind: ArbitrationKind,
) -> None:
    shape = replace(ONE_APPLICATION, applications=(application(ORDERS, preferred="node2"),))
    stage = Stage(with_kind(kind, shape)).begin()
    assert stage.served_by() == "node2"
    stage.suffers(PowerOff("node1", 20.0), PowerOff("node2", 25.0))
    stage.run_for(25.0)
    stage.takes_over("node2", 40.0)
    stage.ends_well()
    assert stage.served_by() == "node2"


@each_kind
def test_row_09_a_node_that_was_away_for_long_knows_that_it_is_behind(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.dies("node2")
    stage.run_for(120.0)
    stage.dies("node1")
    stage.run_for(5.0)
    stage.world.power_on("node2")
    stage.run_for(80.0)
    assert stage.served_by() == ""
    assert AHEAD[kind] in stage.alarms("node2")

    stage.world.power_on("node1")
    stage.takes_over("node1", 90.0)
    stage.ends_well()


@each_kind
def test_row_14_a_node_that_lost_its_disk_serves_from_the_peers_copy(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(BreakDisk("node1", DATA, LONG_S))
    stage.run_for(20.0)
    assert stage.served_by() == "node1"
    assert stage.acts == []
    assert stage.outage_s() < 1.0

    # Its own disk misses writes now: after a boot it must not be believed.
    stage.copy("node1").broken = False
    stage.dies("node1")
    stage.takes_over("node2")
    stage.dies("node2")
    stage.world.power_on("node1")
    stage.run_for(80.0)
    assert stage.served_by() == ""
    assert stage.stored("node1").behind == (DATA,)
    stage.ends_well()


@each_kind
def test_row_15_a_sync_target_is_not_promoted_when_its_source_dies(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.world.replication.resync_takes_s = (30.0, 30.0)
    stage.dies("node2")
    stage.run_for(7.0)
    stage.world.power_on("node2")
    stage.waits_for(lambda: stage.copy("node2").connection is Connection.SYNC_TARGET, 30.0)
    stage.run_for(5.0)
    stage.dies("node1")
    stage.run_for(60.0)
    assert stage.served_by() == ""
    assert stage.copy("node2").disk is Disk.INCONSISTENT
    assert stage.copy("node2").role is Role.SECONDARY
    stage.ends_well()
    assert stage.served_by() == "node1"


@each_kind
def test_row_16_failback_waits_for_the_resync(kind: ArbitrationKind) -> None:
    falls_back = application(ORDERS, failback=True)
    stage = Stage(with_kind(kind, replace(ONE_APPLICATION, applications=(falls_back,)))).begin()
    stage.world.replication.resync_takes_s = (20.0, 20.0)
    stage.dies("node1")
    stage.takes_over("node2")
    stage.world.power_on("node1")
    stage.waits_for(lambda: stage.copy("node1").connection is Connection.SYNC_TARGET, 30.0)
    stage.run_for(15.0)
    assert stage.served_by() == "node2"
    stage.takes_over("node1", 30.0)
    stage.ends_well()


@each_kind
def test_row_21_an_active_machine_that_stood_still_for_long_gives_way_and_loses_nothing(
    kind: ArbitrationKind,
) -> None:
    """The kernel freezes writes as soon as it goes on, long before any daemon decides."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(Pause("node1", 30.0))
    stage.takes_over("node2")
    stage.run_for(30.0)
    assert stage.served_by() == "node2"
    if kind is FENCING:
        assert not stage.world.machines["node1"].powered, "it was switched off meanwhile"
    else:
        assert stage.standing("node1") is Standing.TOGETHER
    stage.ends_well()
    assert stage.served_by() == "node2"


def test_row_21_a_machine_that_stood_still_asks_before_it_acts() -> None:
    stage = Stage(ASK_OPERATOR).begin()
    stage.suffers(Pause("node2", 10.0))
    stage.run_for(10.0)
    stage.dies("node1")
    stage.run_for(60.0)
    assert stage.served_by() == ""
    assert stage.alarms("node2") & {"never-joined", "ask-operator"}
    stage.ends_well()


@each_kind
def test_row_21_a_short_stand_still_of_the_active_node_stops_nothing(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(Pause("node1", 1.0))
    stage.run_for(20.0)
    assert stage.served_by() == "node1"
    assert stage.acts == []
    stage.ends_well()


@each_kind
def test_row_25_a_reboot_of_the_active_node_moves_the_application_first(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(Reboot("node1"))
    stage.takes_over("node2", 10.0)
    assert stage.standing("node2") in (Standing.ALONE, Standing.TOGETHER)
    stage.waits_for(stage.is_redundant, 60.0)
    assert stage.served_by() == "node2"
    assert stage.outage_s() < 6.0, "no detection time is lost"
    assert "fencing" not in stage.notes("node2")


@each_kind
def test_row_25_a_node_whose_new_kernel_lacks_drbd_joins_and_disturbs_nobody(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(FailActions("node2", Do.BRING_UP, ORDERS, Trouble.REFUSED, LONG_S))
    stage.suffers(Reboot("node2"))
    stage.run_for(50.0)
    assert stage.is_together()
    assert stage.served_by() == "node1"
    assert "fencing" not in stage.notes("node1")
    assert (NODES[1], Do.PROMOTE) not in stage.acts
    stage.ends_well()


def leaves_slowly(kind: ArbitrationKind) -> Stage:
    """node1 is about to leave, and its program does not end before the limit of a stop (10 s)."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(FailActions("node1", Do.STOP_PROGRAM, ORDERS, Trouble.HANGS, 60.0))
    return stage


@every_kind
def test_a_reboot_in_order_does_not_wait_for_a_standby_that_was_started_anew(
    kind: ArbitrationKind,
) -> None:
    """That one takes nothing over: it was not together with a node that leaves."""
    stage = leaves_slowly(kind)
    stage.suffers(Reboot("node1"))
    stage.run_for(0.3)
    stage.suffers(PowerOff("node2", 3.0))
    stage.run_for(10.0)
    stage.waits_for(lambda: stage.served_by() == "node1", 20.0)
    stage.ends_well()


def test_a_standby_that_was_started_anew_asks_the_witness_when_the_other_one_is_off() -> None:
    """Nothing binds it to a node that left: of two that are bound none would go on alone."""
    stage = leaves_slowly(WITNESS)
    stage.world.command("node1", Leave(handover=True, shutdown=True))
    stage.run_for(0.3)
    stage.suffers(PowerOff("node2", 3.0))
    stage.waits_for(lambda: stage.standing("node1") is Standing.HALTED, 20.0)
    stage.dies("node1")
    stage.takes_over("node2", 70.0)
    stage.ends_well()


def test_a_reboot_in_order_does_not_wait_for_long_for_a_standby_that_stood_still() -> None:
    stage = leaves_slowly(PATHS)
    stage.suffers(Reboot("node1"))
    stage.suffers(Pause("node2", 5.0))
    stage.waits_for(lambda: stage.served_by() == "node1", 60.0)
    stage.ends_well()


def test_a_halt_of_one_node_without_hand_over_stops_its_applications() -> None:
    stage = Stage().begin()
    assert stage.types("node1", Leave(handover=False)).accepted
    assert stage.standing("node1") is Standing.HALTED
    assert stage.copy("node1").configured is False
    stage.run_for(5.0)
    assert stage.types("node1", Form()).accepted
    stage.ends_well()


@every_kind
def test_the_node_that_halts_last_starts_alone_and_the_other_one_waits(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
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
    stage.takes_over("node1", 10.0)
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
