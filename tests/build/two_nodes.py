"""Two nodes below two folders; the other one is reached through a command runner, as by SSH."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from hapair.adapters.shared.process import ProcessRunner
from hapair.model.node_facts import Daemon, NodeFacts, ScanRequest
from hapair.ports.programs import Finished, TimedOut
from hapair.rpc.messages import DaemonDown, JsonObject, RpcError
from hapair.runtime.building import wiring
from hapair.runtime.building.hands import UnreachableError
from hapair.runtime.building.node_side import NodeHands, NodeSide
from hapair.runtime.building.scanning import NodeScan, pack_facts
from hapair.runtime.building.seats import SCAN_COMMAND, STEP_COMMAND, LocalSeat, RemoteSeat
from hapair.runtime.building.steps import Step, StepKind
from hapair.runtime.codec import dumps, loads
from hapair.runtime.places import Places
from tests.build.fake_witness import FakeAccess, FakeThirdPlaces
from tests.build.material import ADDRESSES, Hurt, healthy, unhurt
from tests.build.power import Power, PowerCut

BROKEN = Finished(255, "", "ssh: connect to host node2: No route to host")


@dataclass(slots=True)
class FakeCommands:
    """Every program succeeds, except those that are told to fail; openssl is the real one."""

    calls: list[tuple[str, ...]] = field(default_factory=list)
    failing: dict[str, Finished | TimedOut] = field(default_factory=dict)

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        self.calls.append(tuple(argv))
        for words, result in self.failing.items():
            if words in " ".join(argv):
                return result
        if argv[0] == "openssl":
            return await ProcessRunner()(argv, timeout_s=timeout_s, stdin=stdin)
        return Finished(0, "", "")

    def ran(self, words: str) -> bool:
        return any(words in " ".join(argv) for argv in self.calls)


@dataclass(slots=True)
class FakeDaemon:
    """Answers once it was started; ``standing`` is what it says of itself."""

    commands: FakeCommands
    standing: str = "halted"
    reloads: bool = True
    asked: list[str] = field(default_factory=list)

    @property
    def running(self) -> bool:
        return self.commands.ran("systemctl restart hapaird")

    def __call__(self, verb: str, timeout_s: float) -> JsonObject:
        del timeout_s
        if not self.running:
            raise DaemonDown("nobody answers", "start it")
        self.asked.append(verb)
        if verb == "reload" and not self.reloads:
            raise RpcError("built.json is of another version", "install it")
        if verb == "status":
            return {"local": "me", "nodes": {"me": {"standing": self.standing}}}
        return {}


@dataclass(slots=True)
class FakeScanner:
    """Sees a healthy node, and what a build did to it."""

    node: "FakeNode"

    async def scan(self, request: ScanRequest) -> NodeFacts:
        del request
        facts = self.node.hurt(healthy(self.node.name))
        commands = self.node.commands
        daemon = Daemon(self.node.daemon.running, commands.ran("systemctl enable"))
        lvm_local = self.node.root / "etc/lvm/lvmlocal.conf"
        if lvm_local.exists() and "hapair: begin" in lvm_local.read_text():
            facts = replace(facts, lvm=replace(facts.lvm, global_filter=("r|^/dev/drbd|",)))
        return replace(facts, daemon=daemon)


@dataclass(slots=True)
class FakeNode:
    name: str
    root: Path
    commands: FakeCommands = field(default_factory=FakeCommands)
    hurt: Hurt = unhurt
    daemon: FakeDaemon = field(init=False)
    power: Power = field(init=False)

    def __post_init__(self) -> None:
        self.daemon = FakeDaemon(self.commands)
        self.power = Power(self.root)
        self.places.configuration.mkdir(parents=True)

    @property
    def places(self) -> Places:
        return Places(self.root)

    @property
    def side(self) -> NodeSide:
        return NodeSide(self.places, self.commands, NodeHands(self.daemon, wiring.resource_files))

    @property
    def scan(self) -> NodeScan:
        return NodeScan(
            self.places, self.commands, FakeScanner(self), self.daemon, wall_s=lambda: 1_000.0
        )

    @property
    def seat(self) -> LocalSeat:
        return LocalSeat(self.name, self.scan, self.side)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def files(self) -> dict[str, tuple[int, str]]:
        """Return mode and content of everything that a build may change, leftovers included."""
        return {
            str(file.relative_to(self.root)): (file.stat().st_mode & 0o777, file.read_text())
            for folder in ("etc/cluster", "etc/drbd.d", "etc/lvm")
            for file in sorted((self.root / folder).rglob("*"))
            if file.is_file()
        }


@dataclass(slots=True)
class Wire:
    """Runs the commands of the other node. ``on_step`` may break the wire, or interrupt."""

    node: FakeNode
    on_step: Callable[[StepKind], None] = lambda _kind: None
    lose_answer_of: StepKind | None = None
    cut_before: StepKind | None = None
    down: bool = False
    heard: list[bytes] = field(default_factory=list)  # Everything that went over the wire.

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        del timeout_s
        self.heard.append(" ".join(argv).encode() + stdin)
        if tuple(argv) == SCAN_COMMAND:
            facts = await self.node.scan.scan(loads(ScanRequest, stdin))
            return (
                BROKEN if self.down else Finished(0, "Welcome to node2\n" + pack_facts(facts), "")
            )
        assert tuple(argv) == STEP_COMMAND
        step = loads(Step, stdin)
        self.on_step(step.kind)
        if self.down or self.node.power.off or step.kind is self.cut_before:
            self.down = True
            return BROKEN
        try:
            answer = await self.node.side.perform(step)
        except PowerCut:
            return BROKEN
        if step.kind is self.lose_answer_of:
            return BROKEN
        self.heard.append(dumps(answer))
        return Finished(0, "Welcome to node2\n" + dumps(answer).decode(), "")

    @property
    def seat(self) -> RemoteSeat:
        return RemoteSeat(self.node.name, self, wall_s=lambda: 1_000.0)


@dataclass(slots=True)
class FakeHands:
    """What a command on the first node has: itself, and a wire to the other one."""

    nodes: tuple[FakeNode, FakeNode]
    wire: Wire
    name: str = "node1"
    addresses: tuple[str, ...] = ADDRESSES[:2]
    refused: str = ""
    third_places: FakeThirdPlaces = field(default_factory=FakeThirdPlaces)

    def witnesses(self, cluster: str, node: str, places: Places) -> FakeAccess:
        assert places == self.nodes[0].places
        return FakeAccess(self.third_places, cluster, node)

    def host_name(self) -> str:
        return self.name

    async def local_addresses(self) -> tuple[str, ...]:
        return self.addresses

    def local_seat(self, node: str, places: Places) -> LocalSeat:
        assert (node, places) == (self.nodes[0].name, self.nodes[0].places)
        return self.nodes[0].seat

    @asynccontextmanager
    async def peer_seat(self, node: str, addresses: tuple[str, ...]) -> AsyncIterator[RemoteSeat]:
        assert node == self.nodes[1].name
        if self.refused:
            raise UnreachableError(node, tuple((each, self.refused) for each in addresses))
        yield self.wire.seat
