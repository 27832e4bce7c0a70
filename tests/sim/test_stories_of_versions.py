"""A rolling upgrade and a downgrade, with the version after this one on one node, then on both."""

from typing import Final

import pytest

from hapair.core.words.effects import Do
from hapair.core.words.events import Leave, Move
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing
from tests.sim.faults import KillDaemon, Pause
from tests.sim.settings import NODES
from tests.sim.stage import KINDS, LONG_S, WITNESS, Stage, with_kind
from tests.sim.versions import Versions, not_stated, not_understood
from tests.versions.next_one import MEMBER, VALUE

GAP_MAX_S: Final = 1.0  # Between two acknowledged writes: nothing is stopped for an upgrade.
STARTS: Final = (Do.START_PROGRAM, Do.STOP_PROGRAM)


@pytest.fixture(params=ArbitrationKind)
def stage(request: pytest.FixtureRequest) -> Stage:
    return Stage(with_kind(request.param)).begin()


def installs(stage: Stage, versions: Versions, node: str, *, newer: bool) -> None:
    versions.change(node, newer=newer)
    stage.run_for(1.0)
    stage.waits_for(stage.is_redundant, 30.0)
    stage.run_for(3.0)


def test_nothing_is_stopped_by_an_upgrade_and_a_downgrade(stage: Stage) -> None:
    versions = Versions(stage.world)
    for newer in (True, False, True):
        for node in ("node2", "node1"):
            installs(stage, versions, node, newer=newer)
    assert stage.served_by() == "node1"
    assert stage.outage_s() < GAP_MAX_S
    assert not [do for _, do in stage.acts if do in STARTS]


@pytest.mark.parametrize("newer", NODES)
def test_the_application_moves_and_fails_over_between_two_versions(
    stage: Stage, newer: str
) -> None:
    versions = Versions(stage.world)
    installs(stage, versions, newer, newer=True)
    assert stage.types("node1", Move("orders")).accepted
    stage.waits_for(lambda: stage.served_by() == "node2", 20.0)
    stage.waits_for(stage.is_redundant, 30.0)
    if stage.world.shape.arbitration in KINDS:
        stage.dies("node2")
        stage.takes_over("node1", within_s=20.0)
        stage.ends_well()


def test_what_a_newer_version_remembers_outlives_a_downgrade() -> None:
    stage = Stage(with_kind(WITNESS)).begin()
    versions = Versions(stage.world)
    installs(stage, versions, "node2", newer=True)
    assert stage.types("node1", Move("orders")).accepted
    installs(stage, versions, "node2", newer=False)
    assert stage.types("node2", Move("orders")).accepted
    stage.run_for(5.0)
    written = versions.file("node2")
    (record,) = written["records"]
    assert written[MEMBER] == record[MEMBER] == VALUE
    assert record["wanted"] == "up-and-watched"


def test_who_wakes_beside_a_newer_version_that_leaves_gives_way() -> None:
    """It says that in a word of its own: what this version does not know may act alone."""
    stage = Stage(with_kind(WITNESS)).begin()
    installs(stage, Versions(stage.world), "node2", newer=True)
    stage.suffers(Pause("node1", LONG_S))
    stage.takes_over("node2", 15.0)
    stage.world.command("node2", Leave(handover=False))
    stage.run_for(0.3)
    stage.world.resume("node1")
    stage.run_for(0.3)
    beat = stage.state("node1").peer.beat
    assert beat is not None
    assert beat.standing is Standing.UNKNOWN
    assert stage.reason("node1", "orders/goal") == "superseded"
    stage.ends_well()


# --- A version whose heartbeats nobody here can read -------------------------------------------


@pytest.mark.parametrize("kind", ArbitrationKind)
def test_a_peer_that_is_not_understood_is_neither_fenced_nor_taken_for_dead(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    not_understood(stage.world)
    stage.run_for(200.0)
    assert stage.served_by() == "node1", "what runs goes on"
    if kind is not WITNESS:
        assert {stage.reason(node) for node in NODES} == {"not-understood"}
    assert all(machine.powered for machine in stage.world.machines.values())


@pytest.mark.parametrize("kind", ArbitrationKind)
def test_a_peer_whose_state_cannot_be_read_lives_and_they_find_together_when_it_can(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    read_again = not_stated(stage.world)
    stage.suffers(KillDaemon("node2", 1.0))
    stage.run_for(200.0)
    assert stage.served_by() == "node1"
    assert {stage.state(node).standing for node in NODES} == {Standing.CUT}
    assert {stage.reason(node) for node in NODES} == {"peer-heard"}
    assert all(machine.powered for machine in stage.world.machines.values())
    read_again()
    stage.suffers(KillDaemon("node2", 1.0))
    stage.waits_for(stage.is_redundant, 30.0)
    stage.waits_for(stage.is_together, 30.0)
    assert stage.outage_s() < GAP_MAX_S
    assert not [do for _, do in stage.acts if do in STARTS]
