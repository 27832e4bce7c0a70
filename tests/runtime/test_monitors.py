"""lemsctl on two daemons: what it changes holds on both, and is kept."""

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hapair.core.words.effects import Watch
from hapair.core.words.events import Event
from hapair.model.built import Built
from hapair.model.monitor import MONITORS_MAX, Monitor, Monitors, TcpProbe
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.control.monitors import MonitorCommands
from hapair.runtime.lems.changes import Changes
from hapair.runtime.lems.kept import CHANGED_MAX, FILE, KEPT_BYTES_MAX, Kept, read_kept
from hapair.runtime.lems.lookout import Lookout
from hapair.runtime.lems.orders import ProgramGroup
from hapair.runtime.verbs import Call
from tests.runtime.pair import Side, Two, formed, without_data
from tests.runtime.virtual_time import virtually


@dataclass(slots=True)
class Desk:
    side: Side
    kept: Kept
    commands: MonitorCommands
    events: list[Event] = field(default_factory=list)
    refreshed: int = 0

    async def change(self, do: str, monitor: str = "", **more: object) -> JsonObject:
        args: JsonObject = {"application": "orders", "do": do, "monitor": monitor, **more}
        return await self.commands.change(Call(args))

    async def told(self) -> JsonObject:
        return await self.commands.monitors(Call({"application": "orders"}))

    async def names(self) -> list[object]:
        monitors = (await self.told())["monitors"]
        assert isinstance(monitors, list)
        return [each["name"] for each in monitors]


def configured() -> Built:
    whole = without_data()
    (orders,) = whole.applications
    port = Monitor("port", TcpProbe("127.0.0.1", 5432))
    application = replace(orders.application, monitors=Monitors(each=(port,)))
    return replace(whole, generation=2, applications=(replace(orders, application=application),))


def desk(side: Side) -> Desk:
    journal = side.journal
    assert journal is not None
    kept = Kept(
        side.keep,
        side.clock,
        journal,
        lambda: side.running.peer,
        side.stored.get(FILE),
    )
    events: list[Event] = []
    lookout = Lookout(
        side.clock,
        journal,
        events.append,
        lambda: side.running.built,
        kept.of,
        lambda name: ProgramGroup(f"/groups/{name}", lived=True),
    )
    made = Desk(side, kept, MonitorCommands(lambda: side.running, lookout, kept), events)

    def changed() -> None:
        made.refreshed += 1

    kept.changed = changed
    for verb, handler in (kept.for_peer() | made.commands.for_peer()).items():
        side.running.peer.on_request(verb, handler)
    return made


async def desks(folder: Path) -> tuple[Two, Desk, Desk]:
    pair = await formed(folder)
    for side in pair.sides.values():
        await side.running.reconfigure(configured())
    return pair, desk(pair["node1"]), desk(pair["node2"])


async def refused(saying: Awaitable[object]) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await saying
    return caught.value


@virtually
async def test_what_is_changed_on_one_node_holds_on_both_and_is_kept(tmp_path: Path) -> None:
    pair, first, second = await desks(tmp_path)
    assert await first.names() == ["process", "port"]
    answer = await first.change("halt", "port")
    assert answer["both"] is True
    assert answer["changed"] == ["halted port"]
    keys = {"name": "deep", "path": "/bin/true", "interval": "1m"}
    await second.change("add", kind="check", keys=keys)
    await second.change("remove", "port")
    told = await first.told()
    assert told["changed"] == ["added deep", "removed port"]
    assert await first.names() == await second.names() == ["process", "deep"]
    assert first.refreshed == second.refreshed == 3
    assert pair["node1"].stored[FILE] == pair["node2"].stored[FILE]
    assert read_kept(pair["node1"].stored[FILE]) == first.kept.each
    pair.end()


@virtually
async def test_a_removed_one_comes_back_and_an_added_one_goes_for_good(tmp_path: Path) -> None:
    pair, first, _ = await desks(tmp_path)
    await first.change("remove", "port")
    await first.change("resume", "port")
    keys = {"address": "127.0.0.1", "port": "80"}
    await first.change("add", kind="tcp", keys=keys)
    await first.change("halt", "tcp")
    assert (await first.told())["changed"] == ["halted tcp"]
    await first.change("resume", "tcp")
    assert (await first.told())["changed"] == ["added tcp"]
    await first.change("remove", "tcp")
    told = await first.told()
    assert told["changed"] == []
    assert not first.kept.of("orders").any
    pair.end()


@virtually
async def test_what_always_is_there_can_be_replaced_and_halted_but_not_removed(
    tmp_path: Path,
) -> None:
    pair, first, _ = await desks(tmp_path)
    error = await refused(first.change("remove", "process"))
    assert "lemsctl orders halt process" in error.mend
    await first.change("add", kind="process", keys={"least": "3"})
    told = await first.told()
    assert told["changed"] == ["replaced process"]
    assert await first.names() == ["port", "process"]
    await first.change("remove", "process")
    assert await first.names() == ["process", "port"]
    pair.end()


@virtually
async def test_what_cannot_be_done_is_refused_with_what_can(tmp_path: Path) -> None:
    pair, first, _ = await desks(tmp_path)
    error = await refused(first.change("halt", "prot"))
    assert error.error == "orders has no monitor prot"
    assert error.mend == 'did you mean "port"? its monitors: process, port'
    assert error.exit_code is ExitCode.USAGE
    error = await refused(first.change("add", kind="tcp", keys={"prt": "1"}))
    assert "its keys: name, interval" in error.mend
    keys = {"name": "port", "address": "127.0.0.1", "port": "80"}
    error = await refused(first.change("add", kind="tcp", keys=keys))
    assert error.error == "orders has a monitor port already"
    assert (await refused(first.change("dance", "port"))).exit_code is ExitCode.USAGE
    error = await refused(first.commands.monitors(Call({"application": "mails"})))
    assert error.mend == "applications: orders"
    assert not first.refreshed
    assert (await first.change("resume", "port"))["text"] == "port is not halted"
    await first.change("halt", "port")
    assert (await first.change("halt", "port"))["text"] == "port is halted already"
    pair.end()


@virtually
async def test_more_monitors_than_can_be_watched_are_refused_when_they_are_added(
    tmp_path: Path,
) -> None:
    pair, first, _ = await desks(tmp_path)
    whole = first.side.running.built
    (orders,) = whole.applications
    written = tuple(
        Monitor(f"m{number}", TcpProbe("127.0.0.1", 1 + number))
        for number in range(MONITORS_MAX - 2)
    )
    application = replace(orders.application, monitors=Monitors(each=written))
    for side in pair.sides.values():
        await side.running.reconfigure(
            replace(whole, generation=3, applications=(replace(orders, application=application),))
        )
    await first.change("remove", "m7")
    for name in ("one", "two"):
        await first.change("add", kind="check", keys={"name": name, "path": "/bin/true"})
    assert len(await first.names()) == MONITORS_MAX
    for saying in (
        first.change("add", kind="check", keys={"name": "three", "path": "/bin/true"}),
        first.change("resume", "m7"),
    ):
        error = await refused(saying)
        assert error.error == f"orders has 256 monitors, and at most {MONITORS_MAX} are possible"
        assert error.mend == "first remove one: lemsctl orders remove MONITOR"
    await first.change("halt", "m8")
    assert (await first.told())["changed"] == [
        "halted m8", "added one", "added two", "removed m7",
    ]  # fmt: skip
    pair.end()


@virtually
async def test_more_than_one_message_holds_is_refused_as_well(tmp_path: Path) -> None:
    pair, first, _ = await desks(tmp_path)
    keys = {"path": "/bin/true", "arguments": "x" * 60_000}

    async def add_all() -> None:
        for number in range(CHANGED_MAX):
            await first.change("add", kind="check", keys=keys | {"name": f"m{number}"})

    assert (await refused(add_all())).error == "all that lemsctl changed would be more than 4 MiB"
    assert len(pair["node2"].stored[FILE]) > KEPT_BYTES_MAX - 200_000
    pair.end()


@virtually
async def test_a_peer_that_is_away_is_told_when_it_is_back_and_the_newest_wins(
    tmp_path: Path,
) -> None:
    pair, first, second = await desks(tmp_path)
    for each in (first, second):
        each.side.spawn(each.kept.run())
    await asyncio.sleep(5.0)
    pair.cut_cables()
    answer = await first.change("halt", "port")
    assert answer["both"] is False
    assert "node2 is told as soon as it can be reached" in str(answer["text"])
    await second.change("halt", "process")
    await second.change("remove", "port")
    pair.cut = False
    pair.connect()
    await asyncio.sleep(5.0)
    assert first.kept.of("orders") == second.kept.of("orders")
    assert first.kept.of("orders").removed == ("port",)
    assert first.kept.of("orders").node == "node2"
    pair.end()


@virtually
async def test_a_peer_of_an_older_version_is_asked_once(tmp_path: Path) -> None:
    pair, first, _ = await desks(tmp_path)
    asked: list[str] = []

    async def unknown(_: Call) -> JsonObject:
        asked.append("monitor-changes")
        raise RpcError("is not known")

    pair["node2"].running.peer.on_request("monitor-changes", unknown)
    first.side.spawn(first.kept.run())
    assert (await first.change("halt", "port"))["both"] is False
    await asyncio.sleep(10.0)
    assert len(asked) == 2
    pair.end()


@virtually
async def test_a_full_disk_refuses_a_change(tmp_path: Path) -> None:
    pair, first, second = await desks(tmp_path)
    first.side.disk_full = True
    error = await refused(first.change("halt", "port"))
    assert "No space left" in error.error
    assert (await first.told())["changed"] == []
    assert (await second.told())["changed"] == []
    pair.end()


@virtually
async def test_what_a_newer_version_knows_more_of_a_change_stays_in_the_file(
    tmp_path: Path,
) -> None:
    pair, first, _ = await desks(tmp_path)
    await first.change("halt", "port")
    lies = json.loads(pair["node1"].stored[FILE])
    lies["applications"][0]["novelty"] = "of tomorrow"
    pair["node1"].stored[FILE] = json.dumps(lies).encode()
    first = desk(pair["node1"])
    await first.change("resume", "port")
    (orders,) = json.loads(pair["node1"].stored[FILE])["applications"]
    assert (orders["novelty"], orders["halted"]) == ("of tomorrow", [])
    pair.end()


@virtually
async def test_a_file_that_cannot_be_read_counts_as_empty(tmp_path: Path) -> None:
    pair, _, _ = await desks(tmp_path)
    pair["node1"].stored[FILE] = b"no JSON"
    first = desk(pair["node1"])
    assert first.kept.of("orders") == Changes("orders")
    await first.change("halt", "port")
    assert read_kept(pair["node1"].stored[FILE]) == first.kept.each
    pair.end()


@virtually
async def test_who_runs_it_tells_what_its_monitors_find(tmp_path: Path) -> None:
    pair, first, second = await desks(tmp_path)
    assert pair["node1"].running.state.record("orders") is not None
    first.commands.lookout.watch(Watch("orders", 4))
    there = await second.told()
    assert there["node"] == "node1"
    error = await refused(second.commands.check(Call({"application": "orders", "monitor": "port"})))
    assert error.error == "no Lems watches orders on node1"
    journal = pair["node1"].journal
    assert journal is not None
    journal.add("monitor", "port: failed: refused: by all", application="orders")
    journal.add("monitor", "port: failed", application="mails")
    history = (await second.told())["history"]
    assert isinstance(history, list)
    (former,) = history
    assert (former["monitor"], former["state"]) == ("port", "failed")
    assert former["text"] == "refused: by all"
    shown = first.commands.of_status("orders")
    assert shown["watched"] == {"run": 4, "why": "", "answers": True, "restarts": 3}
    assert "monitors" not in second.commands.of_status("orders")
    assert first.commands.of_status("mails") == {}
    pair.end()
