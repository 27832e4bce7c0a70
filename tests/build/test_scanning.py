"""What a scan adds to the scanner's facts, and how it travels."""

import base64
import json
import os
import signal
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from hapair import __version__
from hapair.adapters.shared.process import OUTPUT_BYTES_MAX
from hapair.cli.clscan import fact_lines
from hapair.core.words.stored import Stored
from hapair.model.leftover import Stage
from hapair.model.node_facts import Configuration, Daemon, Lvm, ScanRequest, TextFile
from hapair.ports.programs import Finished, TimedOut
from hapair.rpc.client import ROOT_VARIABLE
from hapair.rpc.messages import JsonObject, Malformed
from hapair.runtime.building.files import only_builder
from hapair.runtime.building.scanning import (
    FORMED_BEFORE,
    MARK,
    NodeScan,
    OtherVersionError,
    dump_facts,
    load_facts,
    pack_facts,
    unpack_facts,
)
from hapair.runtime.building.seats import NoScan, RemoteSeat
from hapair.runtime.building.staging import Staging
from hapair.runtime.building.steps import Answer, Step, StepKind
from hapair.runtime.building.wiring import INTERRUPTIONS
from hapair.runtime.codec import dumps, loads
from hapair.runtime.places import Places
from tests.build.material import formed, healthy
from tests.build.two_nodes import FakeCommands, FakeNode, FakeScanner
from tests.processes import PATIENCE_S, Started


@pytest.fixture
def node(tmp_path: Path) -> FakeNode:
    return FakeNode("node1", tmp_path)


async def test_the_configuration_is_carried_unchanged(node: FakeNode) -> None:
    content = "<cluster name='n\u00e4he'/>".encode("latin-1")
    node.places.clconf.write_bytes(content)
    node.write("etc/cluster/orders/appconf.xml", "<application/>")
    Staging(node.places, 4).begin()
    facts = load_facts(dump_facts(await node.scan.scan(ScanRequest())))
    configuration = facts.configuration
    assert configuration.clconf.encode("latin-1") == content
    assert [file.name for file in configuration.applications] == ["orders"]
    assert [(each.generation, each.stage) for each in configuration.leftovers] == [(4, Stage.EMPTY)]


async def test_it_is_seen_who_can_read_clconf(node: FakeNode) -> None:
    async def private() -> bool:
        return (await node.scan.scan(ScanRequest())).configuration.clconf_private

    assert await private(), "there is none"
    for mode, expected in ((0o644, False), (0o600, True)):
        node.write("etc/cluster/clconf.xml", "<cluster/>", mode)
        assert await private() is expected


async def test_a_held_lock_is_seen(node: FakeNode) -> None:
    assert not (await node.scan.scan(ScanRequest())).building
    with only_builder(node.places):
        assert (await node.scan.scan(ScanRequest())).building
        assert not (await node.scan.scan(ScanRequest(), lock_is_ours=True)).building


@pytest.mark.parametrize(
    ("answer", "standing", "version"),
    [
        ({"local": "n", "nodes": {"n": {"standing": "alone"}}}, "alone", ""),
        ({"local": "n", "nodes": {"n": {"standing": "alone", "version": "0.9"}}}, "alone", "0.9"),
        ({"local": "n", "nodes": {}}, "", ""),
        ({"local": "n", "nodes": {"n": {"standing": 7, "version": 7}}}, "", ""),
        ({}, "", ""),
    ],
)
async def test_a_daemon_tells_its_standing_and_its_version(
    node: FakeNode, answer: JsonObject, standing: str, version: str
) -> None:
    scan = NodeScan(node.places, FakeCommands(), FakeScanner(node), lambda _verb, _limit: answer)
    facts = await scan.scan(ScanRequest())
    assert (facts.daemon.standing, facts.daemon.version) == (standing, version)
    assert facts.daemon.running is bool(standing)


@pytest.mark.parametrize(
    ("stored", "standing"),
    [
        (dumps(Stored(formed=True, formed_boot_id="b1")), FORMED_BEFORE),
        (dumps(Stored(formed=True, formed_boot_id="b0")), ""),
        (dumps(Stored(formed_boot_id="b1")), ""),
        (b"{", ""),
    ],
)
async def test_a_dead_daemon_may_have_left_a_formed_cluster(
    node: FakeNode, stored: bytes, standing: str
) -> None:
    node.write("proc/sys/kernel/random/boot_id", "b1\n")
    node.write("var/lib/hapair/state.json", stored.decode())
    daemon = (await node.scan.scan(ScanRequest())).daemon
    assert daemon.standing == standing
    assert not daemon.running, "what is remembered of it starts nothing"


# --- On the way ----------------------------------------------------------------------------------


def test_facts_survive_the_way() -> None:
    facts = formed(healthy("node2"))
    assert load_facts(dump_facts(facts)) == facts
    assert unpack_facts(f"Welcome to node2!\n{pack_facts(facts)}\nlast login: today\n") == facts


def test_two_hundred_applications_fit_well() -> None:
    text = "<application name='orders'>" + "x" * 3000
    files = tuple(TextFile(f"application{number}", text) for number in range(200))
    facts = replace(healthy("node2"), configuration=Configuration(applications=files))
    packed = pack_facts(facts)
    assert unpack_facts(packed) == facts
    assert len(packed) < OUTPUT_BYTES_MAX / 20


@pytest.mark.parametrize("text", ["", "noise", f"{MARK}%%%", f"{MARK}aGVsbG8="])
def test_what_was_not_packed_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        unpack_facts(text)


@pytest.mark.parametrize("text", ["", "nothing", "{}", '{"format": 1, "version": 3, "facts": {}}'])
def test_what_is_no_scan_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        load_facts(text)


def document(**changes: object) -> str:
    return json.dumps(json.loads(dump_facts(healthy("node2"))) | changes)


def test_a_damaged_scan_of_our_version_is_refused() -> None:
    with pytest.raises(Malformed):
        load_facts(document(facts={}))


@pytest.mark.parametrize("changes", [{"format": 2}, {"version": "9.0", "facts": {"new": 1}}])
def test_a_scan_of_another_version_names_that(changes: dict[str, object]) -> None:
    with pytest.raises(OtherVersionError):
        load_facts(document(**changes))


def packed(**changes: object) -> Finished:
    content = base64.b64encode(zlib.compress(document(**changes).encode())).decode()
    return Finished(0, f"{MARK}{content}\n", "")


def seat(result: Finished | TimedOut) -> RemoteSeat:
    return RemoteSeat("node2", FakeCommands(failing={"cl": result}), wall_s=lambda: 100.0)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (TimedOut(240.0), "the scan did not end within 240 s"),
        (Finished(127, "", "clscan: not found"), "hapair is not installed there"),
        (Finished(255, "", "banner\nclosed"), "the SSH connection broke (closed)"),
        (Finished(1, "", ""), "the scan failed there (exit code 1)"),
        (Finished(0, "noise", ""), "its answer is not understood"),
        (packed(version="9.0", format=2), "it has version 9.0 of hapair"),
    ],
)
async def test_it_says_why_there_is_no_scan(result: Finished | TimedOut, why: str) -> None:
    found = await seat(result).scan(ScanRequest())
    assert isinstance(found, NoScan)
    assert why in found.why
    assert found.mend


async def test_clocks_are_compared_when_the_scan_arrives() -> None:
    found = await seat(packed()).scan(ScanRequest())
    assert not isinstance(found, NoScan)
    assert found.wall_ms == -100_000


@pytest.mark.parametrize(
    "result",
    [TimedOut(90.0), Finished(255, "", "closed"), Finished(1, "", ""), Finished(0, "", "")],
)
async def test_a_step_without_an_answer_may_have_been_done(result: Finished | TimedOut) -> None:
    answer = await seat(result).perform(Step(StepKind.LOOK, "node2"))
    assert answer.lost
    assert answer.error
    assert "node2" in answer.mend


# --- The commands themselves ---------------------------------------------------------------------


def command(root: Path, module: str, *words: str, stdin: bytes = b"") -> str:
    script = f"from hapair.cli.{module} import main; raise SystemExit(main())"
    done = subprocess.run(
        (sys.executable, "-c", script, *words),
        check=True,
        capture_output=True,
        env=os.environ | {ROOT_VARIABLE: str(root)},
        input=stdin,
    )
    return done.stdout.decode()


def test_clscan_prints_what_can_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    request = dumps(ScanRequest(names=("localhost",)))
    facts = unpack_facts(command(tmp_path, "clscan", "--request", stdin=request))
    assert facts.version == __version__
    assert facts.names[0].addresses
    assert load_facts(command(tmp_path, "clscan", "--json")).version == __version__


def test_clscan_shows_no_content_of_the_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "etc/cluster"
    for file in ("clconf.xml", "built/built.json", "orders/appconf.xml"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("password=hunter2")
    shown = command(tmp_path, "clscan", "--json")
    assert "hunter2" not in shown
    found = load_facts(shown).configuration
    assert found.clconf.startswith("sha256:")
    assert found.built == found.applications[0].text == found.clconf


def test_clscan_shows_people_the_most_important_facts(tmp_path: Path) -> None:
    shown = command(tmp_path, "clscan")
    assert "kernel" in shown
    assert "daemon not running" in " ".join(shown.split())


def test_clscan_names_a_daemon_that_runs_another_version() -> None:
    facts = replace(healthy("node2"), daemon=Daemon(running=True, version="0.0.9"))
    assert "running, still version 0.0.9" in " ".join(fact_lines(facts))
    assert "still" not in " ".join(fact_lines(healthy("node2")))


def test_clscan_says_who_is_not_kept_away_from_volumes() -> None:
    fine = replace(healthy("node2"), lvm=Lvm(version="2", global_filter=("r|^/dev/drbd|",)))
    assert "LVM scans" not in " ".join(fact_lines(fine))
    for lvm, told in ((Lvm(version="2"), True), (Lvm(error="pvs gave no answer"), False)):
        shown = " ".join(" ".join(fact_lines(replace(fine, lvm=lvm))).split())
        assert ("lvm filter LVM scans DRBD's devices" in shown) is told


@pytest.mark.parametrize("name", ["clconf.xml", "built/built.json", "orders/appconf.xml"])
@pytest.mark.parametrize("what", ["a folder", "a link to itself"])
def test_what_is_no_file_is_no_configuration(name: str, what: str, tmp_path: Path) -> None:
    place = tmp_path / "etc/cluster" / name
    place.parent.mkdir(parents=True)
    if what == "a folder":
        place.mkdir()
    else:
        place.symlink_to(place)
    found = load_facts(command(tmp_path, "clscan", "--json")).configuration
    assert (found.clconf, found.built, found.applications) == ("", "", ())


@pytest.mark.parametrize("name", ["clconf.xml", "built/built.json", "keys/cluster.key"])
def test_nobody_waits_for_a_pipe(name: str, tmp_path: Path) -> None:
    place = tmp_path / "etc/cluster" / name
    place.parent.mkdir(parents=True)
    os.mkfifo(place)
    with pytest.raises(subprocess.CalledProcessError) as ended:
        command(tmp_path, "clscan")
    assert ended.value.stderr.decode().startswith(f"clscan: error: {place}: Not a regular file")


@pytest.mark.parametrize("name", ["clconf.xml", "built/built.json", "keys/cluster.key"])
def test_a_file_that_cannot_be_read_ends_a_scan_with_its_name(name: str, tmp_path: Path) -> None:
    place = tmp_path / "etc/cluster" / name
    place.parent.mkdir(parents=True)
    place.symlink_to("/proc/self/mem")  # The kernel refuses to read its begin, to root too.
    with pytest.raises(subprocess.CalledProcessError) as ended:
        command(tmp_path, "clscan")
    assert ended.value.returncode == 1
    error, mend = ended.value.stderr.decode().splitlines()
    assert error == f"clscan: error: {place}: Input/output error"
    assert mend.startswith("clscan: mend: ")


@pytest.mark.parametrize("number", INTERRUPTIONS)
def test_after_its_work_a_command_is_not_deaf(number: signal.Signals) -> None:
    """What is still being ended then may take as long as it wants."""
    script = """
import asyncio, sys
from hapair.runtime.building.wiring import run_interruptible

async def lingers():
    try:
        await asyncio.sleep(1000)
    finally:
        print("lingers", flush=True)
        await asyncio.sleep(1000)

async def work():
    asyncio.ensure_future(lingers())
    await asyncio.sleep(0)

run_interruptible(work())
"""
    with Started(
        (sys.executable, "-c", script), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        process.line("lingers")
        process.send_signal(number)
        assert process.wait(PATIENCE_S) != 0


def test_a_step_is_carried_out_by_the_command(tmp_path: Path) -> None:
    Staging(Places(tmp_path), 3).begin()
    step = dumps(Step(StepKind.LOOK, "node1", 3))
    assert loads(
        Answer, command(tmp_path, "clbuild", "--carry-out", stdin=step).encode()
    ) == Answer(stage="empty")


def test_a_step_waits_for_nobody(tmp_path: Path) -> None:
    step = dumps(Step(StepKind.LOOK, "node1", 3))
    with only_builder(Places(tmp_path)):
        answer = command(tmp_path, "clbuild", "--carry-out", stdin=step)
    assert "another clbuild" in loads(Answer, answer.encode()).error
