"""Copies that a comparison found to differ: connected, UpToDate, and not the same."""

from dataclasses import replace

from hapair.core import explain
from hapair.core.applications import placement
from hapair.core.copies import replication
from hapair.core.words.events import Move
from hapair.model.data import Connection, Disk
from hapair.model.status import Standing
from tests.core.bench import ME, NAME, PEER, RESOURCE, Bench


def compared(bench: Bench, missing_bytes: int) -> None:
    bench.data(replace(bench.kernel[RESOURCE], out_of_sync_bytes=missing_bytes))


def differing() -> Bench:
    bench = Bench()
    bench.running()
    bench.peer_has()
    compared(bench, 8192)
    return bench


def alarms(bench: Bench) -> dict[str, str]:
    return {alarm.name: alarm.text for alarm in explain.alarms(bench.state)}


def test_a_move_is_refused_with_the_mend_and_allowed_when_they_are_the_same_again() -> None:
    bench = differing()
    reply = bench.command(Move(NAME))
    assert reply is not None
    assert not reply.accepted
    assert f"on {PEER}: drbdadm disconnect {RESOURCE}" in reply.text
    assert "8 KiB" in alarms(bench)["copies-differ"]
    compared(bench, 0)
    bench.command(Move(NAME))
    assert bench.record.owner == PEER
    assert "copies-differ" not in alarms(bench)


def test_they_prove_nothing_of_one_another() -> None:
    bench = differing()
    seen = placement.view(bench.state, bench.state.built.applications[0].application)
    assert not replication.is_joined(bench.state, RESOURCE)
    assert not replication.peer_complete(bench.state, NAME)
    assert not seen.joined
    assert not seen.peer_current
    assert not seen.awaits_proof  # No waiting brings it.


def test_while_a_resync_runs_they_are_completed_and_no_such_alarm_is_told() -> None:
    bench = differing()
    bench.data(replace(bench.kernel[RESOURCE], connection=Connection.SYNC_SOURCE))
    assert replication.is_joined(bench.state, RESOURCE)
    assert "copies-differ" not in alarms(bench)


def test_what_is_written_beside_a_lost_disk_is_no_difference() -> None:
    """DRBD counts it as out of sync, although there is nothing that it could be compared with."""
    bench = Bench()
    bench.running()
    bench.peer_has()
    lost = replace(bench.kernel[RESOURCE], peer_disk=Disk.DISKLESS)
    bench.data(lost)
    bench.data(replace(lost, out_of_sync_bytes=8192))
    assert replication.is_joined(bench.state, RESOURCE)
    assert not replication.peer_complete(bench.state, NAME)
    assert "copies-differ" not in alarms(bench)
    reply = bench.command(Move(NAME))
    assert reply is not None
    assert f"the disk of {RESOURCE} on {PEER} is lost" in reply.text


def test_the_one_that_runs_it_goes_on_and_a_failover_does_not_wait() -> None:
    bench = differing()
    bench.wait(5.0)
    assert ("program", NAME, "") in bench.up
    assert bench.record.owner == ME
    bench.disconnect()
    bench.wait(5.0, hearing=False)
    assert bench.stands(Standing.ALONE)
    assert ("program", NAME, "") in bench.up
