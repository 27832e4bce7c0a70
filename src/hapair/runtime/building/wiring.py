"""Who the hands of clbuild are: the only place here that names adapters."""

import asyncio
import platform
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hapair.adapters.shared.process import ProcessRunner
from hapair.adapters.ssh import SshMachine
from hapair.model.built import Built
from hapair.model.cluster import Witness
from hapair.model.outcome import Outcome
from hapair.ports.programs import CommandRunner, Finished, TimedOut
from hapair.rpc.client import call
from hapair.rpc.messages import JsonObject
from hapair.runtime.building.files import PRIVATE_MODE, NewFile
from hapair.runtime.building.hands import UnreachableError
from hapair.runtime.building.keys import replication_secret
from hapair.runtime.building.node_side import NodeHands, NodeSide
from hapair.runtime.places import Places

if TYPE_CHECKING:
    from hapair.model.service import SeenService
    from hapair.model.unit import Unusable
    from hapair.runtime.building.scanning import NodeScan
    from hapair.runtime.building.seats import LocalSeat, RemoteSeat
    from hapair.runtime.building.witness_work import WitnessAccess

# A step for the other node needs no scanner: what is large is imported where it is used.

T = TypeVar("T")

REACH_TIMEOUT_S = 30.0
INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_interruptible(work: Coroutine[object, object, T]) -> T:
    """Run ``work``; Ctrl-C and the like cancel it, however often they come.

    Raises KeyboardInterrupt when ``work`` ended by that. It may as well end normally, because it
    does not leave things half done.
    """

    async def main() -> T:
        loop = asyncio.get_running_loop()
        task = loop.create_task(work)
        for number in INTERRUPTIONS:
            loop.add_signal_handler(number, task.cancel)
        try:
            return await task
        finally:
            # Whatever is still being ended: the next Ctrl-C ends the command itself.
            for number in INTERRUPTIONS:
                loop.remove_signal_handler(number)

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def run_to_end(work: Coroutine[object, object, T]) -> T:
    """Run ``work``, which is short and bounded, whatever signals come: the peer waits for it."""

    async def main() -> T:
        loop = asyncio.get_running_loop()
        for number in INTERRUPTIONS:
            loop.add_signal_handler(number, lambda: None)
        return await work

    return asyncio.run(main())


def ask_daemon(verb: str, timeout_s: float) -> JsonObject:
    return call(verb, timeout_s=timeout_s)


def resource_files(built: Built, cluster_key: bytes) -> tuple[NewFile, ...]:
    """Return DRBD's file for each replicated volume, as clbuildapp writes it; KeysError."""
    from hapair.adapters.drbd.resource_file import file_name, resource_text  # noqa: PLC0415

    secret = replication_secret(cluster_key, built.secret_number)
    volumes = [volume for each in built.applications for volume in each.volumes]
    return tuple(
        NewFile(
            f"etc/drbd.d/{file_name(volume.resource)}",
            resource_text(built, volume, secret=secret),
            PRIVATE_MODE,
        )
        for volume in volumes
    )


def node_scan(places: Places) -> "NodeScan":
    from hapair.adapters.scan.scanner import Scanner  # noqa: PLC0415
    from hapair.runtime.building.scanning import NodeScan  # noqa: PLC0415

    run = ProcessRunner()
    return NodeScan(places, run, Scanner(run, places.root), ask_daemon)


def node_side(places: Places) -> NodeSide:
    return NodeSide(places, ProcessRunner(), NodeHands(ask_daemon, resource_files))


def command_runner() -> CommandRunner:
    return ProcessRunner()


async def look_at_service(asked: str) -> "SeenService | Unusable":
    """Look at a unit, or at what an OCF agent would start, as it runs on this node."""
    from hapair.adapters.services.look import look  # noqa: PLC0415

    return await look(asked, ProcessRunner())


class RealHands:
    """This machine, and the other one over SSH."""

    def host_name(self) -> str:
        return platform.node()

    async def local_addresses(self) -> tuple[str, ...]:
        from hapair.adapters.scan import network  # noqa: PLC0415

        cards = await network.cards(ProcessRunner())
        return tuple(each.address.partition("/")[0] for card in cards for each in card.addresses)

    def local_seat(self, node: str, places: Places) -> "LocalSeat":
        from hapair.runtime.building.seats import LocalSeat  # noqa: PLC0415

        return LocalSeat(node, node_scan(places), node_side(places))

    def witnesses(self, cluster: str, node: str, places: Places) -> "WitnessAccess":
        from hapair.adapters.witness.client import WitnessClients  # noqa: PLC0415
        from hapair.adapters.witness.clwitness import WitnessFiles  # noqa: PLC0415
        from hapair.adapters.witness.join import join  # noqa: PLC0415

        class Access(WitnessClients):
            """The witnesses' clients, and the way to make this cluster known to one."""

            async def join(self, witness: Witness, code: str, *, timeout_s: float) -> Outcome:
                certificates = (places.node_certificate, places.peer_certificate)
                return await join(witness, cluster, code, certificates, timeout_s=timeout_s)

        return Access(cluster, node, WitnessFiles(places.node_certificate, places.node_key))

    @asynccontextmanager
    async def peer_seat(self, node: str, addresses: tuple[str, ...]) -> "AsyncIterator[RemoteSeat]":
        from hapair.runtime.building.seats import RemoteSeat  # noqa: PLC0415

        run = ProcessRunner()
        # A short path: the control socket's name has to fit into 108 bytes.
        with tempfile.TemporaryDirectory(prefix="clb") as folder:
            tries = []
            for address in addresses:
                machine = SshMachine(run, address, Path(folder))
                why = await _refusal(machine)
                if not why:
                    try:
                        yield RemoteSeat(node, machine)
                    finally:
                        await machine.close()
                    return
                tries.append((address, why))
        raise UnreachableError(node, tuple(tries))


async def _refusal(machine: CommandRunner) -> str:
    match await machine(("true",), timeout_s=REACH_TIMEOUT_S):
        case Finished(exit_code=0):
            return ""
        case Finished(stderr=stderr):
            lines = stderr.strip().splitlines()
            return lines[-1] if lines else "refused"
        case TimedOut(after_s):
            return f"no answer within {after_s:.0f} s"
