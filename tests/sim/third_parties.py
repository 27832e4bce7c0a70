"""What stands outside of the two nodes: witnesses that record, a power strip that switches off."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from hapair.model.cluster import Cluster
from hapair.model.witness import Answer, WitnessAnswer
from hapair.witness.wire import Grant, Recorded, Reply, Request
from tests.checkers.rules import BrokenRuleError
from tests.sim import parcels
from tests.sim.clockwork import Clockwork
from tests.sim.machine import Machine, Parcel
from tests.sim.messages import talked

ANSWERS_AFTER_S: Final = (0.002, 0.08)
# A slow witness records long after the asker has given up.
SLOW_S: Final = (0.5, 6.0)
SWITCHES_OFF_AFTER_S: Final = (0.3, 3.0)
POWER_COMES_BACK_S: Final = (4.0, 20.0)


@dataclass(slots=True)
class WitnessServer:
    """Records one holder for each epoch, for ever; its disk survives everything."""

    epoch: int = 0
    holder: str = ""
    down: int = 0  # Faults that keep it from answering; they may overlap.
    slow: int = 0
    unreached: Counter[str] = field(default_factory=Counter)  # By node.
    holders: dict[int, str] = field(default_factory=dict)  # Everything that it ever granted.

    def reached(self, node: str) -> bool:
        return not self.down and not self.unreached[node]

    def grant(self, node: str, epoch: int) -> Answer:
        if epoch > self.epoch:
            self.epoch, self.holder = epoch, node
            self.holders[epoch] = node
        if (epoch, node) == (self.epoch, self.holder):
            return Answer.GRANTED
        return Answer.DENIED

    def answer(self, request: Request) -> Reply:
        """Answer as the service does: with what is recorded."""
        match request:
            case Grant(_, epoch, node):
                return Recorded(str(self.grant(node, epoch)), self.epoch, self.holder)
            case _:
                return Recorded(str(Answer.SEEN), self.epoch, self.holder)


@dataclass(slots=True)
class PowerStrip:
    """Switches nodes off when it is asked to, unless it is dead itself."""

    dead: int = 0
    loses_answers: float = 0.1  # How often the node is off and the agent cannot tell.
    takes_s: tuple[float, float] = SWITCHES_OFF_AFTER_S


class ThirdParties:
    def __init__(self, clockwork: Clockwork, chance: Random, cluster: Cluster) -> None:
        self.clockwork = clockwork
        self.chance = chance
        self.cluster = cluster
        self.servers = [WitnessServer() for _ in cluster.witnesses]
        self.strip = PowerStrip()
        self.power_off: Callable[[str], None] = lambda _node: None
        self.power_on: Callable[[str], None] = lambda _node: None

    def ask(self, machine: Machine, deliver: Callable[[Parcel], None], epoch: int) -> None:
        """Ask the witnesses that this machine is configured for."""
        for index in range(len(machine.built.cluster.witnesses)):
            if index == len(self.servers):
                self.servers.append(WitnessServer())  # A new one, which knows nothing.
            self._ask(index, self.servers[index], machine, deliver, epoch)

    def _ask(
        self,
        index: int,
        server: WitnessServer,
        machine: Machine,
        deliver: Callable[[Parcel], None],
        epoch: int,
    ) -> None:
        timeout_s = machine.built.cluster.witnesses[index].timeout_s
        answered: list[bool] = []

        def tell(answer: WitnessAnswer) -> None:
            if not answered:
                answered.append(True)
                deliver(partial(parcels.witness_answered, index, epoch, answer))

        def arrive() -> None:
            if not server.reached(machine.name):
                return
            answer = talked(self.cluster.name, machine.name, epoch, server.answer)
            self.clockwork.after(self._takes_s(server), partial(come_back, answer))

        def come_back(answer: WitnessAnswer) -> None:
            if server.reached(machine.name):
                tell(answer)

        self.clockwork.after(self._takes_s(server), arrive)
        unreachable = WitnessAnswer(Answer.UNREACHABLE, why="no answer in time")
        self.clockwork.after(timeout_s, partial(tell, unreachable))

    def _takes_s(self, server: WitnessServer) -> float:
        return self.chance.uniform(*(SLOW_S if server.slow else ANSWERS_AFTER_S))

    def fence(self, peer: str, deliver: Callable[[Parcel], None]) -> None:
        """Switch the peer off; sometimes the agent cannot tell that it is off."""

        def happen() -> None:
            if self.strip.dead:
                deliver(partial(parcels.fenced, False, "the power strip does not answer"))  # noqa: FBT003
                return
            self.power_off(peer)
            self.clockwork.after(
                self.chance.uniform(*POWER_COMES_BACK_S), partial(self.power_on, peer)
            )
            if self.chance.random() < self.strip.loses_answers:
                deliver(partial(parcels.fenced, False, "the strip's answer was lost"))  # noqa: FBT003
            else:
                deliver(partial(parcels.fenced, True, "off"))  # noqa: FBT003

        self.clockwork.after(self.chance.uniform(*self.strip.takes_s), happen)

    def check_one_holder(self, nodes: Sequence[str]) -> None:
        """R1: no epoch has a majority for both nodes; a wrong model would prove nothing."""
        needed = len(self.servers) // 2 + 1
        epochs = {epoch for server in self.servers for epoch in server.holders}
        for epoch in sorted(epochs):
            counts = [sum(s.holders.get(epoch) == n for s in self.servers) for n in nodes]
            if all(count >= needed for count in counts):
                raise BrokenRuleError(f"R1: both nodes were granted epoch {epoch}")
