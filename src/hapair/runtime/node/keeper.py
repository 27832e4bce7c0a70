"""Keeps on the disk what the core must not forget, and finds out when the disk takes nothing."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from hapair.core.explain import Alarm
from hapair.core.words.effects import Severity
from hapair.core.words.stored import Stored
from hapair.ports.machine import Clock
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.mark import Mark
from hapair.runtime.node.state_file import STATE, StateFile

TRIAL: Final = "trial.json"  # Written only to see whether the disk takes a new file.
RIGHTS: Final = (STATE, TRIAL)  # Nothing else is to go before these on their way to the disk.
TRIAL_CONTENT: Final = b"\n" * 64 * 1024  # A smaller file may find room on a full disk.
RETRY_S: Final = 1.0  # After a store that failed.
TRY_S: Final = 45.0  # While nothing is to be stored: a full disk is found within a minute.
SAY_AFTER_S: Final = 5.0  # A store that needs longer is told to the peer, and to people.
NOT_STORED: Final = "not-stored"
NO_ROOM: Final = "no-room"
MEANS: Final = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "a quota is used up",
    errno.EROFS: "the file system is read-only: mostly the kernel made it so after an error",
    errno.EIO: "the disk fails",
}


@dataclass(slots=True)
class Keeper:
    """Stores one state after the other, and tries to store the last one again now and then.

    A disk that takes nothing is waited for. The heartbeats go on meanwhile, so that the peer does
    not take over what runs here; ending the daemon would mend nothing.
    """

    keep: Callable[[str, bytes], Awaitable[None]]  # Returns when the file is on the disk.
    clock: Clock
    journal: Journal
    folder: str  # For people.
    stored: Stored  # What is on the disk.
    file: StateFile
    mark: Mark
    waits: bool = False  # The core waits for a store: it decides nothing until then.
    works: asyncio.Event = field(default_factory=asyncio.Event)  # Something was stored.
    _begun_at_s: float | None = None  # When the store that has not succeeded yet was begun.
    _alarms: dict[str, str] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def cannot_store(self) -> bool:
        """Tell whether a store takes so long that nobody should wait for this node's word."""
        begun_at_s = self._begun_at_s
        return begun_at_s is not None and self.clock.boot_s() - begun_at_s >= SAY_AFTER_S

    def alarms(self) -> tuple[Alarm, ...]:
        return tuple(Alarm(name, text) for name, text in self._alarms.items())

    async def takes(self) -> bool:
        """Try the disk now: what is stopped for something that cannot be stored starts nowhere.

        A disk that does not answer within ``SAY_AFTER_S`` takes nothing.
        """
        if self._lock.locked() and NOT_STORED in self._alarms:
            return False  # It is tried all the time.
        with suppress(TimeoutError):
            async with asyncio.timeout(SAY_AFTER_S), self._lock:
                error = await self._attempt(STATE, self.file.dump(self.stored))
                if error is None:
                    self._end(NOT_STORED, f"{self.folder}/{STATE} is written again")
                    return True
                self._tell_not_stored(error)
        return False

    async def store(self, stored: Stored) -> None:
        """Return when it is on the disk: nothing that relies on it may happen before."""
        self.waits = True
        async with self._lock:
            await self._until_stored(stored)
        self.waits = False

    async def run(self) -> None:
        """Try the disk regularly, for ever: an idle node has nothing to store for months."""
        while True:
            async with self._lock:
                await self._until_stored(self.stored)
                await self._try_room()
            await asyncio.sleep(TRY_S)

    async def _until_stored(self, stored: Stored) -> None:
        self._begun_at_s = self.clock.boot_s()
        content = self.file.dump(stored)
        while (error := await self._attempt(STATE, content)) is not None:
            self._tell_not_stored(error)
            await asyncio.sleep(RETRY_S)
        self._begun_at_s = None
        self.stored = stored
        self.works.set()
        self.mark.stored()
        self._end(NOT_STORED, f"{self.folder}/{STATE} is written again")

    async def _try_room(self) -> None:
        """Find a full disk although ``state.json`` has room of its own."""
        self._begun_at_s = self.clock.boot_s()
        error = await self._attempt(TRIAL, TRIAL_CONTENT)
        self._begun_at_s = None
        self._end(NOT_STORED, "the disk answers again")
        if error is None:
            self._end(NO_ROOM, f"{self.folder} takes new files again")
            return
        text = f"{self.folder} takes no new file: {_meaning(error)}; only {STATE} has room of its"
        self._tell(NO_ROOM, f"{text} own")

    async def _attempt(self, name: str, content: bytes) -> OSError | None:
        work = asyncio.ensure_future(self.keep(name, content))
        done, _ = await asyncio.wait({work}, timeout=SAY_AFTER_S)
        if not done:
            self.mark.set()
            text = f"nothing can be decided: {self.folder}/{name} has been written to for more than"
            self._tell(NOT_STORED, f"{text} {SAY_AFTER_S:g} s: the disk hangs")
        try:
            await work
        except OSError as error:
            return error
        return None

    def _tell_not_stored(self, error: OSError) -> None:
        self.mark.set()
        text = f"nothing can be decided: {self.folder}/{STATE} cannot be written: "
        self._tell(NOT_STORED, text + _meaning(error))

    def _tell(self, name: str, text: str) -> None:
        if self._alarms.get(name) != text:
            self._alarms[name] = text
            self.journal.add(name, text, severity=Severity.ALARM)

    def _end(self, name: str, text: str) -> None:
        if self._alarms.pop(name, None) is not None:
            self.journal.add("stored-again", text)


def _meaning(error: OSError) -> str:
    said = error.strerror or str(error)
    means = MEANS.get(error.errno or 0)
    return said if means is None else f"{said} ({means})"
