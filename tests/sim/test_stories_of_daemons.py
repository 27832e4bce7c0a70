"""Told stories: daemons and networks that fail while the machines live (rows 4, 5, 6, 21, 22)."""

from dataclasses import replace

import pytest

from hapair.core.effects import Do
from hapair.core.events import Configured
from hapair.model.data import Connection
from hapair.model.status import Standing
from tests.sim import parcels
from tests.sim.faults import Cut, HangDaemon, KillDaemon, MakeNoise, PowerOff, PullCable, SlowStore
from tests.sim.networks import Noise
from tests.sim.settings import NODES, PRIVATE, PUBLIC, built_from
from tests.sim.stage import ONE_APPLICATION, Stage

LONG_S = 10_000.0


@pytest.mark.parametrize("node", NODES)
def test_row_4_a_killed_daemon_comes_back_and_adopts_what_runs(node: str) -> None:
    stage = Stage().begin()
    stage.suffers(KillDaemon(node, 1.0))
    stage.waits_for(lambda: not stage.is_together(), 3.0)
    stage.waits_for(stage.is_together, 5.0)
    stage.run_for(20.0)
    assert stage.acts == [], "R7: nothing is stopped or started"
    assert stage.served_by() == "node1"
    assert stage.outage_s() < 1.0


def test_row_4_both_daemons_may_be_restarted_at_once() -> None:
    stage = Stage().begin()
    stage.suffers(*(KillDaemon(node, 1.0) for node in NODES))
    stage.run_for(20.0)
    assert stage.acts == []
    stage.ends_well()


@pytest.mark.parametrize("node", NODES)
def test_row_4_a_hung_daemon_causes_no_failover_while_its_kernel_answers(node: str) -> None:
    stage = Stage().begin()
    stage.suffers(HangDaemon(node, 30.0))
    stage.run_for(29.0)
    assert stage.served_by() == "node1"
    other = next(name for name in NODES if name != node)
    assert stage.standing(other) is Standing.CUT
    assert "kernel-answers" in stage.alarms(other)
    stage.waits_for(stage.is_together, 10.0)
    assert stage.acts == []
    stage.ends_well()


def test_a_standby_whose_daemon_is_dead_takes_over_nothing_until_it_has_listened() -> None:
    stage = Stage().begin()
    stage.suffers(KillDaemon("node2", 1.0))
    stage.run_for(0.5)
    stage.suffers(PowerOff("node1", LONG_S))
    stage.waits_for(lambda: stage.served_by() == "node2", 12.0)
    stage.ends_well()


def test_row_5_the_loss_of_the_client_network_alone_moves_nothing() -> None:
    stage = Stage().begin()
    stage.suffers(PullCable(PUBLIC, "node1", LONG_S))
    stage.run_for(60.0)
    assert stage.is_together()
    assert stage.acts == []
    stage.ends_well()


def test_row_6_a_crossover_network_without_link_is_no_fault_of_this_node() -> None:
    stage = Stage().begin()
    assert stage.world.shape.crossover
    stage.suffers(PowerOff("node1", LONG_S))
    assert not stage.world.wires[PRIVATE].link_up("node2")
    stage.waits_for(lambda: stage.served_by() == "node2", 6.0)


def test_row_6_without_its_own_link_a_node_does_not_blame_the_peer() -> None:
    stage = Stage(replace(ONE_APPLICATION, crossover=False)).begin()
    stage.suffers(PullCable(PRIVATE, "node2", LONG_S))
    stage.run_for(10.0)
    stage.suffers(PowerOff("node1", LONG_S))
    stage.run_for(60.0)
    assert stage.served_by() == ""
    stage.ends_well()


def test_a_network_that_flaps_starts_and_stops_nothing() -> None:
    stage = Stage().begin()
    for _ in range(10):
        stage.suffers(PullCable(PUBLIC, "node2", 1.0))
        stage.run_for(2.0)
    assert stage.acts == []
    assert stage.is_together()
    stage.ends_well()


def test_noise_on_every_network_causes_no_failover() -> None:
    stage = Stage().begin()
    noise = Noise(loss=0.2, duplicates=0.2, delay_max_s=0.7)
    stage.suffers(MakeNoise(PUBLIC, noise, 60.0), MakeNoise(PRIVATE, noise, 60.0))
    stage.run_for(60.0)
    assert stage.acts == []
    stage.ends_well()


def test_row_3_the_replication_link_alone_fails_and_comes_back() -> None:
    stage = Stage().begin()
    stage.suffers(Cut(PRIVATE, NODES, 30.0))
    stage.run_for(15.0)
    assert stage.served_by() == "node1"
    assert stage.copy("node1").connection is Connection.CONNECTING
    assert "unprotected" not in stage.alarms("node2")
    stage.waits_for(stage.is_redundant, 60.0)
    assert stage.acts == []


def test_a_disk_that_takes_seconds_to_store_only_makes_it_slower() -> None:
    stage = Stage().begin()
    stage.suffers(SlowStore("node2", 3.0, LONG_S), PowerOff("node1", LONG_S))
    took_s = stage.waits_for(lambda: stage.served_by() == "node2", 30.0)
    assert took_s > 3.0, "the right is on the disk before anything starts"
    stage.ends_well()


def test_row_22_an_address_that_answers_elsewhere_is_not_added() -> None:
    stage = Stage().begin()
    # A stranger, or a hung leftover of the peer, has the address.
    stage.suffers(PowerOff("node2", 20.0))
    stage.run_for(22.0)
    stage.world.machines["node2"].addresses["orders"] = True
    stage.waits_for(stage.is_redundant, 60.0)
    stage.suffers(KillDaemon("node2", 0.5))
    stage.run_for(10.0)
    assert (NODES[1], Do.REMOVE_ADDRESSES) in stage.acts, "what nobody asked for is taken down"
    assert stage.served_by() == "node1"
    stage.ends_well()


def test_row_24_a_configuration_that_differs_stops_nothing_that_runs() -> None:
    stage = Stage().begin()
    machine = stage.world.machines["node1"]
    newer = built_from(stage.world.shape, generation=2)
    assert machine.daemon is not None
    stage.world.deliver(machine, machine.daemon, lambda at_s: Configured(at_s, newer))
    stage.run_for(20.0)
    assert stage.acts == []
    assert stage.served_by() == "node1"


def test_a_state_of_a_former_daemon_that_arrives_late_changes_nothing() -> None:
    stage = Stage().begin()
    daemon = stage.world.machines["node2"].daemon
    assert daemon is not None
    assert daemon.newest is not None
    old = daemon.newest
    stage.suffers(KillDaemon("node2", 0.5))
    stage.run_for(10.0)
    receiver = stage.world.machines["node1"]
    assert receiver.daemon is not None
    stage.world.deliver(
        receiver, receiver.daemon, lambda at_s: parcels.peer_stated(replace(old, left=True), at_s)
    )
    stage.run_for(5.0)
    assert stage.is_together()
    assert stage.acts == []
