"""Which daemon of the peer is the present one, when the numbers of its starts went back.

A node counts its starts on its own disk, with the clock on the wall as a lower bound. A new disk
and a clock that is not set yet make it begin again below what is known of it, and its heartbeats
are taken for recorded ones. Its connection cannot be recorded: who speaks there lives.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import InitVar, dataclass, field
from typing import Final

from hapair.config.rewritten import Rewritten
from hapair.core.right import hearing
from hapair.core.words.effects import Severity
from hapair.core.words.events import Event, PeerState, PeerStated
from hapair.core.words.state import NodeState
from hapair.ports.machine import Clock
from hapair.ports.peer import Heartbeats
from hapair.rpc.messages import Malformed
from hapair.runtime.codec import loads
from hapair.runtime.history.journal_log import Journal

PEER: Final = "peer.json"
LOOK_S: Final = 1.0
OLDER_MAX: Final = 10  # In a row: so many are neither late nor lost.


@dataclass(frozen=True, slots=True)
class KnownPeer:
    """What outlives a daemon, so that a recording of a former incarnation does not come back."""

    current: int = 0  # The incarnation that spoke last.
    highest: int = 0  # That ever spoke.


@dataclass(slots=True)
class Lineage:
    heartbeats: Heartbeats
    clock: Clock
    journal: Journal
    offer: Callable[[Event], None]
    keep: Callable[[str, bytes], Awaitable[None]]
    state: Callable[[], NodeState]
    connected: Callable[[], bool]
    lies: InitVar[bytes | None]  # The file's content.
    known: KnownPeer = field(init=False)
    _file: Rewritten[KnownPeer] = field(init=False)
    _spoke: PeerState | None = None  # The newest word on the present connection.
    _heard: int = 0  # The incarnation that was heard when it came.
    _told: bool = False

    def __post_init__(self, lies: bytes | None) -> None:
        self.known, self._file = read_known(lies), Rewritten(KnownPeer, lies)

    def stated(self, stated: PeerStated) -> None:
        """Take a word that came over the connection, and hand it on."""
        self._spoke = stated.state
        self._heard = self.state().peer.incarnation
        self.offer(stated)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        if not self.connected():
            self._spoke = None
        spoke = self._spoke
        if spoke and self.state().peer.incarnation > max(spoke.incarnation, self._heard):
            self._spoke = spoke = None  # A newer one was heard since: this connection is dead.
        if spoke is not None:
            self._introduce(spoke)
            await self._remember(spoke.incarnation)
        self._tell()

    def _introduce(self, spoke: PeerState) -> None:
        """Believe the connection once no heartbeat contradicts it: they are quicker than it is."""
        state = self.state()
        if hearing.peer_alive(state):
            return
        self.heartbeats.introduce(spoke.incarnation)
        if spoke.incarnation < state.peer.incarnation:
            text = f"{state.peer_name} counts its starts anew: its disk or its clock was changed"
            self.journal.add("counts-anew", text, severity=Severity.WARNING)
            self.offer(PeerStated(self.clock.boot_s(), spoke, lives=True))

    async def _remember(self, incarnation: int) -> None:
        known = KnownPeer(incarnation, max(incarnation, self.known.highest))
        if known != self.known:
            with suppress(OSError):  # state.json tells of a disk that cannot be written.
                await self.keep(PEER, self._file.dump(known))
                self.known = known

    def _tell(self) -> None:
        older = self.heartbeats.older() >= OLDER_MAX
        if older and not self._told:
            text = "the peer's heartbeats are older than known, and are not listened to"
            self.journal.add("older-heartbeats", text, severity=Severity.ALARM)
        self._told = older


def read_known(content: bytes | None) -> KnownPeer:
    """Read what was kept; a damaged file knows nothing."""
    with suppress(Malformed):
        return loads(KnownPeer, content) if content is not None else KnownPeer()
    return KnownPeer()
