"""Told stories: daemons and networks that fail while the machines live (rows 4 to 6, 21 to 24)."""

from dataclasses import replace

import pytest

from hapair.core.right.fencing import HUNG_S
from hapair.core.words.effects import Do
from hapair.core.words.events import Configured, Halt, Run
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing
from tests.sim import parcels
from tests.sim.faults import (
    Cut,
    FailActions,
    HangDaemon,
    KillDaemon,
    MakeNoise,
    PullCable,
    SlowStore,
)
from tests.sim.machine import Trouble
from tests.sim.networks import Noise
from tests.sim.settings import NODES, PRIVATE, PUBLIC, built_from, other
from tests.sim.stage import (
    DATA,
    FENCING,
    KINDS,
    LONG_S,
    ONE_APPLICATION,
    ORDERS,
    PATHS,
    TAKES_OVER_WITHIN_S,
    WITNESS,
    Stage,
    with_kind,
)

each_kind = pytest.mark.parametrize("kind", KINDS)
NO_HEARTBEAT_ARRIVES = Noise(loss=1.0)


@each_kind
@pytest.mark.parametrize("node", NODES)
def test_row_04_a_killed_daemon_comes_back_and_adopts_what_runs(
    node: str, kind: ArbitrationKind
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(KillDaemon(node, 1.0))
    stage.waits_for(lambda: not stage.is_together(), 3.0)
    stage.waits_for(stage.is_together, 5.0)
    stage.run_for(20.0)
    assert stage.acts == [], "R7: nothing is stopped or started"
    assert stage.served_by() == "node1"
    assert stage.outage_s() < 1.0


@each_kind
def test_row_04_both_daemons_may_be_restarted_at_once(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(*(KillDaemon(node, 1.0) for node in NODES))
    stage.run_for(20.0)
    assert stage.acts == []
    stage.ends_well()


@each_kind
def test_row_04_a_firewall_that_drops_heartbeats_causes_no_failover(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(*(MakeNoise(name, NO_HEARTBEAT_ARRIVES, LONG_S) for name in (PUBLIC, PRIVATE)))
    stage.run_for(50.0)
    for node in NODES:
        assert stage.standing(node) is Standing.CUT
        assert "kernel-answers" in stage.alarms(node)
    assert stage.served_by() == "node1"
    assert stage.acts == []
    assert stage.outage_s() < 1.0
    # After a minute fencing treats the silence as a node that hangs, and the active one is first.
    stage.run_for(20.0)
    assert stage.served_by() == "node1"
    assert stage.world.machines["node2"].powered is (kind is not FENCING)
    stage.ends_well()


@each_kind
@pytest.mark.parametrize("node", NODES)
def test_row_04_a_daemon_that_hangs_for_a_moment_causes_no_failover(
    node: str, kind: ArbitrationKind
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(HangDaemon(node, 4.5))
    stage.run_for(4.0)
    assert stage.standing(other(node)) is Standing.CUT
    assert "kernel-answers" in stage.alarms(other(node))
    stage.waits_for(stage.is_together, 10.0)
    assert stage.served_by() == "node1"
    assert stage.acts == []
    stage.ends_well()


@each_kind
def test_row_04b_the_watchdog_resets_a_node_whose_user_space_hangs(kind: ArbitrationKind) -> None:
    """With ``paths`` there is no watchdog here: an alarm is raised, and nothing runs twice."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(HangDaemon("node1", LONG_S))
    if kind is PATHS:
        stage.run_for(120.0)
        assert "kernel-answers" in stage.alarms("node2")
        assert stage.acts == [], "no take-over beside live addresses"
        assert stage.served_by() == "node1"
    else:
        stage.waits_for(lambda: not stage.world.machines["node1"].powered, 6.0)
        stage.takes_over("node2")
    stage.ends_well()


@pytest.mark.parametrize("kind", [WITNESS, FENCING])
def test_row_04b_without_a_watchdog_only_fencing_ends_a_hung_node(kind: ArbitrationKind) -> None:
    stage = Stage(replace(with_kind(kind), watchdog=False)).begin()
    stage.suffers(HangDaemon("node1", LONG_S))
    stage.run_for(55.0)
    assert "kernel-answers" in stage.alarms("node2")
    assert stage.acts == [], "systemd gets the time to restart what is merely dead"
    if kind is FENCING:
        stage.takes_over("node2", HUNG_S + TAKES_OVER_WITHIN_S[FENCING] - 55.0)
        assert not stage.world.machines["node1"].powered
    else:
        stage.run_for(120.0)
        assert stage.served_by() == "node1"
        assert set(stage.holders()) == set(), "the witness is not even asked"
    stage.ends_well()


@pytest.mark.parametrize("killed_at_s", [0.0, 1.0, 2.2])
@each_kind
def test_a_standby_whose_daemon_is_dead_takes_over_nothing_until_it_has_listened(
    killed_at_s: float, kind: ArbitrationKind
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.dies("node1")
    stage.run_for(killed_at_s)
    stage.suffers(KillDaemon("node2", 1.0))
    stage.takes_over("node2", 15.0)
    stage.ends_well()


@each_kind
def test_row_05_the_loss_of_the_client_network_alone_moves_nothing(kind: ArbitrationKind) -> None:
    """Neither stand-by cards nor a move to the node that clients reach are modelled."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(PullCable(PUBLIC, "node1", LONG_S))
    stage.run_for(60.0)
    assert stage.is_together()
    assert stage.acts == []
    stage.ends_well()


@each_kind
def test_row_06_a_crossover_network_without_link_is_no_fault_of_this_node(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    assert stage.world.shape.crossover
    stage.dies("node1")
    assert not stage.world.wires[PRIVATE].link_up("node2")
    stage.takes_over("node2")


@each_kind
def test_row_06_a_node_without_its_own_client_network_does_not_blame_the_peer(
    kind: ArbitrationKind,
) -> None:
    """With ``paths`` its own link counts; a third party is asked whatever the cards say."""
    stage = Stage(replace(with_kind(kind), crossover=False)).begin()
    stage.suffers(PullCable(PUBLIC, "node2", LONG_S))
    stage.run_for(10.0)
    stage.dies("node1")
    stage.run_for(60.0)
    if kind is PATHS:
        assert stage.runs_on() == ()
        assert stage.reason("node2") == "isolated"
    else:
        assert stage.runs_on() == ("node2",)
    stage.ends_well()


@each_kind
def test_row_06_a_network_that_flaps_starts_and_stops_nothing(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    for _ in range(10):
        stage.suffers(PullCable(PUBLIC, "node2", 1.0))
        stage.run_for(2.0)
    assert stage.acts == []
    assert stage.is_together()
    stage.ends_well()


@each_kind
def test_row_06_a_replication_link_that_flaps_stops_nothing_and_loses_nothing(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    for _ in range(10):
        stage.suffers(Cut(PRIVATE, NODES, 2.5))
        stage.run_for(6.0)
    assert stage.acts == []
    assert stage.served_by() == "node1"
    assert stage.outage_s() < 4.0
    stage.ends_well()


@each_kind
def test_noise_on_every_network_causes_no_failover(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    noise = Noise(loss=0.2, duplicates=0.2, delay_max_s=0.7)
    stage.suffers(MakeNoise(PUBLIC, noise, 60.0), MakeNoise(PRIVATE, noise, 60.0))
    stage.run_for(60.0)
    assert stage.acts == []
    stage.ends_well()


@each_kind
def test_a_disk_that_takes_seconds_to_store_only_makes_it_slower(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(SlowStore("node2", 3.0, LONG_S))
    stage.dies("node1")
    took_s = stage.takes_over("node2", 40.0)
    assert took_s > 3.0, "the right is on the disk before anything starts"
    stage.ends_well()


@each_kind
def test_row_21_a_daemon_that_hangs_and_a_peer_that_dies_meanwhile(kind: ArbitrationKind) -> None:
    """The daemon heard nothing of what its peer did meanwhile, so its copy is doubtful.

    A witness that grants the next epoch proves the copy; otherwise a person must decide.
    """
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(HangDaemon("node2", 4.5))
    stage.run_for(1.0)
    stage.dies("node1")
    stage.run_for(60.0)
    if kind is not WITNESS:
        assert stage.served_by() == ""
        assert (*stage.stored("node2").unproven, *stage.stored("node2").away) == (DATA,)
        stage.world.confirm("node2")
        stage.run_for(5.0)
    assert stage.served_by() == "node2"
    stage.ends_well()


@each_kind
@pytest.mark.parametrize("for_s", [3.0, 3.6, 4.2])
def test_row_21_a_daemon_that_wakes_up_believes_nothing_that_was_said_before(
    for_s: float, kind: ArbitrationKind
) -> None:
    """Its socket is full of heartbeats of a peer that acts alone in a newer epoch by now."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(HangDaemon("node1", for_s), Cut(PRIVATE, NODES, 20.0))
    stage.run_for(40.0)
    if kind is not FENCING:  # With fencing node1 may have been switched off.
        assert stage.is_together()
    if stage.is_together():
        epochs = {stage.stored(node).epoch for node in NODES}
        assert len(epochs) == 1
        owner = stage.world.owner(ORDERS)
        assert owner is not None
        assert stage.types(owner, Halt(ORDERS)).accepted
        stage.run_for(10.0)
        assert stage.served_by() == "", "what was halted stays down"
    stage.ends_well()


@each_kind
def test_row_22_an_address_that_answers_elsewhere_is_not_added(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    # A stranger, or a hung leftover of the peer, has the address.
    stage.dies("node2")
    stage.run_for(22.0)
    stage.world.power_on("node2")
    stage.run_for(1.5)
    stage.world.machines["node2"].addresses[ORDERS] = True
    stage.waits_for(stage.is_redundant, 60.0)
    stage.suffers(KillDaemon("node2", 0.5))
    stage.run_for(10.0)
    assert (NODES[1], Do.REMOVE_ADDRESSES) in stage.acts, "what nobody asked for is taken down"
    assert stage.served_by() == "node1"
    stage.ends_well()


@each_kind
def test_row_23_a_device_that_somebody_holds_on_the_standby_is_tried_again_and_alarms_nobody(
    kind: ArbitrationKind,
) -> None:
    """What LVM and udev do is beyond the model: here the replication cannot be brought up."""
    stage = Stage(with_kind(kind)).begin()
    stage.dies("node2")
    stage.run_for(8.0)
    stage.suffers(FailActions("node2", Do.BRING_UP, ORDERS, Trouble.REFUSED, 120.0))
    stage.world.power_on("node2")
    stage.run_for(100.0)
    assert stage.served_by() == "node1"
    tries = stage.acts.count((NODES[1], Do.BRING_UP))
    assert 3 <= tries <= 12, "again and again, ever more rarely"
    stage.waits_for(stage.is_redundant, 90.0)
    assert stage.copy("node2", DATA).attached


@each_kind
def test_row_24_a_configuration_that_differs_stops_nothing_that_runs(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    machine = stage.world.machines["node1"]
    newer = built_from(stage.world.shape, generation=2)
    assert machine.daemon is not None
    stage.world.deliver(machine, machine.daemon, lambda at_s: Configured(at_s, newer))
    stage.run_for(20.0)
    assert stage.acts == []
    assert stage.served_by() == "node1"


@each_kind
def test_row_24_a_configuration_that_was_edited_while_the_peer_was_away_stops_nothing(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.dies("node2")
    stage.run_for(10.0)
    machine = stage.world.machines["node1"]
    machine.built = newer = built_from(stage.world.shape, generation=2)
    assert machine.daemon is not None
    stage.world.deliver(machine, machine.daemon, lambda at_s: Configured(at_s, newer))
    stage.world.power_on("node2")
    stage.waits_for(stage.is_redundant, 60.0)
    assert stage.served_by() == "node1"
    assert all(node == "node2" for node, _ in stage.acts)


def test_a_state_of_a_former_daemon_that_arrives_late_changes_nothing() -> None:
    stage = Stage(ONE_APPLICATION).begin()
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


def test_a_stop_waits_for_no_start_script_of_a_former_daemon() -> None:
    """The stop script succeeds, but the start script goes on: what it starts is ended as well."""
    stage = Stage().begin()
    stage.types("node1", Halt(ORDERS))
    late = FailActions("node1", Do.START_PROGRAM, ORDERS, Trouble.HAPPENS_LATE, 10.0)
    stage.suffers(late)
    stage.world.command("node1", Run(ORDERS))
    stage.run_for(3.0)
    stage.suffers(KillDaemon("node1", 0.5))
    stage.run_for(1.5)
    stage.acts.clear()
    stage.types("node1", Halt(ORDERS))
    assert Do.STOP_PROGRAM in [do for _, do in stage.acts]
    assert Do.KILL_PROGRAM in [do for _, do in stage.acts]
    stage.run_for(30.0)
    assert stage.runs_on() == ()
    stage.types("node1", Run(ORDERS))
    stage.ends_well()
