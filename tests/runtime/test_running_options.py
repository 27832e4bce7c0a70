"""The options of what runs follow the files, and the files follow what is built."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Final, cast

import pytest

from hapair.model.built import Built
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.outcome import Done, Refused
from hapair.rpc.messages import RpcError
from hapair.runtime.guardians.running_options import CHECK_S, LOOK_S, RETRY_S, RunningOptions
from hapair.runtime.guardians.snapshots import RepairTools
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.node import Node
from tests.fakes.storage import FakeConnections, FakeFiles, FakeLogicalVolumes, FakeLooks
from tests.runtime.conftest import names
from tests.runtime.fakes import Machine, SetClock, built

DATA: Final = "orders.data"
LOG: Final = "orders.log"
UP: Final = VolumeFacts(
    DATA, Role.PRIMARY, Role.SECONDARY, Disk.UP_TO_DATE, Disk.UP_TO_DATE, Connection.CONNECTED
)
FOLLOW: Final = f"follow {DATA}"


@dataclass
class House:
    journal: Journal
    machine: Machine = field(default_factory=lambda: Machine(known={DATA: UP}))
    clock: SetClock = field(default_factory=SetClock)
    connections: FakeConnections = field(default_factory=FakeConnections)
    files: FakeFiles = field(default_factory=FakeFiles)
    uses: Built = field(default_factory=built)
    keys: str = "keys"
    trouble: RpcError | None = None
    building: bool = False
    building_after: int = 99  # Somebody begins to build when so many files were written.
    passed_over: bool = False
    disks_set: list[str] = field(default_factory=list)
    options: RunningOptions = field(init=False)

    def __post_init__(self) -> None:
        tools = RepairTools(FakeLogicalVolumes(), self.connections, FakeLooks(), self.files)
        self.options = RunningOptions(
            self.node,
            tools,
            self.journal,
            self.clock,
            lambda: self.building or len(self.files.after) >= self.building_after,
            lambda: self.passed_over,
            self.disks_set.append,
        )

    def node(self) -> Node:
        if self.trouble is not None:
            raise self.trouble
        hands = self.machine.hands()
        return cast("Node", SimpleNamespace(built=self.uses, keys=self.keys, hands=hands))

    async def asked(self, *, after_s: float = LOOK_S) -> list[str]:
        """Return what the kernel was told at the next look."""
        self.clock.now_s += after_s
        before = len(self.connections.asked)
        await self.options.look()
        return self.connections.asked[before:]


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal)


async def test_what_runs_when_the_daemon_starts_gets_the_options_of_its_file(house: House) -> None:
    """A new version of hapair, or a clbuild that was done while the daemon was away."""
    house.connections.answers = {FOLLOW: Done("disk-options, net-options")}
    assert await house.asked() == [FOLLOW]
    assert house.files.after.keys() == {DATA, LOG}  # Also the file of what is not up.
    assert house.disks_set == [DATA]
    assert names(house.journal) == ["drbd-options"]
    assert await house.asked() == []


@pytest.mark.parametrize("what", ["generation", "keys", "up anew"])
async def test_what_is_new_is_followed_at_once(house: House, what: str) -> None:
    await house.asked()
    match what:
        case "generation":
            house.uses = replace(built(2), secret_number=1)
        case "keys":
            house.keys = "others"
        case _:
            house.machine.known.clear()
            assert await house.asked() == []
            house.machine.known[DATA] = UP
    assert await house.asked() == [FOLLOW]
    assert names(house.journal) == []


async def test_options_that_somebody_typed_are_found_and_told(house: House) -> None:
    await house.asked()
    house.connections.answers = {FOLLOW: Done("net-options")}
    assert await house.asked() == []
    assert await house.asked(after_s=CHECK_S) == [FOLLOW]
    (line,) = house.journal.since(0, 100)
    assert line["severity"] == "warning"
    assert line["text"] == f"{DATA}: DRBD's net-options were no longer as built; they are again"
    assert house.disks_set == []


@pytest.mark.parametrize("frozen", [replace(UP, suspended=True), replace(UP, held=True)])
async def test_frozen_writes_are_waited_for(house: House, frozen: VolumeFacts) -> None:
    """The kernel would wait for them, and let nobody else at the resource meanwhile."""
    house.machine.known[DATA] = frozen
    assert await house.asked() == []
    house.machine.known[DATA] = UP
    assert await house.asked() == [FOLLOW]


async def test_a_connection_gets_its_options_when_it_is_made(house: House) -> None:
    house.machine.known[DATA] = replace(UP, connection=Connection.CONNECTING)
    assert await house.asked() == [f"{FOLLOW} but the connection"]
    assert await house.asked() == []
    house.machine.known[DATA] = UP
    assert await house.asked() == [FOLLOW]


async def test_a_connection_that_was_lost_comes_back_with_its_options(house: House) -> None:
    """FAIL: a node that comes back makes both start a program for each volume."""
    await house.asked()
    for connection in (Connection.CONNECTING, Connection.SYNC_SOURCE, Connection.CONNECTED):
        house.machine.known[DATA] = replace(UP, connection=connection)
        assert await house.asked() == []


async def test_nothing_is_touched_while_somebody_builds(house: House) -> None:
    """The files are those of the coming generation then, and this daemon uses the former one."""
    house.building = True
    assert await house.asked() == []
    assert house.files.after == {}
    house.building, house.trouble = False, RpcError("no cluster is built")
    assert await house.asked() == []


async def test_who_begins_to_build_during_a_look_is_not_written_over(house: House) -> None:
    house.building_after = 1
    await house.asked()
    assert house.files.after.keys() == {DATA}


async def test_an_order_of_resyncs_that_is_passed_over_is_not_put_back(house: House) -> None:
    await house.asked()
    house.passed_over = True
    assert await house.asked(after_s=CHECK_S) == []
    house.passed_over = False
    assert await house.asked() == [FOLLOW]


@pytest.mark.parametrize("by_file", [True, False])
async def test_a_failure_is_told_once_and_tried_again(house: House, *, by_file: bool) -> None:
    refusal = Refused("there is no key")
    if by_file:
        house.files.refusal = refusal
        house.machine.known[LOG] = replace(UP, resource=LOG)
    else:
        house.connections.answers = {FOLLOW: refusal}
    for _ in range(3):
        await house.asked()
    lines = [line for line in house.journal.since(0, 100) if DATA in str(line["text"])]
    assert [line["severity"] for line in lines] == ["warning"]
    assert str(lines[0]["text"]).endswith("there is no key")
    house.files.refusal, house.connections.answers = Done(), {}
    assert await house.asked() == [], "a tool that cannot work is not asked all the time"
    assert FOLLOW in await house.asked(after_s=RETRY_S)
    assert await house.asked() == []
