"""What clalert wants of the process: answers, and letters that try a receiver."""

from dataclasses import dataclass, field, replace
from typing import Final

from hapair.alerts.memory import Memory, Sent
from hapair.alerts.postman import Begin
from hapair.core.alerts.book import FOR_EVER_S, Answer, answered
from hapair.model.alerts import Alerts, Kind, Letter, Level, Message
from hapair.ports.alerts import Sending
from hapair.ports.machine import Clock
from hapair.rpc.messages import JsonObject

REASON_MAX: Final = 200
TESTS_MAX: Final = 32  # At the same time.


@dataclass(slots=True)
class Test:
    """A letter to one receiver, past its outbox: an answer is waited for."""

    order: object  # The number of the order.
    receiver: str
    sending: Sending
    letter: Letter
    outcome: str | None = None


@dataclass(slots=True)
class Orders:
    begin: Begin
    clock: Clock
    done: list[JsonObject] = field(default_factory=list)  # Not handed to the daemon yet.
    _tests: list[Test] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        return bool(self._tests)

    def take(self, memory: Memory, order: JsonObject, alerts: Alerts, letter: Letter) -> Memory:
        """Begin to carry an order out; its answer is in ``done`` once it is complete."""
        match order.get("order"):
            case "answer":
                return self._answer(memory, order)
            case "test":
                self._test(order, alerts, letter)
            case unknown:
                error = f'the process that sends alerts does not know "{unknown}"'
                mend = "it may be of another version: systemctl restart hapair-alerts"
                self.done.append({"id": order.get("id"), "error": error, "mend": mend})
        return memory

    def collect(self, memory: Memory) -> Memory:
        """Note the tests that came to an end; an order is answered when all of its are."""
        for test in self._tests:
            if test.outcome is None and (outcome := test.sending.outcome()) is not None:
                test.outcome = outcome
                told = Sent(self.clock.wall_s(), test.receiver, test.letter.subject, outcome)
                memory = memory.with_sent((told,))
        for number in {test.order for test in self._tests}:
            tests = [test for test in self._tests if test.order == number]
            if all(test.outcome is not None for test in tests):
                self._tests = [test for test in self._tests if test.order != number]
                told_of = [{"receiver": t.receiver, "error": t.outcome} for t in tests]
                self.done.append({"id": number, "receivers": list[object](told_of)})
        return memory

    def _answer(self, memory: Memory, order: JsonObject) -> Memory:
        asked, for_s = order.get("numbers"), order.get("for_s")
        numbers = (
            [each for each in asked if isinstance(each, int)] if isinstance(asked, list) else []
        )
        known = [each.number for each in memory.book.opens]
        unknown = [number for number in numbers if number not in known]
        if unknown:
            error, mend = f"there is no alert {unknown[0]}", "list them with: clalert list"
            self.done.append({"id": order.get("id"), "error": error, "mend": mend})
            return memory
        now_s = self.clock.wall_s()
        until_s = now_s + for_s if isinstance(for_s, int | float) else FOR_EVER_S
        reason = str(order.get("reason", ""))[:REASON_MAX]
        chosen = numbers or known
        self.done.append({"id": order.get("id"), "answered": list[object](chosen)})
        return replace(memory, book=answered(memory.book, chosen, Answer(now_s, until_s, reason)))

    def _test(self, order: JsonObject, alerts: Alerts, letter: Letter) -> None:
        number, name = order.get("id"), order.get("receiver")
        receivers = [each for each in alerts.receivers if name in {None, "", each.name}]
        if not receivers or len(self._tests) + len(receivers) > TESTS_MAX:
            names = ", ".join(each.name for each in alerts.receivers)
            error = f"there is no receiver {name}" if not receivers else "too many tests at once"
            mend = f"receivers: {names}" if not receivers else "try again"
            self.done.append({"id": number, "error": error, "mend": mend})
            return
        text = "this is a test of hapair's alerts; nothing is wrong"
        now_s = self.clock.wall_s()
        message = Message(Kind.TEST, Level.WARNING, letter.node, text, now_s, letter.node)
        full = replace(letter, messages=(message,))
        for each in receivers:
            begun = self.begin(each, full)
            sending = _Ended(begun) if isinstance(begun, str) else begun
            self._tests.append(Test(number, each.name, sending, full))


@dataclass(frozen=True, slots=True)
class _Ended:
    """What could not even begin."""

    why: str
    refused: bool = False

    def outcome(self) -> str:
        return self.why
