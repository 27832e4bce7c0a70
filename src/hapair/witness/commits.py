"""Many requests at once share one commit: while one is being written the next one gathers."""

import asyncio
import sqlite3
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from hapair.witness.book import Ask, Book, Sighting
from hapair.witness.wire import No, Recorded, Reply

T = TypeVar("T")

TOGETHER_MAX: Final = 2000
SIGHTINGS_MAX: Final = 100_000  # Beyond that many clusters between two commits none is noted.


@dataclass(slots=True)
class Counts:
    """Since the start of the service."""

    requests: int = 0
    commits: int = 0
    failures: int = 0


@dataclass(slots=True)
class Commits:
    """The only user of the book in the service; one thread does all that blocks."""

    book: Book
    counts: Counts = field(default_factory=Counts)
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="book")
    )
    _waiting: list[tuple[Ask, asyncio.Future[Reply]]] = field(default_factory=list)
    _sightings: dict[str, Sighting] = field(default_factory=dict)
    _working: asyncio.Task[None] | None = None

    async def ask(self, ask: Ask, source: str) -> Reply:
        """Return the reply when what it says is on the disk."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        reply = await future
        if isinstance(reply, Recorded) and len(self._sightings) < SIGHTINGS_MAX:
            self._sightings[ask.request.cluster] = Sighting(time.time(), source)
        return reply

    async def run(self, work: Callable[[Book], T]) -> T:
        """Do something else with the book, between two commits."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: work(self.book)
        )

    async def note_sightings(self) -> None:
        """Write who asked when. Losing that is no harm, so it fails softly."""
        noted, self._sightings = self._sightings, {}
        if not noted:
            return
        try:
            await self.run(lambda book: book.settle((), noted, time.time()))
        except sqlite3.Error:
            self.counts.failures += 1

    async def close(self) -> None:
        """Finish what is under way, then close the book."""
        if self._working is not None:
            await self._working
        await self.run(lambda book: book.close())
        self._thread.shutdown()

    async def _work(self) -> None:
        """Answer all who wait, whatever happens: a bug, or no thread, is told by asyncio's log."""
        try:
            while self._waiting:
                asks = [ask for ask, _ in self._waiting[:TOGETHER_MAX]]
                replies = await self._settled(asks)
                _answer(self._waiting[: len(asks)], replies)
                del self._waiting[: len(asks)]
        finally:
            self._working = None
            left, self._waiting = self._waiting, []
            why = No("it failed: perhaps nothing was recorded", "see its journal", "failed")
            _answer(left, [why] * len(left))

    async def _settled(self, asks: list[Ask]) -> list[Reply]:
        self.counts.requests += len(asks)
        self.counts.commits += 1
        try:
            return await self.run(lambda book: book.settle(asks, {}, time.time()))
        except sqlite3.Error as error:
            self.counts.failures += 1
            print(f"clwitness: nothing was recorded: {error}", file=sys.stderr, flush=True)
            failed = No(f"it cannot write: {error}", "see its journal and its disk", "failed")
            return [failed] * len(asks)


def _answer(waiting: list[tuple[Ask, asyncio.Future[Reply]]], replies: list[Reply]) -> None:
    for (_, future), reply in zip(waiting, replies, strict=True):
        if not future.done():  # Its connection may be gone.
            future.set_result(reply)
