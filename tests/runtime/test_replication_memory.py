"""Until when the copies were equal: remembered over restarts, for people."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import Final

import pytest

from hapair.core.words.events import DataChanged, Event, Tick
from hapair.core.words.peer import PeerView
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.status import Record, Version, Wanted
from hapair.rpc.messages import JsonObject, RpcError
from hapair.runtime.control.loss import loss_object
from hapair.runtime.history.replication_memory import (
    LOOK_S,
    MEMORY,
    REFRESH_S,
    Remembered,
    ReplicationMemory,
    read_remembered,
    written_by,
)
from tests.runtime.fakes import LoopClock, SetClock, node_state, peer_state
from tests.runtime.virtual_time import virtually

NAME: Final = "orders.data"
EQUAL: Final = VolumeFacts(
    NAME, Role.SECONDARY, Role.PRIMARY, Disk.UP_TO_DATE, Disk.UP_TO_DATE, Connection.CONNECTED
)
APART: Final = replace(
    EQUAL, connection=Connection.CONNECTING, peer_role=Role.UNKNOWN, peer_disk=Disk.UNKNOWN
)
TARGET: Final = replace(
    EQUAL, connection=Connection.SYNC_TARGET, disk=Disk.INCONSISTENT, out_of_sync_bytes=4096
)


@dataclass
class Disks:
    """Where the memory is kept."""

    stored: list[bytes] = field(default_factory=list)
    full: bool = False

    async def keep(self, name: str, content: bytes) -> None:
        assert name == MEMORY
        if self.full:
            raise OSError(28, "No space left on device")
        self.stored.append(content)


def memory(clock: SetClock, known: Remembered | None = None) -> ReplicationMemory:
    made = ReplicationMemory(Disks().keep, clock)
    made.known = known or made.known
    return made


def at(clock: SetClock, seconds: float) -> None:
    clock.now_s += seconds


def test_while_connected_the_copies_are_equal_until_now() -> None:
    clock = SetClock()
    made = memory(clock)
    made.absorb((EQUAL,))
    at(clock, 50)
    made.absorb((EQUAL,))
    copy = made.known.copy(NAME)
    assert copy.equal_until_wall_s == copy.connected_until_wall_s == clock.wall_s()
    assert copy.apart_since_wall_s is None


def test_a_lost_connection_keeps_the_moment_of_the_loss() -> None:
    clock = SetClock()
    made = memory(clock)
    made.absorb((EQUAL,))
    at(clock, 10)
    lost_wall_s = clock.wall_s()
    made.absorb((APART,))
    at(clock, 300)
    made.absorb((APART,))
    copy = made.known.copy(NAME)
    assert (copy.equal_until_wall_s, copy.apart_since_wall_s) == (lost_wall_s, lost_wall_s)
    assert copy.behind_since_wall_s is None
    made.absorb(())
    assert made.known.copy(NAME) == copy


def test_a_copy_that_is_being_completed_is_behind_since_the_copies_were_equal() -> None:
    clock = SetClock()
    made = memory(clock)
    made.absorb((EQUAL,))
    equal_wall_s = clock.wall_s()
    made.absorb((APART,))
    at(clock, 60)
    made.absorb((TARGET,))
    copy = made.known.copy(NAME)
    assert (copy.behind_since_wall_s, copy.missing_bytes) == (equal_wall_s, 4096)
    made.absorb((EQUAL,))
    assert made.known.copy(NAME).behind_since_wall_s is None
    assert made.known.copy(NAME).missing_bytes is None


def test_a_copy_that_is_down_is_as_old_as_it_was() -> None:
    clock = SetClock()
    made = memory(clock)
    made.absorb((TARGET,))
    before = made.known.copy(NAME)
    restarted = memory(clock, made.known)
    restarted.look(node_state())
    after = restarted.known.copy(NAME)
    assert after.behind_since_wall_s == before.behind_since_wall_s is not None
    assert after.missing_bytes == 4096


def test_what_was_never_equal_is_behind_since_it_was_seen() -> None:
    clock = SetClock()
    made = memory(clock)
    made.absorb((replace(APART, disk=Disk.OUTDATED),))
    assert made.known.copy(NAME).behind_since_wall_s == clock.wall_s()
    assert made.known.copy(NAME).missing_bytes is None


def heard(state: NodeState, at_s: float) -> NodeState:
    view = PeerView(heard_at_s={"public": at_s}, state=peer_state(), incarnation=5)
    return replace(state, peer=view)


def test_contacts_and_the_peers_generation_survive_a_silence() -> None:
    clock = SetClock()
    made = memory(clock)
    made.look(heard(node_state(), clock.boot_s() - 3))
    made.look(node_state())
    assert made.known.heard_until_wall_s("public") == clock.wall_s() - 3
    assert made.known.heard_until_wall_s("private") is None
    assert made.known.peer_generation == 1


def test_the_core_knows_which_copies_are_behind() -> None:
    clock = SetClock()
    made = memory(clock)
    made.absorb((APART,))
    told = made.now(replace(node_state(), stored=Stored(behind=(NAME,))))
    assert told.copy(NAME).behind_since_wall_s == clock.wall_s()
    assert told.wall_s == clock.wall_s()


def test_what_the_core_has_not_looked_at_yet_changes_nothing() -> None:
    """The core may wait for a disk while the connection is lost."""
    clock = SetClock()
    made = memory(clock)
    made.absorb((EQUAL,))
    made.absorb((APART,))
    lost_wall_s = clock.wall_s()
    at(clock, 30)
    made.look(replace(node_state(), facts={NAME: EQUAL}, facts_read=True))
    assert made.known.copy(NAME).equal_until_wall_s == lost_wall_s


def test_ages_are_never_negative() -> None:
    assert Remembered(wall_s=5.0).ago_s(9.0) == 0.0
    assert Remembered(wall_s=5.0).ago_s(None) is None


@pytest.mark.parametrize("content", [None, b"{", b'{"copies": 1}'])
def test_a_damaged_memory_costs_only_ages(content: bytes | None) -> None:
    assert read_remembered(content) == Remembered()


def test_facts_pass_by_on_their_way_to_the_core() -> None:
    offered: list[Event] = []
    made = memory(SetClock())
    built = node_state().built
    feed = made.feed(offered.append, lambda: built)
    of_others = replace(EQUAL, resource="backup")
    events: list[Event] = [DataChanged(1.0, (EQUAL, of_others)), Tick(2.0)]
    for event in events:
        feed(event)
    assert offered == events
    assert [copy.resource for copy in made.known.copies] == [NAME]


@dataclass
class Asked:
    answer: JsonObject | None = None
    times: int = 0

    async def ask(self) -> JsonObject:
        self.times += 1
        if self.answer is None:
            raise RpcError("node2 cannot be reached")
        return self.answer


@virtually
async def test_what_only_a_newer_version_knows_of_it_stays_in_the_file() -> None:
    disk = Disks()
    copies = [{"resource": NAME, "connected_until_wall_s": 5.0, "novelty": {"a": 1}}]
    lies = json.dumps({"copies": copies, "novelty": [2]}).encode()
    made = ReplicationMemory(disk.keep, LoopClock(), lies)
    assert made.known.copy(NAME).connected_until_wall_s == 5.0
    made.absorb((EQUAL,))
    running = asyncio.ensure_future(made.run(node_state, Asked().ask))
    await asyncio.sleep(LOOK_S * 3 + 1)
    made.absorb((APART,))
    await asyncio.sleep(LOOK_S + 1)
    assert len(disk.stored) == 2
    for content in map(json.loads, disk.stored):
        assert (content["copies"][0]["novelty"], content["novelty"]) == ({"a": 1}, [2])
        assert content["copies"][0]["connected_until_wall_s"] > 5.0
    running.cancel()


@virtually
async def test_it_is_stored_when_a_connection_is_lost_and_seldom_otherwise() -> None:
    disk, asked = Disks(), Asked()
    made = ReplicationMemory(disk.keep, LoopClock())
    made.absorb((EQUAL,))
    running = asyncio.ensure_future(made.run(node_state, asked.ask))
    await asyncio.sleep(LOOK_S * 3 + 1)
    assert len(disk.stored) == 1
    made.absorb((APART,))
    await asyncio.sleep(LOOK_S + 1)
    assert len(disk.stored) == 2
    restored = read_remembered(disk.stored[-1])
    assert restored.copy(NAME).apart_since_wall_s is not None
    await asyncio.sleep(REFRESH_S * 2)
    assert len(disk.stored) == 4
    assert asked.times == 0
    running.cancel()


@virtually
async def test_a_full_disk_is_tried_again() -> None:
    disk = Disks(full=True)
    made = ReplicationMemory(disk.keep, LoopClock())
    running = asyncio.ensure_future(made.run(node_state, Asked().ask))
    await asyncio.sleep(LOOK_S + 1)
    disk.full = False
    await asyncio.sleep(LOOK_S)
    assert len(disk.stored) == 1
    running.cancel()


@virtually
async def test_the_peer_is_asked_how_much_it_wrote_alone() -> None:
    asked = Asked()
    made = ReplicationMemory(Disks().keep, LoopClock())
    old = replace(APART, disk=Disk.OUTDATED)
    made.absorb((old,))
    running = asyncio.ensure_future(made.run(node_state, asked.ask))
    await asyncio.sleep(LOOK_S + 1)
    assert made.known.copy(NAME).missing_bytes is None
    volume = {"resource": NAME, "out_of_sync_bytes": 8192}
    asked.answer = {"applications": [{"volumes": [volume, {"resource": "x"}]}]}
    await asyncio.sleep(REFRESH_S + LOOK_S)
    assert made.known.copy(NAME).missing_bytes == 8192
    made.absorb((TARGET,))
    times = asked.times
    await asyncio.sleep(REFRESH_S + LOOK_S)
    assert asked.times == times
    running.cancel()


def test_a_status_without_sense_tells_nothing() -> None:
    assert written_by({"applications": 7}) == {}


def test_the_estimate_joins_what_the_core_and_the_memory_know() -> None:
    clock = SetClock()
    made = memory(clock)
    made.absorb((EQUAL,))
    made.absorb((APART,))
    at(clock, 600)
    record = Record("orders", "node2", Version(1, 1), Wanted.UP)
    second = replace(APART, resource="orders.log", disk=Disk.DISKLESS)
    state = replace(
        node_state(),
        stored=Stored(records=(record,), unproven=(NAME,)),
        facts={NAME: APART, "orders.log": second},
    )
    told = loss_object(state, made.now(state))
    orders, plain = _applications(told)
    data, log = _volumes(orders)
    assert (data["rule"], data["worth"]) == ("unproven", "doubtful")
    assert log["rule"] == "not-attached"
    assert not orders["starts"]
    assert plain["text"] == (
        "plain is halted and stays so; nothing that was acknowledged is known to be missing"
        " from plain"
    )


def _applications(told: JsonObject) -> list[JsonObject]:
    found = told["applications"]
    assert isinstance(found, list)
    return found


def _volumes(application: JsonObject) -> list[JsonObject]:
    found = application["volumes"]
    assert isinstance(found, list)
    return found
