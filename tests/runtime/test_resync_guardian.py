"""The guardian of resyncs: a snapshot before one, its pace, one help, never a discard."""

import asyncio
import os
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from hapair.core.copies.resync import RELEASE_S, STALL_S
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.application import Application
from hapair.model.backing import ForeignWrites
from hapair.model.built import BuiltApplication
from hapair.model.cluster import Resync
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.divergence import KeptSnapshot
from hapair.model.outcome import Done, Refused
from hapair.model.storage import GroupStorage, LogicalVolume
from hapair.rpc.messages import RpcError
from hapair.runtime.guardians.resync_guardian import LOOK_S, ResyncGuardian
from hapair.runtime.guardians.snapshots import RepairTools
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.node import Node
from hapair.runtime.verbs import Call
from tests.cli.fake_daemon import FakeDaemon
from tests.fakes.storage import FakeConnections, FakeFiles, FakeLogicalVolumes, FakeLooks
from tests.runtime.conftest import names
from tests.runtime.fakes import VOLUME, Machine, SetClock, built

HELPER: Final = Path(__file__).parents[2] / "packaging/helpers/resync-target"
MIB: Final = 2**20
DATA: Final = "orders.data"
LOG: Final = "orders.log"
MAIL: Final = "mail.data"
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
    files: FakeFiles = field(default_factory=FakeFiles)
    guardian: ResyncGuardian = field(init=False)
    order: tuple[str, ...] = ()
    trouble: RpcError | None = None
    wanted: bool = True
    stored: Stored = field(default_factory=Stored)

    def __post_init__(self) -> None:
        tools = RepairTools(self.volumes, self.connections, FakeLooks(), self.files)
        self.guardian = ResyncGuardian(self.node, tools, self.journal, self.clock)

    def node(self) -> Node:
        if self.trouble is not None:
            raise self.trouble
        configured = built()
        resync = Resync(snapshot=self.wanted, order=self.order)
        mail = replace(VOLUME, resource=MAIL, minor=2, volume_group="vg_mail")
        configured = replace(
            configured,
            cluster=replace(configured.cluster, resync=resync),
            applications=(
                BuiltApplication(Application("mail", "node1"), (mail,), "of-mail"),
                *configured.applications,
            ),
        )
        state = NodeState("node1", "boot", 1, configured, self.stored)
        return cast(
            "Node", SimpleNamespace(built=configured, hands=self.machine.hands(), state=state)
        )

    async def seen(self, facts: VolumeFacts, *, after_s: float = LOOK_S) -> None:
        self.clock.now_s += after_s
        self.machine.known[facts.resource] = facts
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
    await house.seen(TARGET)
    assert house.guardian.kept() == (KeptSnapshot(DATA, "vg_orders", SNAPSHOT, 5000.0),)
    assert house.kept == [SNAPSHOT]
    await house.guardian.ended(begins())
    await house.seen(COMPLETE)
    assert house.kept == []
    assert house.guardian.kept() == ()


async def test_what_was_written_behind_drbd_is_kept_until_a_person_removes_it(house: House) -> None:
    house.stored = Stored(foreign=(ForeignWrites(DATA, "somebody wrote"),))
    house.machine.known[DATA] = replace(TARGET, disk=Disk.INCONSISTENT)
    answer = await house.guardian.begins(begins())
    (name,) = house.kept
    assert name.startswith("data_foreign_")
    assert f"vg_orders/{name} keeps the copy as it was, with what was written" in str(
        answer["text"]
    )
    await house.seen(COMPLETE)
    assert house.kept == [name]
    assert [each.name for each in house.guardian.kept()] == [name]


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


@pytest.mark.parametrize("content", ["", "DM_snapshot_cow"])
async def test_what_a_power_loss_left_of_a_snapshot_is_replaced(house: House, content: str) -> None:
    half = LogicalVolume(SNAPSHOT, 16 * MIB, content, ours=True)
    house.volumes.groups["vg_orders"] = replace(GROUP, volumes=(*GROUP.volumes, half))
    answer = await house.guardian.begins(begins())
    assert answer["text"] == f"vg_orders/{SNAPSHOT} keeps the copy as it was"
    assert house.kept == [SNAPSHOT]


@pytest.mark.parametrize("origin", ["data", ""])
async def test_a_volume_of_that_name_without_our_tag_is_somebody_elses(
    house: House, origin: str
) -> None:
    theirs = LogicalVolume(SNAPSHOT, 16 * MIB, origin=origin)
    house.volumes.groups["vg_orders"] = replace(GROUP, volumes=(*GROUP.volumes, theirs))
    answer = await house.guardian.begins(begins())
    assert "the resync begins without a snapshot" in str(answer["text"])
    assert "none of our snapshots: lvremove it" in str(answer["text"])
    await house.seen(COMPLETE)
    assert house.guardian.kept() == ()
    assert house.volumes.groups["vg_orders"].volume(SNAPSHOT) == theirs


@pytest.mark.parametrize(
    "fields",
    [{"content": "ext4"}, {"in_use": True}, {"origin": "other"}, {"origin": "other", "ours": True}],
)
async def test_a_volume_of_that_name_which_is_none_of_ours_stays(
    house: House, fields: dict[str, Any]
) -> None:
    foreign = LogicalVolume(SNAPSHOT, 16 * MIB, **fields)
    house.volumes.groups["vg_orders"] = replace(GROUP, volumes=(*GROUP.volumes, foreign))
    answer = await house.guardian.begins(begins())
    assert "exists and is none of our snapshots" in str(answer["text"])
    assert house.volumes.groups["vg_orders"].volume(SNAPSHOT) == foreign


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
    assert "resync-order" not in names(house.journal), "nobody waits for it"
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


MAIL_WAITS: Final = replace(TARGET, resource=MAIL, waits=True)


async def test_a_resync_that_waits_for_its_turn_does_not_stand_still(house: House) -> None:
    house.order = ("orders", "mail")
    house.machine.known[DATA] = TARGET
    for left in (90, 80, 70, 60):
        house.machine.known[DATA] = replace(TARGET, out_of_sync_bytes=left * MIB)
        await house.seen(MAIL_WAITS, after_s=STALL_S - 1)
    assert not house.connections.did("connect")
    house.machine.known[DATA] = COMPLETE
    await house.seen(replace(MAIL_WAITS, waits=False))
    await house.seen(replace(MAIL_WAITS, waits=False, out_of_sync_bytes=50 * MIB), after_s=10.0)
    (pace,) = house.guardian.paces()
    since_it_waited_s = LOOK_S + 10.0
    assert pace.resource == MAIL
    assert pace.bytes_s == pytest.approx(50 * MIB / since_it_waited_s)


async def test_two_that_wait_for_each_other_are_helped(house: House) -> None:
    """The nodes had different orders; nothing else would ever end it."""
    house.order = ("orders", "mail")
    house.machine.known[DATA] = replace(TARGET, waits=True)
    await house.seen(MAIL_WAITS)
    await house.seen(MAIL_WAITS, after_s=STALL_S)
    assert house.connections.did("connect") == [f"connect {MAIL}", f"connect {DATA}"]


@pytest.mark.parametrize("direction", [Connection.SYNC_TARGET, Connection.SYNC_SOURCE])
async def test_nobody_waits_for_ever_for_one_that_stands_still(
    house: House, direction: Connection
) -> None:
    """Both nodes let the others go, and both take the order up again when it gets on."""
    house.order = ("orders", "mail")
    stands = replace(TARGET, connection=direction)
    house.machine.known |= {LOG: replace(COMPLETE, resource=LOG), MAIL: MAIL_WAITS}
    await house.seen(stands)
    await house.seen(stands, after_s=STALL_S)
    await house.seen(stands, after_s=RELEASE_S - LOOK_S)
    await house.seen(stands, after_s=LOOK_S)
    assert house.connections.did(LOG)[-1] == f"{LOG} after none"
    assert house.connections.did(MAIL) == [f"{MAIL} after {LOG}"]
    assert house.files.after[LOG] == DATA, "the file says what was configured"
    await house.seen(stands)
    assert names(house.journal).count("resync-order") == 1
    await house.seen(replace(stands, out_of_sync_bytes=MIB))
    await house.seen(replace(stands, out_of_sync_bytes=MIB))
    assert house.connections.did(LOG)[-1] == f"{LOG} after {DATA}"


async def test_the_kernel_and_the_files_follow_the_order(house: House) -> None:
    house.machine.known |= {DATA: COMPLETE, LOG: replace(COMPLETE, resource=LOG)}
    await house.seen(replace(COMPLETE, resource=MAIL))
    assert (house.files.after, house.connections.asked) == ({}, [])
    house.order = ("mail",)
    await house.guardian.look()
    assert house.files.after == {MAIL: "", DATA: MAIL, LOG: MAIL}
    others = [f"{DATA} after {MAIL}", f"{LOG} after {MAIL}"]
    assert house.connections.asked == [f"{MAIL} after none", *others]
    house.connections.asked.clear()
    house.order = ("orders", "mail")
    await house.guardian.look()
    wanted = [f"{DATA} after none", f"{LOG} after {DATA}", f"{MAIL} after {LOG}"]
    assert house.connections.asked == wanted, "in this order there is never a cycle"
    await house.guardian.look()
    assert house.connections.asked == wanted
    house.order = ()
    await house.guardian.look()
    assert house.files.after == {MAIL: "", DATA: "", LOG: ""}


async def test_a_daemon_that_starts_sets_the_order_it_finds(house: House) -> None:
    """It may have died when it was changed; what is not attached reads its file later."""
    house.order = ("mail",)
    house.machine.known[MAIL] = replace(COMPLETE, resource=MAIL)
    await house.seen(replace(COMPLETE, disk=Disk.DISKLESS))
    assert house.files.after == {MAIL: "", DATA: MAIL, LOG: MAIL}
    assert house.connections.asked == [f"{MAIL} after none"]


async def test_what_waits_without_an_order_is_let_go(house: House) -> None:
    await house.seen(MAIL_WAITS)
    assert house.connections.asked == [f"{MAIL} after none"]


async def test_an_order_that_cannot_be_set_is_told_once_and_tried_again(house: House) -> None:
    house.order = ("mail",)
    words = f"{DATA} after {MAIL}"
    house.connections.answers[words] = Refused("a cycle")
    await house.seen(COMPLETE)
    await house.seen(COMPLETE)
    assert house.connections.asked == [words, words]
    assert names(house.journal).count("resync-order") == 1
    house.files.refusal = Refused("no room")
    await house.seen(COMPLETE)
    assert names(house.journal).count("resync-order") == 2
    house.files.refusal = Done()
    house.connections.answers.clear()
    await house.seen(COMPLETE)
    await house.seen(COMPLETE)
    assert house.connections.asked == [words, words, words]


async def test_before_a_cluster_is_built_there_is_nothing_to_watch(house: House) -> None:
    house.trouble = RpcError("no cluster is built on this node")
    running = asyncio.ensure_future(house.guardian.run())
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()


def called(root: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Call the handler as DRBD does."""
    return subprocess.run(
        (str(HELPER), *words),
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
