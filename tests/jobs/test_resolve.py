"""clresolve's daemon side: two nodes, two copies that went apart, and one person's decision."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest

from hapair.core.words.stored import Stored
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.divergence import ChangedFile, Generations
from hapair.model.outcome import Refused, Unknown
from hapair.model.status import Record, Version, Wanted
from hapair.model.storage import GroupStorage, LogicalVolume
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.guardians.snapshots import RepairTools
from hapair.runtime.jobs.resolve import SplitBrainResolver
from hapair.runtime.jobs.split_side import LocalSide
from hapair.runtime.verbs import Call
from tests.fakes.storage import FakeConnections, FakeFiles, FakeLogicalVolumes, FakeLooks
from tests.runtime.fakes import built
from tests.runtime.pair import NAMES, Side, Two
from tests.runtime.virtual_time import virtually

MIB: Final = 2**20
DATA: Final = "orders.data"
LOG: Final = "orders.log"
GROUP: Final = GroupStorage(
    "vg_orders", exists=True, extent_bytes=4 * MIB, free_bytes=8192 * MIB,
    volumes=(LogicalVolume("data", 1024 * MIB), LogicalVolume("log", 1024 * MIB)),
)  # fmt: skip
APART: Final = VolumeFacts(
    DATA, Role.SECONDARY, Role.UNKNOWN, Disk.UP_TO_DATE, Disk.UNKNOWN, Connection.STAND_ALONE,
    out_of_sync_bytes=40 * MIB,
)  # fmt: skip
BELONGS: Final = Stored(records=(Record("orders", "node1", Version(1, 1), Wanted.UP),))
FILE: Final = ChangedFile("lines.txt", 7, 9e9)


@dataclass
class Bench:
    """One node and its tools."""

    side: Side
    volumes: FakeLogicalVolumes = field(
        default_factory=lambda: FakeLogicalVolumes({"vg_orders": GROUP})
    )
    connections: FakeConnections = field(default_factory=FakeConnections)
    looks: FakeLooks = field(default_factory=FakeLooks)
    resolver: SplitBrainResolver = field(init=False)

    def __post_init__(self) -> None:
        tools = RepairTools(self.volumes, self.connections, self.looks, FakeFiles())
        local = LocalSide(lambda: self.side.running, tools, self.side.clock, Path("/run/look"))
        assert self.side.journal is not None
        self.resolver = SplitBrainResolver(
            lambda: self.side.running, local, self.side.journal, self.side.clock
        )
        for verb, handler in self.resolver.for_peer().items():
            self.side.running.peer.on_request(verb, handler)

    def say(self, verb: str, **args: object) -> Awaitable[JsonObject]:
        handler = self.resolver.verbs()[verb].handler
        return handler(Call({"application": "orders", **args}))

    def know(self, *facts: VolumeFacts) -> None:
        self.side.machine.known.update({each.resource: each for each in facts})
        self.side.machine.facts_seen.put_nowait(tuple(self.side.machine.known.values()))


@dataclass
class Split:
    """node1 runs the application; node2 has written as well. The logs never went apart."""

    pair: Two
    first: Bench
    second: Bench

    def reconnected(self) -> None:
        for bench in (self.first, self.second):
            bench.know(replace(APART, connection=Connection.SYNC_TARGET))


async def split(folder: Path) -> Split:
    pair = Two({name: Side(name, folder) for name in NAMES})
    connected = replace(
        APART, connection=Connection.CONNECTED, peer_disk=Disk.UP_TO_DATE, out_of_sync_bytes=0
    )
    for side in pair.sides.values():
        side.machine.known = {DATA: connected, LOG: replace(connected, resource=LOG)}
        side.start(built(), BELONGS)
    pair.connect()
    await asyncio.sleep(20.0)
    made = Split(pair, Bench(pair["node1"]), Bench(pair["node2"]))
    made.first.know(replace(APART, role=Role.PRIMARY))
    made.second.know(APART)
    made.first.connections.past = Generations(20, 10)
    made.second.connections.past = Generations(30, 10)
    await asyncio.sleep(1.0)
    return made


def sides_of(answer: JsonObject) -> list[JsonObject]:
    sides = answer["sides"]
    assert isinstance(sides, list)
    return sides


async def until(seen: Callable[[], bool]) -> None:
    for _ in range(30_000):
        if seen():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it is not seen within 300 s")


async def refused(saying: Awaitable[JsonObject]) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await saying
    return caught.value


@virtually
async def test_both_sides_are_shown_and_the_idle_one_is_proposed(tmp_path: Path) -> None:
    made = await split(tmp_path)
    answer = await made.first.say("split-look")
    assert answer["split"] is True
    assert (answer["victim"], answer["possible"]) == ("node2", ["node2"])
    mine, theirs = sides_of(answer)
    assert (mine["node"], mine["uses"]) == ("node1", True)
    assert (theirs["node"], theirs["uses"]) == ("node2", False)
    volume = theirs["volumes"][0]  # type: ignore[index]
    assert volume["written_bytes"] == 40 * MIB
    assert volume["apart_since_wall_s"] == pytest.approx(1_000_020.0, abs=1.0)
    assert [each["split"] for each in answer["volumes"]] == [True, False]  # type: ignore[attr-defined]
    made.pair.end()


@virtually
async def test_the_side_that_is_asked_makes_no_difference(tmp_path: Path) -> None:
    made = await split(tmp_path)
    assert (await made.second.say("split-look"))["victim"] == "node2"
    made.pair.end()


@virtually
async def test_files_are_compared_through_a_snapshot_that_is_removed(tmp_path: Path) -> None:
    made = await split(tmp_path)
    made.first.side.machine.is_mounted = True
    made.first.looks.files["/srv/orders"] = (FILE, ChangedFile("old", 1, 5.0))
    made.second.looks.files["/run/look/orders.data"] = (replace(FILE, path="other.txt"),)
    answer = await made.first.say("split-look", files=True)
    told = answer["files"]
    assert isinstance(told, list)
    assert [[file["path"] for file in each["changed"]] for each in told] == [
        ["lines.txt"],
        ["other.txt"],
    ]
    assert made.second.looks.opened == []
    assert made.second.volumes.groups["vg_orders"] == GROUP
    made.pair.end()


@pytest.mark.parametrize("trouble", ["room", "mount", "time", "lvm"])
@virtually
async def test_files_that_cannot_be_compared_say_why(tmp_path: Path, trouble: str) -> None:
    made = await split(tmp_path)
    if trouble == "room":
        made.second.volumes.groups["vg_orders"] = replace(GROUP, free_bytes=0)
    elif trouble == "mount":
        made.second.looks.refusal = Refused("wrong fs type")
    elif trouble == "time":
        made.second.looks.files["/run/look/orders.data"] = None
    else:
        made.second.volumes.silent = True
    answer = await made.first.say("split-look", files=True)
    told = answer["files"]
    assert isinstance(told, list)
    assert told[1]["why"]
    assert told[1]["changed"] == []
    made.pair.end()


@virtually
async def test_a_plan_changes_nothing(tmp_path: Path) -> None:
    made = await split(tmp_path)
    answer = await made.first.say("split-resolve", victim="node2", plan=True)
    assert answer["steps"] == [
        "node2: keep a snapshot of orders.data as it is now",
        "node2: stop orders.data from connecting",
        "node1: stop orders.data from connecting",
        "node2: connect orders.data and give up what only node2 wrote",
        "node1: connect orders.data and complete the copy of node2",
    ]
    assert made.first.connections.asked == made.second.connections.asked == []
    made.pair.end()


@virtually
async def test_the_victim_is_kept_in_a_snapshot_and_then_gives_up(tmp_path: Path) -> None:
    made = await split(tmp_path)
    resolving = asyncio.ensure_future(made.first.say("split-resolve", victim="node2"))
    await asyncio.sleep(2.0)
    made.reconnected()
    answer = await resolving
    assert made.second.connections.asked == [f"disconnect {DATA}", f"discard {DATA}"]
    assert made.first.connections.asked == [f"disconnect {DATA}", f"connect {DATA}"]
    (kept,) = made.second.volumes.groups["vg_orders"].snapshots("data")
    assert kept.name.startswith("data_split_")
    assert kept.size_bytes > 1024 * MIB
    assert answer["snapshots"] == [f"vg_orders/{kept.name}"]
    assert "split-brain" in made.first.side.names()
    made.pair.end()


@virtually
async def test_a_second_try_uses_the_same_snapshot(tmp_path: Path) -> None:
    made = await split(tmp_path)
    made.second.volumes.made_wall_s = 2_000_000.0
    made.second.connections.answers[f"discard {DATA}"] = Unknown("no answer")
    error = await refused(made.first.say("split-resolve", victim="node2"))
    assert "node2: connect orders.data and give up" in error.error
    made.second.connections.answers.clear()
    resolving = asyncio.ensure_future(made.second.say("split-resolve", victim="node2"))
    await asyncio.sleep(2.0)
    made.reconnected()
    await resolving
    assert len(made.second.volumes.groups["vg_orders"].snapshots("data")) == 1
    made.pair.end()


@virtually
async def test_without_room_nothing_is_given_up(tmp_path: Path) -> None:
    made = await split(tmp_path)
    made.second.volumes.groups["vg_orders"] = replace(GROUP, free_bytes=20 * MIB)
    error = await refused(made.first.say("split-resolve", victim="node2"))
    assert "has no room for a snapshot (20 MiB are free)" in error.error
    assert "--no-snapshot" in error.mend
    assert made.first.connections.asked == made.second.connections.asked == []
    resolving = asyncio.ensure_future(
        made.first.say("split-resolve", victim="node2", snapshot=False)
    )
    await asyncio.sleep(2.0)
    made.reconnected()
    assert (await resolving)["snapshots"] == []
    made.pair.end()


@virtually
async def test_a_running_side_is_never_the_victim(tmp_path: Path) -> None:
    made = await split(tmp_path)
    error = await refused(made.first.say("split-resolve", victim="node1"))
    assert "a side that runs is never the victim" in error.error
    assert "node2" in error.mend
    made.second.know(replace(APART, role=Role.PRIMARY))
    await asyncio.sleep(1.0)
    error = await refused(made.first.say("split-resolve", victim="node2"))
    assert "stop it on one node first" in error.mend
    made.pair.end()


@virtually
async def test_the_victims_node_refuses_when_it_began_to_run_meanwhile(tmp_path: Path) -> None:
    made = await split(tmp_path)
    step = made.second.resolver.for_peer()["split-step"]
    made.second.know(replace(APART, role=Role.PRIMARY))
    for work in ("discard", "snapshot"):
        answer = await step(Call({"work": work, "resource": DATA}))
        assert "a side that runs is never the victim" in str(answer["refused"])
    assert made.second.connections.asked == []
    made.pair.end()


@virtually
async def test_copies_that_did_not_go_apart_are_left_alone(tmp_path: Path) -> None:
    made = await split(tmp_path)
    made.second.connections.past = Generations(10, 0)
    answer = await made.first.say("split-look")
    assert answer["split"] is False
    assert "drbdadm connect" in str(answer["why"])
    error = await refused(made.first.say("split-resolve", victim="node2"))
    assert "there is no split brain of orders" in error.error
    made.pair.end()


@virtually
async def test_connected_copies_are_left_alone(tmp_path: Path) -> None:
    """So that the command can be given again after it succeeded."""
    made = await split(tmp_path)
    made.reconnected()
    error = await refused(made.first.say("split-resolve", victim="node2"))
    assert "the two copies are connected" in error.error
    made.pair.end()


@pytest.mark.parametrize("victim", ["node3", ""])
@virtually
async def test_only_a_node_can_be_the_victim(tmp_path: Path, victim: str) -> None:
    made = await split(tmp_path)
    error = await refused(made.first.say("split-resolve", victim=victim))
    assert error.exit_code is ExitCode.USAGE
    made.pair.end()


@virtually
async def test_an_application_without_data_or_without_a_name_is_refused(tmp_path: Path) -> None:
    made = await split(tmp_path)
    answer = await made.first.say("split-look", application="plain")
    assert answer["why"] == "it has no replicated data"
    error = await refused(made.first.say("split-look", application="billing"))
    assert error.exit_code is ExitCode.USAGE
    made.pair.end()


@virtually
async def test_a_peer_that_cannot_be_asked_is_not_guessed_about(tmp_path: Path) -> None:
    made = await split(tmp_path)
    made.pair.cut_cables()
    error = await refused(made.first.say("split-look"))
    assert error.exit_code is ExitCode.NOT_NOW
    made.pair.end()


@virtually
async def test_copies_that_refuse_again_are_told(tmp_path: Path) -> None:
    made = await split(tmp_path)
    error = await refused(made.first.say("split-resolve", victim="node2"))
    assert error.exit_code is ExitCode.UNFINISHED
    assert "the kernel refused the connection" in error.error
    made.pair.end()


@virtually
async def test_a_victim_that_its_daemon_connects_in_between_is_stopped_and_gives_up(
    tmp_path: Path,
) -> None:
    made = await split(tmp_path)
    connections = made.second.connections
    connections.first_answers[f"discard {DATA}"] = Refused("Local address(port) already in use")
    resolving = asyncio.ensure_future(made.first.say("split-resolve", victim="node2"))
    await until(lambda: len(connections.did("discard")) == 2)
    made.reconnected()
    await resolving
    assert connections.asked == [f"{what} {DATA}" for what in ("disconnect", "discard") * 2]
    made.pair.end()


@virtually
async def test_a_victim_that_never_stops_connecting_is_told(tmp_path: Path) -> None:
    made = await split(tmp_path)
    connections = made.second.connections
    connections.answers[f"discard {DATA}"] = Refused("Local address(port) already in use")
    error = await refused(made.first.say("split-resolve", victim="node2"))
    assert "already in use" in error.error
    assert len(connections.did("discard")) == 3
    made.pair.end()


@virtually
async def test_copies_that_are_refused_once_more_are_connected_once_more(tmp_path: Path) -> None:
    """The kernel forgets with the first refusal that this copy gives up."""
    made = await split(tmp_path)
    resolving = asyncio.ensure_future(made.first.say("split-resolve", victim="node2"))
    await until(lambda: len(made.second.connections.did("discard")) == 2)
    made.reconnected()
    await resolving
    assert made.first.connections.asked == [f"disconnect {DATA}", f"connect {DATA}"] * 2
    assert len(made.second.volumes.groups["vg_orders"].snapshots("data")) == 1
    made.pair.end()


@virtually
async def test_two_at_once_do_not_meet(tmp_path: Path) -> None:
    made = await split(tmp_path)
    resolving = asyncio.ensure_future(made.first.say("split-resolve", victim="node2"))
    await asyncio.sleep(1.0)
    error = await refused(made.first.say("split-resolve", victim="node2"))
    assert error.exit_code is ExitCode.NOT_NOW
    made.reconnected()
    await resolving
    made.pair.end()


@virtually
async def test_an_odd_peer_is_told_apart_from_a_broken_copy(tmp_path: Path) -> None:
    made = await split(tmp_path)

    async def nonsense(_: Call) -> JsonObject:
        return {"side": 7}

    made.second.side.running.peer.on_request("split-side", nonsense)
    error = await refused(made.first.say("split-look"))
    assert "not understood" in error.error
    asked = made.second.resolver.for_peer()
    error = await refused(asked["split-step"](Call({"work": "destroy", "resource": DATA})))
    assert "not understood" in error.error
    error = await refused(asked["split-step"](Call({"work": "connect", "resource": "other.x"})))
    assert "there is no volume other.x" in error.error
    assert await asked["split-step"](Call({"work": "connect", "resource": DATA})) == {"note": ""}
    made.pair.end()


@virtually
async def test_a_peer_that_dies_half_way_leaves_an_unknown_end(tmp_path: Path) -> None:
    made = await split(tmp_path)

    async def dies(_: Call) -> JsonObject:
        raise RpcError("the connection to node2 was lost before it answered")

    made.second.side.running.peer.on_request("split-step", dies)
    error = await refused(made.first.say("split-resolve", victim="node2"))
    assert "was lost before it answered" in error.error
    made.second.side.running.peer.on_request("split-files", dies)
    answer = await made.first.say("split-look", files=True)
    told = answer["files"]
    assert isinstance(told, list)
    assert "was lost" in told[1]["why"]
    made.pair.end()
