"""The guardian of resyncs: a snapshot before one, its pace, one help, never a discard."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

import pytest

from hapair.core.resync import STALL_S
from hapair.model.cluster import Resync
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.divergence import KeptSnapshot
from hapair.model.outcome import Refused
from hapair.model.storage import GroupStorage, LogicalVolume
from hapair.rpc.messages import RpcError
from hapair.runtime.journal_log import Journal
from hapair.runtime.node import Node
from hapair.runtime.resync_guardian import LOOK_S, ResyncGuardian
from hapair.runtime.snapshots import RepairTools
from hapair.runtime.verbs import Call
from tests.cli.fake_daemon import FakeDaemon
from tests.fakes.storage import FakeConnections, FakeLogicalVolumes, FakeLooks
from tests.runtime.conftest import names
from tests.runtime.fakes import Machine, SetClock, built

HELPER: Final = Path(__file__).parents[2] / "packaging/helpers/resync-target"
MIB: Final = 2**20
DATA: Final = "orders.data"
SNAPSHOT: Final = "data_before_resync"
GROUP: Final = GroupStorage(
    "vg_orders", exists=True, extent_bytes=4 * MIB, free_bytes=1024 * MIB,
    volumes=(LogicalVolume("data", 1024 * MIB),),
)  # fmt: skip
TARGET: Final = VolumeFacts(
    DATA, Role.SECONDARY, Role.PRIMARY, Disk.INCONSISTENT, Disk.UP_TO_DATE,
    Connection.SYNC_TARGET, out_of_sync_bytes=100 * MIB,
)  # fmt: skip
COMPLETE: Final = replace(
    TARGET, disk=Disk.UP_TO_DATE, connection=Connection.CONNECTED, out_of_sync_bytes=0
)
APART: Final = replace(TARGET, connection=Connection.CONNECTING)


@dataclass
class House:
    journal: Journal
    machine: Machine = field(default_factory=Machine)
    clock: SetClock = field(default_factory=SetClock)
    volumes: FakeLogicalVolumes = field(
        default_factory=lambda: FakeLogicalVolumes({"vg_orders": GROUP})
    )
    connections: FakeConnections = field(default_factory=FakeConnections)
    guardian: ResyncGuardian = field(init=False)
    trouble: RpcError | None = None
    wanted: bool = True

    def __post_init__(self) -> None:
        tools = RepairTools(self.volumes, self.connections, FakeLooks())
        self.guardian = ResyncGuardian(self.node, tools, self.journal, self.clock)

    def node(self) -> Node:
        if self.trouble is not None:
            raise self.trouble
        configured = built()
        cluster = replace(configured.cluster, resync=Resync(snapshot=self.wanted))
        configured = replace(configured, cluster=cluster)
        return cast("Node", SimpleNamespace(built=configured, hands=self.machine.hands()))

    async def seen(self, facts: VolumeFacts, *, after_s: float = LOOK_S) -> None:
        self.clock.now_s += after_s
        self.machine.known[DATA] = facts
        await self.guardian.look()

    @property
    def kept(self) -> list[str]:
        return [each.name for each in self.volumes.groups["vg_orders"].snapshots("data")]


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal)


def begins(resource: str = DATA) -> Call:
    return Call({"resource": resource})


async def test_the_copy_is_kept_until_it_is_complete_again(house: House) -> None:
    house.machine.known[DATA] = replace(TARGET, disk=Disk.UP_TO_DATE)
    answer = await house.guardian.begins(begins())
    assert answer["text"] == f"vg_orders/{SNAPSHOT} keeps the copy as it was"
    assert house.guardian.kept() == (KeptSnapshot(DATA, "vg_orders", SNAPSHOT, 5000.0),)
    await house.seen(TARGET)
    assert house.kept == [SNAPSHOT]
    await house.guardian.ended(begins())
    await house.seen(COMPLETE)
    assert house.kept == []
    assert house.guardian.kept() == ()


async def test_a_copy_whose_source_died_keeps_its_snapshot(house: House) -> None:
    """Row 15. The second resync, too, must not replace the last consistent state."""
    await house.guardian.begins(begins())
    await house.seen(TARGET)
    await house.seen(APART)
    house.volumes.made_wall_s = 9000.0
    await house.guardian.begins(begins())
    (kept,) = house.guardian.kept()
    assert kept.made_wall_s == 5000.0


async def test_a_snapshot_that_a_former_daemon_left_is_found_and_dropped(house: House) -> None:
    await house.volumes.snapshot("vg_orders", "data", SNAPSHOT, 16 * MIB)
    await house.volumes.snapshot("vg_orders", "data", "data_split_20260106_031244", 16 * MIB)
    await house.seen(COMPLETE)
    assert house.kept == ["data_split_20260106_031244"]


async def test_without_room_or_without_lvm_the_resync_begins_all_the_same(house: House) -> None:
    house.volumes.groups["vg_orders"] = replace(GROUP, free_bytes=8 * MIB)
    answer = await house.guardian.begins(begins())
    assert "the resync begins without a snapshot: volume group vg_orders" in str(answer["text"])
    house.volumes.silent = True
    answer = await house.guardian.begins(begins())
    assert "gave no answer" in str(answer["text"])


async def test_one_may_want_no_snapshot(house: House) -> None:
    house.wanted = False
    await house.guardian.begins(begins())
    assert house.kept == []


async def test_a_resource_that_is_not_ours_is_refused(house: House) -> None:
    with pytest.raises(RpcError):
        await house.guardian.begins(begins("other.data"))


async def test_the_pace_of_a_resync_is_known(house: House) -> None:
    await house.seen(TARGET)
    await house.seen(replace(TARGET, out_of_sync_bytes=50 * MIB), after_s=10.0)
    (pace,) = house.guardian.paces()
    assert pace.bytes_s == pytest.approx(5 * MIB)
    await house.seen(COMPLETE)
    assert house.guardian.paces() == ()


async def test_a_resync_that_stands_still_is_helped_once_and_then_told(house: House) -> None:
    await house.seen(TARGET)
    await house.seen(TARGET, after_s=STALL_S)
    assert house.connections.asked == [f"disconnect {DATA}", f"connect {DATA}"]
    await house.seen(APART)
    await house.seen(TARGET)
    await house.seen(TARGET, after_s=STALL_S)
    await house.seen(TARGET, after_s=STALL_S)
    assert len(house.connections.asked) == 2
    assert names(house.journal).count("resync-still-stalled") == 1
    assert house.guardian.paces()[0].stalled
    await house.seen(replace(TARGET, out_of_sync_bytes=MIB))
    assert not house.guardian.paces()[0].stalled


async def test_the_source_of_a_resync_helps_nobody(house: House) -> None:
    source = replace(TARGET, connection=Connection.SYNC_SOURCE, disk=Disk.UP_TO_DATE)
    await house.seen(source)
    await house.seen(source, after_s=STALL_S * 2)
    assert house.connections.asked == []


async def test_a_connection_that_cannot_be_made_anew_is_an_alarm(house: House) -> None:
    house.connections.answers[f"connect {DATA}"] = Refused("no such resource")
    await house.seen(TARGET)
    await house.seen(TARGET, after_s=STALL_S)
    assert "resync-not-connected" in names(house.journal)
    await house.seen(APART, after_s=300.0)
    assert house.guardian.paces() == ()


async def test_before_a_cluster_is_built_there_is_nothing_to_watch(house: House) -> None:
    house.trouble = RpcError("no cluster is built on this node")
    running = asyncio.ensure_future(house.guardian.run())
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()


def called(root: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Call the handler as DRBD does."""
    return subprocess.run(
        (sys.executable, "-IS", str(HELPER), *words),
        env={"HAPAIR_ROOT": str(root), "PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_handler_asks_the_daemon_and_waits_for_it(tmp_path: Path) -> None:
    with FakeDaemon(tmp_path) as daemon:
        daemon.answer("resync-begins", {"text": "kept"})
        ended = called(tmp_path, "begins", DRBD_RESOURCE=DATA)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert daemon.asked_for("resync-begins") == [{"resource": DATA}]


def test_nothing_that_fails_keeps_a_resync_from_beginning(tmp_path: Path) -> None:
    """FAIL: DRBD would end the connection, and the copy would never be completed."""
    for words, environment in ((("begins",), {"DRBD_RESOURCE": DATA}), (("ended",), {}), ((), {})):
        ended = called(tmp_path, *words, **environment)
        assert ended.returncode == 0
        assert "resync-target:" in ended.stderr
