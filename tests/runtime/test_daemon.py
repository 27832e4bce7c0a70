"""The daemon serves its socket whatever is missing, and never forgets how often it was started."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hapair import __version__
from hapair.adapters.files import FileStorage
from hapair.adapters.heartbeat.datagrams import ReplayGuard
from hapair.adapters.reset import not_a_machine
from hapair.config.built_json import dumps
from hapair.core.words.effects import Watch
from hapair.core.words.events import Form
from hapair.core.words.stored import Stored
from hapair.model.cluster import Cluster
from hapair.model.node_facts import NodeFacts
from hapair.ports.programs import Finished, TimedOut
from hapair.rpc.messages import ExitCode, RpcError
from hapair.runtime.daemon import Daemon, new_incarnation, next_incarnation, own_name, parser
from hapair.runtime.guardians.snapshots import RepairTools
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.lems.orders import ProgramGroup
from hapair.runtime.node.loop import until_broken
from hapair.runtime.node.node import Node, Wires
from hapair.runtime.node.perform import Hands
from hapair.runtime.node.state_file import STATE, dump_state
from hapair.runtime.places import INCARNATION_DIGITS, Places
from hapair.runtime.verbs import Call
from hapair.runtime.wiring import Wiring, connect
from tests.fakes.lems import FakeGrip, FakeLems
from tests.fakes.storage import FakeConnections, FakeFiles, FakeLogicalVolumes, FakeLooks
from tests.fakes.third_parties import DeviceSeen, OneWitness, Strip
from tests.runtime.conftest import WAIT_S, eventually, names
from tests.runtime.fakes import Air, Machine, SetClock, Tunnel, built


@dataclass(slots=True)
class Manager:
    """Stands for systemd."""

    heard: list[str] = field(default_factory=list)

    def notify(self, *lines: str) -> None:
        self.heard += lines

    def watchdog_s(self) -> float | None:
        return 0.04


@dataclass(slots=True)
class House:
    """One node's folder and a daemon in it."""

    places: Places
    manager: Manager = field(default_factory=Manager)
    machine: Machine = field(default_factory=Machine)
    missing_keys: bool = False

    def wiring(self) -> Wiring:
        storage = FileStorage(self.places.memory)

        async def keep(name: str, content: bytes) -> None:
            storage.store(name, content)

        async def run(*_: object, **__: object) -> Finished | TimedOut:
            return Finished(127, "", "not in tests")

        async def unit_waits(_: str) -> str:
            return ""

        async def as_configured(_: str, __: Sequence[str]) -> NodeFacts | None:
            return None

        def workshop(_: Hands) -> object:
            raise AssertionError("no job is begun here")

        return Wiring(
            clock=SetClock(),
            storage=storage,
            supervisor=self.manager,
            keep=keep,
            hands=lambda _, __: self.machine.hands(),
            workshop=workshop,  # type: ignore[arg-type]
            resource_files=lambda _, __: (),
            run=run,
            connect=self.connect,
            witnesses=lambda _, __: OneWitness(),
            fencing=Strip(),
            watchdog=DeviceSeen(),
            reset=not_a_machine,
            repair=RepairTools(FakeLogicalVolumes(), FakeConnections(), FakeLooks(), FakeFiles()),
            as_configured=as_configured,
            grip=FakeGrip,
            unit_waits=unit_waits,
            group=lambda name: ProgramGroup(f"/groups/{name}"),
        )

    def connect(self, cluster: Cluster, me: str) -> Wires:
        if self.missing_keys:
            raise RpcError("the keys of this cluster cannot be used", "clbuild")
        assert me in cluster.nodes
        return Wires(Air(), Tunnel(), "keys")

    @asynccontextmanager
    async def running(self, journal: Journal) -> AsyncIterator[Daemon]:
        """Run the daemon until the end of the block; it must end like after SIGTERM."""
        daemon = Daemon(self.places, self.wiring(), "node1", journal, 5, "boot")
        working = asyncio.ensure_future(until_broken(daemon.run(), journal))
        await eventually(lambda: "READY=1" in self.manager.heard or working.done())
        assert not working.done(), journal.since(0, 100)
        yield daemon
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL, "it would end the whole run"
        signal.raise_signal(signal.SIGTERM)
        assert await asyncio.wait_for(working, WAIT_S) == 0
        assert "STOPPING=1" in self.manager.heard


@pytest.fixture
def house(tmp_path: Path) -> House:
    places = Places(tmp_path)
    for folder in (*places.made_at_start(), places.built.parent):
        folder.mkdir(parents=True, exist_ok=True)
    return House(places)


async def status(daemon: Daemon) -> object:
    return await daemon.commands.status(Call())


async def trouble(asked: Callable[[Daemon], Awaitable[object]], daemon: Daemon) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await asked(daemon)
    return caught.value


async def test_without_a_cluster_the_daemon_serves_and_says_what_to_type(
    house: House, journal: Journal
) -> None:
    async with house.running(journal) as daemon:
        error = await trouble(status, daemon)
        assert error.error == "no cluster is built on this node"
        assert "clbuild" in error.mend
        assert error.exit_code is ExitCode.NOT_NOW
        assert await daemon.commands.ping(Call())
        assert await daemon.commands.events(Call())


async def test_a_lems_that_comes_is_told_what_the_core_wants(
    house: House, journal: Journal
) -> None:
    house.places.built.write_bytes(dumps(built()))
    async with house.running(journal) as daemon:
        lems = await FakeLems.connect(house.places.lems_socket)
        lems.hello("plain", version=__version__)
        daemon._watch(Watch("plain", 3))  # noqa: SLF001 - as the core does it
        await eventually(lambda: bool(lems.words("watch")))
        assert daemon.commands.watching("plain")["watched"]
    await lems.close()


@pytest.mark.parametrize("content", [b"", b"junk", b"{}", b'{"format": 99}', b"\xff"])
async def test_a_damaged_configuration_is_told_and_does_not_end_the_daemon(
    house: House, journal: Journal, content: bytes
) -> None:
    house.places.built.write_bytes(content)
    async with house.running(journal) as daemon:
        error = await trouble(status, daemon)
        assert "built.json cannot be used" in error.error
        assert error.mend


async def test_reload_makes_a_node_of_it_without_a_restart(house: House, journal: Journal) -> None:
    async with house.running(journal) as daemon:
        house.places.built.write_bytes(dumps(built()))
        await daemon.commands.reload_built(Call())
        assert daemon.running_node().state.standing == "halted"
        assert daemon.summary() == "node1 is halted"


async def test_missing_keys_are_told(house: House, journal: Journal) -> None:
    house.places.built.write_bytes(dumps(built()))
    house.missing_keys = True
    async with house.running(journal) as daemon:
        assert "keys" in (await trouble(status, daemon)).error


async def test_a_damaged_memory_is_not_taken_for_an_empty_one(
    house: House, journal: Journal
) -> None:
    house.places.built.write_bytes(dumps(built()))
    (house.places.memory / STATE).write_bytes(b'{"epoch": "ten"}')
    async with house.running(journal) as daemon:
        error = await trouble(status, daemon)
        assert "state.json is damaged" in error.error
        assert (house.places.memory / STATE).read_bytes() == b'{"epoch": "ten"}'


async def test_a_memory_of_a_newer_format_is_refused_with_its_mend(
    house: House, journal: Journal
) -> None:
    house.places.built.write_bytes(dumps(built()))
    (house.places.memory / STATE).write_bytes(b'{"epoch": 7, "format": 2}')
    async with house.running(journal) as daemon:
        error = await trouble(status, daemon)
        assert "state.json is of a newer version: Stored has format '2'" in error.error
        assert "install" in error.mend


async def test_what_a_newer_version_remembers_is_passed_over_and_kept(
    house: House, journal: Journal
) -> None:
    house.places.built.write_bytes(dumps(built()))
    file = house.places.memory / STATE
    file.write_bytes(b'{"epoch": 7, "newer": [{"a": 1}], "by_application": {}}')
    async with house.running(journal) as daemon:
        with pytest.raises(RpcError, match="the peer did not answer"):
            await daemon.commands.command(Form(timeout_s=0.0))
        await eventually(lambda: b'"records"' in file.read_bytes())
    written = json.loads(file.read_bytes())
    assert written["newer"] == [{"a": 1}]
    assert "by_application" not in written


async def test_what_was_stored_is_known_again(house: House, journal: Journal) -> None:
    house.places.built.write_bytes(dumps(built()))
    (house.places.memory / STATE).write_bytes(dump_state(Stored(epoch=7, holds_right=True)))
    async with house.running(journal) as daemon:
        assert daemon.running_node().state.stored.epoch == 7


async def test_status_works_with_every_file_of_the_administrator_deleted(
    house: House, journal: Journal
) -> None:
    house.places.built.write_bytes(dumps(built()))
    async with house.running(journal) as daemon:
        told = await daemon.commands.status(Call(from_peer=True))
        assert told["drift"] == {
            "clconf": "missing",
            "applications": {"orders": "missing", "plain": "missing"},
        }


async def test_the_service_manager_hears_that_the_core_decides(
    house: House, journal: Journal
) -> None:
    house.places.built.write_bytes(dumps(built()))
    async with house.running(journal):
        await eventually(lambda: "WATCHDOG=1" in house.manager.heard)


async def test_a_daemon_that_waits_for_a_full_disk_is_not_started_anew(
    house: House, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.places.built.write_bytes(dumps(built()))
    async with house.running(journal) as daemon:
        assert daemon.node is not None
        await eventually(lambda: "WATCHDOG=1" in house.manager.heard)
        monkeypatch.setattr(Node, "decided_at_s", -1e9)  # It stands still.
        await asyncio.sleep(0.2)
        house.manager.heard.clear()
        await asyncio.sleep(0.2)
        assert "WATCHDOG=1" not in house.manager.heard
        daemon.node.keeper.waits = True
        await eventually(lambda: "WATCHDOG=1" in house.manager.heard)


async def test_a_bug_ends_the_daemon_and_says_so(house: House, journal: Journal) -> None:
    house.places.built.write_bytes(dumps(built()))
    daemon = Daemon(house.places, house.wiring(), "node1", journal, 5, "boot")
    working = asyncio.ensure_future(until_broken(daemon.run(), journal))
    await eventually(lambda: "READY=1" in house.manager.heard)

    async def bug() -> None:
        raise ZeroDivisionError

    daemon.spawn(bug())
    assert await asyncio.wait_for(working, WAIT_S) == 70
    assert journal.since(0, 100)[-1]["name"] == "bug"


@pytest.mark.parametrize(
    ("stored", "wall_s", "expected"),
    [
        (None, 1_700_000_000.5, 1_700_000_000),
        (b"1700000000", 1_700_000_000.5, 1_700_000_001),
        (b"1800000000", 1_700_000_000.5, 1_800_000_001),
        (b"12", 0.0, 13),
        (b"12".zfill(INCARNATION_DIGITS), 0.0, 13),
        (b"junk", 0.0, 1),
    ],
)
def test_incarnations_only_grow(stored: bytes | None, wall_s: float, expected: int) -> None:
    assert max(next_incarnation(stored, wall_s), 1) == expected


def test_a_start_that_cannot_be_counted_is_told_and_goes_on(
    tmp_path: Path, journal: Journal
) -> None:
    wiring = House(Places(tmp_path)).wiring()  # Its folder does not exist.
    assert new_incarnation(wiring, journal) == int(wiring.clock.wall_s())
    assert names(journal) == ["not-stored"]


@pytest.mark.parametrize("name", ["node1", "node1.example.org"])
def test_a_node_is_known_by_its_host_name(name: str) -> None:
    assert own_name(built(), name) == "node1"


def test_a_machine_with_another_name_is_told_what_to_do() -> None:
    with pytest.raises(RpcError, match="is called other") as caught:
        own_name(built(), "other")
    assert "hostnamectl" in caught.value.mend


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    assert "adopts what runs" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("damage", ["missing", "short", "junk", "no certificate"])
def test_keys_that_cannot_be_used_are_named(
    tmp_path: Path, certificates: Path, damage: str
) -> None:
    places = Places(tmp_path)
    places.keys.mkdir(parents=True)
    places.cluster_key.write_text("7f" * 32)
    places.node_key.write_bytes((certificates / "node1.key").read_bytes())
    places.node_certificate.write_bytes((certificates / "node1.crt").read_bytes())
    places.peer_certificate.write_bytes((certificates / "node2.crt").read_bytes())
    shop = built().cluster

    whole = connect(places, ReplayGuard(), shop, "node1", protected=False)
    match damage:
        case "missing":
            places.cluster_key.unlink()
        case "short":
            places.cluster_key.write_text("7f" * 31)
        case "junk":
            places.cluster_key.write_text("not hexadecimal")
        case _:
            places.peer_certificate.write_text("junk")
    with pytest.raises(RpcError, match="keys of this cluster cannot be used") as caught:
        connect(places, ReplayGuard(), shop, "node1", protected=False)
    assert "clbuild" in caught.value.mend
    assert len(whole.keys) == 64
