"""The verbs of the control socket on two whole nodes."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from hapair.config.fingerprint import Drift
from hapair.core.explain import Alarm
from hapair.core.words.events import Event, FenceAskerGone, Form
from hapair.model.built import Built
from hapair.model.status import Standing
from hapair.rpc.messages import ExitCode, JsonObject, Progress, RpcError
from hapair.runtime.building.drift import Drifts
from hapair.runtime.control.commands import Commands
from hapair.runtime.verbs import Call, Handler
from tests.runtime.pair import Side, Two, formed, two, without_data
from tests.runtime.virtual_time import virtually

OK: Final = Drifts(Drift.OK, {"orders": Drift.OK})


@dataclass(slots=True)
class Files:
    """Stands for the administrator's files."""

    found: Drifts = OK

    async def look(self, built: Built) -> Drifts:
        assert built.applications
        return self.found


class NoBuilder:
    """The verbs of jobs have tests of their own."""

    async def buildapp(self, _: Call) -> JsonObject:
        raise NotImplementedError

    async def release(self, _: Call) -> JsonObject:
        raise NotImplementedError

    async def abandon(self, _: Call) -> JsonObject:
        raise NotImplementedError

    def refuse_beside(self, application: str) -> None:
        pass

    def alarms(self) -> tuple[Alarm, ...]:
        return ()

    def for_peer(self) -> dict[str, Handler]:
        return {}


@dataclass(slots=True)
class Desk:
    """The commands of one node."""

    side: Side
    files: Files
    commands: Commands
    reloaded: list[str]

    async def say(self, verb: str, **args: object) -> JsonObject:
        return await self.commands.verbs()[verb].handler(Call(args))


def desk(side: Side) -> Desk:
    files, reloaded = Files(), list[str]()
    assert side.journal is not None

    async def reload() -> None:
        reloaded.append(side.name)
        await side.running.reconfigure(replace(without_data(), generation=2))

    commands = Commands(
        lambda: side.running,
        reload,
        files,  # type: ignore[arg-type]
        side.journal,
        side.clock,
        NoBuilder(),  # type: ignore[arg-type]
    )
    side.on_reply = commands.answered
    for verb, handler in commands.for_peer().items():
        side.running.peer.on_request(verb, handler)
    return Desk(side, files, commands, reloaded)


def desks(pair: Two) -> tuple[Desk, Desk]:
    return desk(pair["node1"]), desk(pair["node2"])


async def refused(saying: Awaitable[JsonObject]) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await saying
    return caught.value


def nodes_of(status: JsonObject) -> dict[str, JsonObject]:
    nodes = status["nodes"]
    assert isinstance(nodes, dict)
    return nodes


@virtually
async def test_one_command_forms_both_nodes(tmp_path: Path) -> None:
    pair = two(tmp_path)
    first, second = desks(pair)
    answer = await first.say("form", node="both", timeout_s=10)
    assert answer == {"text": "node1 and node2 are together"}
    assert second.side.standing is Standing.TOGETHER
    pair.end()


@virtually
async def test_a_maintenance_holds_on_both_nodes_until_it_is_taken_off(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first, second = desks(pair)
    scope = {"scope": "application", "name": "orders"}
    await second.say("maintain", **scope, on=True, for_s=60.0, reason="upgrade")
    await asyncio.sleep(1.0)
    each = nodes_of(await first.say("status"))["node1"]["maintenance"]
    assert isinstance(each, list)
    (told,) = each
    assert (told["of"], told["reason"]) == ("application orders", "upgrade")
    assert 50.0 < told["left_s"] < 60.0
    await first.say("maintain", **scope, on=False)
    await asyncio.sleep(1.0)
    assert nodes_of(await second.say("status"))["node2"]["maintenance"] == []
    error = await refused(first.say("maintain", scope="application", name="mails"))
    assert error.error == "there is no application mails"
    assert (await refused(first.say("maintain", scope="world"))).exit_code is ExitCode.USAGE
    pair.end()


@virtually
async def test_a_peer_that_refuses_to_join_is_told_at_once(tmp_path: Path) -> None:
    pair = two(tmp_path)
    first, second = desks(pair)
    second.files.found = Drifts(Drift.CHANGED, {})
    error = await refused(first.say("form", node="both", timeout_s=60))
    assert error.error == "node2 does not join: clconf.xml was edited since the last clbuild"
    assert "clbuild" in error.mend
    assert error.exit_code is ExitCode.UNFINISHED
    assert asyncio.get_running_loop().time() < 1.0
    pair.end()


@virtually
async def test_a_node_alone_waits_for_its_peer_and_says_why_it_gives_up(tmp_path: Path) -> None:
    pair = two(tmp_path)
    first, _ = desks(pair)
    pair.cut_cables()
    error = await refused(first.say("form", node="both", timeout_s=10))
    assert "clconfirm peer-is-down" in error.error
    assert asyncio.get_running_loop().time() == pytest.approx(13.0, abs=0.5)
    pair.end()


@virtually
async def test_status_tells_about_both_nodes(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first, _ = desks(pair)
    status = await first.say("status")
    assert status["local"] == "node1"
    nodes = nodes_of(status)
    assert {name: node["standing"] for name, node in nodes.items()} == {
        "node1": "together",
        "node2": "together",
    }
    assert nodes["node1"]["drift"] == {"clconf": "ok", "applications": {"orders": "ok"}}
    pair.end()


@virtually
async def test_status_of_a_peer_that_cannot_be_reached_is_null(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first, _ = desks(pair)
    pair.cut_cables()
    nodes = nodes_of(await first.say("status"))
    assert nodes["node2"] is None
    assert nodes["node1"]["peer_view"] != {}
    pair.end()


@virtually
async def test_watch_repeats_the_status_until_the_caller_goes_away(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first, _ = desks(pair)
    seen: list[Progress] = []
    watching = asyncio.ensure_future(first.commands.watch(Call({}, seen.append)))
    await asyncio.sleep(2.1)
    watching.cancel()
    assert len(seen) == 5
    assert all(progress.status is not None for progress in seen)
    pair.end()


@virtually
async def test_orders_go_to_the_owner_of_the_application(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first, second = desks(pair)
    assert await second.say("move", application="orders") == {"text": "orders runs on node2"}
    forgotten = {"text": "what failed of orders is forgotten, on both nodes"}
    assert await first.say("clear", application="orders") == forgotten
    assert await first.say("halt", application="orders") == {"text": "orders is halted"}
    answer = await first.say("run", application="orders", node="local")
    assert answer == {"text": "orders runs on node1"}
    pair.end()


@virtually
async def test_an_owner_out_of_sight_is_named(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    _, second = desks(pair)
    pair.cut_cables()
    error = await refused(second.say("halt", application="orders"))
    assert "belongs to node1" in error.error
    assert error.mend == "see: clstat --why orders"
    assert error.exit_code is ExitCode.NOT_NOW
    pair.end()


@virtually
async def test_before_clform_orders_are_not_possible_now(tmp_path: Path) -> None:
    pair = two(tmp_path)
    first, _ = desks(pair)
    error = await refused(first.say("run", application="orders"))
    assert error.exit_code is ExitCode.NOT_NOW
    assert error.mend == "type: clform"
    pair.end()


@virtually
async def test_a_node_leaves_when_its_peer_asks_for_it(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first, second = desks(pair)
    answer = await second.say("leave", node="node1", handover=True, last=False)
    assert answer == {"text": "node1 is halted"}
    await asyncio.sleep(1.0)
    assert (first.side.standing, second.side.standing) == (Standing.HALTED, Standing.ALONE)
    assert second.side.machine.program_runs is True
    pair.end()


@virtually
async def test_under_drift_starting_is_locked_and_stopping_is_not(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first, _ = desks(pair)
    for drift in (Drift.CHANGED, Drift.MISSING, Drift.INVALID):
        first.files.found = Drifts(drift, {"orders": Drift.OK})
        for verb in ("form", "run", "move"):
            error = await refused(first.say(verb, application="orders"))
            assert "clconf.xml" in error.error
            assert error.mend
        assert nodes_of(await first.say("status"))["node1"]
        assert await first.say("why", application="orders")
    await first.say("halt", application="orders")
    await first.say("leave", handover=False, last=False)
    pair.end()


@virtually
async def test_a_boot_goes_on_with_what_was_built_whatever_the_files_say(tmp_path: Path) -> None:
    pair = two(tmp_path)
    first, second = desks(pair)
    first.files.found = second.files.found = Drifts(Drift.MISSING, {})
    booting = [each.say("form", start="boot", timeout_s=10) for each in (first, second)]
    await asyncio.gather(*booting)
    assert first.side.standing is Standing.TOGETHER
    pair.end()


@virtually
async def test_reload_reaches_both_nodes(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first, second = desks(pair)
    answer = await first.say("reload")
    assert answer == {"text": "both nodes use the new configuration"}
    assert (first.reloaded, second.reloaded) == (["node1"], ["node2"])
    pair.end()


@virtually
async def test_why_tells_what_both_nodes_think(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first, _ = desks(pair)
    answer = await first.say("why", application="orders")
    nodes = answer["nodes"]
    assert isinstance(nodes, list)
    assert [node["node"] for node in nodes] == ["node1", "node2"]
    assert all(node["reasons"] for node in nodes)
    pair.cut_cables()
    answer = await first.say("why", application="orders")
    assert len(str(answer["nodes"])) > 0
    error = await refused(first.say("why", application="nobody"))
    assert "there is no application nobody" in error.error
    pair.end()


@virtually
async def test_events_of_one_node_or_of_both(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first, _ = desks(pair)
    mine = (await first.say("events", since=0, limit=1000))["events"]
    both = (await first.say("events", since=0, limit=1000, both=True))["events"]
    assert isinstance(mine, list)
    assert isinstance(both, list)
    assert {event["node"] for event in mine} == {"node1"}
    assert {event["node"] for event in both} == {"node1", "node2"}
    pair.end()


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("run", {}),
        ("run", {"application": 7}),
        ("run", {"application": "orders", "node": 7}),
        ("events", {"since": "yesterday"}),
        ("events", {"limit": True}),
        ("leave", {"handover": "yes"}),
        ("introduce", {"application": "orders", "wanted": "sideways"}),
    ],
)
@virtually
async def test_wrong_arguments_are_said_to_be_wrong(
    tmp_path: Path, verb: str, args: JsonObject
) -> None:
    pair = await formed(tmp_path)
    first, _ = desks(pair)
    error = await refused(first.say(verb, **args))
    assert error.exit_code is ExitCode.USAGE
    pair.end()


@virtually
async def test_a_refusal_of_the_core_is_a_refusal(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first, _ = desks(pair)
    error = await refused(first.say("confirm"))
    assert error.exit_code is ExitCode.REFUSED
    assert "nothing waits for a confirmation" in error.error
    assert await first.say("ping") == {"node": "node1"}
    pair.end()


@virtually
async def test_the_handler_of_drbd_gets_the_verdict_of_the_core(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    here = desk(pair["node1"])
    pair["node1"].on_fence = here.commands.fence_answered
    node, events = pair["node1"].running, list[Event]()
    offer = node.offer

    def offered(event: Event) -> None:
        events.append(event)
        offer(event)

    node.offer = offered  # type: ignore[method-assign]
    for _ in range(12):  # DRBD asks again after each attempt at a connection.
        assert await here.say("fence-peer", resource="nobody.data") == {"verdict": "denied"}
    asked = [line for line in here.commands.journal.since(0, 100) if line["name"] == "fence-peer"]
    assert [line["text"] for line in asked] == [
        "nobody.data: no application of this cluster has it",
        "nobody.data: no application of this cluster has it (10 times by now)",
    ]
    gone = [each.request_id for each in events if isinstance(each, FenceAskerGone)]
    assert gone == list(range(1, 13)), "the core has to know when each was told"


@virtually
async def test_a_handler_that_gives_up_is_forgotten(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    here = desk(pair["node1"])
    asking = asyncio.ensure_future(here.say("fence-peer", resource="nobody.data"))
    await asyncio.sleep(0.5)
    asking.cancel()
    await asyncio.sleep(0.5)
    assert pair["node1"].running.state.fence_asked == {}


@virtually
async def test_a_confirmation_leaves_its_estimate_in_the_history(tmp_path: Path) -> None:
    pair = two(tmp_path)
    first, _ = desks(pair)
    first.side.command(1, Form(timeout_s=10))
    pair.cut_cables()
    await asyncio.sleep(5.0)
    loss = await first.say("loss")
    assert loss["peer"] == "node2"
    answer = await first.say("confirm")
    told = answer["estimates"]
    assert isinstance(told, list)
    assert "orders" in told[0]
    assert first.side.journal is not None
    lines = [
        str(x["text"]) for x in first.side.journal.since(0, 100) if x["name"] == "loss-estimate"
    ]
    assert lines == [f"when the peer was confirmed to be down: {told[0]}"]
    pair.end()
