"""The changes of lemsctl, kept on both nodes: they survive daemons, Lems and moves."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import InitVar, dataclass, field, replace
from typing import Final

from hapair.config import codec
from hapair.ports.machine import Clock
from hapair.rpc.messages import ExitCode, JsonObject, Malformed, RpcError
from hapair.runtime.codec import decode, encode, loads
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.lems.changes import Changes
from hapair.runtime.node.peer import Peer
from hapair.runtime.verbs import Call, Handler

FILE: Final = "monitors.json"  # In the memory.
VERB: Final = "monitor-changes"
PEER_S: Final = 2.0
LOOK_S: Final = 1.0
APPLICATIONS_MAX: Final = 1000
CHANGED_MAX: Final = 200  # Monitors that are added, removed or halted, of one application.


@dataclass(frozen=True, slots=True)
class All:
    """The file, and what the two daemons tell each other."""

    applications: tuple[Changes, ...] = ()


Keep = Callable[[str, bytes], Awaitable[None]]


def read_kept(content: bytes) -> dict[str, Changes]:
    """Read the file; Malformed."""
    return {each.application: each for each in loads(All, content).applications}


@dataclass(slots=True)
class Kept:
    """What is changed, by application. ``changed`` is called whenever it is news."""

    keep: Keep
    clock: Clock
    journal: Journal
    peer: Callable[[], Peer]  # RpcError while no cluster is built.
    lies: InitVar[bytes | None]  # The file's content.
    changed: Callable[[], None] = lambda: None
    met: bool = False  # The peer knows all of this.
    each: dict[str, Changes] = field(init=False)
    _written: object = None  # What lies in the file, if that can be read.
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self, lies: bytes | None) -> None:
        self.each = {}
        if lies is not None:
            with suppress(Malformed):  # What cannot be read was set aside.
                self.each = read_kept(lies)
                self._written = codec.loads(lies)

    def of(self, application: str) -> Changes:
        return self.each.get(application, Changes(application))

    def for_peer(self) -> dict[str, Handler]:
        return {VERB: self._answer}

    async def change(self, new: Changes) -> bool:
        """Keep a change on both nodes; tell whether the peer has it too.

        Raises RpcError: it could not be written here, and nothing was changed.
        """
        if max(len(new.halted), len(new.added), len(new.removed)) > CHANGED_MAX:
            raise RpcError(
                f"{new.application} has {CHANGED_MAX} changed monitors already",
                f"write them into its appconf.xml: clbuildapp {new.application} --take-monitors",
            )
        former = self.of(new.application)
        newer = replace(
            new,
            version=former.version + 1,
            wall_s=round(self.clock.wall_s(), 3),
            node=self.journal.node,
        )
        try:
            await self._take((newer,))
        except OSError as error:
            raise RpcError(
                f"the change cannot be written: {error.strerror or error}",
                "make room there: df -h /var/lib/hapair",
            ) from None
        try:
            await self._meet()
        except (RpcError, Malformed, OSError):
            self.met = False
            return False
        return True

    async def _take(self, told: Iterable[Changes]) -> None:
        """Take over what is newer. It is on the disk before anybody acts on it."""
        async with self._writing:
            newer = {new.application: new for new in told if new.age > self.of(new.application).age}
            if not newer:
                return
            # What is not a change any more is kept as well: else the peer's older one would win.
            all_ = dict(sorted((self.each | newer).items())[:APPLICATIONS_MAX])
            mine = encode(All(tuple(all_.values())))
            # A newer version may have written more than is known here.
            content = codec.kept(All, self._written, mine)
            await self.keep(FILE, json.dumps(content, separators=(",", ":")).encode())
            self.each, self._written = all_, content
        self.changed()

    async def _meet(self) -> None:
        """Exchange all with the peer; RpcError and others say why that is not possible."""
        mine = encode(All(tuple(self.each.values())))
        answer = await self.peer().request(VERB, {"changes": mine}, timeout_s=PEER_S)
        await self._take(decode(All, answer.get("changes")).applications)

    async def _met(self) -> bool:
        """Meet the peer; False: it is tried again. A peer of an older version knows no changes."""
        try:
            await self._meet()
        except RpcError as error:
            return error.exit_code not in (ExitCode.NOT_NOW, ExitCode.UNFINISHED)
        except (Malformed, OSError):
            return False
        return True

    async def _answer(self, call: Call) -> JsonObject:
        """Take what the peer has newer, and tell all."""
        try:
            await self._take(decode(All, call.args.get("changes")).applications)
        except Malformed as error:
            raise RpcError(f"changes that are not understood: {error}") from None
        except OSError as error:
            raise RpcError(f"the changes cannot be written: {error}") from None
        return {"changes": encode(All(tuple(self.each.values())))}

    async def run(self) -> None:
        """Meet the peer whenever the connection to it is new."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                connected = self.peer().connected
            except RpcError:
                connected = False
            self.met = connected and (self.met or not self.each or await self._met())
