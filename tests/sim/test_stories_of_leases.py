"""Told stories: how long a node may go on that hears nobody, and how long its peer waits for it."""

from dataclasses import replace

import pytest

from hapair.core.words.effects import Do
from hapair.core.words.events import Halt, Leave, Move
from hapair.model.application import TimeLimits
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing
from tests.sim.faults import (
    Cut,
    FailActions,
    HangDaemon,
    KillDaemon,
    LoseReference,
    MakeNoise,
    Pause,
    SlowStore,
    SlowWitness,
)
from tests.sim.hardships import LoseStream
from tests.sim.machine import Core, Trouble
from tests.sim.networks import Noise
from tests.sim.run import CORE
from tests.sim.settings import NODES, PRIVATE, PUBLIC, Shape, application
from tests.sim.stage import (
    LONG_S,
    ORDERS,
    PATHS,
    WEB,
    WEB_TOO,
    WITH_WITNESS,
    WITNESS,
    Stage,
    with_kind,
)

FORMING_ANEW, LEAVING_SLOWLY = "forming anew", "leaving slowly"
TENTHS = range(10)  # One cycle of its tries.
KILL_TAKES_LONG = (Do.KILL_PROGRAM, WEB, Trouble.HAPPENS_LATE, LONG_S)
WITHOUT_WATCHDOG = replace(WITH_WITNESS, watchdog=False)


def cut_off_and_told_nothing(core: Core = CORE) -> Stage:
    """Nobody on node1 can tell whether the peer's kernel answers. It does not: the peer goes on."""
    stage = Stage(with_kind(WITNESS, WEB_TOO), core=core).begin()
    stage.suffers(LoseStream("node1", 60.0), KillDaemon("node1", 0.5))
    stage.waits_for(stage.is_together, 10.0)
    stage.cuts_off()
    stage.waits_for(lambda: stage.runs_on(WEB) == ("node2",), 25.0)
    return stage


def goes_on_beside_its_successor(tenths: int, core: Core = CORE, *, deaf: bool = False) -> Stage:
    """node1 hangs for a while. When it goes on its address goes at once, its program later.

    node2, which has the right, tries to add the address about once a second.
    """
    shape = Shape(PATHS, (application(WEB, volumes=0),))
    stage = Stage(shape, f"back/{tenths}", core).begin()
    for_s = 4.0 + tenths / 10
    stage.suffers(HangDaemon("node1", for_s), FailActions("node1", *KILL_TAKES_LONG))
    stage.run_for(for_s - 0.01)
    assert stage.standing("node2") is Standing.ALONE
    assert stage.runs_on(WEB) == ("node1",)
    if deaf:
        stage.suffers(LoseReference(("node1",), LONG_S))
        stage.cuts_off("node1")
    stage.run_for(6.0)
    return stage


def test_what_has_no_replicated_data_waits_for_the_lease_of_the_loser() -> None:
    stage = Stage(with_kind(WITNESS, WEB_TOO)).begin()
    stage.loses_witness("node1")
    stage.cuts_off()
    begin_s = stage.now_s
    stage.takes_over("node2")
    assert "node1" in stage.runs_on(WEB), "the loser still runs it, within its lease"
    assert "node2" not in stage.runs_on(WEB)
    stage.waits_for(lambda: stage.served_by(WEB) == "node2", 20.0)
    lease_s = stage.world.built.cluster.lease_s + stage.world.shape.detection_s
    assert stage.now_s - begin_s > lease_s - stage.world.shape.heartbeat_s
    stage.ends_well()


@pytest.mark.parametrize("tenths", TENTHS)
def test_a_peer_that_is_heard_again_has_the_time_to_end_a_program(tenths: int) -> None:
    goes_on_beside_its_successor(tenths).ends_well()


def test_but_not_for_ever_if_it_cannot_say_so() -> None:
    """It stops what it runs, because nothing arrives at it any more."""
    stage = goes_on_beside_its_successor(0, deaf=True)
    stage.waits_for(lambda: stage.served_by(WEB) == "node2", 20.0)
    stage.ends_well()


def test_a_lease_begins_when_the_kernel_of_the_peer_is_silent_too() -> None:
    """While a kernel answers, its peer is granted nothing, however long the daemon is silent."""
    stage = Stage(WITH_WITNESS).begin()
    stage.suffers(HangDaemon("node2", LONG_S))
    stage.run_for(stage.world.built.cluster.lease_s + 5.0)
    assert stage.reason("node1") == "kernel-answers"
    stage.dies("node2")
    stage.run_for(20.0)
    assert stage.served_by() == "node1"
    assert stage.acts == []
    assert stage.outage_s() < 3.5
    stage.ends_well()


@pytest.mark.parametrize("seed", range(6))
def test_a_connection_that_comes_and_goes_after_the_grant_begins_no_lease_anew(seed: int) -> None:
    stage = Stage(with_kind(WITNESS, WEB_TOO), seed=f"again/{seed}").begin()
    assert stage.types("node1", Halt(ORDERS)).accepted
    stage.loses_witness("node1")
    stage.suffers(Cut(PUBLIC, NODES, LONG_S), Cut(PRIVATE, NODES, 4.5))
    stage.suffers(MakeNoise(PRIVATE, Noise(loss=1.0), LONG_S))  # No heartbeat; TCP gets through.
    stage.run_for(4.5)
    stage.waits_for(lambda: all(stage.copy(node).replicating for node in NODES), 4.0)
    stage.run_for(0.04)
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    stage.waits_for(lambda: stage.runs_on(WEB) == ("node2",), 25.0)
    stage.ends_well()


@pytest.mark.parametrize("seed", range(6))
def test_an_echo_that_is_read_late_makes_no_lease_too_long(seed: int) -> None:
    stage = Stage(with_kind(WITNESS, WEB_TOO), seed=f"late/{seed}").begin()
    stage.loses_witness("node1")
    stage.cuts_off("node2")
    stage.run_for(1.5)
    stage.suffers(HangDaemon("node1", 1.9))
    stage.run_for(0.9)
    stage.cuts_off()
    stage.waits_for(lambda: stage.runs_on(WEB) == ("node2",), 25.0)
    stage.ends_well()


def test_a_daemon_whose_disk_is_slow_does_not_echo_what_it_heard_before() -> None:
    stage = Stage(with_kind(WITNESS, WEB_TOO)).begin()
    assert stage.types("node1", Move(ORDERS)).accepted
    stage.run_for(6.0)
    stage.cuts_off("node2")
    stage.run_for(1.7)
    stage.suffers(SlowStore("node2", 5.0, 0.5))
    stage.world.command("node2", Halt(ORDERS))
    lost = (Standing.CUT, Standing.ALONE)
    stage.waits_for(lambda: stage.standing("node1") in lost, 4.5)
    stage.run_for(20.0)
    stage.ends_well()


def test_a_daemon_that_came_back_does_not_stop_when_the_kernel_of_the_peer_falls_silent() -> None:
    stage = Stage(WITHOUT_WATCHDOG).begin()
    stage.suffers(HangDaemon("node2", LONG_S))
    stage.run_for(5.0)
    stage.suffers(KillDaemon("node1", 0.5))
    stage.run_for(10.0)
    stage.dies("node2")
    stage.run_for(20.0)
    assert stage.acts == []
    assert stage.served_by() == "node1"
    stage.ends_well()


def test_a_daemon_that_dies_right_after_a_pause_has_no_more_time_than_one_that_does_not() -> None:
    """node1 is cut off, stands still, and its daemon is killed as soon as it goes on."""
    stage = Stage(with_kind(WITNESS, WEB_TOO)).begin()
    stage.suffers(HangDaemon("node1", 4.1))
    stage.run_for(2.0)
    stage.cuts_off()
    stage.run_for(2.2)
    assert stage.stored("node1").joined_boot_id == ""
    stage.suffers(KillDaemon("node1", 0.7))
    stage.waits_for(lambda: stage.standing("node1") is Standing.FORMING, 2.0)
    stage.waits_for(lambda: "node1" not in stage.runs_on(WEB), 5.0)
    stage.waits_for(lambda: stage.served_by(WEB) == "node2", 12.0)
    stage.ends_well()


def test_a_node_that_is_heard_but_does_not_hear_is_waited_for_no_longer_than_a_silent_one() -> None:
    """The deaf side is granted the right late; by then the other one has given way."""
    stage = Stage(with_kind(WITNESS, WEB_TOO)).begin()
    stage.suffers(SlowWitness(0, 25.0))
    stage.cuts_off("node2", for_s=80.0)
    assert stage.waits_for(lambda: stage.standing("node1") is Standing.CUT, 6.0) > 0
    stage.waits_for(lambda: stage.runs_on(WEB) == (), 25.0)
    stage.waits_for(lambda: bool(stage.served_by(WEB)), 30.0)
    assert len(stage.runs_on(WEB)) == 1
    stage.ends_well()


@pytest.mark.parametrize("kind", [ArbitrationKind.FENCING, ArbitrationKind.PATHS])
def test_where_the_peer_is_taken_for_off_nothing_waits_for_a_lease(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind, WEB_TOO)).begin()
    stage.dies("node1")
    stage.waits_for(lambda: stage.served_by(WEB) == "node2", 10.0)
    stage.ends_well()


@pytest.mark.parametrize(
    "command", [Move(WEB), Leave(handover=True)], ids=lambda c: type(c).__name__
)
def test_a_stop_that_takes_its_time_does_not_outlive_the_lease(command: Move | Leave) -> None:
    """The stop script may take a minute; once the node is cut off, the script is ended too."""
    limits = TimeLimits(start_s=20.0, stop_s=60.0)
    web = application(WEB, volumes=0, limits=limits)
    stage = Stage(replace(WITH_WITNESS, applications=(application(ORDERS), web))).begin()
    stage.suffers(FailActions("node1", Do.STOP_PROGRAM, WEB, Trouble.HANGS, LONG_S))
    stage.world.command("node1", command)
    stage.run_for(0.3)
    stage.loses_witness("node1")
    stage.cuts_off()
    stage.waits_for(lambda: stage.runs_on(WEB) == ("node2",), 30.0)
    stage.ends_well()


def test_a_lease_ends_although_the_kernel_has_told_a_new_daemon_nothing() -> None:
    stage = cut_off_and_told_nothing()
    assert "kernel-untold" in stage.alarms("node1")
    stage.ends_well()


def test_a_stranger_after_a_pause_has_a_short_lease() -> None:
    """After a pause a node does not know for how long its peer had been silent before."""
    stage = Stage(WITH_WITNESS).begin()
    stage.suffers(Pause("node1", 4.0))
    stage.loses_witness("node1")
    stage.cuts_off()
    stage.run_for(4.0)
    assert stage.world.machines["node1"].runs
    took_s = stage.waits_for(lambda: "node1" not in stage.runs_on(), 6.0)
    assert took_s < stage.world.built.cluster.lease_s
    stage.ends_well()


def test_a_stranger_whose_daemon_starts_anew_minds_its_lease() -> None:
    """The node stood still, its daemon died before it met the peer again, and then all is cut."""
    stage = Stage(with_kind(WITNESS, WEB_TOO)).begin()
    stage.suffers(Pause("node1", 2.6))
    stage.run_for(2.65)
    stage.suffers(KillDaemon("node1", 0.5))
    stage.loses_witness("node1")
    stage.cuts_off()
    stage.waits_for(lambda: stage.runs_on(WEB) == ("node2",), 30.0)
    stage.ends_well()


def test_a_stranger_that_hears_its_peer_again_is_none_any_more() -> None:
    stage = Stage(WITH_WITNESS).begin()
    stage.suffers(Pause("node1", 2.5))
    stage.waits_for(lambda: stage.world.machines["node1"].runs, 4.0)
    stage.waits_for(stage.is_together, 10.0)
    assert not stage.state("node1").stranger
    stage.run_for(10.0)
    assert len(stage.runs_on()) == 1
    stage.ends_well()


@pytest.mark.parametrize("pauses", [FORMING_ANEW, LEAVING_SLOWLY])
def test_every_daemon_that_stood_still_has_a_short_lease(pauses: str) -> None:
    stage = Stage(with_kind(WITNESS, WEB_TOO)).begin()
    stage.loses_witness("node1")
    stage.cuts_off()
    stage.run_for(0.3)
    if pauses == LEAVING_SLOWLY:
        stage.suffers(FailActions("node1", Do.STOP_PROGRAM, WEB, Trouble.HANGS, LONG_S))
        stage.world.command("node1", Leave(handover=True))
    stage.suffers(Pause("node1", 2.9))
    stage.run_for(3.0)
    if pauses == FORMING_ANEW:
        stage.suffers(KillDaemon("node1", 0.5))
    stage.waits_for(lambda: stage.runs_on(WEB) == ("node2",), 25.0)
    stage.ends_well()
