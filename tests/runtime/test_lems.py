"""The daemon and its Lems: told what to watch, heard, taken over, replaced, missed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path

import pytest

from hapair import __version__
from hapair.core.words.events import Unwatched, Watched
from hapair.lems.watch import Watch as Told
from hapair.model.monitor import MONITORS_MAX, Monitor, TcpProbe
from hapair.rpc.messages import ExitCode, RpcError
from hapair.runtime.lems.changes import Added, Changes, Halted
from hapair.runtime.lems.lookout import (
    BACK_OFF_S,
    END_S,
    FORK_S,
    GRACE_S,
    HISTORY_MAX,
    LATE_S,
    LOST_MAX,
    PARENT_SILENT_S,
    SILENT_S,
    STAYS_S,
)
from hapair.runtime.lems.wire import MonitorState, States
from tests.runtime.conftest import eventually, names
from tests.runtime.lems_house import OUT, House, opened, told, vars_of


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path) as made:
        yield made


async def test_what_runs_here_gets_a_lems_that_is_told_all(house: House) -> None:
    parent = await house.parent()
    house.watch(7)
    await eventually(lambda: parent.words("fork") == ["orders"])
    lems = await house.lems()
    await eventually(lambda: bool(lems.words("watch")))
    watch = told(lems.words("watch")[0])
    assert watch["run"] == 7
    assert watch["node"] == "node1"
    assert watch["group"] == "/groups/orders"
    assert watch["lives"] is True
    assert set(watch) == {each.name for each in fields(Told)}, "all that a Lems reads"
    assert told(watch["application"])["name"] == "orders"
    assert watch["mounts"] == [
        {"device": "/dev/drbd0", "mount_point": "/srv/orders", "file_system": "ext4"},
        {"device": "/dev/drbd1", "mount_point": "/srv/log", "file_system": "xfs"},
    ]
    monitors = watch["monitors"]
    assert isinstance(monitors, list)
    assert [(each["name"], each["halted"]) for each in monitors] == [
        ("filesystem", False),
        ("process", False),
        ("port", False),
    ]
    house.later(1.0)
    assert parent.words("fork") == ["orders"]
    assert len(lems.words("watch")) == 1


async def test_what_is_changed_is_told_at_once(house: House) -> None:
    lems = await house.watched()
    house.changes["orders"] = Changes("orders", 1, halted=(Halted("port", 5.0),))
    house.lookout.refresh()
    await eventually(lambda: len(lems.words("watch")) == 2)
    monitors = told(lems.words("watch")[1])["monitors"]
    assert isinstance(monitors, list)
    assert [each["name"] for each in monitors if each["halted"]] == ["port"]


async def test_what_cannot_be_watched_is_named(house: House) -> None:
    lems = await house.watched()
    added = tuple(
        Added(Monitor(f"m{number}", TcpProbe("127.0.0.1", 1)), "tcp")
        for number in range(MONITORS_MAX)
    )
    house.changes["orders"] = Changes("orders", 1, added=added)
    house.lookout.refresh()
    house.lookout.refresh()
    await eventually(lambda: len(lems.words("watch")) == 2)
    monitors = told(lems.words("watch")[1])["monitors"]
    assert isinstance(monitors, list)
    assert len(monitors) == MONITORS_MAX
    (line,) = [line for line in house.journal.since(0, 100) if line["name"] == "unwatched"]
    assert line["text"] == "it has more than 256 monitors; not watched: m253, m254, m255"


async def test_findings_of_this_run_reach_the_core_once_and_of_no_other(house: House) -> None:
    lems = await house.watched(2)
    finding = {"monitor": "port", "trouble": "program", "text": "refused"}
    lems.says(findings={"run": 1, "findings": [finding]})
    lems.says(findings={"run": 2, "findings": []})
    lems.says(findings={"run": 2, "findings": [finding]})
    lems.says(findings={"run": 2, "findings": [finding]})
    lems.says(findings={"run": 2, "findings": []})
    await eventually(lambda: len(house.events) == 3)
    at_s = house.clock.now_s
    wall_s = house.clock.wall_s()
    assert house.events == [
        Watched(at_s, "orders", 2, (), wall_s),
        Watched(at_s, "orders", 2, (OUT,), wall_s),
        Watched(at_s, "orders", 2, (), wall_s),
    ]


async def test_an_application_that_was_started_answers_once(house: House) -> None:
    house.journal.add("started", "layer program is up", application="orders")
    lems = await house.watched()
    lems.says(findings={"run": 1, "findings": [vars_of(OUT)]})
    await eventually(lambda: len(house.events) == 1)
    lems.says(findings={"run": 1, "well": False, "findings": []})
    await eventually(lambda: len(house.events) == 2)
    assert "answers" not in names(house.journal)
    for _ in range(2):
        lems.says(findings={"run": 1, "findings": []})
        lems.says(findings={"run": 1, "findings": [vars_of(OUT)]})
    await eventually(lambda: len(house.events) == 5)
    assert names(house.journal).count("answers") == 1


async def test_an_application_that_becomes_well_without_a_failure_answers(house: House) -> None:
    house.journal.add("started", "layer program is up", application="orders")
    lems = await house.watched()
    lems.says(findings={"run": 1, "well": False, "findings": []})
    lems.says(findings={"run": 1, "well": True, "findings": []})
    await eventually(lambda: "answers" in names(house.journal))
    assert len(house.events) == 1


async def test_what_a_start_waits_for_is_told_once(house: House) -> None:
    house.journal.add("started", "layer program is up", application="orders")
    lems = await house.watched()
    lems.says(states={"run": 1, "monitors": [{"name": "port", "state": "waiting", "text": "no"}]})
    await eventually(lambda: bool(house.lookout.posts["orders"].states))
    house.later(LATE_S - 0.1)
    assert "awaited" not in names(house.journal)
    house.later(0.2)
    house.later(0.2)
    assert names(house.journal).count("awaited") == 1
    assert "port (no)" in str(house.journal.since(0, 100)[-1]["text"])
    house.journal.add("stopped", "everything of it is down", application="orders")
    house.journal.add("started", "layer program is up", application="orders")
    lems.says(findings={"run": 1, "findings": []})
    await eventually(lambda: "answers" in names(house.journal))
    house.later(LATE_S)
    assert names(house.journal).count("awaited") == 1


async def test_what_was_found_running_did_not_just_answer(house: House) -> None:
    lems = await house.watched()
    lems.says(findings={"run": 1, "findings": []})
    await eventually(lambda: bool(house.events))
    assert "answers" not in names(house.journal)


async def test_states_are_kept_and_told_in_the_history_when_they_are_bad(house: House) -> None:
    lems = await house.watched()

    def says(state: str) -> None:
        lems.says(states={"run": 1, "monitors": [{"name": "port", "state": state, "text": "x"}]})

    for state in ("good", "failed", "failed", "good", "never-heard-of"):
        says(state)
    post = house.lookout.posts["orders"]
    await eventually(lambda: len(post.history) == 4)
    assert [each.state for each in post.history] == ["good", "failed", "good", "waiting"]
    told = [line["text"] for line in house.journal.since(0, 100) if line["name"] == "monitor"]
    assert told == ["port: failed: x", "port: good: x"]
    assert post.line is not None
    for state in ("good", "failed") * HISTORY_MAX:
        house.lookout.heard(post.line, States(1, (MonitorState("port", state),)))
    assert len(post.history) == HISTORY_MAX
    assert names(house.journal).count("monitor") < 10


async def test_a_lems_that_outlived_a_daemon_is_taken_over(house: House) -> None:
    parent, lems = await house.parent(), await house.lems(run=3)
    lems.says(states={"run": 3, "monitors": [{"name": "port", "state": "good"}]})
    lems.says(findings={"run": 3, "findings": []})
    line = house.lookout.posts["orders"].line
    assert line is not None
    await eventually(lambda: line.found is not None)
    house.later(SILENT_S / 2)
    assert not house.events
    house.watch(3)
    await eventually(lambda: bool(lems.words("watch")))
    assert house.events == [Watched(house.clock.now_s, "orders", 3, (), house.clock.wall_s())]
    assert house.lookout.posts["orders"].states["port"].state == "good"
    assert not parent.words("fork")
    assert not lems.words("end")


async def test_one_of_what_does_not_run_here_is_ended(house: House) -> None:
    lems, other = await house.lems(run=3), await house.lems("plain")
    house.watch(0)
    house.later(SILENT_S / 2)
    await eventually(lambda: lems.words("end") == [True])
    assert not other.words("end")
    house.clock.now_s += GRACE_S
    line = house.lookout.posts["plain"].line
    assert line is not None
    line.heard_s = house.clock.now_s
    house.lookout.look()
    await eventually(lambda: other.words("end") == [True])


async def test_one_that_does_not_end_is_killed(house: House) -> None:
    lems = await house.lems(run=3)
    house.watch(0)
    assert not any(grip.killed for grip in house.grips)
    house.later(END_S + 0.1)
    assert [grip.killed for grip in house.grips] == [True]
    await eventually(lambda: lems.ended)
    assert not house.events


async def test_a_silent_one_is_replaced_and_the_core_hears_of_it_only_if_that_takes_long(
    house: House,
) -> None:
    parent, lems = await house.parent(), await house.watched()
    house.later(SILENT_S - 0.1)
    lems.says(lives=True)
    line = house.lookout.posts["orders"].line
    assert line is not None
    await eventually(lambda: line.heard_s == house.clock.now_s)
    house.later(SILENT_S - 0.1)
    assert house.has()
    house.later(0.2)
    assert not house.has()
    assert [grip.killed for grip in house.grips][-1]
    house.later(BACK_OFF_S[1])
    await eventually(lambda: len(parent.words("fork")) == 2)
    await house.lems()
    assert not house.events


async def test_one_of_another_version_is_replaced_as_soon_as_that_helps(house: House) -> None:
    former = await house.parent("0.0.1")
    house.watch(1)
    lems = await house.lems(version="0.0.1")
    house.later(0.5)
    assert not lems.words("end")
    parent = await house.parent()
    await eventually(lambda: lems.words("end") == [True])
    await eventually(lambda: former.ended)
    await house.lose(lems)
    await eventually(lambda: parent.words("fork") == ["orders"])
    assert not house.events


async def test_one_that_connects_again_is_the_same_one(house: House) -> None:
    house.pid = 4711
    lems = await house.watched()
    former = house.lookout.posts["orders"].line
    again = await house.connect()
    again.hello("orders", 1, __version__)
    await eventually(lambda: bool(again.words("watch")))
    await eventually(lambda: lems.ended)
    assert house.lookout.posts["orders"].line is not former
    assert not again.words("end")
    assert not any(grip.killed for grip in house.grips)
    parent = await house.parent()
    await house.parent()
    await eventually(lambda: parent.ended)
    assert not any(grip.killed for grip in house.grips)


async def test_a_daemon_that_stood_still_takes_nobody_for_silent(house: House) -> None:
    await house.watched()
    house.lookout.look()
    house.clock.now_s += 100.0
    house.lookout.look()
    assert house.has()
    house.later(SILENT_S + 0.1)
    assert not house.has()


async def test_of_two_the_one_that_lives_stays(house: House) -> None:
    lems = await house.watched()
    second = await house.connect()
    second.hello("orders", 1, __version__)
    await eventually(lambda: second.words("end") == [True])
    assert not lems.words("end")


async def test_one_that_does_not_stay_is_told_once_and_waited_for_longer(house: House) -> None:
    parent = await house.parent()
    house.watch(1)
    for number in range(LOST_MAX):
        await eventually(lambda n=number: len(parent.words("fork")) == n + 1)  # type: ignore[misc]
        await house.lose(await house.lems())
        if number < LOST_MAX - 1:
            assert not house.events
        house.later(BACK_OFF_S[number + 1] / 2)
        assert len(parent.words("fork")) == number + 1
        house.later(BACK_OFF_S[number + 1])
    (unwatched,) = house.events
    assert isinstance(unwatched, Unwatched)
    assert "does not stay" in unwatched.why
    lems = await house.lems()
    for _ in range(int(STAYS_S / SILENT_S) + 2):
        house.clock.now_s += SILENT_S / 1.1
        lems.says(lives=True)
        await eventually(lambda: house.lookout.posts["orders"].line is not None)
        line = house.lookout.posts["orders"].line
        assert line is not None
        line.heard_s = house.clock.now_s
        house.lookout.look()
    assert house.events[-1] == Unwatched(house.events[-1].at_s, "orders", "")


async def test_that_nobody_watches_is_told_after_a_while(house: House) -> None:
    house.watch(1)
    house.later(SILENT_S - 0.1)
    assert not house.events
    house.later(0.2)
    (unwatched,) = house.events
    assert isinstance(unwatched, Unwatched)
    assert "hapair-lems.service" in unwatched.why


async def test_a_parent_that_cannot_fork_says_why(house: House) -> None:
    parent = await house.parent()
    house.watch(1)
    parent.says(**{"not-forked": "orders", "why": "no memory"})
    await eventually(lambda: house.lookout.posts["orders"].hint == "no memory")
    house.later(FORK_S + 0.1)
    await eventually(lambda: len(parent.words("fork")) == 2)
    house.later(SILENT_S)
    (unwatched,) = house.events
    assert isinstance(unwatched, Unwatched)
    assert "no memory" in unwatched.why


async def test_a_parent_that_hangs_is_ended_and_what_it_forked_goes_on(house: House) -> None:
    parent, lems = await house.parent(), await house.watched()
    house.watch(1, "plain")
    house.lookout.look()
    house.parent_hangs = True
    line = house.lookout.parent
    assert line is not None
    for _ in range(int(PARENT_SILENT_S)):
        house.later(1.0)
        lems.says(lives=True)
        post = house.lookout.posts["orders"]
        await eventually(lambda p=post: p.line and p.line.heard_s == house.clock.now_s)  # type: ignore[misc]
    assert house.lookout.parent is line
    house.later(0.5)
    assert house.lookout.parent is None
    assert [grip.killed for grip in house.grips] == [True, False], "the parent, not the Lems"
    await eventually(lambda: parent.ended)
    assert names(house.journal).count("parent-silent") == 1
    assert not [each for each in house.events if each.application == "orders"]
    again = await house.parent()
    house.later(FORK_S)
    await eventually(lambda: again.words("fork") == ["plain"])
    assert not lems.words("end")


async def test_a_daemon_that_stood_still_does_not_take_the_parent_for_hanging(
    house: House,
) -> None:
    await house.parent()
    house.lookout.look()
    house.clock.now_s += 1000.0
    house.lookout.look()
    assert house.lookout.parent is not None


async def test_a_check_is_answered_by_its_lems(house: House) -> None:
    lems = await house.watched()
    task = asyncio.ensure_future(house.lookout.check("orders", "port", 5.0))
    await eventually(lambda: bool(lems.words("check")))
    number = lems.told[-1]["id"]
    lems.says(checked={"id": number, "state": "failed", "text": "refused"})
    checked = await task
    assert (checked.state, checked.text) == ("failed", "refused")


async def test_a_check_of_what_nobody_watches_is_refused(house: House) -> None:
    with pytest.raises(RpcError) as caught:
        await house.lookout.check("orders", "port", 5.0)
    assert caught.value.exit_code is ExitCode.NOT_NOW
