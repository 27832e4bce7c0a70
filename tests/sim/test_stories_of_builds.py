"""Told stories: applications are built, grow and are removed, and something fails meanwhile."""

import pytest

from hapair.core.words.effects import Do
from hapair.core.words.events import Halt, Move
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing
from tests.sim.builds import BuildApplication, RemoveApplication
from tests.sim.faults import Cut, Fault, HangDaemon, KillDaemon, PowerOff
from tests.sim.hardships import BACK_OFF_MAX_S, FullDisk, LoseStream
from tests.sim.settings import NODES, PRIVATE
from tests.sim.stage import DATA, KINDS, LONG_S, ORDERS, WEB, WEB_TOO, Stage, with_kind

MAIL = "mail"
APART_S = 3.0  # Between the installations on the two nodes.

each_kind = pytest.mark.parametrize("kind", KINDS)


def is_built(stage: Stage) -> bool:
    return not stage.world.building and stage.world.built.generation > 1


def is_taken_back(stage: Stage) -> bool:
    generations = {m.built.generation for m in stage.world.machines.values()}
    return not stage.world.building and generations == {1}


def half_built(kind: ArbitrationKind, apart_s: float = APART_S, *, answered: bool = True) -> Stage:
    """node1 has the new configuration, node2 not yet."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(BuildApplication(ORDERS, 1, apart_s, "node1", answered=answered))
    stage.waits_for(lambda: stage.world.machines["node1"].built.generation > 1, 10.0)
    assert stage.world.machines["node2"].built.generation == 1
    return stage


@each_kind
@pytest.mark.parametrize("volumes", [0, 1, 2])
def test_a_new_application_touches_no_other_one_and_is_taken_over_like_it(
    kind: ArbitrationKind, volumes: int
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(BuildApplication(MAIL, volumes, 0.5, "node2"))
    stage.waits_for(lambda: stage.served_by(MAIL) == "node2", 20.0)
    stage.waits_for(stage.is_redundant, 20.0)
    assert [deed for deed in stage.acts if deed[0] == "node1"] == []
    stage.dies("node2")
    stage.waits_for(lambda: stage.served_by(MAIL) == "node1", 40.0)
    assert stage.served_by(ORDERS) == "node1"
    stage.ends_well()


@each_kind
def test_one_more_volume_stops_nothing_and_goes_along_in_a_failover(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(BuildApplication(ORDERS, 1, 0.5, "node1"))
    stage.waits_for(lambda: is_built(stage), 20.0)
    stage.waits_for(stage.is_redundant, 20.0)
    stage.run_for(3.0)
    assert stage.acts == []
    assert stage.acknowledged("orders.data1") > 1
    stage.dies("node1")
    stage.takes_over("node2")
    assert "orders.data1" in stage.world.machines["node2"].mounted
    stage.ends_well()


@each_kind
@pytest.mark.parametrize("deaf", NODES)
def test_a_new_volume_of_which_the_kernel_has_not_told_yet_stops_nothing(
    kind: ArbitrationKind, deaf: str
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(LoseStream(deaf, BACK_OFF_MAX_S), BuildApplication(ORDERS, 1, 0.5, "node1"))
    stage.run_for(20.0)
    assert set(stage.acts) <= {("node1", Do.PROMOTE)}, "it is Primary there already"
    assert stage.is_redundant()
    stage.dies("node1")
    stage.takes_over("node2")
    stage.ends_well()


@each_kind
@pytest.mark.parametrize(
    "fault",
    [PowerOff("node1", 20.0), KillDaemon("node1", 0.5), HangDaemon("node2", 20.0)],
    ids=lambda fault: type(fault).__name__,
)
def test_a_build_that_ends_between_its_two_nodes_is_taken_back(
    kind: ArbitrationKind, fault: Fault
) -> None:
    """What the peer takes over meanwhile is the application of before."""
    stage = half_built(kind)
    stage.suffers(fault)
    if isinstance(fault, PowerOff):
        stage.takes_over("node2")
    stage.waits_for(lambda: is_taken_back(stage), 60.0)
    assert set(stage.world.resources) == {DATA}
    stage.ends_well()


@each_kind
def test_an_application_that_goes_to_the_other_node_meanwhile_does_not_stop_there(
    kind: ArbitrationKind,
) -> None:
    """FAIL: it is given a volume there, of which it has no copy yet, below a running program."""
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(BuildApplication(ORDERS, 1, APART_S, "node1"))
    stage.world.command("node1", Move(ORDERS))
    stage.takes_over("node2", 20.0)
    stage.waits_for(lambda: is_taken_back(stage), 20.0)
    assert set(stage.world.resources) == {DATA}
    stage.acts.clear()
    stage.run_for(20.0)
    assert stage.acts == []
    assert stage.runs_on() == ("node2",)
    stage.ends_well()


@each_kind
def test_a_build_that_its_taker_over_has_already_is_not_taken_back(kind: ArbitrationKind) -> None:
    """FAIL: what was written on node2 is removed, and the data of before is mounted on node1."""
    stage = half_built(kind, 12.0, answered=False)
    stage.waits_for(stage.is_redundant, 10.0)
    second = stage.world.machines["node2"]
    stage.waits_for(lambda: second.built.generation > 1, 15.0)
    stage.suffers(PowerOff("node1", 20.0))
    stage.takes_over("node2")
    written = stage.acknowledged("orders.data1")
    stage.waits_for(lambda: is_built(stage), 60.0)
    stage.run_for(5.0)
    assert stage.served_by() == "node2"
    assert stage.acknowledged("orders.data1") > written
    stage.ends_well()


@each_kind
@pytest.mark.parametrize("name", [ORDERS, MAIL])
def test_a_build_of_which_the_last_answer_is_lost_is_taken_back_under_what_runs(
    kind: ArbitrationKind, name: str
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(BuildApplication(name, 1, 0.5, "node1", answered=False))
    stage.waits_for(lambda: not stage.world.building, 20.0)
    assert is_taken_back(stage)
    stage.run_for(20.0)
    assert stage.acts == []
    stage.dies("node1")
    stage.takes_over("node2")
    stage.ends_well()


@each_kind
def test_an_owner_that_cannot_store_reads_late_that_a_build_was_taken_back(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(BuildApplication(ORDERS, 1, APART_S, "node1", answered=False))
    stage.waits_for(lambda: stage.world.machines["node1"].built.generation > 1, 10.0)
    stage.suffers(FullDisk("node1", 20.0))
    stage.world.command("node1", Halt(ORDERS))  # What it says waits for the disk.
    stage.waits_for(lambda: is_taken_back(stage), 10.0)
    assert stage.runs_on() == ("node1",)
    stage.waits_for(lambda: stage.runs_on() == (), 40.0)


@each_kind
def test_the_link_is_lost_between_the_two_nodes_and_everybody_writes_on(
    kind: ArbitrationKind,
) -> None:
    stage = half_built(kind)
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    stage.waits_for(lambda: is_built(stage), 20.0)
    stage.run_for(20.0)
    before = {name: stage.acknowledged(name) for name in stage.world.resources}
    stage.run_for(10.0)
    assert all(stage.acknowledged(name) > count for name, count in before.items())
    assert stage.served_by() == "node1"
    stage.ends_well()


@each_kind
def test_a_disk_that_is_full_on_the_peer_keeps_no_build_from_its_end(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(BuildApplication(ORDERS, 1, APART_S, "node1"), FullDisk("node2", 60.0))
    stage.run_for(40.0)
    assert stage.served_by() == "node1"
    assert stage.standing("node1") is Standing.TOGETHER
    stage.ends_well()


@each_kind
@pytest.mark.parametrize("victim", NODES)
def test_a_release_that_only_one_node_knows_is_taken_back(
    kind: ArbitrationKind, victim: str
) -> None:
    stage = Stage(with_kind(kind, WEB_TOO)).begin()
    stage.suffers(RemoveApplication(WEB, APART_S))
    first = stage.world.machines["node1"]
    stage.waits_for(lambda: WEB not in first.built.by_name, 20.0)
    stage.suffers(PowerOff(victim, 20.0))
    stage.waits_for(lambda: stage.runs_on(WEB) != (), 90.0)
    stage.ends_well()
    assert WEB in stage.world.built.by_name


@each_kind
@pytest.mark.parametrize("victim", NODES)
def test_a_node_dies_while_an_application_is_removed(kind: ArbitrationKind, victim: str) -> None:
    stage = Stage(with_kind(kind, WEB_TOO)).begin()
    stage.suffers(RemoveApplication(WEB, APART_S))
    stage.waits_for(lambda: WEB not in stage.world.built.by_name, 20.0)
    stage.suffers(PowerOff(victim, 20.0))
    survivor = next(node for node in NODES if node != victim)
    stage.waits_for(lambda: stage.served_by() == survivor, 20.0)
    stage.ends_well()
    assert stage.runs_on(WEB) == ()
