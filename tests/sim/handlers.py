"""The fence-peer handlers that DRBD starts: they ask the daemon, and wait for it if they must."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from hapair.core.words.effects import AnswerFence, FenceVerdict
from tests.sim import parcels
from tests.sim.clockwork import Clockwork
from tests.sim.machine import Daemon, Machine, Parcel

STARTS_AFTER_S: Final = (0.01, 0.2)
LOOKS_AGAIN_S: Final = 0.3
ENDS_AFTER_S: Final = 0.15
WAITS_MAX_S: Final = 60.0
NO_VERDICT: Final = 1
EXIT_CODES: Final = {
    FenceVerdict.DENIED: NO_VERDICT,
    FenceVerdict.PEER_OUTDATED: 4,
    FenceVerdict.PEER_FENCED: 7,
}

Done = Callable[[int], None]


@dataclass(slots=True)
class Handler:
    """One process; it dies with the kernel that started it."""

    machine: Machine
    boots: int
    resource: str
    until_s: float
    done: Done
    daemon: Daemon | None = None  # The one that it has asked.
    number: int = 0
    ended: bool = False


@dataclass(slots=True)
class Handlers:
    clockwork: Clockwork
    chance: Random
    machines: Mapping[str, Machine]
    deliver: Callable[[Machine, Daemon, Parcel], None]
    _numbers: int = 0
    _waiting: dict[int, Handler] = field(default_factory=dict)

    def ask(self, node: str, resource: str, done: Done) -> None:
        """Start a handler; ``done`` gets its exit code."""
        machine = self.machines[node]
        until_s = self.clockwork.now_s + WAITS_MAX_S
        handler = Handler(machine, machine.boots, resource, until_s, done)
        self.clockwork.after(self.chance.uniform(*STARTS_AFTER_S), partial(self._look, handler))

    def _look(self, handler: Handler) -> None:
        machine = handler.machine
        if handler.ended or not machine.powered or machine.boots != handler.boots:
            return
        asked = handler.daemon is not None and machine.daemon is handler.daemon
        if self.clockwork.now_s >= handler.until_s and machine.runs:
            if asked:
                self._waits_no_more(handler)
            self._end(handler, NO_VERDICT)
            return
        if not asked and machine.listens and machine.daemon is not None:
            self._numbers += 1
            handler.daemon, handler.number = machine.daemon, self._numbers
            self._waiting[self._numbers] = handler
            parcel = partial(parcels.fence_asked, self._numbers, handler.resource)
            self.deliver(machine, machine.daemon, parcel)
        self.clockwork.after(LOOKS_AGAIN_S, partial(self._look, handler))

    def answered(self, answer: AnswerFence) -> None:
        """The daemon gave its verdict."""
        handler = self._waiting.pop(answer.request_id, None)
        if handler is not None and not handler.ended:
            self._end(handler, EXIT_CODES[answer.verdict])
            # Behind what else was decided together with the answer.
            self.clockwork.after(0.0, partial(self._waits_no_more, handler))

    def _waits_no_more(self, handler: Handler) -> None:
        if handler.daemon is not None:
            gone = partial(parcels.fence_asker_gone, handler.number)
            self.deliver(handler.machine, handler.daemon, gone)

    def _end(self, handler: Handler, exit_code: int) -> None:
        """Tell the kernel a little later: two programs and a shell must end first."""
        handler.ended = True
        self.clockwork.after(ENDS_AFTER_S, partial(self._exit, handler, exit_code))

    def _exit(self, handler: Handler, exit_code: int) -> None:
        if handler.machine.powered and handler.machine.boots == handler.boots:
            handler.done(exit_code)
