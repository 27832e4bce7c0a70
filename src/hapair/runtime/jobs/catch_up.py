"""A node that was away takes the newer configuration that its peer committed.

This is failure 24 of docs/operating/runbooks. The node with the lower generation fetches the peer's
/etc/cluster, without its keys, archives its own one like clbuild does, puts the new one in place as
one change, with DRBD's resource files that follow from it, and uses it; applications go on.
Passwords for fence agents are each node's own: only those that are missing here come with it. Where
two configurations of the same generation differ, a person must choose: the difference is reported.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from hapair import __version__
from hapair.config.built_json import dumps as dump_built
from hapair.config.built_json import loads as load_built
from hapair.config.codec import DamagedError, encode
from hapair.core.words.effects import Severity
from hapair.model.built import Built
from hapair.model.secret import secret_files
from hapair.rpc.messages import ExitCode, JsonObject, Malformed, RpcError
from hapair.runtime.building import archive
from hapair.runtime.building.files import (
    WRITTEN_BYTES_MAX,
    BusyError,
    NewFile,
    ResourceFiles,
    is_building,
    mode_for,
    only_builder,
    read_or_empty,
    superfluous,
    to_text,
)
from hapair.runtime.building.keys import KeysError
from hapair.runtime.building.staging import LAST, Staging, StagingError
from hapair.runtime.codec import decode
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.node import Node
from hapair.runtime.places import Places
from hapair.runtime.verbs import Call, Handler

LOOK_INTERVAL_S: Final = 2.0
ANSWER_LIMIT_S: Final = 10.0
SHOWN_MAX: Final = 5
KEYS: Final = "etc/cluster/keys/"  # Each node has its own.
SECRETS: Final = "etc/cluster/secrets/"  # And its own passwords: an agent's device may differ.
PRIVATE: Final = ".parameters["  # Values of an agent's parameters may be passwords.


@dataclass(frozen=True, slots=True)
class Sent:
    """The built configuration of a node, and all its files when they are asked for."""

    built: str
    files: tuple[NewFile, ...] = ()


class CatchUp:
    """Compares the two configurations whenever one of them, or the connection, is new."""

    def __init__(
        self,
        node: Callable[[], Node],
        reload: Callable[[], Awaitable[None]],
        places: Places,
        journal: Journal,
        resource_files: ResourceFiles,
    ) -> None:
        self._node = node
        self._reload = reload
        self._places = places
        self._journal = journal
        self._resource_files = resource_files
        self._settled: tuple[int, int] | None = None  # The two generations that were compared.

    def for_peer(self) -> dict[str, Handler]:
        return {"configuration": self._give}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            await self.look()

    async def look(self) -> None:
        """Compare once; do nothing while there is no peer, or somebody builds."""
        node = self._node()
        theirs = node.state.peer.state
        if theirs is None or not node.peer.connected:
            self._settled = None
            return
        generations = (node.built.generation, theirs.generation)
        if generations == self._settled or is_building(self._places):
            return
        if theirs.generation >= node.built.generation and not await self._compare(node):
            return
        self._settled = generations

    async def _compare(self, node: Node) -> bool:
        """Tell whether it came to an end; else it is tried again."""
        try:
            answer = await node.peer.request(
                "configuration", {"above": node.built.generation}, timeout_s=ANSWER_LIMIT_S
            )
            sent = decode(Sent, answer.get("sent"))
            theirs = load_built(sent.built.encode())
            if theirs.generation > node.built.generation:
                await asyncio.to_thread(self._install, theirs, sent)
                await self._use(node, theirs)
            elif theirs.generation == node.built.generation and theirs != node.built:
                self._tell_conflict(node, theirs)
        except BusyError:
            return False
        except RpcError as error:
            if error.exit_code is ExitCode.NOT_NOW:
                return False
            self._tell_failure(node, error)
        except (
            *(Malformed, DamagedError, KeysError),
            *(StagingError, archive.ArchiveError, OSError),
        ) as error:
            self._tell_failure(node, error)
        return True

    async def _use(self, node: Node, theirs: Built) -> None:
        try:
            await self._reload()
        except RpcError as error:
            self._tell_failure(node, error)
            return
        text = f"took generation {theirs.generation} over, which the peer committed meanwhile"
        self._journal.add("configuration-taken", text, severity=Severity.WARNING)

    def _install(self, theirs: Built, sent: Sent) -> None:
        with only_builder(self._places):
            on_disk = load_built(self._places.built.read_bytes())
            if on_disk.generation >= theirs.generation:
                return  # A build put it there; only the daemon had not looked yet.
            files = tuple(file for file in sent.files if not self._is_own(theirs, file.path))
            files += self._resource_files(theirs, read_or_empty(self._places.cluster_key))
            files += superfluous(self._places, files)  # By them an unfinished build is known.
            staging = Staging(self._places, theirs.generation)
            staging.undo()  # What an interrupted build of this generation left.
            staging.begin()
            try:
                staging.stage((*files, NewFile(LAST, sent.built, mode_for(theirs.cluster))))
                name = archive.archive_name_now(on_disk.generation)
                node = self._journal.node
                archive.make(self._places, name, node=node, version=__version__)
                staging.commit()
            except (StagingError, OSError):
                staging.undo()
                raise
            staging.finish()

    def _is_own(self, theirs: Built, path: str) -> bool:
        """Tell whether a file is this node's own, whatever the peer has at that place."""
        if path.startswith(KEYS):
            return True
        secret = path.startswith(SECRETS) or f"/{path}" in secret_files(theirs.cluster)
        return secret and (self._places.root / path).exists()

    async def _give(self, call: Call) -> JsonObject:
        """Answer {above}: the configuration, with its files when it is newer than that."""
        if is_building(self._places):
            raise RpcError(
                f"somebody builds on {self._journal.node}",
                "wait for it; see: clevents",
                exit_code=ExitCode.NOT_NOW,
            )
        built = self._node().built
        files: tuple[NewFile, ...] = ()
        if built.generation > call.number("above"):
            files = await asyncio.to_thread(lambda: tuple(self._files()))
        return {"sent": encode(Sent(dump_built(built).decode(), files))}

    def _files(self) -> Iterator[NewFile]:
        for path, file in archive.configuration_files(self._places):
            status = file.stat()
            small = status.st_size <= WRITTEN_BYTES_MAX
            if small and path != LAST and not path.startswith(KEYS):
                yield NewFile(path, to_text(read_or_empty(file)), status.st_mode & 0o777)

    def _tell_conflict(self, node: Node, theirs: Built) -> None:
        found = tuple(islice(differences(encode(node.built), encode(theirs)), SHOWN_MAX))
        text = (
            f"{node.peer.name} has another configuration of the same generation "
            f"{theirs.generation}, and neither is taken over: {'; '.join(found)}. "
            "Type clbuild on the node whose clconf.xml is right"
        )
        self._journal.add("configuration-conflict", text, severity=Severity.ALARM)

    def _tell_failure(self, node: Node, error: Exception) -> None:
        theirs = node.state.peer.state
        if theirs is None or theirs.generation == node.built.generation:
            return  # There is nothing to take over; a peer of an older version cannot compare.
        text = f"the configuration of {node.peer.name} cannot be taken over: {error}; type: clbuild"
        self._journal.add("configuration-differs", text, severity=Severity.ALARM)


def differences(mine: object, theirs: object, where: str = "") -> Iterator[str]:
    """Yield a line for each value that differs, e.g. "cluster.devices: here 16, there 32".

    Values that may be secrets are not shown.
    """
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for name in sorted({*mine, *theirs}):
            below = f"{where}.{name}" if where else str(name)
            yield from differences(mine.get(name), theirs.get(name), below)
    elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        for number, (one, other) in enumerate(zip(mine, theirs, strict=True)):
            yield from differences(one, other, f"{where}[{number}]")
    elif mine != theirs and PRIVATE in where:
        yield f"{where} differs"
    elif mine != theirs:
        yield f"{where}: here {_short(mine)}, there {_short(theirs)}"


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)} of them"
    return str(value)[:60]
