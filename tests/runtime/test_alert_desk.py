"""Where the process that sends alerts, the other node's and clalert meet."""

import asyncio
from pathlib import Path

import pytest

from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.control.alert_desk import (
    FRESH_S,
    GIVEN_UP_MAX,
    ORDERS_MAX,
    TEXT_MAX,
    AlertDesk,
)
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.verbs import Call
from tests.runtime.fakes import LoopClock
from tests.runtime.pair import Side, formed
from tests.runtime.virtual_time import virtually

BOARD: JsonObject = {"book": {}, "receivers": [], "sent": []}


async def status(_: Call) -> JsonObject:
    return {"local": "node1"}


def journal_of(side: Side) -> Journal:
    assert side.journal is not None
    return side.journal


def desk_of(side: Side) -> AlertDesk:
    desk = AlertDesk(lambda: side.running, status, journal_of(side), LoopClock())
    for verb, handler in desk.for_peer().items():
        side.running.peer.on_request(verb, handler)
    return desk


async def say(desk: AlertDesk, verb: str, **args: object) -> JsonObject:
    return await desk.verbs()[verb].handler(Call(args))


async def round_of(desk: AlertDesk, since: object = 0, **more: object) -> JsonObject:
    return await say(desk, "alerts-round", board=BOARD, since=since, wait_s=5.0, **more)


def now_s() -> float:
    return asyncio.get_running_loop().time()


@virtually
async def test_a_process_that_begins_hears_of_nothing_that_was_before(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first = desk_of(pair["node1"])
    answer = await round_of(first, -1)
    assert answer["events"] == []
    newest = answer["newest"]
    journal_of(pair["node1"]).add("bug", "broken")
    answer = await round_of(first, newest)
    events = answer["events"]
    assert isinstance(events, list)
    assert [event["name"] for event in events] == ["bug"]
    assert (await round_of(first, 10**6))["events"] == journal_of(pair["node1"]).since(0, 2000)
    assert (answer["node"], answer["status"]) == ("node1", {"local": "node1"})
    pair.end()


@virtually
async def test_what_a_receiver_refuses_for_good_stands_in_the_history(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first, journal = desk_of(pair["node1"]), journal_of(pair["node1"])
    since = journal.newest
    await round_of(first, given_up=["chat refuses it", 7, "x" * 9999] + ["more"] * 99)
    await round_of(first, given_up="nonsense")
    lines = journal.since(since, 99)
    assert [line["name"] for line in lines] == ["letter-given-up"] * GIVEN_UP_MAX
    assert (lines[0]["text"], lines[0]["severity"]) == ("chat refuses it", "warning")
    assert max(len(str(line["text"])) for line in lines) == TEXT_MAX
    pair.end()


@virtually
async def test_while_nothing_happens_the_answer_is_kept_for_a_while(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first = desk_of(pair["node1"])
    newest = (await round_of(first, -1))["newest"]
    began_s = now_s()
    await round_of(first, newest)
    assert now_s() - began_s == pytest.approx(5.0, abs=0.5)
    began_s, waiting = now_s(), asyncio.ensure_future(round_of(first, newest))
    await asyncio.sleep(1.0)
    journal_of(pair["node1"]).add("bug", "broken")
    await waiting
    assert now_s() - began_s < 1.5
    pair.end()


@virtually
async def test_each_process_sees_what_the_other_one_says_as_long_as_it_is_fresh(
    tmp_path: Path,
) -> None:
    pair = await formed(tmp_path)
    first, second = (desk_of(pair[name]) for name in ("node1", "node2"))
    assert (await round_of(first, -1))["peer"] is None
    assert (await round_of(second, -1))["peer"] == BOARD
    boards = (await say(first, "alerts"))["boards"]
    assert boards == {"here": BOARD, "there": BOARD}
    await asyncio.sleep(FRESH_S + 1)
    assert (await round_of(second, -1))["peer"] is None
    pair.cut_cables()
    await asyncio.sleep(10)
    assert (await say(second, "alerts"))["boards"] == {"here": BOARD, "there": None}
    pair.end()


@virtually
async def test_an_order_reaches_the_process_and_its_answer_the_command(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first = desk_of(pair["node1"])
    newest = (await round_of(first, -1))["newest"]
    asking = asyncio.ensure_future(say(first, "alerts-test", receiver="admins", id=99))
    await asyncio.sleep(0.1)
    order = {"receiver": "admins", "id": 1, "order": "test"}
    assert (await round_of(first, newest))["orders"] == [order]
    refused = asyncio.ensure_future(say(first, "alerts-answer", numbers=[7]))
    await asyncio.sleep(0.1)
    done = [
        {"id": 1, "receivers": []},
        {"id": 2, "error": "there is no alert 7", "mend": "clalert list"},
        {"id": 3, "answered": []},
    ]
    answer = await round_of(first, newest, done=done)
    assert answer["orders"] == [{"numbers": [7], "id": 2, "order": "answer"}]
    assert await asking == {"receivers": []}
    with pytest.raises(RpcError, match="there is no alert 7") as caught:
        await refused
    assert caught.value.mend == "clalert list"
    pair.end()


@virtually
async def test_without_a_process_orders_are_refused_and_bounded_with_one(tmp_path: Path) -> None:
    pair = await formed(tmp_path)
    first = desk_of(pair["node1"])
    with pytest.raises(RpcError, match="no process sends alerts") as caught:
        await say(first, "alerts-test")
    assert caught.value.exit_code is ExitCode.NOT_NOW
    await round_of(first, -1)
    asking = [asyncio.ensure_future(say(first, "alerts-test")) for _ in range(ORDERS_MAX + 1)]
    await asyncio.sleep(0.1)
    assert [each for each in asking if each.done()] == asking[-1:]
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(each) for each in results} == {RpcError}
    pair.end()
