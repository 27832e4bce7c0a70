"""So many actions of a kind begin at a time, and none that hangs keeps the others waiting."""

import asyncio
import heapq
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

AT_ONCE: Final = 8  # More make nothing faster: the disks and processors are busy by then.
LENT_S: Final = 2.0


@dataclass(slots=True)
class _Kind:
    free: int
    waiting: list[tuple[int, int, "asyncio.Future[None]"]] = field(default_factory=list)


class Turns:
    """Bounds how many actions of a kind use the machine at the same time.

    A turn is lent for ``lent_s`` seconds: by then an action waits for something, a disk or a
    program, and no longer needs the processor. It goes on, and the next one begins beside it.
    Kinds of ``wider`` have as many turns as it says.
    """

    def __init__(
        self,
        *,
        at_once: int = AT_ONCE,
        lent_s: float = LENT_S,
        wider: Mapping[Hashable, int] | None = None,
    ) -> None:
        self._lent_s = lent_s
        self._kinds: defaultdict[Hashable, _Kind] = defaultdict(lambda: _Kind(at_once))
        self._kinds.update({kind: _Kind(turns) for kind, turns in (wider or {}).items()})
        self._arrivals = itertools.count()

    @asynccontextmanager
    async def turn(self, kind: Hashable, rank: int) -> AsyncIterator[None]:
        """Wait for a turn: the lowest ``rank`` first, then who came first."""
        queue = self._kinds[kind]
        await self._wait(queue, rank)
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                _pass_on(queue)

        lent = asyncio.get_running_loop().call_later(self._lent_s, give_back)
        try:
            yield
        finally:
            lent.cancel()
            give_back()

    async def _wait(self, queue: _Kind, rank: int) -> None:
        if queue.free:
            queue.free -= 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(queue.waiting, (rank, next(self._arrivals), mine))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                _pass_on(queue)  # It came at the same moment.
            raise


def _pass_on(queue: _Kind) -> None:
    while queue.waiting:
        *_, mine = heapq.heappop(queue.waiting)
        if not mine.done():
            mine.set_result(None)
            return
    queue.free += 1
