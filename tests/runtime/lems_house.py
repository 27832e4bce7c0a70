"""The daemon's side of Lems on its real socket, with a clock that a test sets."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from hapair import __version__
from hapair.core.words.effects import Watch
from hapair.core.words.events import Event
from hapair.model.built import Built
from hapair.model.monitor import Finding, Monitor, Monitors, TcpProbe, Trouble
from hapair.rpc.messages import JsonObject
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.lems.changes import Changes
from hapair.runtime.lems.lookout import (
    Lookout,
)
from hapair.runtime.lems.orders import ProgramGroup
from hapair.runtime.lems.server import Caller, LemsServer
from tests.fakes.lems import FakeGrip, FakeLems
from tests.runtime.conftest import eventually
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
    parent_hangs: bool = False
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
            lambda name: ProgramGroup(f"/groups/{name}", lived=True),
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
            if self.lookout.parent is not None and not self.parent_hangs:
                self.lookout.parent.heard_s = self.clock.now_s
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


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[House]:
    """Serve until the end of the block."""
    clock = SetClock()
    journal = Journal("node1", folder / "events.jsonl", clock, show=lambda _: None)
    made = House(folder / "run/lems.sock", clock, journal)
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


def vars_of(finding: Finding) -> JsonObject:
    return {"monitor": finding.monitor, "trouble": finding.trouble, "text": finding.text}
