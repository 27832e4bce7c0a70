"""Stand-ins for the outside world that say and do what a test wants."""

# ruff: noqa: ARG002 - a port says more than a stand-in needs.

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_interface

from hapair.core.words.effects import Effect
from hapair.core.words.events import Beat, Event, PeerState
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.application import (
    Application,
    FileSystem,
    Program,
    Script,
    ServiceAddress,
    Volume,
)
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import (
    ArbitrationKind,
    Attachment,
    Cluster,
    Network,
    PortRange,
    Timing,
)
from hapair.model.data import VolumeFacts
from hapair.model.holders import Holders
from hapair.model.outcome import Done, Outcome
from hapair.model.presence import Presence
from hapair.model.status import Standing
from hapair.ports.peer import HeardDatagram, LinkListener, Saying
from hapair.runtime.node.perform import Hands
from tests.fakes.backing import FakeBackings

VOLUME = Volume(
    resource="orders.data",
    minor=0,
    port=7701,
    volume_group="vg_orders",
    logical_volume="data",
    meta_volume="data_meta",
    size_bytes=1 << 30,
    mount_point="/srv/orders",
    file_system=FileSystem.EXT4,
)
SECOND_VOLUME = Volume(
    resource="orders.log",
    minor=1,
    port=7702,
    volume_group="vg_orders",
    logical_volume="log",
    meta_volume="log_meta",
    size_bytes=1 << 30,
    mount_point="/srv/log",
    file_system=FileSystem.XFS,
)
ORDERS = Application(
    name="orders",
    preferred="node1",
    program=Script("/etc/cluster/orders/run"),
    addresses=(ServiceAddress("public", ip_interface("10.77.1.50/32")),),
)
PLAIN = Application(name="plain", preferred="node2")


def cluster(*, port: int = 7700, loopback: bool = False) -> Cluster:
    """Return a cluster of two networks; with ``loopback`` its addresses exist on any machine."""
    prefixes = ("127.77.1.", "127.77.2.") if loopback else ("10.77.1.", "10.77.2.")
    networks = tuple(
        Network(
            name,
            tuple(
                Attachment(f"node{n}", ip_interface(f"{prefix}{n}/24"), (f"{name}0",))
                for n in (1, 2)
            ),
            replication=name == "private",
            reference=f"{prefix}254" if name == "public" else None,
        )
        for name, prefix in zip(("public", "private"), prefixes, strict=True)
    )
    return Cluster(
        name="shop",
        nodes=("node1", "node2"),
        ports=PortRange(port, port + 99),
        devices=16,
        networks=networks,
        arbitration=ArbitrationKind.PATHS,
        timing=Timing(detection_s=1.0, heartbeat_s=0.2),
    )


def built(generation: int = 1) -> Built:
    return Built(
        generation=generation,
        cluster=cluster(),
        fingerprint="of-clconf",
        minors_first=0,
        applications=(
            BuiltApplication(ORDERS, (VOLUME, SECOND_VOLUME), "of-orders"),
            BuiltApplication(PLAIN, (), "of-plain"),
        ),
    )


def node_state() -> NodeState:
    return NodeState("node1", "boot", 1, built(), Stored())


def beat(incarnation: int = 5, echo: int = 1) -> Beat:
    return Beat(incarnation, echo, Standing.TOGETHER, 1)


def peer_state(epoch: int = 1) -> PeerState:
    return PeerState(5, 1, Standing.TOGETHER, epoch, 1, (), ())


@dataclass(slots=True)
class SetClock:
    """A clock that stands still until it is set."""

    now_s: float = 100.0

    def monotonic_s(self) -> float:
        return self.now_s

    def boot_s(self) -> float:
        return self.now_s

    def wall_s(self) -> float:
        return 1_000_000.0 + self.now_s


class LoopClock:
    """The time of the running event loop, virtual or not; ``suspended_s`` only the boot clock."""

    def __init__(self) -> None:
        self.suspended_s = 0.0

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    def boot_s(self) -> float:
        return self.monotonic_s() + self.suspended_s

    def wall_s(self) -> float:
        return 1_000_000.0 + self.monotonic_s()


@dataclass(slots=True)
class Machine:
    """All ports that act on a machine: writes down what was asked, answers what was set."""

    asked: list[str] = field(default_factory=list)
    answers: dict[str, Outcome | Exception] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)  # Work waits for its gate.
    known: dict[str, VolumeFacts] = field(default_factory=dict)
    is_mounted: bool | None = False
    holders: Holders = field(default_factory=Holders)
    addresses_present: bool | None = False
    program_runs: bool | None = False
    answering: set[str] = field(default_factory=set)
    at_step: Callable[[], Awaitable[None]] | None = None  # Called at each step of the daemon.
    address_trouble: str = ""
    no_room: tuple[str, ...] = ()  # Mount points.
    mount_trouble: str = ""
    address_error: OSError | None = None
    link_callbacks: list[Callable[[str, bool], None]] = field(default_factory=list)
    change_callbacks: list[Callable[[], None]] = field(default_factory=list)
    backing: FakeBackings = field(default_factory=FakeBackings)
    facts_seen: "asyncio.Queue[tuple[VolumeFacts, ...]]" = field(default_factory=asyncio.Queue)

    def hands(self) -> Hands:
        return Hands(self, self.backing, self, self, self, self)

    async def _work(self, deed: str, what: str) -> Outcome:
        if self.at_step is not None:
            await self.at_step()
        self.asked.append(f"{deed} {what}")
        gate = self.gates.get(f"{deed} {what}")
        if gate is not None:
            await gate.wait()
        answer = self.answers.get(f"{deed} {what}", Done())
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def done(self) -> None:
        """Call between a deed and its answer."""
        if self.at_step is not None:
            await self.at_step()

    # Replication.

    def use_peer(self, cluster: Cluster, me: str) -> None:
        pass

    async def watch(self) -> AsyncIterator[tuple[VolumeFacts, ...]]:
        yield tuple(self.known.values())
        while True:
            yield await self.facts_seen.get()

    def facts(self, resource: str) -> VolumeFacts | None:
        return self.known.get(resource)

    async def bring_up(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._work("bring_up", volume.resource)

    async def bring_up_anew(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._work("bring_up_anew", volume.resource)

    async def bring_up_as_it_is(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._work("bring_up_as_it_is", volume.resource)

    async def take_down(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._work("take_down", volume.resource)

    async def promote(self, volume: Volume, *, timeout_s: float, force: bool = False) -> Outcome:
        return await self._work("promote", volume.resource)

    async def demote(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._work("demote", volume.resource)

    async def detach_by_force(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._work("detach_by_force", volume.resource)

    async def resume(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._work("resume", volume.resource)

    # File systems.

    async def mount(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._work("mount", volume.resource)

    async def unmount(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._work("unmount", volume.resource)

    def mounted(self, volume: Volume) -> bool | None:
        return self.is_mounted

    async def full(self, volume: Volume, *, timeout_s: float) -> bool:
        return volume.mount_point in self.no_room

    async def mounted_each(self, volumes: Sequence[Volume]) -> tuple[Presence, ...]:
        return (Presence(self.is_mounted, self.mount_trouble),) * len(volumes)

    async def held(
        self, volume: Volume, own: BuiltApplication | None, *, timeout_s: float
    ) -> Holders:
        self.asked.append(
            f"held {volume.resource} but for {own.application.name if own else 'nothing'}"
        )
        return self.holders

    async def end_holders(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._work("end_holders", volume.resource)

    # Addresses and paths.

    def use(self, cluster: Cluster) -> None:
        self.asked.append(f"use {cluster.name}")

    async def add(
        self,
        addresses: tuple[ServiceAddress, ...],
        *,
        timeout_s: float,
        despite_peer: bool = False,
    ) -> Outcome:
        return await self._work("add", str(len(addresses)))

    async def remove(self, addresses: tuple[ServiceAddress, ...], *, timeout_s: float) -> Outcome:
        return await self._work("remove", str(len(addresses)))

    async def announce(self, addresses: tuple[ServiceAddress, ...], *, timeout_s: float) -> Outcome:
        return await self._work("announce", str(len(addresses)))

    async def present_each(
        self, wanted: Sequence[tuple[ServiceAddress, ...]]
    ) -> tuple[Presence, ...]:
        if self.address_error is not None:
            raise self.address_error
        return (Presence(self.addresses_present, self.address_trouble),) * len(wanted)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Of addresses and of mounts."""
        self.change_callbacks.append(callback)

    async def reference_answers(self, network: str, *, timeout_s: float) -> bool:
        await self._work("ping", network)
        return network in self.answering

    def link_up(self, network: str) -> bool:
        return True

    def on_link_change(self, callback: Callable[[str, bool], None]) -> None:
        self.link_callbacks.append(callback)

    # Programs.

    async def start(self, application: str, program: Program, *, timeout_s: float) -> Outcome:
        return await self._work("start", application)

    async def stop(self, application: str, program: Program, *, timeout_s: float) -> Outcome:
        return await self._work("stop", application)

    async def kill(self, application: str, program: Program, *, timeout_s: float) -> Outcome:
        return await self._work("kill", application)

    async def running(self, application: str, program: Program) -> bool | None:
        await self._work("running", application)
        return self.program_runs


@dataclass(slots=True)
class Air:
    """Heartbeats without network and process: one is sent whenever the daemon says that it decides.

    ``arrive`` puts a datagram where it waits to be handed over.
    """

    sent: list[tuple[int, bytes]] = field(default_factory=list)
    buffered: list[HeardDatagram] = field(default_factory=list)
    opened: int = 0
    introduced: list[tuple[int, int]] = field(default_factory=list)
    from_before: int = 0
    deliver: Callable[[HeardDatagram], None] = lambda _: None  # Where what is sent arrives.
    detection_s: float = 1.0
    decided_s: list[float] = field(default_factory=list)
    saying: Saying | None = None
    received_s: float = float("-inf")
    tell: Callable[[str], None] = lambda _: None
    _heard: Callable[[HeardDatagram], None] = lambda _: None

    def open(self, heard: Callable[[HeardDatagram], None], told: Callable[[str], None]) -> None:
        self.opened += 1
        self._heard, self.tell = heard, told

    def say(self, saying: Saying, at_s: float) -> None:
        self.saying = saying
        self.decided(at_s)

    def decided(self, at_s: float) -> None:
        self.decided_s.append(at_s)
        if self.saying is not None:
            now_s = asyncio.get_running_loop().time()
            deaf = now_s - self.received_s > self.detection_s
            for body in self.saying.deaf if deaf else self.saying.bodies:
                self.send(self.saying.incarnation, body)

    def send(self, incarnation: int, body: bytes) -> None:
        self.sent.append((incarnation, body))
        now_s = asyncio.get_running_loop().time()
        self.deliver(HeardDatagram("public", incarnation, body, now_s))

    def arrive(self, datagram: HeardDatagram) -> None:
        self.received_s = asyncio.get_running_loop().time()
        self.buffered.append(datagram)

    def drain(self) -> None:
        waiting, self.buffered = self.buffered, []
        for datagram in waiting:
            self._heard(datagram)

    def rejected(self) -> int:
        return 0

    def introduce(self, incarnation: int, highest: int = 0) -> None:
        self.introduced.append((incarnation, highest))

    def older(self) -> int:
        return self.from_before

    def close(self) -> None:
        self.opened -= 1


@dataclass(slots=True)
class Tunnel:
    """One end of a connection to the peer without a network."""

    other: "Tunnel | None" = None
    listener: LinkListener | None = None
    sent: list[bytes] = field(default_factory=list)
    closed: bool = False

    def open(self, listener: LinkListener) -> None:
        self.listener = listener

    def send(self, message: bytes) -> None:
        self.sent.append(message)
        if self.other is not None and self.other.listener is not None:
            self.other.listener.received(message)

    def trouble(self) -> str:
        return ""

    async def close(self) -> None:
        self.closed = True


@dataclass(slots=True)
class Scripted:
    """A decision core that answers every event with the effects that a test wrote down."""

    answers: dict[type, tuple[Effect, ...]]
    events: list[Event] = field(default_factory=list)

    def step(self, state: NodeState, event: Event) -> tuple[NodeState, tuple[Effect, ...]]:
        self.events.append(event)
        return state, self.answers.get(type(event), ())
