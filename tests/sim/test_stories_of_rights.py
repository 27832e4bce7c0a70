"""Told stories: never have two nodes a right, however a handshake or a lease is cut short."""

import pytest

from tests.sim.faults import KillAtEffect, KillDaemon, LoseWitness
from tests.sim.settings import NODES
from tests.sim.stage import LONG_S, WEB, WEB_TOO, WITH_WITNESS, WITNESS, Stage, with_kind


@pytest.mark.parametrize("effects", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", ["q0", "q2"])
def test_an_epoch_is_followed_only_by_who_took_part_in_it(seed: str, effects: int) -> None:
    """A handshake is cut short: one node has adopted the epoch, the other never hears of it."""
    stage = Stage(with_kind(WITNESS, WEB_TOO), seed=seed).begin()
    stage.world.replication.resync_takes_s = (0.3, 0.6)
    stage.cuts_off(for_s=8.0)
    stage.run_for(7.9)
    stage.suffers(KillAtEffect("node1", effects, 2.0))
    stage.waits_for(lambda: stage.world.machines["node1"].daemon is None, 5.0)
    stage.run_for(2.0)
    stage.cuts_off(for_s=40.0)
    stage.run_for(38.0)
    stage.ends_well()


def test_who_cannot_reach_the_witness_does_not_outdo_who_was_granted() -> None:
    stage = Stage(WITH_WITNESS).begin()
    stage.suffers(LoseWitness(0, ("node2",), LONG_S))
    stage.cuts_off(for_s=60.0)
    stage.run_for(58.0)
    assert stage.served_by() == "node1"
    stage.ends_well()


def test_a_node_that_was_off_and_is_back_is_not_granted_beside_its_successor() -> None:
    stage = Stage(WITH_WITNESS).begin()
    stage.cuts_off(for_s=150.0)
    stage.dies("node1")
    stage.takes_over("node2", 8.0)
    stage.world.power_on("node1")
    stage.run_for(90.0)
    assert [stage.stored(node).holds_right for node in NODES] == [False, True]
    stage.ends_well()


def test_a_lease_is_waited_for_by_a_daemon_that_was_started_anew() -> None:
    stage = Stage(with_kind(WITNESS, WEB_TOO)).begin()
    stage.loses_witness("node1")
    stage.cuts_off()
    stage.waits_for(lambda: stage.stored("node2").holds_right, 10.0)
    stage.suffers(KillDaemon("node2", 0.5))
    stage.waits_for(lambda: stage.served_by(WEB) == "node2", 30.0)
    stage.ends_well()
