"""Changes of lemsctl that two operators make at once, and that two versions share."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import pytest

from hapair.model.monitor import Monitor, TcpProbe
from hapair.rpc.messages import JsonObject, Malformed
from hapair.runtime.lems.changes import Added, Changes, Halted
from hapair.runtime.lems.entries import all_of, dump_entries, read_entries, written_as
from hapair.runtime.lems.kept import FILE, VERB, read_kept
from hapair.runtime.verbs import Call
from tests.runtime.conftest import names
from tests.runtime.test_monitors import Desk, desk, desks, refused
from tests.runtime.virtual_time import virtually

PORT: Final = Added(Monitor("port", TcpProbe("127.0.0.1", 5432)), "tcp")
NEWER: Final[JsonObject] = {
    "monitor": {"name": "dns", "probe": {"is": "DnsProbe", "name": "example.org"}},
    "kind": "dns",
    "written": [],
}


def shared(*each: Changes) -> dict[str, Any]:
    return all_of([written_as(one, None) for one in each])


def with_dns(told: dict[str, Any]) -> dict[str, Any]:
    """Return what a newer version tells, which also watches a name server."""
    orders, *others = told["applications"]
    return {"applications": [{**orders, "added": [*orders["added"], NEWER]}, *others]}


async def changed(*desks: Desk) -> list[object]:
    return [(await each.told())["changed"] for each in desks]


@virtually
async def test_two_changes_at_once_on_one_node_both_hold(tmp_path: Path) -> None:
    pair, first, second = await desks(tmp_path)
    await asyncio.gather(first.change("halt", "port"), first.change("halt", "process"))
    assert await changed(first, second) == [["halted process", "halted port"]] * 2
    pair.end()


@virtually
async def test_two_changes_at_once_on_two_nodes_both_hold(tmp_path: Path) -> None:
    pair, first, second = await desks(tmp_path)
    for number in range(5):
        keys = [{"name": f"m{number}{i}", "path": "/bin/true"} for i in range(4)]
        answers = await asyncio.gather(
            first.change("add", kind="check", keys=keys[0]),
            second.change("add", kind="check", keys=keys[1]),
            second.change("add", kind="check", keys=keys[2]),
            first.change("add", kind="check", keys=keys[3]),
        )
        assert all(each["both"] for each in answers)
        assert [each["text"] for each in answers] == [
            f"{each['name']} of orders is watched from now on" for each in keys
        ]
    (here, there) = await changed(first, second)
    assert here == there
    assert isinstance(here, list)
    assert len(here) == 20
    pair.end()


@virtually
async def test_a_change_that_the_other_one_makes_impossible_is_refused(tmp_path: Path) -> None:
    pair, first, second = await desks(tmp_path)
    told = await asyncio.gather(
        first.change("add", kind="check", keys={"name": "deep", "path": "/bin/true"}),
        second.change("add", kind="check", keys={"name": "deep", "path": "/bin/false"}),
        return_exceptions=True,
    )
    (error,) = [each for each in told if isinstance(each, BaseException)]
    assert "orders has a monitor deep already" in str(error)
    assert await changed(first, second) == [["added deep"]] * 2
    pair.end()


@virtually
async def test_a_node_that_always_has_something_newer_is_not_asked_for_ever(
    tmp_path: Path,
) -> None:
    pair, first, _ = await desks(tmp_path)
    asked: list[int] = []

    async def newer(call: Call) -> JsonObject:
        (told,) = read_entries(call.args["changes"])
        asked.append(told.changes.version)
        return {"changes": shared(Changes("orders", told.changes.version + 1, node="node2"))}

    pair["node2"].running.peer.on_request(VERB, newer)
    error = await refused(first.change("halt", "port"))
    assert "again and again on the other node" in error.error
    assert len(asked) < 10
    assert await changed(first) == [[]]
    pair.end()


@virtually
async def test_what_is_replaced_after_a_time_apart_is_told_once(tmp_path: Path) -> None:
    pair, first, second = await desks(tmp_path)
    for each in (first, second):
        each.side.spawn(each.kept.run())
    await asyncio.sleep(5.0)
    pair.cut_cables()
    await first.change("halt", "port")
    await second.change("halt", "process")
    await second.change("remove", "port")
    pair.cut = False
    pair.connect()
    await asyncio.sleep(5.0)
    assert await changed(first, second) == [["halted process", "removed port"]] * 2
    for each, count in ((first, 1), (second, 0)):
        assert each.side.journal is not None
        told = [line for line in each.side.journal.since(0, 100) if line["name"] == VERB]
        assert len(told) == count, told
    pair.end()


def test_of_a_newer_version_is_read_what_is_understood_and_kept_what_is_not() -> None:
    told = with_dns(shared(Changes("orders", 3, added=(PORT,)), Changes("billing", 1)))
    orders, billing = read_entries(told)
    assert orders.changes.added == (PORT,)
    assert [each.name for each in orders.changes.strange] == ["dns"]
    assert (orders.unknown, billing.unknown) == ("dns", "")
    assert all_of([orders, billing]) == told
    told["applications"][1]["halted"] = "all of them"
    _, billing = read_entries(told)
    assert (billing.understood, billing.changes) == (False, Changes("billing", 1))
    assert all_of([orders, billing]) == told


@pytest.mark.parametrize(
    "told",
    [
        [],
        {"format": 2, "applications": []},
        {"applications": ["orders"]},
        {"applications": [{"version": 1}]},
        {"applications": [{"application": "orders", "version": "new"}]},
        {"applications": [{"application": "orders", "added": [{"monitor": {}}], "version": 1.5}]},
    ],
)
def test_what_says_not_even_whose_it_is_is_damage(told: object) -> None:
    with pytest.raises(Malformed):
        read_entries(told)


def test_a_monitor_without_a_name_makes_its_application_unknown() -> None:
    (orders,) = read_entries({"applications": [{"application": "orders", "added": [7]}]})
    assert (orders.understood, orders.unknown) == (False, "any of it")


@virtually
async def test_what_only_a_newer_version_knows_survives_a_change_here(tmp_path: Path) -> None:
    """In the file, in what the peer is told, and over a restart; it is told once."""
    pair, _, _ = await desks(tmp_path)
    told = with_dns(shared(Changes("orders", 3, halted=(Halted("port", 5.0),))))
    told["applications"][0]["novelty"] = {"of": "tomorrow"}
    told["applications"] += shared(Changes("billing", 2))["applications"]
    first, second = desk(pair["node1"]), desk(pair["node2"])
    await first.kept.for_peer()[VERB](Call({"changes": told}))
    assert await changed(first) == [["halted port", "added dns (by a newer version)"]]
    assert await first.names() == ["process", "port"], "it is not watched"
    await first.change("resume", "port")
    await first.change("halt", "process")
    pair["node1"].stored[FILE] = pair["node2"].stored[FILE]
    first = desk(pair["node1"])
    await first.change("resume", "process")
    for each in (first, second):
        lies = json.loads(each.side.stored[FILE])["applications"]
        (orders,) = [one for one in lies if one["application"] == "orders"]
        assert orders["novelty"] == {"of": "tomorrow"}
        assert orders["added"] == [NEWER]
        assert orders["halted"] == []
        assert each.side.journal is not None
    assert names(second.side.journal).count(VERB) == 1  # type: ignore[arg-type]
    await first.kept.change("orders", lambda now: (now.settled(now), ""))
    assert await changed(first, second) == [[]] * 2
    pair.end()


@virtually
async def test_what_is_not_understood_at_all_is_not_changed_here(tmp_path: Path) -> None:
    pair, _, _ = await desks(tmp_path)
    strange = {"application": "orders", "version": 7, "halted": {"all": True}}
    pair["node1"].stored[FILE] = json.dumps({"applications": [strange]}).encode()
    first = desk(pair["node1"])
    error = await refused(first.change("halt", "port"))
    assert "upgrade this one" in error.mend
    assert first.side.journal is not None
    assert VERB in names(first.side.journal)
    (entry,) = json.loads(pair["node1"].stored[FILE])["applications"]
    assert entry == strange
    newer = Changes("orders", 8, removed=("port",))
    await first.kept.for_peer()[VERB](Call({"changes": shared(newer)}))
    assert first.kept.of("orders") == newer
    assert read_kept(dump_entries(first.kept.each.values()))["orders"].understood
    await first.change("resume", "port")
    pair.end()
