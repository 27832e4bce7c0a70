"""All facts of one node: what the scanner sees, its configuration, and what its daemon says."""

import asyncio
import base64
import json
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from hapair import __version__
from hapair.config import codec
from hapair.model.node_facts import Configuration, Daemon, NodeFacts, ScanRequest, TextFile
from hapair.ports.programs import CommandRunner
from hapair.rpc.messages import Malformed, RpcError, parse_object
from hapair.runtime.building import keys_seen
from hapair.runtime.building.files import OTHERS, mode_of, read_or_empty, somebody_builds, to_text
from hapair.runtime.building.node_side import AskDaemon
from hapair.runtime.building.staging import leftovers
from hapair.runtime.places import Places

FORMAT: Final = 1  # Of what clscan prints.
MARK: Final = "hapair-scan:"
DOCUMENT_BYTES_MAX: Final = 64 * 1024**2
STATUS_TIMEOUT_S: Final = 5.0
STATE: Final = "state.json"
BOOT_ID: Final = "proc/sys/kernel/random/boot_id"
FORMED_BEFORE: Final = "formed, without a daemon"
FILE_BYTES_MAX: Final = 1024**2  # More is not read: the parser refuses much smaller files.


class Scanner(Protocol):
    async def scan(self, request: ScanRequest) -> NodeFacts: ...


class NodeScan:
    def __init__(
        self,
        places: Places,
        run: CommandRunner,
        scanner: Scanner,
        ask_daemon: AskDaemon,
        *,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._places = places
        self._run = run
        self._scanner = scanner
        self._ask_daemon = ask_daemon
        self._wall_s = wall_s

    async def scan(self, request: ScanRequest, *, lock_is_ours: bool = False) -> NodeFacts:
        """Gather everything; nothing is changed by it. OSError when a file cannot be read.

        ``lock_is_ours``: the caller holds the build lock, so nobody else can be building.
        """
        # First, because a file that cannot be read ends it: no program is under way then.
        configuration = await self._configuration()
        facts, (standing, version) = await asyncio.gather(
            self._scanner.scan(request),
            asyncio.to_thread(self._standing_and_version),
        )
        running = facts.daemon.running or standing not in ("", FORMED_BEFORE)
        return replace(
            facts,
            configuration=configuration,
            daemon=Daemon(running, facts.daemon.enabled, standing, version),
            wall_ms=int(self._wall_s() * 1000),
            building=self._places.job.exists()
            or (not lock_is_ours and somebody_builds(self._places)),
        )

    async def _configuration(self) -> Configuration:
        places = self._places
        return Configuration(
            clconf=to_text(read_or_empty(places.clconf, bytes_max=FILE_BYTES_MAX)),
            clconf_private=not mode_of(places.clconf) & OTHERS,
            built=to_text(read_or_empty(places.built)),
            applications=tuple(
                TextFile(file.parent.name, to_text(read_or_empty(file, bytes_max=FILE_BYTES_MAX)))
                for file in sorted(places.configuration.glob("*/appconf.xml"))
                if file.is_file()
            ),
            keys=await keys_seen.look(self._run, places),
            leftovers=leftovers(places),
        )

    def _standing_and_version(self) -> tuple[str, str]:
        """Return what the local node's daemon says of itself; empty where nobody knows."""
        try:
            status = self._ask_daemon("status", STATUS_TIMEOUT_S)
        except RpcError:
            return self._remembered(), ""
        nodes, local = status.get("nodes"), status.get("local")
        node = nodes.get(local) if isinstance(nodes, Mapping) else None
        if not isinstance(node, Mapping):
            return "", ""
        standing, version = node.get("standing"), node.get("version")
        return (
            standing if isinstance(standing, str) else "",
            version if isinstance(version, str) else "",
        )

    def _remembered(self) -> str:
        """Say so if a daemon that does not answer has formed the cluster in this boot."""
        try:
            stored = parse_object(read_or_empty(self._places.memory / STATE))
        except Malformed:
            return ""
        boot_id = to_text(read_or_empty(self._places.root / BOOT_ID)).strip()
        of_this_boot = stored.get("formed_boot_id") == boot_id
        return FORMED_BEFORE if stored.get("formed") is True and of_this_boot else ""


class OtherVersionError(Exception):
    """The document was written by a version of hapair that this one does not understand."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.version = version


def dump_facts(facts: NodeFacts) -> str:
    """Write what clscan prints."""
    document = {"format": FORMAT, "version": __version__, "facts": codec.encode(facts)}
    return json.dumps(document, indent=1)


def pack_facts(facts: NodeFacts) -> str:
    """Write the same for the other node: 200 applications are much text, and much alike."""
    return MARK + base64.b64encode(zlib.compress(dump_facts(facts).encode())).decode()


def unpack_facts(text: str) -> NodeFacts:
    """Read what was packed, whatever a login printed before and after it.

    Raises Malformed, or OtherVersionError naming the writer's version.
    """
    packed = [line.removeprefix(MARK) for line in text.splitlines() if line.startswith(MARK)]
    if not packed:
        raise Malformed("clscan printed something else")
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(
            base64.b64decode(packed[-1], validate=True), DOCUMENT_BYTES_MAX
        )
    except (ValueError, zlib.error) as error:
        raise Malformed(str(error)) from None
    return load_facts(content.decode(errors="replace"))


def load_facts(text: str) -> NodeFacts:
    """Read what clscan printed; Malformed, or OtherVersionError naming the writer's version."""
    try:
        document = codec.loads(text)
    except codec.DamagedError as error:
        raise Malformed(str(error)) from None
    match document:
        case {"format": int(number), "version": str(version), "facts": facts}:
            return _facts(number, version, facts)
        case _:
            raise Malformed("clscan printed something else")


def _facts(number: int, version: str, facts: object) -> NodeFacts:
    if number != FORMAT:
        raise OtherVersionError(version)
    try:
        return codec.decode(NodeFacts, facts)
    except codec.DamagedError as error:
        if version != __version__:
            raise OtherVersionError(version) from None
        raise Malformed(str(error)) from None
