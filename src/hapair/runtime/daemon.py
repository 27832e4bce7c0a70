"""hapaird: the daemon of a node.

Exit codes: 0 after SIGTERM or SIGINT (applications go on), 70 after a bug (systemd starts it
again, applications go on), 1 when it may not run here, 2 for wrong arguments.
"""

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hapair import __version__
from hapair.config.built_json import loads as loads_built
from hapair.config.codec import DamagedError, NewerFormatError
from hapair.core.words.effects import Severity, Watch
from hapair.core.words.events import Command
from hapair.core.words.stored import Stored
from hapair.durable import set_aside_unreadable
from hapair.model.built import Built
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.building.drift import DriftWatch
from hapair.runtime.building.files import is_building
from hapair.runtime.control.alert_desk import AlertDesk
from hapair.runtime.control.commands import Commands
from hapair.runtime.control.monitors import MonitorCommands
from hapair.runtime.control.server import ControlServer
from hapair.runtime.control.under_way import ProgramsUnderWay
from hapair.runtime.guardians.host_settings import HostSettings
from hapair.runtime.guardians.resync_guardian import ResyncGuardian
from hapair.runtime.guardians.running_options import RunningOptions
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.jobs.buildapp import ApplicationBuilder, Surroundings
from hapair.runtime.jobs.catch_up import CatchUp
from hapair.runtime.jobs.monitors import MonitorsBuilt
from hapair.runtime.jobs.resolve import SplitBrainResolver
from hapair.runtime.jobs.split_side import LocalSide
from hapair.runtime.lems.kept import FILE, Kept
from hapair.runtime.lems.lookout import Lookout
from hapair.runtime.lems.server import LemsServer
from hapair.runtime.node.loop import aside, until_broken
from hapair.runtime.node.node import Identity, Listeners, Node, Parts
from hapair.runtime.node.state_file import STATE, load_state
from hapair.runtime.only_one import claim
from hapair.runtime.places import INCARNATION, INCARNATION_DIGITS, Places, read_incarnation
from hapair.runtime.priority import protect, settle_memory
from hapair.runtime.verbs import Call, Verb
from hapair.runtime.wiring import READERS, Wiring, wire

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
PEER_WAIT_S: Final = 60  # How long an interrupted job waits for the peer before it is undone.
JOB_INTERVAL_S: Final = 30.0  # Between two tries to take a job back that could not be before.
ALIVE_INTERVAL_S: Final = 5.0  # How often systemd is told, when it does not say how often.


class StopRequestedError(Exception):
    """SIGTERM or SIGINT."""


def next_incarnation(stored: bytes | None, wall_s: float) -> int:
    """Return a number that is higher than that of every earlier start on this node.

    The wall clock is a lower bound, so that a node whose disk was replaced is not taken for an
    old recording of itself; where the clock is wrong, the counter alone decides.
    """
    before = 0
    if stored is not None:
        with contextlib.suppress(ValueError):
            before = read_incarnation(stored)
    return max(before + 1, int(wall_s))


def keep_unreadable(places: Places, journal: Journal) -> None:
    """Tell, and keep from being overwritten, what this version cannot read of its memory."""
    set_aside_unreadable(
        places.memory,
        READERS,
        lambda text: journal.add("set-aside", text, severity=Severity.WARNING),
    )


def new_incarnation(wiring: Wiring, journal: Journal) -> int:
    """Count this start. A disk that cannot be written keeps no daemon from its heartbeats."""
    incarnation = next_incarnation(wiring.storage.load(INCARNATION), wiring.clock.wall_s())
    try:
        digits = str(incarnation).zfill(INCARNATION_DIGITS)
        wiring.storage.store(INCARNATION, digits.encode())
    except OSError as error:
        text = f"the number of this start cannot be stored: {error}"
        journal.add("not-stored", text, severity=Severity.ALARM)
    return incarnation


@dataclass(slots=True)
class Daemon:
    """Serves its socket always, and is a node of a cluster once one is built."""

    places: Places
    wiring: Wiring
    name: str  # Of this node.
    journal: Journal
    incarnation: int
    boot_id: str
    node: Node | None = None
    trouble: RpcError | None = None  # Why there is no node.
    # Two at once would both replace the connections, and one set would stay open for ever.
    reloading: asyncio.Lock = field(default_factory=asyncio.Lock)
    settings: HostSettings = field(init=False)
    commands: Commands = field(init=False)
    alerts: AlertDesk = field(init=False)
    resolver: SplitBrainResolver = field(init=False)
    guardian: ResyncGuardian = field(init=False)
    options: RunningOptions = field(init=False)
    lookout: Lookout = field(init=False)
    kept: Kept = field(init=False)
    monitors: MonitorCommands = field(init=False)
    spawn: Callable[[Coroutine[object, object, None]], object] = field(init=False)

    def __post_init__(self) -> None:
        self._make_lookout()
        wiring = self.wiring
        self.settings = HostSettings(self.running_node, self.wiring.as_configured, self.journal)
        self.commands = Commands(
            self.running_node,
            self.reload,
            DriftWatch(self.places),
            self.journal,
            self.wiring.clock,
            self._builder(),
            self.settings.alarms,
            watching=self.monitors.of_status,
            under_way=ProgramsUnderWay(self.running_node, wiring.unit_waits, wiring.clock).look,
        )
        self.alerts = AlertDesk(self.running_node, self.commands.status, self.journal, wiring.clock)
        side = LocalSide(self.running_node, wiring.repair, wiring.clock, self.places.looks)
        self.resolver = SplitBrainResolver(self.running_node, side, self.journal, wiring.clock)
        self.guardian = ResyncGuardian(self.running_node, wiring.repair, self.journal, wiring.clock)
        self.options = RunningOptions(
            self.running_node,
            wiring.repair,
            self.journal,
            wiring.clock,
            lambda: is_building(self.places),
            self.guardian.order.passes_over,
            self.guardian.order.forget,
        )

    def _make_lookout(self) -> None:
        wiring, journal = self.wiring, self.journal
        self.kept = Kept(
            wiring.keep,
            wiring.clock,
            journal,
            lambda: self.running_node().peer,
            wiring.storage.load(FILE),
        )
        self.lookout = Lookout(
            wiring.clock,
            journal,
            lambda event: self.running_node().offer(event),
            lambda: self.node.built if self.node is not None else None,
            self.kept.of,
            wiring.group,
        )
        self.kept.changed = self.lookout.refresh
        journal.follow(self.lookout.noted)
        self.monitors = MonitorCommands(self.running_node, self.lookout, self.kept)

    def _watch(self, wanted: Watch) -> None:
        """Take the core's order aside: nothing of Lems may delay or end what decides."""
        asyncio.get_running_loop().call_soon(self.lookout.watch, wanted)

    def _builder(self) -> ApplicationBuilder:
        wiring = self.wiring
        around = Surroundings(
            self.running_node,
            self.reload,
            self._command,
            wiring.run,
            self.places,
            wiring.storage,
            self._halt,
        )
        return ApplicationBuilder(around, lambda: wiring.workshop(self.running_node().hands))

    async def _command(self, command: Command) -> JsonObject:
        return await self.commands.command(command)

    async def _halt(self, call: Call) -> JsonObject:
        return await self.commands.halt(call)

    def running_node(self) -> Node:
        if self.node is not None:
            return self.node
        raise self.trouble or RpcError("the daemon is starting", "try again")

    async def run(self) -> None:
        """Serve until a signal or a bug ends it; what runs on this node is left alone."""
        verbs = self.commands.verbs() | self.resolver.verbs() | self.guardian.verbs()
        verbs |= self.monitors.verbs()
        build = MonitorsBuilt(self.commands.builder.buildapp, self.kept, self.places)
        verbs["buildapp"] = Verb(build.buildapp, cancellable=True)
        verbs |= self.alerts.verbs()
        control = ControlServer(self.places.control_socket, verbs, self.journal)
        place, clock = self.places.lems_socket, self.wiring.clock
        lems = LemsServer(place, self.lookout, self.journal, clock, self.wiring.grip)
        try:
            async with asyncio.TaskGroup() as group:
                self.spawn = group.create_task
                group.create_task(_until_signal())
                await control.open()
                await lems.open()
                await self._try_to_start()
                group.create_task(self._stay_alive())
                settle_memory()
                self.wiring.supervisor.notify("READY=1", f"STATUS={self.summary()}")
        except* StopRequestedError:
            self.journal.add("stopping", "the daemon stops; what runs here goes on")
        finally:
            self.wiring.supervisor.notify("STOPPING=1")
            await lems.close()
            await control.close()

    async def _try_to_start(self) -> None:
        try:
            await self.reload()
        except RpcError as error:
            self.journal.add("not-built", str(error), severity=Severity.WARNING)

    async def reload(self) -> None:
        """Take over built.json; RpcError says why that is not possible, nothing changes then."""
        try:
            async with self.reloading:
                built = await asyncio.to_thread(read_built, self.places)
                if self.node is None:
                    self._begin(built)
                else:
                    await self.node.reconfigure(built)
        except RpcError as error:
            self.trouble = error
            raise
        self.journal.add("configured", f"uses generation {built.generation} of the configuration")

    def _begin(self, built: Built) -> None:
        me = own_name(built, self.name)
        stored = read_stored(self.wiring.storage.load(STATE), self.places)
        parts = Parts(
            self.wiring.clock,
            self.journal,
            self.wiring.hands,
            self.wiring.connect,
            self.wiring.keep,
            self.spawn,
            self.wiring.witnesses,
            self.wiring.fencing,
            self.wiring.watchdog,
            self.wiring.reset,
            self.wiring.storage.load,
            str(self.places.memory),
            self.places.not_stored,
        )
        identity = Identity(me, self.boot_id, self.incarnation)
        listeners = Listeners(self.commands.answered, self.commands.fence_answered, self._watch)
        node = Node(parts, identity, built, stored, listeners)
        catch_up = CatchUp(
            self.running_node, self.reload, self.places, self.journal, self.wiring.resource_files
        )
        asked = self.commands.for_peer() | catch_up.for_peer() | self.resolver.for_peer()
        asked |= self.kept.for_peer() | self.monitors.for_peer()
        asked |= self.alerts.for_peer()
        for verb, handler in asked.items():
            node.peer.on_request(verb, handler)
        node.start()
        for work in (
            catch_up.run,
            self._take_back_jobs,
            self.guardian.run,
            self.options.run,
            self.settings.run,
            self.lookout.run,
            self.kept.run,
        ):
            self.spawn(aside(work, self.journal))
        node.watched = lambda: (self.guardian.kept(), self.guardian.paces())
        self.journal.node = me
        self.node = node

    async def _take_back_jobs(self) -> None:
        """Undo changes of configuration that did not come to their end, whatever stopped them."""
        left: tuple[str, ...] = ()
        while True:
            if await asyncio.to_thread(self.commands.builder.has_interrupted):
                left = await self._take_back_job(left)
            else:
                left = ()
            await asyncio.sleep(JOB_INTERVAL_S)

    async def _take_back_job(self, before: tuple[str, ...]) -> tuple[str, ...]:
        """Try it once; return what is left, which is written down when it is new."""
        builder, node = self.commands.builder, self.running_node()
        if not before:
            self.journal.add(
                "interrupted-job", "a clbuildapp was interrupted; bringing it to an end"
            )
        for _ in range(PEER_WAIT_S):
            if node.peer.connected:
                break
            await asyncio.sleep(1.0)
        left = await builder.finish_interrupted(Call())
        if not left:
            self.journal.add(
                "interrupted-job", "the interrupted clbuildapp is at its end; clstat shows which"
            )
        elif left != before:
            text = f"is left of an interrupted clbuildapp: {'; '.join(left)}; it is tried again"
            self.journal.add("interrupted-job", text, severity=Severity.ALARM)
        return left

    def summary(self) -> str:
        if self.node is None:
            return str(self.trouble)
        return f"{self.node.identity.me} is {self.node.state.standing}"

    async def _stay_alive(self) -> None:
        """Tell systemd that the daemon lives, as long as its core decides.

        A core that waits for a full disk counts as alive: a new daemon could not write either.
        """
        watchdog_s = self.wiring.supervisor.watchdog_s()
        interval_s = ALIVE_INTERVAL_S if watchdog_s is None else watchdog_s / 4
        while True:
            await asyncio.sleep(interval_s)
            age_s = 0.0
            if self.node is not None and not self.node.waits_for_disk:
                age_s = self.wiring.clock.boot_s() - self.node.decided_at_s
            if age_s < interval_s:
                self.wiring.supervisor.notify("WATCHDOG=1", f"STATUS={self.summary()}")


async def _until_signal() -> None:
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    await asked.wait()
    raise StopRequestedError


def read_built(places: Places) -> Built:
    """Read built.json; RpcError says what is wrong with it and the mend."""
    try:
        return loads_built(places.built.read_bytes())
    except FileNotFoundError:
        raise RpcError(
            "no cluster is built on this node",
            "write /etc/cluster/clconf.xml, then type on that node: clbuild",
            exit_code=ExitCode.NOT_NOW,
        ) from None
    except (OSError, DamagedError) as error:
        raise RpcError(
            f"{places.built} cannot be used: {error}",
            "build it anew with clbuild, or bring it back with clrestore",
            exit_code=ExitCode.NOT_NOW,
        ) from None


def read_stored(content: bytes | None, places: Places) -> Stored:
    """Read what the core stored; a damaged file is no reason to forget who may run what."""
    if content is None:
        return Stored()
    try:
        return load_state(content)
    except NewerFormatError as error:
        raise RpcError(
            f"{places.memory / STATE} is of a newer version: {error}",
            "install that version of hapair again on this node",
            exit_code=ExitCode.NOT_NOW,
        ) from None
    except DamagedError as error:
        raise RpcError(
            f"{places.memory / STATE} is damaged: {error}",
            "while the peer runs the cluster, remove the file and type: systemctl restart hapaird",
            exit_code=ExitCode.NOT_NOW,
        ) from None


def own_name(built: Built, name: str) -> str:
    """Find this node among the two of the cluster, by its host name."""
    short = name.split(".", 1)[0]
    for candidate in (name, short):
        if candidate in built.cluster.nodes:
            return candidate
    raise RpcError(
        f"this machine is called {name}, which is no node of cluster {built.cluster.name}",
        "name it like its <node> in clconf.xml (hostnamectl), or the node like the machine",
        exit_code=ExitCode.NOT_NOW,
    )


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="hapaird",
        description="The daemon of a node of a two-node cluster. systemd starts it; stopping it, "
        "or killing it, stops no application: it adopts what runs when it comes back.",
    )
    made.add_argument("--version", action="version", version=f"hapaird {__version__}")
    made.add_argument(
        "--root",
        type=Path,
        default=Path("/"),
        metavar="FOLDER",
        help="where etc, var and run of this node lie (for tests; default: /)",
    )
    made.add_argument(
        "--node",
        default=socket.gethostname(),
        metavar="NAME",
        help="name of this node (default: the machine's host name)",
    )
    made.add_argument(
        "--unprotected",
        action="store_true",
        help="do not ask for real-time priority and locked memory (for tests)",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    places = Places(options.root)
    try:
        for folder in places.made_at_start():
            folder.mkdir(parents=True, exist_ok=True)
        if not claim(places.claim):
            return _refuse("another hapaird runs on this node; see: systemctl status hapaird")
    except PermissionError as error:
        return _refuse(
            f"{error.filename}: {error.strerror}; root starts it: systemctl start hapaird"
        )
    return serve(places, options)


def _refuse(text: str) -> int:
    sys.stderr.write(f"hapaird: {text}\n")
    return int(ExitCode.REFUSED)


def serve(places: Places, options: argparse.Namespace) -> int:
    """Be the daemon of this node until a signal or a bug ends it; return the exit code."""
    wiring = wire(places, protected=not options.unprotected)
    journal = Journal(options.node, places.history, wiring.clock)
    if not options.unprotected:
        for failure in protect():
            journal.add("unprotected", f"not permitted: {failure}", severity=Severity.WARNING)
    keep_unreadable(places, journal)
    incarnation = new_incarnation(wiring, journal)
    boot_id = BOOT_ID.read_text().strip()
    journal.add("daemon", f"hapaird {__version__} starts, incarnation {incarnation}")
    daemon = Daemon(places, wiring, options.node, journal, incarnation, boot_id)
    try:
        with asyncio.Runner(loop_factory=wiring.loop) as runner:
            return runner.run(until_broken(daemon.run(), journal))
    finally:
        journal.close()


if __name__ == "__main__":
    raise SystemExit(main())
