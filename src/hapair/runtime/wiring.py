"""Which adapter stands behind which port of the daemon: nothing else here knows."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from hapair.adapters.clock import SystemClock
from hapair.adapters.drbd.adapter import Drbd
from hapair.adapters.drbd.backing import KernelBackings, read_last_seen
from hapair.adapters.drbd.connections import DrbdConnections
from hapair.adapters.drbd.maker import DrbdMaker
from hapair.adapters.drbd.own_files import OwnFiles
from hapair.adapters.fencing.agents import FenceAgents
from hapair.adapters.files import FileStorage
from hapair.adapters.filesystem.adapter import MountedFileSystems
from hapair.adapters.filesystem.looks import MountedLooks
from hapair.adapters.filesystem.native import NativeFileSystems
from hapair.adapters.grip import PidGrip
from hapair.adapters.heartbeat.beside import UdpHeartbeats
from hapair.adapters.heartbeat.datagrams import ReplayGuard
from hapair.adapters.lvm.adapter import LvmAdapter
from hapair.adapters.network.addresses import ServiceAddresses
from hapair.adapters.network.paths import NetworkPaths
from hapair.adapters.peerlink import LinkFiles, TlsPeerLink
from hapair.adapters.programs.adapter import ApplicationPrograms
from hapair.adapters.programs.grouped import left_processes
from hapair.adapters.programs.groups import root_of_applications
from hapair.adapters.programs.unit_words import waits_for
from hapair.adapters.reset import not_a_machine, reset_machine
from hapair.adapters.shared.names import NamesLoop
from hapair.adapters.shared.process import ProcessRunner
from hapair.adapters.shared.reserved import ROOM_BYTES
from hapair.adapters.systemd_notify import SystemdSupervisor
from hapair.adapters.watchdog import KernelWatchdog
from hapair.model.built import Built
from hapair.model.cluster import Cluster
from hapair.model.node_facts import NodeFacts
from hapair.model.outcome import Refused, Unknown
from hapair.ports.arbiters import Fencing, Witnesses
from hapair.ports.machine import Clock, Storage, Supervisor, WatchdogDevice
from hapair.ports.programs import CommandRunner, Grip
from hapair.rpc.messages import ExitCode, RpcError
from hapair.runtime.building.files import NewFile, ResourceFiles
from hapair.runtime.building.keys import replication_secret
from hapair.runtime.codec import loads
from hapair.runtime.guardians.snapshots import RepairTools
from hapair.runtime.history.replication_memory import MEMORY, Remembered
from hapair.runtime.jobs.workshop import Workshop
from hapair.runtime.lems.kept import FILE as MONITORS
from hapair.runtime.lems.kept import read_kept
from hapair.runtime.lems.orders import ProgramGroup
from hapair.runtime.node.keeper import RIGHTS
from hapair.runtime.node.lineage import PEER, KnownPeer
from hapair.runtime.node.node import Wires
from hapair.runtime.node.perform import Hands
from hapair.runtime.node.state_file import STATE
from hapair.runtime.places import INCARNATION, INCARNATION_DIGITS, Places, read_incarnation
from hapair.runtime.priority import HEART_PRIORITY, protect

KEY_BYTES: Final = 32
# What is stored on a full disk too: the right, whom it heard of, and the number of its start.
RESERVED: Final = {STATE: ROOM_BYTES, PEER: 4096, INCARNATION: INCARNATION_DIGITS}
# What is read as nothing, and then written anew, when it is damaged or of a newer version.
READERS: Final[Mapping[str, Callable[[bytes], object]]] = {
    INCARNATION: read_incarnation,
    PEER: partial(loads, KnownPeer),
    MEMORY: partial(loads, Remembered),
    MONITORS: read_kept,
    "backing-*.json": read_last_seen,
}
BACKING_BYTES: Final = 4096  # What is remembered of a volume: without it no copy is attached.


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the daemon gets of the outside world."""

    clock: Clock
    storage: Storage
    supervisor: Supervisor
    keep: Callable[[str, bytes], Awaitable[None]]
    hands: Callable[[Cluster, str], Hands]
    workshop: Callable[[Hands], Workshop]
    resource_files: ResourceFiles
    run: CommandRunner
    connect: Callable[[Cluster, str], Wires]
    witnesses: Callable[[Cluster, str], Witnesses]
    fencing: Fencing
    watchdog: WatchdogDevice
    reset: Callable[[str], Refused | Unknown]
    repair: RepairTools
    as_configured: Callable[[str, Sequence[str]], Awaitable[NodeFacts | None]]
    grip: Callable[[int], Grip]
    unit_waits: Callable[[str], Awaitable[str]]  # What the start or stop of a unit waits for.
    group: Callable[[str], ProgramGroup]  # Of an application.
    loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop


def wire(places: Places, *, protected: bool) -> Wiring:
    """Return the real outside; ``protected`` says whether priority and locked memory are wanted."""
    storage = FileStorage(places.memory, reserved=RESERVED)
    guard = ReplayGuard()
    # Threads of their own: what the right waits for waits neither for what is only for people, nor
    # for names.
    rights, others = (ThreadPoolExecutor(1, thread_name_prefix=n) for n in ("rights", "others"))

    async def keep(name: str, content: bytes) -> None:
        keeper = rights if name in RIGHTS else others
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(keeper, storage.store, name, content)

    run = ProcessRunner()
    return Wiring(
        clock=SystemClock(),
        storage=storage,
        supervisor=SystemdSupervisor(os.environ),
        keep=keep,
        hands=lambda cluster, me: make_hands(places, cluster, me),
        workshop=lambda hands: make_workshop(places, hands),
        resource_files=resource_files,
        run=run,
        connect=lambda cluster, me: connect(places, guard, cluster, me, protected=protected),
        witnesses=lambda cluster, me: make_witnesses(places, cluster, me),
        fencing=FenceAgents(ProcessRunner()),
        watchdog=KernelWatchdog(),
        reset=reset_machine if places.real else not_a_machine,
        repair=make_repair_tools(places, run),
        as_configured=lambda me, hooks: as_configured(places, run, me, hooks),
        grip=PidGrip,
        unit_waits=partial(waits_for, run),
        group=lambda application: ProgramGroup(
            str(root_of_applications() / application), left_processes(places.started, application)
        ),
        loop=NamesLoop,
    )


def resource_files(built: Built, cluster_key: bytes) -> tuple[NewFile, ...]:
    """Return DRBD's file for each replicated volume of a configuration; KeysError."""
    from hapair.runtime.building import wiring  # noqa: PLC0415 - memory

    return wiring.resource_files(built, cluster_key)


async def as_configured(
    places: Places, run: CommandRunner, me: str, hooks: Sequence[str]
) -> NodeFacts | None:
    """Return what this node's files say of who touches volumes; None when that is not known."""
    from hapair.adapters.scan import scanner  # noqa: PLC0415 - memory

    return await scanner.as_configured(run, places.root, me, hooks)


def make_witnesses(places: Places, cluster: Cluster, me: str) -> Witnesses:
    """Return who asks the witnesses; nothing of it is loaded where none is configured."""
    from hapair.adapters.witness.client import WitnessClients  # noqa: PLC0415 - memory
    from hapair.adapters.witness.clwitness import WitnessFiles  # noqa: PLC0415

    files = WitnessFiles(places.node_certificate, places.node_key)
    return WitnessClients(cluster.name, me, files)


def make_hands(places: Places, cluster: Cluster, me: str) -> Hands:
    run = ProcessRunner()
    programs = ApplicationPrograms(
        run,
        me,
        root=root_of_applications(),
        notes=places.started,
        log_folder=None if places.real else places.logs,
    )
    replication = Drbd(OwnFiles(run))
    replication.use_peer(cluster, me)
    return Hands(
        replication,
        KernelBackings(run, FileStorage(places.memory, each_bytes=BACKING_BYTES)),
        MountedFileSystems(),
        ServiceAddresses(cluster, me, former=places.cards_before),
        programs,
        NetworkPaths(cluster, me),
    )


def make_repair_tools(places: Places, run: CommandRunner) -> RepairTools:
    files = make_files(places, run)
    return RepairTools(LvmAdapter(run), DrbdConnections(OwnFiles(run)), MountedLooks(run), files)


def make_workshop(places: Places, hands: Hands) -> Workshop:
    from hapair.adapters.scan.storage import lvm  # noqa: PLC0415 - memory

    run = ProcessRunner()
    return Workshop(
        LvmAdapter(run),
        NativeFileSystems(run),
        lambda: lvm(run, places.root),
        make_files(places, run),
        hands.replication,
        hands.file_systems,
    )


def make_files(places: Places, run: CommandRunner) -> DrbdMaker:
    folder = places.drbd_resources

    def secret(built: Built) -> str:
        key = places.cluster_key.read_bytes() if built.secret_number else b""
        return replication_secret(key, built.secret_number)

    return DrbdMaker(OwnFiles(run), FileStorage(folder), folder, secret)


def read_key(place: Path) -> bytes:
    key = bytes.fromhex(place.read_text().strip())
    if len(key) != KEY_BYTES:
        raise ValueError(f"{place} does not hold {KEY_BYTES} bytes")
    return key


def connect(
    places: Places, guard: ReplayGuard, cluster: Cluster, me: str, *, protected: bool
) -> Wires:
    """Read the keys and prepare the connections; RpcError when a key is missing or damaged."""
    files = LinkFiles(places.node_key, places.node_certificate, places.peer_certificate)
    try:
        key = read_key(places.cluster_key)
        contents = [place.read_bytes() for place in (files.key, files.certificate)]
        contents += [key, files.peer_certificate.read_bytes()]
        link = TlsPeerLink(cluster, me, files)
    except (OSError, ValueError) as error:
        raise RpcError(
            f"the keys of this cluster cannot be used: {error}",
            "make them anew on the node that has clconf.xml: clbuild",
            exit_code=ExitCode.NOT_NOW,
        ) from None
    digest = hashlib.sha256(b"\0".join(contents)).hexdigest()
    prepare = partial(protect, HEART_PRIORITY) if protected else tuple
    return Wires(UdpHeartbeats(cluster, me, key, guard, prepare), link, digest)
