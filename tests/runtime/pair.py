"""Two whole nodes in one process on virtual time: real core, real runtime, no machines."""

# ruff: noqa: ARG002 - a port says more than a stand-in needs.

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from errno import ENOSPC
from pathlib import Path

from hapair.core.explain import report
from hapair.core.words.effects import AnswerFence, Reply, Watch
from hapair.core.words.events import Command, Commanded, Form, Introduce
from hapair.core.words.stored import Stored
from hapair.model.application import Program
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import Cluster
from hapair.model.outcome import Done, Outcome, Unknown
from hapair.model.status import Phase, Standing, Wanted
from hapair.ports.peer import HeardDatagram
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.node import Identity, Listeners, Node, Parts, Wires
from hapair.runtime.node.perform import Hands
from tests.fakes.third_parties import DeviceSeen, OneWitness, Strip
from tests.runtime.fakes import Air, LoopClock, Machine, Tunnel, built

NAMES = ("node1", "node2")


class Working(Machine):
    """A machine on which programs and addresses really are up after they were started."""

    elsewhere: "Working | None" = None  # What is up there must not be started here.

    async def start(self, application: str, program: Program, *, timeout_s: float) -> Outcome:
        outcome = await self._work("start", application)
        assert self.elsewhere is None or not self.elsewhere.program_runs, "it runs twice"
        self.program_runs = True
        await self.done()
        return outcome

    async def stop(self, application: str, program: Program, *, timeout_s: float) -> Outcome:
        outcome = await self._work("stop", application)
        self.program_runs = self.program_runs and not isinstance(outcome, Done)
        await self.done()
        return outcome

    async def add(
        self, addresses: object, *, timeout_s: float, despite_peer: bool = False
    ) -> Outcome:
        outcome = await self._work("add", "")
        assert self.elsewhere is None or not self.elsewhere.addresses_present, "it is there twice"
        self.addresses_present = True
        await self.done()
        return outcome

    async def remove(self, addresses: object, *, timeout_s: float) -> Outcome:
        outcome = await self._work("remove", "")
        self.addresses_present = False
        await self.done()
        return outcome


def without_data() -> Built:
    """Return a configuration whose applications have no volumes."""
    whole = built()
    applications = tuple(
        BuiltApplication(each.application, (), each.fingerprint) for each in whole.applications[:1]
    )
    return Built(1, whole.cluster, whole.fingerprint, 0, applications)


@dataclass(slots=True)
class Side:
    name: str
    folder: Path
    machine: Working = field(default_factory=Working)
    air: Air = field(default_factory=Air)
    tunnel: Tunnel = field(default_factory=Tunnel)
    stored: dict[str, bytes] = field(default_factory=dict)
    replies: list[Reply] = field(default_factory=list)
    on_reply: Callable[[Reply], None] | None = None
    clock: LoopClock = field(default_factory=LoopClock)
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    node: Node | None = None
    journal: Journal | None = None
    incarnation: int = 0
    connections: int = 0
    disk_full: bool = False
    on_fence: Callable[[AnswerFence], None] = lambda _answer: None
    witness: OneWitness = field(default_factory=OneWitness)
    strip: Strip = field(default_factory=Strip)
    device: DeviceSeen = field(default_factory=DeviceSeen)
    resets: list[str] = field(default_factory=list)
    watched: list[Watch] = field(default_factory=list)
    at_step: Callable[[], Awaitable[None]] | None = None  # Called at each step of the daemon.

    @property
    def mark(self) -> Path:
        return self.folder / f"{self.name}.not-stored"

    @property
    def running(self) -> Node:
        assert self.node is not None
        return self.node

    @property
    def standing(self) -> Standing:
        return self.running.state.standing

    @property
    def phase(self) -> Phase:
        return report(self.running.state, 0.0).applications[0].phase

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def reset(self, why: str) -> Unknown:
        self.resets.append(why)
        return Unknown("this is a test")

    def hands(self, cluster: Cluster, me: str) -> Hands:
        assert me in cluster.nodes
        return self.machine.hands()

    def connect(self, cluster: Cluster, me: str) -> Wires:
        assert me in cluster.nodes
        self.connections += 1
        return Wires(self.air, self.tunnel, "keys")

    async def keep(self, name: str, content: bytes) -> None:
        await asyncio.sleep(0.002)  # As long as a disk takes.
        if self.disk_full:
            raise OSError(ENOSPC, "No space left on device")
        if self.at_step is not None:
            await self.at_step()
        self.stored[name] = content
        if self.at_step is not None:
            await self.at_step()

    def start(self, configuration: Built, stored: Stored) -> None:
        """Start the daemon of this node."""
        self.incarnation += 1
        self.journal = Journal(
            self.name, self.folder / f"{self.name}.jsonl", self.clock, show=lambda _: None
        )
        parts = Parts(
            self.clock,
            self.journal,
            self.hands,
            self.connect,
            self.keep,
            self.spawn,
            lambda _cluster, _me: self.witness,
            self.strip,
            self.device,
            self.reset,
            not_stored=self.mark,
        )
        identity = Identity(self.name, "boot", self.incarnation)
        listeners = Listeners(self.replied, self.fence_answered, self.watched.append)
        self.node = Node(parts, identity, configuration, stored, listeners)
        self.node.start()

    def replied(self, reply: Reply) -> None:
        self.replies.append(reply)
        if self.on_reply is not None:
            self.on_reply(reply)

    def fence_answered(self, answer: AnswerFence) -> None:
        self.on_fence(answer)

    def die(self) -> None:
        for task in tuple(self.tasks):
            task.cancel()
        if self.journal is not None:
            self.journal.close()

    def command(self, number: int, command: Command) -> None:
        self.running.offer(Commanded(asyncio.get_running_loop().time(), number, command))

    def names(self) -> list[object]:
        assert self.journal is not None
        return [line["name"] for line in self.journal.since(0, 1000)]


@dataclass(slots=True)
class Two:
    sides: dict[str, Side]
    cut: bool = False

    def __getitem__(self, name: str) -> Side:
        return self.sides[name]

    def connect(self) -> None:
        """Lay heartbeats and the connection between the two."""
        first, second = self.sides.values()
        first.tunnel.other, second.tunnel.other = second.tunnel, first.tunnel
        for here, there in ((first, second), (second, first)):
            here.air.deliver = functools.partial(self._carry, there)
        first.running.peer.opened("public")
        second.running.peer.opened("public")

    def _carry(self, there: Side, datagram: HeardDatagram) -> None:
        if not self.cut:
            there.air.arrive(datagram)
            there.air.drain()

    def cut_cables(self) -> None:
        self.cut = True
        for side in self.sides.values():
            side.tunnel.other = None
            side.running.peer.closed("the path is dead")

    def end(self) -> None:
        for side in self.sides.values():
            side.die()


def two(folder: Path) -> Two:
    """Start both daemons, connected, not yet formed."""
    folder.mkdir(exist_ok=True)
    made = Two({name: Side(name, folder) for name in NAMES})
    for side in made.sides.values():
        side.start(without_data(), Stored())
    made.connect()
    return made


async def formed(folder: Path) -> Two:
    """Return a cluster whose application runs on node1."""
    made = two(folder)
    for side in made.sides.values():
        side.command(1, Form())
    await asyncio.sleep(2.0)
    made["node1"].command(2, Introduce("orders", Wanted.UP))
    await asyncio.sleep(2.0)
    return made
