"""Witnesses while one builds: look at them, make the cluster known to them, try them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol, TypeVar

from hapair.core.plan.cluster_checks import Checked
from hapair.core.plan.witness_checks import (
    CODE_OPTION,
    WitnessLook,
    looks_problems,
    named,
    unknown_certificates,
)
from hapair.model.cluster import Cluster, Witness, WitnessKind
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.problem import Problem
from hapair.model.witness import Answer, WitnessAnswer
from hapair.ports.arbiters import Witnesses

T = TypeVar("T")

# Longer than a witness's default time-out, so that a slow one is told from a silent one.
LOOK_TIMEOUT_S: Final = 5.0
JOIN_TIMEOUT_S: Final = 15.0
JOINS_MAX: Final = 2  # After a lost answer the same code is handed over once more.
SCRATCH: Final = "/check"  # Added to the cluster's name for the record that a trial writes.


class WitnessAccess(Witnesses, Protocol):
    """What clbuild asks of a witness for one node of one cluster, besides what the daemon asks."""

    async def prepare(self, witness: Witness, *, timeout_s: float) -> Outcome:
        """Make the place for the cluster's record where that is ours to make; Done if it is."""
        ...

    async def join(self, witness: Witness, code: str, *, timeout_s: float) -> Outcome:
        """Make the certificates of both nodes known; after Unknown it may be repeated."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Timed:
    answer: WitnessAnswer
    took_s: float


async def timed(asked: Awaitable[WitnessAnswer], clock: Callable[[], float] = monotonic) -> Timed:
    begun_s = clock()
    answer = await asked
    return Timed(answer, clock() - begun_s)


class WitnessWork:
    """The witnesses' part of one build, for the node on which clbuild runs."""

    def __init__(
        self, access: WitnessAccess, cluster: Cluster, me: str, codes: Sequence[str] = ()
    ) -> None:
        self._access = access
        self._cluster = cluster
        self._me = me
        self._codes = tuple(codes)

    async def prepare(self) -> None:
        """Make the places of records; what fails is told by the look that follows."""
        for witness in self._cluster.witnesses:
            await self._access.prepare(witness, timeout_s=LOOK_TIMEOUT_S)

    async def checked(self, new_pairs: Sequence[str], *, prepared: bool) -> Checked:
        """Look at each witness that can know this cluster by now; nothing is recorded.

        ``new_pairs`` are the nodes that get a new pair of keys; ``prepared`` tells whether the
        places of records were made.
        """
        problems: list[Problem] = []
        later = set() if prepared else {WitnessKind.FILE}
        if self._codes or new_pairs:
            # A clwitness knows a cluster by its certificates: it must be told the new ones first.
            later.add(WitnessKind.CLWITNESS)
        asked = [each for each in self._cluster.witnesses if each.kind not in later]
        if not self._codes:
            problems += unknown_certificates(self._cluster, new_pairs)
        problems += looks_problems(self._me, self._cluster, await self._look(asked))
        return Checked("witnesses", tuple(problems))

    async def _look(self, witnesses: Sequence[Witness]) -> list[WitnessLook]:
        async def look(witness: Witness) -> WitnessLook:
            found = await timed(self._access.look(witness, timeout_s=LOOK_TIMEOUT_S))
            return WitnessLook(witness, found.answer, found.took_s)

        return list(await asyncio.gather(*(look(witness) for witness in witnesses)))

    async def join(self) -> tuple[Problem, ...]:
        """Hand each code to the witness that takes it, then look; return what is still wrong."""
        if not self._codes:
            return ()
        left = [each for each in self._cluster.witnesses if each.kind is WitnessKind.CLWITNESS]
        problems: list[Problem] = []
        for code in self._codes:
            refusals: list[Problem] = []
            for witness in left:
                why = await self._hand_over(witness, code)
                if not why:
                    left.remove(witness)
                    break
                mend = f"on the witness: clwitness invite {self._cluster.name}; here: {CODE_OPTION}"
                refusals.append(Problem(self._me, named(witness), why, mend))
            else:
                problems += refusals
        if problems:
            return tuple(problems)
        looks = await self._look(self._cluster.witnesses)
        return tuple(looks_problems(self._me, self._cluster, looks))

    async def _hand_over(self, witness: Witness, code: str) -> str:
        """Return why the witness did not take the code; empty when it did."""
        why = ""
        for _ in range(JOINS_MAX):
            match await self._access.join(witness, code, timeout_s=JOIN_TIMEOUT_S):
                case Done():
                    return ""
                case Refused(why):
                    return why
                case Unknown(why):
                    continue
        return why


@dataclass(frozen=True, slots=True)
class TrialStep:
    what: str
    why: str  # Why it is not as it must be; empty: it is.
    took_s: float


@dataclass(frozen=True, slots=True)
class Trial:
    witness: Witness
    steps: tuple[TrialStep, ...]

    @property
    def passed(self) -> bool:
        return not any(step.why for step in self.steps)


async def try_grants(
    witness: Witness, own: WitnessAccess, other: WitnessAccess, nodes: tuple[str, str]
) -> Trial:
    """Go through a whole grant on a scratch record: to this node, again, and not to the other.

    ``own`` and ``other`` ask for the first and the second of ``nodes``, both for the scratch
    record; the record of the cluster itself is not touched.
    """
    me, peer = nodes
    await own.prepare(witness, timeout_s=LOOK_TIMEOUT_S)
    found = await timed(own.look(witness, timeout_s=LOOK_TIMEOUT_S))
    steps = [_step("look", found, _not(Answer.SEEN, found.answer))]
    if found.answer.answer is Answer.UNREACHABLE:
        return Trial(witness, tuple(steps))
    epoch = found.answer.epoch + 1
    for what in (f"grant epoch {epoch} to {me}", "the same once more"):
        found = await timed(own.grant(witness, epoch, timeout_s=LOOK_TIMEOUT_S))
        steps.append(_step(what, found, _not(Answer.GRANTED, found.answer)))
    found = await timed(other.grant(witness, epoch, timeout_s=LOOK_TIMEOUT_S))
    steps.append(_step(f"refuse it to {peer}", found, _not(Answer.DENIED, found.answer)))
    return Trial(witness, tuple(steps))


def _step(what: str, found: Timed, why: str) -> TrialStep:
    return TrialStep(what, why, found.took_s)


def _not(wanted: Answer, answer: WitnessAnswer) -> str:
    """Say how an answer differs from the one that a witness must give here."""
    if answer.answer is wanted:
        return ""
    if answer.answer is Answer.UNREACHABLE:
        return answer.why
    held = f" (epoch {answer.epoch} is held by {answer.holder})" if answer.holder else ""
    return f"it answers {answer.answer.value} instead of {wanted.value}{held}"
