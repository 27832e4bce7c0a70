"""What the process must remember over its own restart and that of the machine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from hapair.alerts.fit import Fit
from hapair.alerts.overs import NONE as NO_OVERS
from hapair.alerts.overs import Overs
from hapair.alerts.returns import NONE as NO_RETURNS
from hapair.alerts.returns import Returns
from hapair.config.codec import DamagedError, decode, loads
from hapair.config.rewritten import Rewritten
from hapair.core.alerts.book import Book
from hapair.core.alerts.happened import Failover, Told
from hapair.core.alerts.outbox import Outbox, restored

FILE: Final = "alerts.json"
SENT_MAX: Final = 50
UNREAD: Final = -1
EMPTY: Final = Book()
NO_FAILOVER: Final = Failover()


@dataclass(frozen=True, slots=True)
class Sent:
    """A letter that was tried, for people."""

    at_s: float  # Wall clock.
    receiver: str
    subject: str
    error: str = ""  # Empty: it was taken.


@dataclass(frozen=True, slots=True)
class Memory:
    read_until: int = UNREAD  # The number of the last line of the history that was looked at.
    book: Book = EMPTY
    events: tuple[Told, ...] = ()
    failover: Failover = NO_FAILOVER
    outboxes: tuple[Outbox, ...] = ()
    sent: tuple[Sent, ...] = ()
    overs: Overs = NO_OVERS
    fits: tuple[Fit, ...] = ()
    returns: Returns = NO_RETURNS

    def outbox(self, receiver: str) -> Outbox:
        found = (each for each in self.outboxes if each.receiver == receiver)
        return next(found, Outbox(receiver))

    def with_outbox(self, outbox: Outbox) -> "Memory":
        others = tuple(each for each in self.outboxes if each.receiver != outbox.receiver)
        return replace(self, outboxes=(*others, outbox))

    def with_outboxes(self, outboxes: Sequence[Outbox]) -> "Memory":
        """Return it with these; what is known of other receivers is forgotten."""
        fits = tuple(self.fit(each.receiver) for each in outboxes)
        return replace(self, outboxes=tuple(outboxes), fits=fits)

    def fit(self, receiver: str) -> Fit:
        found = (each for each in self.fits if each.receiver == receiver)
        return next(found, Fit(receiver))

    def with_fit(self, fit: Fit) -> "Memory":
        others = tuple(each for each in self.fits if each.receiver != fit.receiver)
        return replace(self, fits=(*others, fit))

    def with_sent(self, sent: Sequence[Sent]) -> "Memory":
        return replace(self, sent=(*self.sent, *sent)[-SENT_MAX:])


class MemoryFile:
    """Turns what is remembered into the file's content."""

    def __init__(self, content: bytes | None) -> None:
        """Take what lies there now; None: nothing."""
        self._file = Rewritten(Memory, content, defaults=False)

    def dump(self, memory: Memory) -> bytes:
        return self._file.dump(memory) + b"\n"


def read_memory(content: bytes) -> Memory:
    """Read what was stored; DamagedError."""
    return decode(Memory, loads(content))


def loads_memory(content: bytes | None) -> Memory:
    """Return what was stored; what cannot be read is begun anew: rather twice than never."""
    if content is None:
        return Memory()
    try:
        memory = read_memory(content)
    except DamagedError:  # It was set aside.
        return Memory()
    return replace(memory, outboxes=tuple(restored(each) for each in memory.outboxes))
