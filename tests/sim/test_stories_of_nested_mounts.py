"""Mounts inside one another on a machine where an outer one hides what was there before it."""

from hapair.core.words.events import Halt, Run
from tests.sim.faults import PowerOff
from tests.sim.mutants_of_nesting import INNER, NESTED
from tests.sim.stage import DATA, ORDERS, Stage


def shows_all(stage: Stage, node: str) -> bool:
    mounted = stage.world.machines[node].mounted
    return all(mounted.shows(resource) for resource in stage.world.resources)


def test_all_are_seen_after_a_take_over_and_after_a_halt() -> None:
    stage = Stage(NESTED).begin()
    assert shows_all(stage, "node1")
    stage.suffers(PowerOff("node1", 5.0))
    stage.takes_over("node2", within_s=10.0)
    assert shows_all(stage, "node2")
    stage.run_for(20.0)
    stage.types("node2", Halt(ORDERS))
    assert not set(stage.world.machines["node2"].mounted)
    stage.types("node2", Run(ORDERS))
    stage.ends_well()
    assert "holders-ended" not in stage.notes("node1") | stage.notes("node2")


def test_one_that_was_hidden_is_seen_again_and_all_go_when_it_is_stopped() -> None:
    """Somebody mounted the outer one over it while no daemon was there."""
    stage = Stage(NESTED).begin()
    node1 = stage.world.machines["node1"]
    stage.world.kill_daemon("node1", 1.0)
    for resource in (DATA, INNER, "orders.data3"):
        node1.mounted.forget(resource)
    for resource in (INNER, DATA, "orders.data3"):
        node1.mounted.add(resource)
    assert not node1.mounted.shows(INNER)
    node1.programs[ORDERS] = False
    stage.waits_for(lambda: stage.served_by() == "node1" and shows_all(stage, "node1"), 20.0)
    stage.types("node1", Halt(ORDERS))
    assert not set(node1.mounted)
