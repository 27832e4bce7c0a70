"""The daemon and its Lems: told what to watch, heard, taken over, replaced, missed."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import pytest

from hapair import __version__
from hapair.core.words.effects import Watch
from hapair.core.words.events import Event, Unwatched, Watched
from hapair.model.built import Built
from hapair.model.monitor import Finding, Monitor, Monitors, TcpProbe, Trouble
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.lems.changes import Changes, Halted
from hapair.runtime.lems.lookout import (
    BACK_OFF_S,
    END_S,
    FORK_S,
    GRACE_S,
    HISTORY_MAX,
    LATE_S,
    LOST_MAX,
    SILENT_S,
    STAYS_S,
    Lookout,
)
from hapair.runtime.lems.server import AT_ONCE_S, LINES_S, Budget, Caller, LemsServer
from hapair.runtime.lems.wire import LINE_BYTES_MAX, MonitorState, States
from tests.fakes.lems import FakeGrip, FakeLems
from tests.runtime.conftest import eventually, names
from tests.runtime.fakes import SetClock, built

PORT = Monitor("port", TcpProbe("127.0.0.1", 5432))
OUT = Finding("port", Trouble.PROGRAM, "refused")


def configured() -> Built:
    whole = built()
    orders, plain = whole.applications
    application = replace(
        orders.application, volume_groups=("vg_orders",), monitors=Monitors(each=(PORT,))
    )
    return replace(whole, applications=(replace(orders, application=application), plain))


@dataclass(slots=True)
class House:
    """The daemon's side, with a clock that a test sets."""

    place: Path
    clock: SetClock
    journal: Journal
    events: list[Event] = field(default_factory=list)
    changes: dict[str, Changes] = field(default_factory=dict)
    grips: list[FakeGrip] = field(default_factory=list)
    built: Built = field(default_factory=configured)
    user: int = 0
    pid: int = 0  # Of who connects; 0: always another one.
    pids: Iterator[int] = field(default_factory=lambda: count(1))
    lemses: list[FakeLems] = field(default_factory=list)
    lookout: Lookout = field(init=False)

    def __post_init__(self) -> None:
        self.lookout = Lookout(
            self.clock,
            self.journal,
            self.events.append,
            lambda: self.built,
            lambda name: self.changes.get(name, Changes(name)),
            lambda name: f"/groups/{name}",
        )
        self.journal.follow(self.lookout.noted)

    def grip(self, pid: int) -> FakeGrip:
        self.grips.append(FakeGrip(pid))
        return self.grips[-1]

    def server(self) -> LemsServer:
        return LemsServer(
            self.place,
            self.lookout,
            self.journal,
            self.clock,
            self.grip,
            lambda _: Caller(self.user, self.pid or next(self.pids)),
        )

    async def connect(self) -> FakeLems:
        self.lemses.append(await FakeLems.connect(self.place))
        return self.lemses[-1]

    async def parent(self, version: str = __version__) -> FakeLems:
        made = await self.connect()
        before = self.lookout.parent
        made.says(hello="parent", version=version, pid=1)
        await eventually(lambda: self.lookout.parent not in {None, before})
        return made

    async def lems(
        self, application: str = "orders", run: int = 0, version: str = __version__
    ) -> FakeLems:
        made = await self.connect()
        made.hello(application, run, version)
        await eventually(lambda: self.has(application))
        return made

    def has(self, application: str = "orders") -> bool:
        post = self.lookout.posts.get(application)
        return post is not None and post.line is not None

    def watch(self, run: int, application: str = "orders") -> None:
        self.lookout.watch(Watch(application, run))

    def later(self, span_s: float) -> None:
        """Let time go by, with all the looks that belong to it."""
        until_s = self.clock.now_s + span_s
        while self.clock.now_s < until_s - 1e-9:
            self.clock.now_s = min(until_s, self.clock.now_s + 1.0)
            self.lookout.look()

    async def watched(self, run: int = 1) -> FakeLems:
        """Return the Lems that watches this run of orders."""
        self.watch(run)
        lems = await self.lems()
        await eventually(lambda: bool(lems.words("watch")))
        return lems

    async def lose(self, lems: FakeLems) -> None:
        """Let a Lems end by itself, and wait until that is known."""
        await lems.close()
        await eventually(lambda: not self.has())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = SetClock()
    journal = Journal("node1", tmp_path / "events.jsonl", clock, show=lambda _: None)
    made = House(tmp_path / "run/lems.sock", clock, journal)
    server = made.server()
    await server.open()
    assert made.place.stat().st_mode & 0o777 == 0o600
    yield made
    await server.close()
    for each in made.lemses:
        await each.close()
    journal.close()


def told(word: object) -> JsonObject:
    assert isinstance(word, dict)
    return word


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
    assert "answers" not in names(house.journal)
    for _ in range(2):
        lems.says(findings={"run": 1, "findings": []})
        lems.says(findings={"run": 1, "findings": [vars_of(OUT)]})
    await eventually(lambda: len(house.events) == 5)
    assert names(house.journal).count("answers") == 1


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


def vars_of(finding: Finding) -> JsonObject:
    return {"monitor": finding.monitor, "trouble": finding.trouble, "text": finding.text}


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


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON\n",
        b"[]\n",
        b'{"findings": {"run": "x", "findings": []}}\n',
        b'{"findings": {"run": 1, "findings": [{"monitor": 1}]}}\n',
        b'{"findings": {"run": 1, "findings": {}}}\n',
        b'{"states": {"run": 1, "monitors": [{"state": "good"}]}}\n',
        b'{"states": {"run": 1, "monitors": [{"name": "x", "text": 5}]}}\n',
        b'{"hello": "lems", "run": 1}\n',
        b"x" * (LINE_BYTES_MAX + 10) + b"\n",
    ],
)
async def test_what_is_not_understood_is_one_warning(house: House, line: bytes) -> None:
    for _ in range(3):
        stranger = await house.connect()
        stranger.raw(line)
        await eventually(lambda each=stranger: each.ended)  # type: ignore[misc]
        await stranger.close()
    assert names(house.journal) == ["malformed"]


async def test_words_of_another_version_are_passed_over(house: House) -> None:
    lems = await house.watched()
    lems.says(dances={"run": 1})
    lems.says(findings={"run": 1, "findings": [], "more": 1}, more=2)
    await eventually(lambda: bool(house.events))
    assert "malformed" not in names(house.journal)


async def test_only_root_may_speak(house: House) -> None:
    house.user = os.geteuid() + 1000
    stranger = await house.connect()
    stranger.hello()
    await eventually(lambda: stranger.ended)
    assert not house.lookout.posts


def test_who_says_too_much_is_listened_to_more_slowly() -> None:
    budget = Budget()
    waits = [budget.wait_s(100, 0.0) for _ in range(int(LINES_S * AT_ONCE_S) + 20)]
    assert waits[0] == 0.0
    assert waits[-1] == pytest.approx(1.0)
    assert budget.wait_s(100, 100.0) == 0.0
    assert Budget().wait_s(LINE_BYTES_MAX * 4, 0.0) > 1.0


async def test_orders_that_are_not_understood_are_told_once(house: House) -> None:
    lems = await house.watched()
    for _ in range(2):
        lems.says(refused="no application")
    lems.says(findings={"run": 1, "findings": []})
    await eventually(lambda: bool(house.events))
    assert names(house.journal) == ["unwatched"]
