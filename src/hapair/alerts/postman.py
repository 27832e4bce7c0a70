"""What waits for each receiver, and what is on its way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hapair.alerts import fit as fits
from hapair.alerts.memory import Memory, Sent
from hapair.core.alerts import outbox as boxes
from hapair.model.alerts import Letter, Message, Receiver
from hapair.ports.alerts import Sending
from hapair.ports.machine import Clock

Begin = Callable[[Receiver, Letter], Sending | str]
GIVEN_UP_MAX: Final = 16  # Sentences that wait for the daemon.


@dataclass(slots=True)
class Postman:
    """``begin`` sends a letter in a process of its own; a text says why it could not."""

    begin: Begin
    clock: Clock
    given_up: list[str] = field(default_factory=list)  # A sentence for each, for the history.
    _on_the_way: dict[str, tuple[Sending, Letter]] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        return bool(self._on_the_way)

    def put(
        self, memory: Memory, receivers: Sequence[Receiver], messages: Sequence[Message]
    ) -> Memory:
        """Give the messages to those who want them; who is a receiver no more is forgotten."""
        kept = tuple(boxes.put(memory.outbox(each.name), each, messages) for each in receivers)
        return memory.with_outboxes(kept)

    def send(self, memory: Memory, receivers: Sequence[Receiver], letter: Letter) -> Memory:
        """Begin to send what may be sent now, in letters that look like ``letter``."""
        for each in receivers:
            if each.name in self._on_the_way:
                continue
            box, messages, left_out = boxes.ready(
                memory.outbox(each.name), self.clock.monotonic_s()
            )
            if messages:
                messages = fits.cut(memory.fit(each.name), messages)
                box = replace(box, sending=len(messages))
                full = Letter(letter.cluster, letter.node, messages, left_out)
                begun = self.begin(each, full)
                if isinstance(begun, str):
                    box = boxes.failed(box, self.clock.monotonic_s(), begun)
                else:
                    self._on_the_way[each.name] = (begun, full)
            memory = memory.with_outbox(box)
        return memory

    def collect(self, memory: Memory) -> Memory:
        """Note what arrived, and what did not."""
        for name, (sending, letter) in tuple(self._on_the_way.items()):
            outcome = sending.outcome()
            if outcome is None:
                continue
            del self._on_the_way[name]
            box, fit = memory.outbox(name), memory.fit(name)
            if not outcome:
                memory = memory.with_outbox(boxes.sent(box)).with_fit(fits.taken(fit))
            else:
                box = boxes.failed(box, self.clock.monotonic_s(), outcome)
                memory = self._without(memory, box, letter, outcome, refused=sending.refused)
            told = Sent(self.clock.wall_s(), name, letter.subject, outcome)
            memory = memory.with_sent((told,))
        return memory

    def _without(
        self, memory: Memory, box: boxes.Outbox, letter: Letter, why: str, *, refused: bool
    ) -> Memory:
        """Note what was not taken; tell the history what is given up, unless all of it is."""
        fit, count = memory.fit(box.receiver), len(letter.messages)
        if not refused:
            return memory.with_outbox(box).with_fit(fits.not_taken(fit, count))
        less, box, lost = fits.refused(fit, box, count, why, self.clock.wall_s())
        if lost and not fit.quiet:
            text = f"the receiver {box.receiver} refuses for good what is told of {lost.about}"
            self.given_up = [*self.given_up, f"{text}: {why}"][-GIVEN_UP_MAX:]
        return memory.with_outbox(box).with_fit(less)
