"""Told stories: one node has the new configuration already, the other one not yet."""

from dataclasses import replace

import pytest

from hapair.core.words.events import Configured, Halt
from hapair.model.cluster import ArbitrationKind
from tests.sim.settings import NODES, Shape, built_from
from tests.sim.stage import (
    FENCING,
    KINDS,
    ONE_APPLICATION,
    ORDERS,
    WEB,
    WEB_TOO,
    WITH_WITNESS,
    WITNESS,
    Stage,
    with_kind,
)

PAIRS = [(old, new) for old in KINDS for new in KINDS if old is not new]
PAUSE_S = 20.0  # Between the commits on the two nodes: a node was away, or hung.


def commits(stage: Stage, shape: Shape, *nodes: str, generation: int = 2) -> None:
    """Let these daemons use another configuration, as after a clbuild."""
    newer = built_from(shape, generation)
    for node in nodes:
        machine = stage.world.machines[node]
        machine.built = newer
        if machine.daemon is not None:
            stage.world.deliver(machine, machine.daemon, lambda at_s: Configured(at_s, newer))
    if nodes == NODES:
        stage.world.shape = shape
    stage.run_for(0.5)


def changing(old: ArbitrationKind, new: ArbitrationKind, first: str) -> tuple[Stage, Shape]:
    """Begin with the old kind; the node that is first has the new one."""
    stage = Stage(WITH_WITNESS).begin()
    if old is not WITNESS:
        commits(stage, with_kind(old), *NODES)
        stage.run_for(10.0)
        stage.acts.clear()
    shape = with_kind(new)
    commits(stage, shape, first, generation=3)
    assert stage.acts == []
    return stage, shape


@pytest.mark.parametrize("first", NODES)
@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_another_arbitration_on_one_node_first_stops_nothing_and_counts_when_both_have_it(
    old: ArbitrationKind, new: ArbitrationKind, first: str
) -> None:
    stage, shape = changing(old, new, first)
    stage.run_for(PAUSE_S)
    assert stage.acts == []
    commits(stage, shape, *NODES, generation=3)
    stage.run_for(10.0)
    assert stage.is_together()
    stage.dies("node1")
    stage.takes_over("node2")
    stage.ends_well()


@pytest.mark.parametrize("victim", NODES)
@pytest.mark.parametrize("first", NODES)
@pytest.mark.parametrize("detection_s", [1.0, 5.0])
def test_another_detection_time_on_one_node_first_keeps_every_rule(
    detection_s: float, first: str, victim: str
) -> None:
    stage = Stage(WITH_WITNESS).begin()
    shape = replace(WITH_WITNESS, detection_s=detection_s)
    commits(stage, shape, first)
    stage.run_for(5.0)
    assert stage.acts == []
    stage.cuts_off(for_s=30.0)
    stage.run_for(35.0)
    stage.dies(victim)
    stage.run_for(30.0)
    commits(stage, shape, *NODES)
    stage.ends_well()


def test_other_witnesses_are_asked_once_both_nodes_have_them() -> None:
    stage = Stage(replace(WITH_WITNESS, witnesses=3)).begin()
    commits(stage, WITH_WITNESS, *NODES)
    stage.run_for(20.0)
    stage.dies("node1")
    stage.takes_over("node2")
    stage.ends_well()


@pytest.mark.parametrize("first", NODES)
def test_an_application_that_is_removed_touches_no_other_one(first: str) -> None:
    stage = Stage(WEB_TOO).begin()
    assert stage.types("node1", Halt(WEB)).accepted
    stage.acts.clear()
    commits(stage, ONE_APPLICATION, first)
    stage.run_for(10.0)
    commits(stage, ONE_APPLICATION, *NODES)
    stage.run_for(20.0)
    assert stage.acts == []
    assert stage.served_by(ORDERS) == "node1"
    stage.dies("node1")
    stage.takes_over("node2")


@pytest.mark.parametrize("first", NODES)
def test_an_application_that_is_removed_while_it_runs_harms_no_other_one(first: str) -> None:
    stage = Stage(replace(WEB_TOO, arbitration=FENCING)).begin()
    commits(stage, with_kind(FENCING), first)
    stage.run_for(10.0)
    commits(stage, with_kind(FENCING), *NODES)
    stage.run_for(20.0)
    assert stage.served_by(ORDERS) == "node1"
