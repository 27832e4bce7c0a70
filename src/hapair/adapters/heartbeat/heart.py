"""When a heartbeat is due and what it says: everything but clocks, sockets and processes."""

from dataclasses import dataclass, field
from math import inf
from typing import Final

from hapair.model.cluster import Timing
from hapair.ports.peer import UNDECIDED_MAX_S, Saying

PAGES_AT_ONCE: Final = 16  # Of a longer list the rest follows with the next heartbeats.


@dataclass(slots=True)
class Turns:
    """Goes through pages that are too many to be sent at once."""

    _next: int = 0

    def of(self, pages: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Return what to send now: at least one, at most ``PAGES_AT_ONCE``."""
        count = min(len(pages), PAGES_AT_ONCE)
        first = self._next % len(pages)
        self._next = first + count
        return (pages + pages)[first : first + count]


@dataclass(slots=True)
class Heart:
    """Repeats what was decided last, as long as that is not too long ago. All times: boot clock."""

    timing: Timing
    now_s: float
    saying: Saying | None = None
    decided_s: float = -inf
    woke_s: float = -inf  # When it found that it, or the machine, had stood still.
    received_s: float = -inf  # When anything came from the peer.
    _send_at_s: float = -inf
    _turns: Turns = field(default_factory=Turns)

    def look(self, now_s: float, slept_s: float = 0.0) -> None:
        """Take the time in; ``slept_s`` of what passed since the last look were planned.

        After a pause nothing counts that was decided before, and nothing that waits in the sockets:
        it may be as old as the pause.
        """
        if now_s - self.now_s - slept_s > self.timing.detection_s:
            self.woke_s = now_s
        self.now_s = now_s

    def say(self, saying: Saying, at_s: float) -> None:
        """Say this from now on, and at once: news must not wait for the next interval."""
        self.saying = saying
        self.decided(at_s)
        self._send_at_s = -inf

    def decided(self, at_s: float) -> None:
        self.decided_s = max(self.decided_s, at_s)

    @property
    def beats(self) -> bool:
        """Tell whether this node decides; if not, nothing is sent, and nothing counts as heard."""
        return self.decided_s > self.woke_s and self.now_s - self.decided_s < UNDECIDED_MAX_S

    def heard(self) -> None:
        self.received_s = self.now_s

    def due(self) -> tuple[bytes, ...]:
        """Return the bodies to send now."""
        if self.saying is None or self.now_s < self._send_at_s:
            return ()
        self._send_at_s += self.timing.heartbeat_s
        if self._send_at_s <= self.now_s:
            self._send_at_s = self.now_s + self.timing.heartbeat_s
        if not self.beats:
            return ()
        deaf = self.now_s - self.received_s > self.timing.detection_s
        return self._turns.of(self.saying.deaf if deaf else self.saying.bodies)

    def until_due_s(self) -> float:
        """Return how long to wait for the next interval."""
        if self.saying is None:
            return self.timing.heartbeat_s
        return max(0.0, self._send_at_s - self.now_s)
