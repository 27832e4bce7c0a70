"""What does an idle daemon cost that runs many applications, and what a mass of changes?

    python -m bench.idle [--applications N] [--for SECONDS]

The node of the daemon in name spaces of this host: real core, real runtime, and the real adapters
for addresses and mounts. Each application has two addresses on a card and two mounts (small file
systems in memory under the names of replicated devices). DRBD, the programs and the peer, with
which the node is together all the time, only say that all is well. Needs root.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_interface
from itertools import pairwise
from pathlib import Path
from typing import Final

from bench.core import EPOCH, facts_of
from hapair.adapters.clock import SystemClock
from hapair.adapters.filesystem.adapter import MountedFileSystems
from hapair.adapters.network.addresses import ServiceAddresses
from hapair.adapters.network.paths import NetworkPaths
from hapair.core.words.effects import AnswerFence, Layer, Reply, Watch
from hapair.core.words.events import Beat, PeerApplication, PeerState, PeerStated
from hapair.core.words.item import Is
from hapair.core.words.stored import Stored
from hapair.model.application import ServiceAddress
from hapair.model.built import Built, BuiltApplication
from hapair.model.outcome import Unknown
from hapair.model.status import Phase, Record, Standing, Version, Wanted
from hapair.ports.peer import HeardDatagram
from hapair.runtime.codec import dumps
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.node import Identity, Listeners, Node, Parts, Wires
from hapair.runtime.node.perform import Hands
from hapair.runtime.priority import settle_memory
from tests.fakes.backing import FakeBackings
from tests.fakes.hands import FakePrograms, FakeReplication
from tests.fakes.third_parties import DeviceSeen, OneWitness, Strip
from tests.runtime.fakes import Air, Tunnel
from tests.sim.settings import NODES, Shape, application, built_from

OWN_SPACES: Final = "--in-own-spaces"
BOOT: Final = "boot"
PEER_INCARNATION: Final = 7
VOLUMES: Final = 2
LIMIT_S: Final = 60.0
LOOK_S: Final = 0.01
FOLDER: Final = Path("/mnt")  # Something else lies there in the name space of the bench only.


def configuration(count: int) -> Built:
    """Return the applications; each device has a name that this host does not know."""
    shape = Shape(
        applications=tuple(application(f"app{n:03}", volumes=VOLUMES) for n in range(count)),
        detection_s=10.0,  # No stop of this host for a moment shall be taken for a silence.
        heartbeat_s=0.2,
    )
    plain = built_from(shape)
    made: list[BuiltApplication] = []
    for n, each in enumerate(plain.applications):
        texts = (f"10.77.{10 + k}.{n % 250 + 1}/24" for k in range(n // 250 * 2, n // 250 * 2 + 2))
        addresses = tuple(ServiceAddress("public", ip_interface(text)) for text in texts)
        volumes = tuple(
            replace(volume, minor=100_000 + VOLUMES * n + k)
            for k, volume in enumerate(each.volumes)
        )
        ours = replace(each.application, addresses=addresses)
        made.append(BuiltApplication(ours, volumes, each.fingerprint))
    return replace(plain, applications=tuple(made))


def run(*argv: str, text: str = "") -> None:
    subprocess.run(argv, check=True, input=text, text=True, stdout=subprocess.DEVNULL)


def prepare(built: Built, folder: Path) -> Built:
    """Give this name space cards, addresses and mounts; return what lies below ``folder``."""
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "tmpfs", "tmpfs", str(folder))
    for network in built.cluster.networks:
        attachment = network.attachment(NODES[0])
        add_card(attachment.cards[0])
        run("ip", "address", "add", str(attachment.address), "dev", attachment.cards[0])
    made: list[BuiltApplication] = []
    for each in built.applications:
        volumes = tuple(
            replace(volume, mount_point=f"{folder}{volume.mount_point}") for volume in each.volumes
        )
        for volume in volumes:
            Path(volume.mount_point).mkdir(parents=True)
            run("mount", "-t", "tmpfs", "-o", "size=4k", volume.device, volume.mount_point)
        made.append(replace(each, volumes=volumes))
    return replace(built, applications=tuple(made))


def add_card(name: str) -> None:
    run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}peer")
    for end in (name, f"{name}peer"):
        run("ip", "link", "set", end, "up")


def add_addresses(built: Built) -> None:
    each = (a.address.ip for b in built.applications for a in b.application.addresses)
    run("ip", "-batch", "-", text="".join(f"address add {ip}/32 dev public0\n" for ip in each))


@dataclass(slots=True)
class Sent(Air):
    """Heartbeats that count when they are sent, and a peer that answers each."""

    at_s: list[float] = field(default_factory=list)

    def send(self, incarnation: int, body: bytes) -> None:
        del body
        self.at_s.append(time.process_time())
        boot_s = SystemClock().boot_s()
        beat = Beat(PEER_INCARNATION, incarnation, Standing.TOGETHER, EPOCH)
        for network in ("public", "private"):
            self.arrive(HeardDatagram(network, PEER_INCARNATION, dumps(beat), boot_s))

    def begin(self) -> None:
        self.at_s = [time.process_time()]

    def longest_gap_s(self) -> float:
        """Return how long the daemon itself kept a heartbeat waiting since ``begin``.

        That is processor time, so that it is the same on a busy host.
        """
        return max(b - a for a, b in pairwise([*self.at_s, time.process_time()]))


def peer_state(built: Built, records: tuple[Record, ...], incarnation: int) -> PeerState:
    said = tuple(PeerApplication(r.application, Phase.STOPPED, data_current=True) for r in records)
    return PeerState(
        PEER_INCARNATION, incarnation, Standing.TOGETHER, EPOCH, built.generation, records, said
    )


async def agree(node: Node, clock: SystemClock, said: Callable[[int], PeerState]) -> None:
    """Be a peer that accepts the node, also after a pause that makes it another one."""
    accepted = 0
    while True:
        if node.state.incarnation != accepted:
            accepted = node.state.incarnation
            node.offer(PeerStated(clock.boot_s(), said(accepted)))
        await asyncio.sleep(LOOK_S)


async def _keep(_name: str, _content: bytes) -> None:
    await asyncio.sleep(0.002)  # As long as a disk takes.


@dataclass(slots=True)
class Bench:
    node: Node
    air: Sent
    hands: Hands

    def all_up(self) -> bool:
        return all(
            each.known is Is.UP and not each.busy and not each.upkeep.missing
            for _, each in self.node.state.every_item()
        )

    def all_put_back(self) -> bool:
        items = (each for i, each in self.node.state.every_item() if i.layer is Layer.ADDRESSED)
        return self.all_up() and all(each.upkeep.put_back for each in items)

    async def until(self, holds: Callable[[], bool]) -> float:
        """Return how long it took."""
        began_s = time.monotonic()
        while not holds():
            if time.monotonic() > began_s + LIMIT_S:
                raise RuntimeError(f"it is not so after {LIMIT_S:.0f} s")
            await asyncio.sleep(LOOK_S)
        return time.monotonic() - began_s


@asynccontextmanager
async def running(built: Built, folder: Path) -> AsyncIterator[Bench]:
    """Start the node of a daemon that finds everything up, and a peer that agrees."""
    names = [each.application.name for each in built.applications]
    records = tuple(Record(name, NODES[0], Version(EPOCH, 1), Wanted.UP) for name in names)
    stored = Stored(
        formed=True, formed_boot_id=BOOT, joined_boot_id=BOOT, epoch=EPOCH, records=records
    )
    known = {each.resource: each for each in facts_of(built, primary=True)}
    air = Sent()
    hands = Hands(
        FakeReplication(known),
        FakeBackings(),
        MountedFileSystems(),
        ServiceAddresses(built.cluster, NODES[0]),
        FakePrograms(dict.fromkeys(names, True)),
        NetworkPaths(built.cluster, NODES[0]),
    )
    clock = SystemClock()
    journal = Journal(NODES[0], folder / "history", clock, show=lambda _: None)
    tasks: list[asyncio.Task[object]] = []

    def spawn(work: Coroutine[object, object, None]) -> None:
        tasks.append(asyncio.get_running_loop().create_task(work))

    parts = Parts(
        clock,
        journal,
        lambda _cluster, _me: hands,
        lambda _cluster, _me: Wires(air, Tunnel(), "keys"),
        _keep,
        spawn,
        lambda _cluster, _me: OneWitness(),
        Strip(),
        DeviceSeen(),
        Unknown,
    )

    def forget(_: Reply | AnswerFence | Watch) -> None:
        return

    listeners = Listeners(forget, forget, forget)
    node = Node(parts, Identity(NODES[0], BOOT, 1), built, stored, listeners)
    air.begin()
    node.start()
    spawn(agree(node, clock, partial(peer_state, built, records)))
    try:
        yield Bench(node, air, hands)
    finally:
        for task in tasks:
            task.cancel()


def mebibytes() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    return int(dict(line.split(":", 1) for line in lines)["Pss"].split()[0]) / 1024


async def measured(count: int, for_s: float, folder: Path) -> None:
    built = prepare(configuration(count), folder)
    add_addresses(built)
    async with running(built, folder) as bench:
        show("start: until everything is known, s", await bench.until(bench.all_up))
        show("start: most processor time between two heartbeats, s", bench.air.longest_gap_s())
        await bench.until(lambda: bench.node.state.standing is Standing.TOGETHER)
        settle_memory()
        await idle("idle", bench, for_s)
        add_card("other0")
        flick = partial(run, "ip", "address", "add", "10.99.0.1/32", "dev", "other0")
        undo = partial(run, "ip", "address", "del", "10.99.0.1/32", "dev", "other0")
        stranger = asyncio.create_task(each_second(flick, undo))
        await idle("an address that is none of ours changes each second", bench, for_s)
        stranger.cancel()
        bench.air.begin()
        flush = ("ip", "address", "flush", "dev", "public0", "to", "10.77.8.0/21")
        await asyncio.to_thread(run, *flush)
        back_s = await bench.until(bench.all_put_back)
        show("all addresses removed: until all are back, s", back_s)
        show(
            "all addresses removed: most processor time between two heartbeats, s",
            bench.air.longest_gap_s(),
        )


async def each_second(*deeds: Callable[[], None]) -> None:
    while True:
        for deed in deeds:
            await asyncio.to_thread(deed)
            await asyncio.sleep(1.0)


async def idle(what: str, bench: Bench, for_s: float) -> None:
    bench.air.begin()
    before_s = time.process_time()
    await asyncio.sleep(for_s)
    used_s = time.process_time() - before_s
    show(f"{what}: % of a processor", 100 * used_s / for_s)
    show(f"{what}: most processor time between two heartbeats, s", bench.air.longest_gap_s())
    show(f"{what}: MiB (PSS) of this process", mebibytes())


def show(what: str, figure: float) -> None:
    print(f"| {what} | {figure:.2f} |", flush=True)


def main() -> int:
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--applications", type=int, default=200, metavar="N")
    made.add_argument("--for", type=float, default=60.0, metavar="SECONDS", dest="for_s")
    made.add_argument(OWN_SPACES, action="store_true", help=argparse.SUPPRESS)
    options = made.parse_args()
    if not options.in_own_spaces:
        argv = ("unshare", "--net", "--mount", sys.executable, "-m", "bench.idle", *sys.argv[1:])
        os.execvp(argv[0], (*argv, OWN_SPACES))  # noqa: S606 - The name is ours.
    asyncio.run(measured(options.applications, options.for_s, FOLDER))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
