"""One event after the other: decide, store, act. Bugs end here."""

import asyncio
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeAlias, TypeVar

from hapair.core.words.effects import Effect, Severity
from hapair.core.words.events import (
    Event,
    Heard,
    HeardTogether,
    LookAgain,
    NotStated,
    NotUnderstood,
    PeerStated,
    Tick,
)
from hapair.core.words.state import NodeState
from hapair.rpc.messages import RpcError
from hapair.runtime.history.journal_log import Journal

# What is repeated anyway is dropped beyond this many waiting events: a disk may hang for days.
WAITING_MAX: Final = 1000
REPEATED: Final = (Tick, LookAgain)
STATED: Final = (PeerStated, NotStated)  # Each says all: what was said before it is history.
HEARD_MAX: Final = 5000  # What a heart hears for a daemon that hangs, also in pages: else a gap.
AGAIN_S: Final = 600.0  # Until what broke is tried again, so that no journal is flooded.
EXIT_BROKEN: Final = 70  # EX_SOFTWARE: systemd starts us again, applications are untouched.

T = TypeVar("T")
Step: TypeAlias = Callable[[NodeState, Event], tuple[NodeState, Sequence[Effect]]]


class Performs(Protocol):
    async def perform(self, effect: Effect) -> None:
        """Return when later effects may follow: a Store is on the disk, an Act has begun."""
        ...


class Loop:
    """The only caller of the decision core, and the only owner of its state."""

    def __init__(self, step: Step, state: NodeState, performer: Performs) -> None:
        self.state = state
        self.ticked_at_s = 0.0  # When the last tick was decided, for the watchdog.
        self.decisions = 0  # How many were carried out.
        self._step = step
        self._performer = performer
        self._waiting: deque[Event] = deque()
        self._heard: list[
            Heard | NotUnderstood
        ] = []  # The first of them stands for all among what waits.
        self._offered = asyncio.Event()

    def offer(self, event: Event) -> None:
        """Queue an event; never waits."""
        if isinstance(event, Heard | NotUnderstood):
            if len(self._heard) < HEARD_MAX:
                self._heard.append(event)
            if len(self._heard) > 1:
                return
        elif isinstance(event, REPEATED) and len(self._waiting) >= WAITING_MAX:
            return
        if isinstance(event, STATED):
            for place, each in enumerate(self._waiting):
                if isinstance(each, STATED):
                    # It keeps that one's turn: a peer that says much is not put off for ever.
                    self._waiting[place] = replace(event, at_s=each.at_s)
                    return
        self._waiting.append(event)
        self._offered.set()

    async def run(self, first: Sequence[Effect]) -> None:
        """Carry out ``first``, then decide on every offered event, for ever."""
        await self._carry_out(first)
        while True:
            await self._offered.wait()
            while self._waiting:
                await self._decide(self._next())
                await asyncio.sleep(0)  # Heartbeats do not wait until all is decided.
            self._offered.clear()

    def _next(self) -> Event:
        """Return the next event; what was heard meanwhile is judged as a whole, by its newest."""
        event = self._waiting.popleft()
        if not isinstance(event, Heard | NotUnderstood):
            return event
        heard, self._heard = tuple(self._heard), []
        return event if len(heard) == 1 else HeardTogether(heard[-1].at_s, heard)

    async def _decide(self, event: Event) -> None:
        self.state, effects = self._step(self.state, event)
        await self._carry_out(effects)
        self.decisions += 1
        if isinstance(event, Tick):
            self.ticked_at_s = event.at_s

    async def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            await self._performer.perform(effect)


async def until_broken(work: Awaitable[None], journal: Journal) -> int:
    """Run the daemon's work; return its exit code. A bug stops deciding, nothing else."""
    try:
        await work
    except Exception as error:
        report(error, journal)
        return EXIT_BROKEN
    return 0


async def contained(work: Callable[[], Awaitable[T]], journal: Journal) -> T:
    """Run one request; a bug in answering it is reported and must not end the daemon."""
    try:
        return await work()
    except RpcError:
        raise
    except Exception as error:
        report(error, journal)
        raise RpcError(
            f"internal error: {type(error).__name__}: {error}",
            "nothing else is affected; please report it with: journalctl -u hapaird",
        ) from error


async def aside(work: Callable[[], Awaitable[object]], journal: Journal) -> None:
    """Run what decides nothing until it ends; after a bug in it, once more after a while."""
    while True:
        try:
            await work()
        except Exception as error:
            report(error, journal)
            await asyncio.sleep(AGAIN_S)
        else:
            return


def report(error: BaseException, journal: Journal) -> None:
    text = "".join(traceback.format_exception(error)).strip()
    journal.add("bug", text, severity=Severity.ALARM)
