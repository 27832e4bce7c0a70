"""Until when the copies were equal and the peer was heard, also over restarts and reboots.

For people only: these are times of the wall clock, and nothing is decided with them. Stored when
a connection is made or lost, and now and then while it lasts, so that a power cut leaves an age
that is known to about a minute.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import InitVar, dataclass, field, replace
from typing import Final

from hapair.config.rewritten import Rewritten
from hapair.core.copies.replication import built_ones
from hapair.core.words.events import DataChanged, Event
from hapair.core.words.state import NodeState
from hapair.model.built import Built
from hapair.model.data import Connection, Disk, VolumeFacts
from hapair.model.divergence import KeptSnapshot
from hapair.ports.machine import Clock
from hapair.rpc.messages import JsonObject, Malformed, RpcError
from hapair.runtime.codec import loads

MEMORY: Final = "replication.json"
LOOK_S: Final = 5.0
REFRESH_S: Final = 60.0
PEER_TIMEOUT_S: Final = 2.0
OLD_COPY: Final = (Disk.OUTDATED, Disk.INCONSISTENT)

Keep = Callable[[str, bytes], Awaitable[None]]  # OSError: not stored.
AskPeer = Callable[[], Awaitable[JsonObject]]  # Its status; RpcError.


@dataclass(frozen=True, slots=True)
class CopyMemory:
    """What is remembered of one local copy; None: never, or not known."""

    resource: str
    connected_until_wall_s: float | None = None
    equal_until_wall_s: float | None = None  # Both UpToDate and connected.
    apart_since_wall_s: float | None = None  # None while connected.
    behind_since_wall_s: float | None = None  # None while it is not known to miss writes.
    missing_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    network: str
    heard_until_wall_s: float


@dataclass(frozen=True, slots=True)
class Pace:
    """How a resync gets on; not stored."""

    resource: str
    bytes_s: float
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """One moment's view; ``wall_s`` is that moment, so that ages can be told."""

    copies: tuple[CopyMemory, ...] = ()
    contacts: tuple[Contact, ...] = ()
    peer_generation: int = 0  # Of the peer's configuration; 0: never heard.
    wall_s: float = 0.0
    kept: tuple[KeptSnapshot, ...] = ()  # Of this moment, as below: not stored.
    paces: tuple[Pace, ...] = ()

    def kept_of(self, resource: str) -> tuple[KeptSnapshot, ...]:
        return tuple(each for each in self.kept if each.resource == resource)

    def pace(self, resource: str) -> Pace | None:
        return next((each for each in self.paces if each.resource == resource), None)

    def copy(self, resource: str) -> CopyMemory:
        found = (copy for copy in self.copies if copy.resource == resource)
        return next(found, CopyMemory(resource))

    def heard_until_wall_s(self, network: str) -> float | None:
        return next((c.heard_until_wall_s for c in self.contacts if c.network == network), None)

    def ago_s(self, wall_s: float | None) -> float | None:
        """Return how long ago it was; never negative, whatever was done to the clock."""
        return None if wall_s is None else max(self.wall_s - wall_s, 0.0)


def read_remembered(content: bytes | None) -> Remembered:
    """Read what was stored; damage costs only ages, so it is passed over."""
    if content is None:
        return Remembered()
    try:
        return loads(Remembered, content)
    except Malformed:
        return Remembered()


def _connected(facts: VolumeFacts) -> bool:
    return facts.kernel_answers


def _equal(facts: VolumeFacts) -> bool:
    both = facts.disk is Disk.UP_TO_DATE and facts.peer_disk is Disk.UP_TO_DATE
    return both and facts.connection is Connection.CONNECTED


@dataclass(slots=True)
class ReplicationMemory:
    keep: Keep
    clock: Clock
    lies: InitVar[bytes | None] = None  # The file's content.
    known: Remembered = field(init=False)
    _file: Rewritten[Remembered] = field(init=False)
    _facts: Mapping[str, VolumeFacts] = field(default_factory=dict)
    _behind: tuple[str, ...] = ()
    _dirty: bool = False
    _stored_at_s: float = float("-inf")

    def __post_init__(self, lies: bytes | None) -> None:
        self.known, self._file = read_remembered(lies), Rewritten(Remembered, lies)

    def feed(
        self, offer: Callable[[Event], None], built: Callable[[], Built]
    ) -> Callable[[Event], None]:
        """Return ``offer`` with this memory listening to the facts of what is built."""

        def both(event: Event) -> None:
            if isinstance(event, DataChanged):
                self.absorb(built_ones(built(), event.facts))
            offer(event)

        return both

    def absorb(self, facts: tuple[VolumeFacts, ...]) -> None:
        """Take in the kernel's newest facts; a resource that is not listed is down."""
        before, now_wall_s = self._facts, self.clock.wall_s()
        self._stamp(now_wall_s)
        self._facts = {each.resource: each for each in facts}
        known = {copy.resource: copy for copy in self.known.copies}
        names = sorted({*before, *self._facts, *known})
        copies = tuple(self._after(known.get(name, CopyMemory(name)), now_wall_s) for name in names)
        self._dirty = self._dirty or _phases(copies) != _phases(self.known.copies)
        self.known = replace(self.known, copies=copies)

    def _stamp(self, now_wall_s: float) -> None:
        """Note that what is connected or equal has been so until now."""
        self.known = replace(
            self.known,
            wall_s=now_wall_s,
            copies=tuple(self._stamped(copy, now_wall_s) for copy in self.known.copies),
        )

    def _stamped(self, copy: CopyMemory, now_wall_s: float) -> CopyMemory:
        facts = self._facts.get(copy.resource)
        if facts is None:
            return copy
        if _connected(facts):
            copy = replace(copy, connected_until_wall_s=now_wall_s)
        return replace(copy, equal_until_wall_s=now_wall_s) if _equal(facts) else copy

    def _after(self, copy: CopyMemory, now_wall_s: float) -> CopyMemory:
        facts = self._facts.get(copy.resource)
        copy = self._stamped(copy, now_wall_s)
        if facts is not None and _connected(facts):
            copy = replace(copy, apart_since_wall_s=None)
        elif copy.apart_since_wall_s is None:
            since_wall_s = copy.connected_until_wall_s
            copy = replace(copy, apart_since_wall_s=since_wall_s)
        if facts is not None and _equal(facts):
            return replace(copy, behind_since_wall_s=None, missing_bytes=None)
        if copy.resource in self._behind or (facts is not None and facts.disk in OLD_COPY):
            return self._old(copy, facts, now_wall_s)
        if facts is None:
            return copy  # It is down or was not looked at yet: nothing new is known.
        return replace(copy, behind_since_wall_s=None, missing_bytes=None)

    def _old(self, copy: CopyMemory, facts: VolumeFacts | None, now_wall_s: float) -> CopyMemory:
        """Keep since when a copy is behind, and how much it misses, which a resync knows."""
        since_wall_s = copy.behind_since_wall_s or copy.equal_until_wall_s or now_wall_s
        known = facts is not None and facts.disk is Disk.INCONSISTENT
        missing = facts.out_of_sync_bytes if facts is not None and known else copy.missing_bytes
        return replace(copy, behind_since_wall_s=since_wall_s, missing_bytes=missing)

    def look(self, state: NodeState) -> None:
        """Take in what the core knows: who was heard, and which copies miss writes."""
        now_s, now_wall_s = self.clock.boot_s(), self.clock.wall_s()
        heard = {c.network: c.heard_until_wall_s for c in self.known.contacts}
        heard |= {n: now_wall_s - (now_s - at_s) for n, at_s in state.peer.heard_at_s.items()}
        theirs = state.peer.state
        self.known = replace(
            self.known,
            contacts=tuple(Contact(name, heard[name]) for name in sorted(heard)),
            peer_generation=theirs.generation if theirs is not None else self.known.peer_generation,
        )
        self._behind = state.stored.behind
        # Our own facts: those of the core are older while it waits for a disk.
        self.absorb(tuple(self._facts.values()))

    def now(self, state: NodeState) -> Remembered:
        """Return what is known at this moment."""
        self.look(state)
        return replace(self.known, wall_s=self.clock.wall_s())

    async def run(self, state: Callable[[], NodeState], ask_peer: AskPeer) -> None:
        """Look and store, for ever. A disk that cannot be written costs only ages."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look(state())
            if self._due():
                await self._ask(ask_peer)
                await self._store()

    def _due(self) -> bool:
        return self._dirty or self.clock.monotonic_s() - self._stored_at_s >= REFRESH_S

    async def _store(self) -> None:
        self._dirty = False
        self._stored_at_s = self.clock.monotonic_s()
        try:
            await self.keep(MEMORY, self._file.dump(self.known))
        except OSError:
            self._dirty = True

    async def _ask(self, ask_peer: AskPeer) -> None:
        """Ask the peer how much it has written alone while a copy here is behind."""
        behind = [c.resource for c in self.known.copies if c.behind_since_wall_s is not None]
        asked = [name for name in behind if not self._answers(name)]
        if not asked:
            return
        try:
            told = written_by(await ask_peer())
        except RpcError:
            return
        copies = tuple(
            replace(c, missing_bytes=told[c.resource])
            if c.resource in asked and c.resource in told
            else c
            for c in self.known.copies
        )
        self.known = replace(self.known, copies=copies)

    def _answers(self, resource: str) -> bool:
        facts = self._facts.get(resource)
        return facts is not None and _connected(facts)


def _phases(copies: tuple[CopyMemory, ...]) -> tuple[tuple[str, bool, bool], ...]:
    """Return what a change is stored for at once."""
    return tuple(
        (copy.resource, copy.apart_since_wall_s is None, copy.behind_since_wall_s is None)
        for copy in copies
    )


def written_by(status: JsonObject) -> dict[str, int]:
    """Return the out-of-sync bytes per resource from a node's own status."""
    found: dict[str, int] = {}
    for application in _objects(status.get("applications")):
        for volume in _objects(application.get("volumes")):
            name, size_bytes = volume.get("resource"), volume.get("out_of_sync_bytes")
            if isinstance(name, str) and isinstance(size_bytes, int):
                found[name] = size_bytes
    return found


def _objects(value: object) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
