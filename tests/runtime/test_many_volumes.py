"""What is started when a node comes back grows with its volumes, and only by a few for each."""

import asyncio
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Final, cast

import pytest

from hapair.adapters.lvm.adapter import LvmAdapter
from hapair.model.application import Application
from hapair.model.built import Built, BuiltApplication
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.storage import GroupStorage, LogicalVolume
from hapair.runtime.guardians.keeping import Keeper
from hapair.runtime.guardians.resync_guardian import REFRESH_S, ResyncGuardian
from hapair.runtime.guardians.snapshots import RepairTools
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.node import Node
from hapair.runtime.verbs import Call
from tests.fakes.played_lvm import PlayedLvm
from tests.fakes.storage import FakeConnections, FakeFiles, FakeLooks
from tests.runtime.conftest import eventually
from tests.runtime.fakes import VOLUME, Machine, SetClock, built

MIB: Final = 2**20
LOOKS: Final = 2  # One that is under way when they come, and one for all who came meanwhile.
PROGRAMS_OF_A_LOOK: Final = 2


def group_of(many: int) -> GroupStorage:
    return GroupStorage(
        "vg_orders", exists=True, extent_bytes=4 * MIB, free_bytes=100 * 1024 * MIB,
        volumes=tuple(LogicalVolume(f"data{n}", 64 * MIB) for n in range(many)),
    )  # fmt: skip


def built_of(many: int) -> Built:
    volumes = tuple(
        replace(VOLUME, resource=f"orders.data{n}", minor=n, logical_volume=f"data{n}")
        for n in range(many)
    )
    return replace(built(), applications=(
        BuiltApplication(Application("orders", "node1"), volumes, ""),
    ))  # fmt: skip


@dataclass
class Returned:
    """A node whose copies are all behind."""

    lvm: PlayedLvm
    machine: Machine
    clock: SetClock
    guardian: ResyncGuardian
    names: tuple[str, ...]

    def are(self, connection: Connection, disk: Disk) -> None:
        for name in self.names:
            self.machine.known[name] = VolumeFacts(
                name, Role.SECONDARY, Role.PRIMARY, disk, Disk.UP_TO_DATE, connection
            )

    async def look(self, after_s: float = 5.0) -> int:
        """Return how many programs were started for it."""
        before = self.lvm.started.total()
        self.clock.now_s += after_s
        await self.guardian.look()
        return self.lvm.started.total() - before


def returned(many: int, journal: Journal) -> Returned:
    lvm, machine, clock, configured = (
        PlayedLvm(group_of(many)),
        Machine(),
        SetClock(),
        built_of(many),
    )
    node = SimpleNamespace(
        built=configured,
        hands=machine.hands(),
        state=SimpleNamespace(stored=SimpleNamespace(foreign_to=())),
    )
    tools = RepairTools(LvmAdapter(lvm), FakeConnections(), FakeLooks(), FakeFiles())
    guardian = ResyncGuardian(lambda: cast("Node", node), tools, journal, clock)
    names = tuple(volume.resource for volume in configured.volumes())
    return Returned(lvm, machine, clock, guardian, names)


@pytest.mark.parametrize("many", [1, 16, 64])
async def test_a_return_starts_one_program_for_each_volume(many: int, journal: Journal) -> None:
    """FAIL: each volume looks at all of them, and DRBD waits for that."""
    node = returned(many, journal)
    node.are(Connection.SYNC_TARGET, Disk.INCONSISTENT)
    await asyncio.gather(*(node.guardian.begins(Call({"resource": name})) for name in node.names))
    assert node.lvm.started["lvcreate"] == many
    assert node.lvm.started.total() <= many + LOOKS * PROGRAMS_OF_A_LOOK

    assert await node.look() == PROGRAMS_OF_A_LOOK
    assert len(node.guardian.kept()) == many
    assert await node.look() == 0, "nothing changed since"
    assert await node.look(REFRESH_S) == PROGRAMS_OF_A_LOOK

    node.are(Connection.CONNECTED, Disk.UP_TO_DATE)
    assert await node.look() <= 1 + LOOKS * PROGRAMS_OF_A_LOOK
    assert node.lvm.started["lvremove"] == 1
    assert node.guardian.kept() == ()


async def test_the_room_is_shared_by_all_who_ask_together() -> None:
    """FAIL: the plan of one does not see what was made for the one before."""
    lvm = PlayedLvm(replace(group_of(3), free_bytes=100 * MIB))
    keeper = Keeper(LvmAdapter(lvm))
    volumes = built_of(3).volumes()
    outcomes = await asyncio.gather(
        *(keeper.keep(volume, "kept", 32 * MIB, whole=False) for volume in volumes)
    )
    assert [type(outcome).__name__ for outcome in outcomes] == ["Done", "Refused", "Refused"]


async def test_what_nobody_waits_for_any_more_is_not_kept(journal: Journal) -> None:
    """FAIL: a snapshot that was made amid the resync is called the copy as it was before."""
    node = returned(3, journal)
    node.are(Connection.SYNC_TARGET, Disk.INCONSISTENT)
    gate = asyncio.Event()
    inside = node.lvm.inside
    make = inside.snapshot

    async def slowly(group: str, origin: str, name: str, size_bytes: int) -> object:
        await gate.wait()
        return await make(group, origin, name, size_bytes)

    inside.snapshot = slowly  # type: ignore[assignment,method-assign]
    first, second, third = (
        asyncio.ensure_future(node.guardian.begins(Call({"resource": name}))) for name in node.names
    )
    await eventually(lambda: bool(node.lvm.started["lvcreate"]))
    first.cancel()
    second.cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.wait({first, second, third})
    assert first.cancelled()
    assert second.cancelled()
    told = [line for line in journal.since(0, 9) if "begins without" in str(line["text"])]
    assert len(told) == 2
    await node.look()
    assert [kept.resource for kept in node.guardian.kept()] == ["orders.data2"]
    assert node.lvm.started["lvcreate"] == 2
