"""Whole nodes: the real core between the real loop, performer, sources and peer."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hapair.core.words.events import LinkChanged, Move
from hapair.core.words.stored import Stored
from hapair.model.cluster import PortRange
from hapair.model.outcome import Refused
from hapair.model.status import Phase, Standing
from hapair.model.timeline import timelines
from hapair.ports.peer import HeardDatagram
from hapair.rpc.history import read_happening
from hapair.runtime.codec import loads
from hapair.runtime.node.state_file import STATE
from tests.runtime.fakes import cluster
from tests.runtime.pair import formed, two, without_data
from tests.runtime.virtual_time import virtually


@virtually
async def test_two_nodes_form_a_cluster_and_run_an_application(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    assert [side.standing for side in pair.sides.values()] == [Standing.TOGETHER] * 2
    assert (pair["node1"].phase, pair["node2"].phase) == (Phase.RUNNING, Phase.STOPPED)
    assert [reply.accepted for reply in pair["node1"].replies] == [True, True]
    pair.end()


@virtually
async def test_what_is_stored_reads_back_as_what_the_core_relies_on(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    for side in pair.sides.values():
        assert loads(Stored, side.stored[STATE]) == side.running.state.stored
    pair.end()


@virtually
async def test_a_full_disk_is_waited_for_while_heartbeats_go_on(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first = pair["node1"]
    first.disk_full = True
    first.command(3, Move("orders"))
    await asyncio.sleep(5.0)
    assert first.names().count("not-stored") == 1
    assert first.running.waits_for_disk
    assert pair["node2"].phase is Phase.STOPPED  # The gift is not on the disk of the giver.
    assert pair["node2"].standing is Standing.TOGETHER
    first.disk_full = False
    await asyncio.sleep(5.0)
    assert (first.phase, pair["node2"].phase) == (Phase.STOPPED, Phase.RUNNING)
    assert not first.running.waits_for_disk
    pair.end()


@virtually
async def test_what_was_heard_is_decided_before_what_happened_later(tmp_path: Path) -> None:
    """Else the time between would look like a pause of this node."""
    pair = await formed(tmp_path)
    first = pair["node1"]
    incarnation, body = pair["node2"].air.sent[-1]
    pair.cut_cables()
    for _ in range(50):
        first.air.arrive(HeardDatagram("public", incarnation, body, first.clock.boot_s()))
        first.clock.suspended_s += 0.2
    first.running.offer(LinkChanged(first.clock.boot_s(), "public", up=True))
    await asyncio.sleep(0.01)
    assert "paused" not in first.names()
    assert first.standing is Standing.TOGETHER
    pair.end()


@virtually
async def test_an_address_that_somebody_removed_is_put_back(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first = pair["node1"]
    first.machine.addresses_present = False
    first.machine.address_trouble = "10.77.1.50 is on no card"
    for changed in first.machine.change_callbacks:
        changed()
    await asyncio.sleep(0.1)
    assert first.machine.addresses_present
    assert first.phase is Phase.RUNNING
    assert "address-restored" in first.names()
    assert not pair["node2"].machine.addresses_present
    pair.end()


@virtually
async def test_a_planned_move_stops_here_before_it_starts_there(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    pair["node1"].command(3, Move("orders"))
    await asyncio.sleep(2.0)
    assert (pair["node1"].phase, pair["node2"].phase) == (Phase.STOPPED, Phase.RUNNING)
    assert pair["node1"].replies[-1].accepted
    pair.end()


@virtually
async def test_a_node_is_reset_when_its_file_says_so_and_the_history_tells_that_it_failed(
    tmp_path: Path,
) -> None:
    pair = await formed(tmp_path)
    first = pair["node1"]
    whole = without_data()
    (entry,) = whole.applications
    resets = replace(entry, application=replace(entry.application, resets_node=True))
    await first.running.reconfigure(replace(whole, generation=2, applications=(resets,)))
    first.machine.answers = {f"{deed} orders": Refused("it hangs") for deed in ("stop", "kill")}
    first.command(3, Move("orders"))
    for _ in range(500):  # The history is written to the disk by a thread, in real time.
        await asyncio.to_thread(time.sleep, 0.01)
        if first.resets:
            break
    assert set(first.resets) == {"orders cannot be stopped"}
    assert first.names().count("reset") >= 2, "that it comes, and that it did not"
    pair.end()


@virtually
async def test_a_dead_node_is_taken_over_and_the_history_tells_how_long_each_step_took(
    tmp_path: Path,
) -> None:
    pair = await formed(tmp_path)
    pair["node2"].machine.answering = {"public"}
    pair["node1"].die()
    pair.cut_cables()
    await asyncio.sleep(2.0)
    assert pair["node2"].standing is Standing.ALONE
    assert pair["node2"].phase is Phase.RUNNING

    journal = pair["node2"].journal
    assert journal is not None
    (timeline,) = timelines(read_happening(line) for line in journal.since(0, 1000))
    steps = {step.name: step.after_s for step in timeline.steps}
    assert list(steps)[:4] == ["silent", "detected", "granted", "decided"]
    detection_s = cluster().timing.detection_s
    assert steps["detected"] == pytest.approx(detection_s, abs=0.01)
    assert steps["started"] < detection_s + 0.1
    pair.end()


@virtually
async def test_a_daemon_that_starts_again_adopts_what_runs(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    side = pair["node1"]
    harmless = ("running", "announce")  # Looks, and where the addresses are.
    asked_before = [deed for deed in side.machine.asked if not deed.startswith(harmless)]
    side.die()
    side.start(without_data(), loads(Stored, side.stored[STATE]))
    pair.connect()
    await asyncio.sleep(3.0)
    assert (side.standing, side.phase) == (Standing.TOGETHER, Phase.RUNNING)
    asked = [deed for deed in side.machine.asked if not deed.startswith(harmless)]
    assert asked == asked_before
    pair.end()


@virtually
async def test_a_new_configuration_of_applications_keeps_the_connection(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    node = pair["node1"].running
    await node.reconfigure(replace(without_data(), generation=2))
    await asyncio.sleep(0.1)
    assert node.state.built.generation == 2
    assert not pair["node1"].tunnel.closed
    pair.end()


@virtually
async def test_a_new_configuration_of_networks_opens_new_connections(tmp_path: Path) -> None:
    pair = two(tmp_path)
    side = pair["node1"]
    changed = replace(cluster(), ports=PortRange(8800, 8899))
    await side.running.reconfigure(replace(without_data(), generation=2, cluster=changed))
    await asyncio.sleep(0.1)
    assert side.tunnel.closed
    assert side.air.opened == 1
    assert side.machine.asked.count("use shop") == 2  # Addresses and paths.
    assert side.running.state.built.cluster == changed
    pair.end()


@virtually
async def test_changes_of_links_reach_the_core(tmp_path: Path) -> None:
    pair = two(tmp_path)
    side = pair["node1"]
    await asyncio.sleep(0.1)
    assert side.running.state.links == {"public": True, "private": True}
    for callback in side.machine.link_callbacks:
        callback("public", False)  # noqa: FBT003 - as the port calls it
    await asyncio.sleep(0.1)
    assert side.running.state.links == {"public": False, "private": True}
    pair.end()
