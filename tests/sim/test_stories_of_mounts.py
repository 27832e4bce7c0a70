"""Told stories: somebody unmounts a volume of an application that runs, or mounts over it."""

import pytest

from hapair.core.applications.failures import PAUSE_S
from hapair.core.words.effects import Do
from hapair.model.cluster import ArbitrationKind
from hapair.runtime.node.survey import MOUNTS_AGAIN_S
from tests.sim.faults import FailActions, KillDaemon
from tests.sim.machine import Core, Trouble
from tests.sim.mounts import MountOver, Unmount
from tests.sim.run import CORE
from tests.sim.stage import DATA, KINDS, LONG_S, ORDERS, Stage, with_kind

ONCE = Unmount(DATA, LONG_S, 1.0)
MENDED = [Do.STOP_PROGRAM, Do.MOUNT, Do.START_PROGRAM]
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
def test_an_unmounted_volume_is_mounted_again_below_a_program_that_was_stopped(
    kind: ArbitrationKind,
) -> None:
    stage = Stage(with_kind(kind)).begin()
    stage.suffers(ONCE)
    assert stage.served_by() == ""
    assert stage.waits_for(lambda: stage.served_by() == "node1", 10.0) < 10.0
    assert stage.acts == [("node1", do) for do in MENDED]
    assert {"not-mounted", "mounted-again"} <= set(stage.notes("node1"))
    assert stage.alarms("node1") == {"not-mounted"}
    stage.ends_well()


def test_what_the_kernel_did_not_tell_is_found_within_seconds() -> None:
    stage = Stage().begin()
    stage.suffers(Unmount(DATA, LONG_S, 1.0, lost=True))
    stage.waits_for(lambda: stage.served_by() == "node1", MOUNTS_AGAIN_S + 10.0)
    stage.ends_well()


def test_who_unmounts_it_again_and_again_moves_it_once_and_does_not_play_with_it() -> None:
    """Both nodes have the same fault: no node is better, and it is tried ever more slowly."""
    stage = Stage().begin()
    stage.suffers(Unmount(DATA, 3.0, 120.0))
    stage.run_for(120.0)
    mounts = [node for node, do in stage.acts if do is Do.MOUNT]
    assert 4 <= len(mounts) <= 14
    assert stage.acts.count(("node1", Do.DEMOTE)) == 1, "it moves once"
    stage.waits_for(lambda: stage.served_by() != "", PAUSE_S * 2**5 + 20.0)
    stage.ends_well()


def found_mounted_over(for_s: float, core: Core = CORE) -> Stage:
    """The daemon of node1 dies while something is mounted over the data of what runs."""
    stage = Stage(core=core).begin()
    stage.suffers(MountOver("node1", DATA, for_s), KillDaemon("node1", 0.5))
    stage.run_for(30.0)
    assert stage.acts == [("node1", Do.MOUNT)]
    assert "mount-trouble" in stage.alarms("node1")
    assert stage.served_by() == "node1"
    return stage


def test_a_mount_over_it_is_told_and_stops_nothing() -> None:
    stage = Stage().begin()
    stage.suffers(MountOver("node1", DATA, 30.0))
    stage.run_for(20.0)
    assert stage.acts == []
    assert stage.alarms("node1") == {"mount-trouble"}
    stage.run_for(20.0)
    assert stage.served_by() == "node1"
    stage.ends_well()


@pytest.mark.parametrize("for_s", [6.0, 60.0])
def test_nor_does_it_stop_what_a_new_daemon_finds(for_s: float) -> None:
    found_mounted_over(for_s).ends_well()


def test_a_volume_that_cannot_be_mounted_again_here_is_mounted_on_the_peer() -> None:
    stage = Stage().begin()
    stage.suffers(FailActions("node1", Do.MOUNT, ORDERS, Trouble.REFUSED, 60.0), ONCE)
    stage.waits_for(lambda: stage.served_by() == "node2", 30.0)
    stage.ends_well()


def test_a_new_daemon_mounts_what_was_unmounted_while_there_was_none() -> None:
    stage = Stage().begin()
    stage.suffers(KillDaemon("node1", 1.0), ONCE)
    stage.waits_for(lambda: stage.served_by() == "node1", 15.0)
    stage.ends_well()
