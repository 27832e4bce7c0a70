"""Two nodes with volumes, DRBD and mounts that get into each other's way as real ones do.

Everything that a builder does passes ``World.moment``, where a test lets something happen.
"""

# ruff: noqa: ARG002 - a port says more than a stand-in needs.

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from hapair.config.built_json import dumps as dump_built
from hapair.config.built_json import loads as load_built
from hapair.core.members import belonging
from hapair.core.plan.steps import Work
from hapair.core.words.events import Command, Forget, Introduce, PeerState, Want
from hapair.core.words.peer import PeerView
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.application import Volume
from hapair.model.built import Built
from hapair.model.data import Role
from hapair.model.node_facts import Lvm
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.status import Standing, Wanted
from hapair.model.storage import (
    Folder,
)
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.jobs.buildapp import ApplicationBuilder, Surroundings
from hapair.runtime.jobs.workshop import Workshop
from hapair.runtime.node.node import Node
from hapair.runtime.places import Places
from hapair.runtime.verbs import Call
from tests.fakes.small import FakeRunner
from tests.jobs.hosts import (
    NATIVE,
    OVER_DRBD,
    PLAIN,
    Files,
    Host,
    Kernel,
    Mounts,
    Natives,
)
from tests.jobs.material import BUILT

NAMES: Final = ("node1", "node2")
# A world asks at every moment what is built, and hardly ever is that something new.
as_built = functools.cache(load_built)
APPCONF: Final = (
    '<application name="orders" preferred="node1"><volumegroup name="vg_orders"/></application>'
)


class Killed(BaseException):
    """The daemon that was at work is gone, with nothing more done by it."""


class Memory:
    """A FileStorage whose every change is a moment, without waiting for a disk."""

    def __init__(self, folder: Path, world: "World", name: str) -> None:
        self._folder, self._world, self._name = folder, world, name

    def load(self, name: str) -> bytes | None:
        place = self._folder / name
        return place.read_bytes() if place.exists() else None

    def store(self, name: str, content: bytes) -> None:
        self._world.instant(f"{self._name}: before the job is stored")
        (self._folder / name).write_bytes(content)
        self._world.instant(f"{self._name}: after the job was stored")

    def forget(self, name: str) -> None:
        self._world.instant(f"{self._name}: before the job is forgotten")
        (self._folder / name).unlink(missing_ok=True)
        self._world.instant(f"{self._name}: after the job was forgotten")


class Bench:
    """A workshop that tells its moments."""

    def __init__(self, world: "World", host: Host) -> None:
        self._world, self._host = world, host
        tools: list[Any] = [
            host.volumes, Natives(host), self._scan, Files(host), Kernel(host), Mounts(host),
        ]  # fmt: skip
        self._real = Workshop(*tools)

    async def _scan(self) -> Lvm:
        return Lvm()

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    async def do(
        self, work: Work, volume: Volume, built: Built, folders: tuple[Folder, ...] = ()
    ) -> Outcome:
        async def really() -> Outcome:
            return await self._real.do(work, volume, built, folders)

        return await self._world.deed(f"{self._host.name}: {work}", really)


@dataclass
class Line:
    """The connection to the other node's builder."""

    world: "World"
    name: str  # Of the other node.

    @property
    def connected(self) -> bool:
        return self.world.hosts[self.name].on

    async def request(
        self, verb: str, args: JsonObject | None = None, *,
        timeout_s: float | None = None, connect_s: float = 0.0,
    ) -> JsonObject:  # fmt: skip
        if not self.connected:
            raise RpcError(f"the daemon of {self.name} cannot be reached")
        if verb in self.world.unknown:
            raise RpcError(f"{self.name} does not know {verb}")
        there = self.world.builders[self.name].for_peer()[verb]
        sent = json.loads(json.dumps(args or {}))
        answer = await there(Call(sent, from_peer=True))
        if not self.connected:
            raise self._lost()
        if self.world.answer_lost:
            self.world.answer_lost = False
            raise self._lost()
        return cast("JsonObject", json.loads(json.dumps(answer)))

    def _lost(self) -> RpcError:
        what = f"the connection to {self.name} was lost before it answered"
        return RpcError(what, exit_code=ExitCode.UNFINISHED)


@dataclass
class Core:
    """A node as its builder sees it: its core acts together with the peer's as long as it can."""

    world: "World"
    me: str
    built: Built  # In force.
    peer: Line

    @property
    def host(self) -> Host:
        return self.world.hosts[self.me]

    @property
    def state(self) -> NodeState:
        there = self.world.hosts[self.peer.name].stored.records
        generation = self.world.built(self.peer.name).generation
        said = PeerState(1, 1, Standing.TOGETHER, 0, generation, there, ())
        seen = (Kernel(self.host).facts(volume.resource) for volume in self.built.volumes())
        return NodeState(
            me=self.me,
            boot_id="boot",
            incarnation=1,
            built=self.built,
            stored=self.host.stored,
            standing=Standing.TOGETHER if self.peer.connected else Standing.CUT,
            accepted=1,
            peer=PeerView(incarnation=1, heard_at_s={"public": 0.0}, state=said),
            facts={facts.resource: facts for facts in seen if facts is not None},
        )

    async def command(self, command: Command) -> JsonObject:
        self.world.instant(f"{self.me}: before {type(command).__name__}")
        turn = Turn(self.state)
        match command:
            case Introduce():
                belonging.introduce(turn, 1, command)
            case Want():
                belonging.want(turn, 1, command)
            case Forget():
                belonging.forget(turn, 1, command)
            case _:
                raise NotImplementedError
        self.host.stored = turn.state.stored
        self.serve()
        self.world.instant(f"{self.me}: after {type(command).__name__}")
        return {}

    async def halt(self, _: Call) -> JsonObject:
        def down() -> None:
            turn = Turn(self.state)
            record = turn.state.record("orders")
            assert record is not None
            belonging.write(turn, record, wanted=Wanted.DOWN)
            self.host.stored = turn.state.stored

        async def really() -> Outcome:
            down()
            if self.host.frozen:
                return Refused("it waits for the peer")
            if self.host.mount == OVER_DRBD:
                self.host.mount, self.host.drbd = "", Role.SECONDARY
            return Done()

        outcome = await self.world.deed(f"{self.me}: halt", really)
        if not isinstance(outcome, Done):
            raise RpcError(outcome.why)
        return {}

    def serve(self) -> None:
        """Bring up what is built, and mount what is wanted here, as every core does in time."""
        host = self.host
        for volume in self.built.volumes():
            record = self.state.record("orders")
            if record is None or not host.on or host.mount == NATIVE:
                continue
            host.drbd = host.drbd or Role.SECONDARY
            if record.owner == self.me and record.wanted is not Wanted.DOWN:
                host.drbd, host.mount = Role.PRIMARY, OVER_DRBD
            assert volume.resource in host.files
            host.frozen = host.frozen and host.other is not None and host.other.drbd is None


@dataclass
class World:
    root: Path
    in_fstab: bool = True
    in_fstab_of_peer: bool = False
    hosts: dict[str, Host] = field(default_factory=dict)
    builders: dict[str, ApplicationBuilder] = field(default_factory=dict)
    cores: dict[str, Core] = field(default_factory=dict)
    moments: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)  # What no node's version knows.
    answer_lost: bool = False  # The next one is, with the connection; that comes back at once.
    run: FakeRunner = field(default_factory=FakeRunner)
    # What happens at the moment with this number; the answer takes the place of the deed's own.
    happens: dict[int, Callable[[str], Outcome | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in NAMES:
            self.hosts[name] = Host(name)
            places = self.places(name)
            for folder in (places.memory, places.built.parent):
                folder.mkdir(parents=True)
            places.built.write_bytes(dump_built(BUILT))
            self.start_daemon(name)
        one, two = self.hosts.values()
        one.other, two.other = two, one
        one.mount, one.fstab = NATIVE, PLAIN if self.in_fstab else ""
        two.fstab = PLAIN if self.in_fstab_of_peer else ""
        appconf = self.places("node1").appconf("orders")
        appconf.parent.mkdir()
        appconf.write_text(APPCONF)

    def places(self, name: str) -> Places:
        return Places(self.root / name)

    def built(self, name: str) -> Built:
        return as_built(self.places(name).built.read_bytes())

    def start_daemon(self, name: str) -> None:
        """Make a builder over what is on disk, as a new daemon does."""
        places = self.places(name)
        other = next(each for each in NAMES if each != name)
        core = self.cores[name] = Core(self, name, self.built(name), Line(self, other))
        node = cast("Node", core)

        async def reload() -> None:
            self.instant(f"{name}: before the configuration is used")
            core.built = self.built(name)
            self.instant(f"{name}: after the configuration was used")

        around = Surroundings(
            lambda: node, reload, core.command, self.run, places,
            Memory(places.memory, self, name), core.halt, retry_s=0.0,
        )  # fmt: skip
        bench = cast("Workshop", Bench(self, self.hosts[name]))
        self.builders[name] = ApplicationBuilder(around, lambda: bench)

    def instant(self, what: str) -> Outcome | None:
        number = len(self.moments)
        self.moments.append(what)
        befalls = self.happens.get(number)
        return befalls(what) if befalls is not None else None

    async def deed(self, what: str, really: Callable[[], Awaitable[Outcome]]) -> Outcome:
        node = what.partition(":")[0]
        answer = self.instant(f"{what}, before")
        if not self.hosts[node].on:
            return Unknown("its power is lost")
        if answer is not None:
            return answer
        await asyncio.sleep(0)
        outcome = await really()
        return self.instant(f"{what}, after") or outcome

    def looks(self) -> list[object]:
        generations = [self.built(name).generation for name in NAMES]
        notes = [self.places(name).job.exists() for name in NAMES]
        return [*(host.looks() for host in self.hosts.values()), generations, notes]
