"""Who is asked when the peer is silent: witnesses, and agents that switch a node off."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hapair.core.words.effects import Severity
from hapair.core.words.events import Event, Fenced, WitnessAnswered
from hapair.model.cluster import Cluster, FenceMethod, Witness
from hapair.model.outcome import Done, Refused, Unknown
from hapair.model.witness import Answer, WitnessAnswer
from hapair.ports.arbiters import Fencing, Witnesses
from hapair.ports.machine import Clock
from hapair.runtime.history.journal_log import Journal

# An adapter ends its work at the time-out; this much later it is given up on.
GRACE_S: Final = 0.5


@dataclass(slots=True)
class ThirdParties:
    """Carries the core's questions to the outside; each is answered by exactly one event."""

    witnesses: Witnesses | None  # None where the configuration names none.
    fencing: Fencing
    clock: Clock
    journal: Journal
    me: str
    offer: Callable[[Event], None]
    cluster: Cluster

    async def ask(self, index: int, epoch: int) -> None:
        """Ask one witness to grant ``epoch`` to this node, or look at it when that is 0."""
        witness = self.cluster.witnesses[index]
        try:
            async with asyncio.timeout(witness.timeout_s + GRACE_S):
                answer = await self._answer(witness, epoch)
        except TimeoutError:
            answer = WitnessAnswer(Answer.UNREACHABLE, why=f"no answer in {witness.timeout_s:g} s")
        if epoch:
            text = f"{witness.at} on epoch {epoch}: {answer.answer}"
            self.journal.add("witness", f"{text}: {answer.why}" if answer.why else text)
        self.offer(WitnessAnswered(self.clock.boot_s(), index, epoch, answer))

    async def _answer(self, witness: Witness, epoch: int) -> WitnessAnswer:
        if self.witnesses is None:
            return WitnessAnswer(Answer.UNREACHABLE, why="no witness is configured")
        if epoch:
            return await self.witnesses.grant(witness, epoch, timeout_s=witness.timeout_s)
        return await self.witnesses.look(witness, timeout_s=witness.timeout_s)

    async def fence(self) -> None:
        """Try the methods against the peer in their order until one proves that it is off."""
        peer = self.cluster.peer_of(self.me)
        failures: list[str] = []
        proven = False
        for method in self.cluster.methods_against(peer):
            text, proven = await self._try(method)
            failures.append(text)
            if proven:
                break
        text = "; ".join(failures) if not proven else failures[-1]
        self.offer(Fenced(self.clock.boot_s(), proven, text or "no method is configured"))

    async def _try(self, method: FenceMethod) -> tuple[str, bool]:
        try:
            async with asyncio.timeout(method.timeout_s + GRACE_S):
                outcome = await self.fencing.switch_off(method)
        except TimeoutError:
            outcome = Unknown(f"no answer in {method.timeout_s:g} s")
        except OSError as error:
            outcome = Unknown(f"it cannot be asked: {error.strerror or error}")
        match outcome:
            case Done(note):
                text = f"{method.agent}: {note}" if note else method.agent
                self.journal.add("fence-agent", f"{text}: {method.node} is off")
                return text, True
            case Refused(why) | Unknown(why):
                text = f"{method.agent}: {why}"
                self.journal.add("fence-agent", text, severity=Severity.WARNING)
                return text, False
