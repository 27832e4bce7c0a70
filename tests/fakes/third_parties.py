"""Third parties in memory: a witness, a power strip, a watchdog device."""

from dataclasses import dataclass, field

from hapair.model.cluster import FenceMethod, Watchdog, Witness
from hapair.model.outcome import Done, Outcome, Refused
from hapair.model.witness import Answer, WitnessAnswer


@dataclass(slots=True)
class OneWitness:
    """Records one holder for each epoch, as the port demands."""

    node: str = ""
    epoch: int = 0
    holder: str = ""
    answers: bool = True

    async def grant(self, witness: Witness, epoch: int, *, timeout_s: float) -> WitnessAnswer:
        assert timeout_s == witness.timeout_s
        if not self.answers:
            return WitnessAnswer(Answer.UNREACHABLE, why="it is switched off")
        if epoch > self.epoch:
            self.epoch, self.holder = epoch, self.node
        granted = (epoch, self.node) == (self.epoch, self.holder)
        answer = Answer.GRANTED if granted else Answer.DENIED
        return WitnessAnswer(answer, self.epoch, self.holder)

    async def look(self, witness: Witness, *, timeout_s: float) -> WitnessAnswer:
        assert timeout_s == witness.timeout_s
        answer = Answer.SEEN if self.answers else Answer.UNREACHABLE
        return WitnessAnswer(answer, self.epoch, self.holder)


@dataclass(slots=True)
class Strip:
    """Switches off what it is told, unless the method is one of the broken ones."""

    broken: set[str] = field(default_factory=set)  # Agents.
    off: list[str] = field(default_factory=list)

    async def switch_off(self, method: FenceMethod) -> Outcome:
        if method.agent in self.broken:
            return Refused("the strip does not answer")
        self.off.append(method.node)
        return Done("off")


@dataclass(slots=True)
class DeviceSeen:
    """Remembers what was done with the watchdog device."""

    opens: bool = True
    left_running: bool = False
    done: list[str] = field(default_factory=list)

    def runs(self, watchdog: Watchdog) -> bool:  # noqa: ARG002 - there is only one
        return self.left_running and "open" not in self.done

    def open(self, watchdog: Watchdog) -> Outcome:
        if not self.opens:
            return Refused(f"{watchdog.device} does not exist; modprobe softdog")
        self.done.append("open")
        return Done()

    def feed(self) -> None:
        self.done.append("feed")

    def release(self) -> None:
        self.done.append("release")
