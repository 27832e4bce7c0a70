"""What waits for one receiver: rate, back-off, and what is left out. Times are monotonic."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from hapair.model.alerts import Level, Message, Receiver

BURST: Final = 10  # So many letters at once,
REFILL_S: Final = 60.0  # then one in each of these spans.
LETTER_MAX: Final = 20  # Messages in one letter.
WAITING_MAX: Final = 60  # Messages; what is too much is counted in the next letter.
RETRY_FIRST_S: Final = 5.0
RETRY_MAX_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Outbox:
    receiver: str
    waiting: tuple[Message, ...] = ()
    left_out: int = 0
    sending: int = 0  # How many of the first ones are on their way; 0: none.
    sending_left_out: int = 0
    letters: float = float(BURST)  # That may be sent now.
    refilled_s: float = 0.0
    failures: int = 0  # In a row.
    again_s: float = 0.0  # Not before then.
    error: str = ""  # Of the last try.


def put(outbox: Outbox, receiver: Receiver, messages: Sequence[Message]) -> Outbox:
    """Add what this receiver wants to know; alarms drive warnings out, never the other way."""
    wanted = [each for each in messages if _reaches(each, receiver)]
    waiting = [*outbox.waiting, *wanted]
    surplus = max(len(waiting) - WAITING_MAX, 0)
    candidates = sorted(
        range(outbox.sending, len(waiting)),
        key=lambda place: (waiting[place].level is Level.ALARM, -place),
    )
    dropped = set(candidates[:surplus])
    kept = tuple(each for place, each in enumerate(waiting) if place not in dropped)
    return replace(outbox, waiting=kept, left_out=outbox.left_out + len(dropped))


def ready(outbox: Outbox, now_s: float) -> tuple[Outbox, tuple[Message, ...], int]:
    """Begin to send what may be sent now; no messages: nothing does. The number was left out."""
    outbox = _refilled(outbox, now_s)
    if outbox.sending or not outbox.waiting or outbox.letters < 1 or now_s < outbox.again_s:
        return outbox, (), 0
    messages = outbox.waiting[:LETTER_MAX]
    begun = replace(
        outbox,
        sending=len(messages),
        sending_left_out=outbox.left_out,
        letters=outbox.letters - 1,
    )
    return begun, messages, outbox.left_out


def sent(outbox: Outbox) -> Outbox:
    return replace(
        outbox,
        waiting=outbox.waiting[outbox.sending :],
        left_out=outbox.left_out - outbox.sending_left_out,
        sending=0,
        sending_left_out=0,
        failures=0,
        again_s=0.0,
        error="",
    )


def failed(outbox: Outbox, now_s: float, error: str) -> Outbox:
    """Keep it for later; it did not arrive, so the letter does not count."""
    wait_s = min(RETRY_FIRST_S * 2.0 ** min(outbox.failures, 10), RETRY_MAX_S)
    return replace(
        outbox,
        sending=0,
        sending_left_out=0,
        letters=min(outbox.letters + 1, float(BURST)),
        failures=outbox.failures + 1,
        again_s=now_s + wait_s,
        error=error,
    )


def restored(outbox: Outbox) -> Outbox:
    """Return it as a process that has just started goes on with it: sent again, if in doubt."""
    return Outbox(outbox.receiver, outbox.waiting, outbox.left_out, error=outbox.error)


def _refilled(outbox: Outbox, now_s: float) -> Outbox:
    letters = min(outbox.letters + max(now_s - outbox.refilled_s, 0.0) / REFILL_S, float(BURST))
    return replace(outbox, letters=letters, refilled_s=now_s)


def _reaches(message: Message, receiver: Receiver) -> bool:
    return message.level is Level.ALARM or receiver.least is Level.WARNING
