"""Change both nodes or neither.

Both stage everything first. Then the peer commits, then this node. Until the peer begins to
commit, whatever happens is undone on both; from then on an interruption waits until both have
ended. A node or a connection that dies in between leaves a journal, by which the next clbuild
finishes (if either node committed) or undoes (if neither did).
"""

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from hapair.model.leftover import Leftover, Stage
from hapair.runtime.building.seats import Seat
from hapair.runtime.building.steps import Answer, Step, StepKind

LOOKS_MAX: Final = 5  # How often the peer is asked what it did, after its answer was lost.
LOOK_PAUSE_S: Final = 2.0

T = TypeVar("T")
Say = Callable[[str], None]
Results: TypeAlias = "tuple[Activated, ...]"


class ChangeError(Exception):
    """A step failed. ``undone`` tells whether both nodes are as they were before."""

    def __init__(self, node: str, answer: Answer, *, undone: bool) -> None:
        super().__init__(f"{node}: {answer.error}")
        self.node = node
        self.error = answer.error
        self.mend = answer.mend
        self.undone = undone


@dataclass(frozen=True, slots=True)
class Parts:
    """The steps of one node."""

    begin: Step
    stage: Callable[[Answer, Answer], Step]  # From the node's own and the peer's answer to begin.


class Change:
    """One change of both nodes, under one generation."""

    def __init__(
        self,
        local: Seat,
        remote: Seat,
        generation: int,
        say: Say,
        *,
        look_pause_s: float = LOOK_PAUSE_S,
    ) -> None:
        self._local = local
        self._remote = remote
        self._generation = generation
        self._say = say
        self._look_pause_s = look_pause_s
        self._committing = False

    async def carry_through(self, local: Parts, remote: Parts) -> None:
        """Do all of it, or raise ChangeError. Old files are kept until both are activated.

        When cancelled before the commit everything is undone, then the cancellation goes on.
        When cancelled later the change is completed, and the cancellation is dropped.
        """
        try:
            await self._prepare(local, remote)
        except ChangeError as error:
            await uninterrupted(self._undo())
            raise ChangeError(error.node, Answer(error.error, error.mend), undone=True) from None
        except asyncio.CancelledError:
            self._say("interrupted: undoing")
            await uninterrupted(self._undo())
            raise
        await uninterrupted(self._commit())

    async def _prepare(self, local: Parts, remote: Parts) -> None:
        self._say("preparing both nodes")
        mine, theirs = await self._both(local.begin, remote.begin)
        self._say("staging the configuration on both nodes")
        await self._both(local.stage(mine, theirs), remote.stage(theirs, mine))

    async def _commit(self) -> None:
        self._say("committing on both nodes")
        self._committing = True
        await self._commit_remote()
        answer = await self._local.perform(self._step(self._local, StepKind.COMMIT))
        if answer.error:
            raise ChangeError(self._local.node, answer, undone=await self._undo())

    async def _commit_remote(self) -> None:
        answer = await self._remote.perform(self._step(self._remote, StepKind.COMMIT))
        if not answer.error:
            return
        if not answer.lost:
            raise ChangeError(self._remote.node, answer, undone=await self._undo())
        # It may have happened: look before acting again.
        for _ in range(LOOKS_MAX):
            seen = await self._remote.perform(self._step(self._remote, StepKind.LOOK))
            if not seen.error and seen.stage == Stage.COMMITTED:
                return
            if not seen.error:
                raise ChangeError(self._remote.node, answer, undone=await self._undo())
            await asyncio.sleep(self._look_pause_s)
        # Both journals stay, so that the next clbuild can tell what happened.
        raise ChangeError(self._remote.node, answer, undone=False)

    async def _undo(self) -> bool:
        """Undo on both, the peer first; tell whether that was possible.

        A peer that may have committed and cannot be undone keeps this node from being undone: its
        journal lets the next clbuild bring both to the same state.
        """
        for seat in (self._remote, self._local):
            answer = await seat.perform(self._step(seat, StepKind.UNDO))
            if answer.error:
                self._say(f"{seat.node}: not undone yet ({answer.error}); the next clbuild does it")
                if self._committing:
                    return False
        return True

    async def _both(self, mine: Step, theirs: Step) -> tuple[Answer, Answer]:
        """Do both steps side by side; raise ChangeError if either failed.

        A cancellation waits until both have ended, so that nothing is under way when they are
        undone.
        """
        answers = await to_its_end(
            asyncio.gather(self._local.perform(mine), self._remote.perform(theirs))
        )
        for seat, answer in zip((self._local, self._remote), answers, strict=True):
            if answer.error:
                raise ChangeError(seat.node, answer, undone=False)
        return answers[0], answers[1]

    def _step(self, seat: Seat, kind: StepKind) -> Step:
        return Step(kind, seat.node, self._generation)


@dataclass(frozen=True, slots=True)
class Activated:
    node: str
    error: str
    mend: str
    note: str


async def activate(seats: Sequence[Seat], generation: int, enable: Container[str]) -> Results:
    """Let both daemons take over what was committed; ``enable`` names nodes without services.

    Whatever fails here, the change stays committed.
    """
    steps = [
        Step(StepKind.ACTIVATE, seat.node, generation, enable=seat.node in enable) for seat in seats
    ]
    answers = await asyncio.gather(
        *(seat.perform(step) for seat, step in zip(seats, steps, strict=True))
    )
    return tuple(
        Activated(seat.node, answer.error, answer.mend, answer.note)
        for seat, answer in zip(seats, answers, strict=True)
    )


async def settle(
    leftovers: Mapping[str, tuple[Leftover, ...]], local: Seat, remote: Seat, say: Say
) -> None:
    """Finish or undo what interrupted builds left behind; ChangeError if that fails."""
    for generation in generations(leftovers):
        begun = was_begun(leftovers, generation)
        word = "finishing" if begun else "undoing"
        say(f"{word} the interrupted build of generation {generation}")
        for seat in (remote, local):
            for left in leftovers[seat.node]:
                if left.generation != generation:
                    continue
                for kind in _settling(left.stage, begun=begun):
                    answer = await uninterrupted(seat.perform(Step(kind, seat.node, generation)))
                    if answer.error:
                        raise ChangeError(seat.node, answer, undone=False)


def generations(leftovers: Mapping[str, tuple[Leftover, ...]]) -> tuple[int, ...]:
    return tuple(sorted({each.generation for found in leftovers.values() for each in found}))


def was_begun(leftovers: Mapping[str, tuple[Leftover, ...]], generation: int) -> bool:
    """Tell whether a node began to commit: then it is finished on both, else undone."""
    every = [each for found in leftovers.values() for each in found]
    return any(
        each.stage in {Stage.COMMITTING, Stage.COMMITTED}
        for each in every
        if each.generation == generation
    )


def _settling(stage: Stage, *, begun: bool) -> tuple[StepKind, ...]:
    if stage is Stage.EMPTY:
        return (StepKind.FINISH,)
    return (StepKind.COMMIT, StepKind.FINISH) if begun else (StepKind.UNDO,)


async def uninterrupted(work: Awaitable[T]) -> T:
    """Await ``work`` to its end even when cancelled meanwhile; the cancellation is dropped.

    Every part of ``work`` is bounded, so this is too.
    """
    result, _ = await _awaited(work)
    return result


async def to_its_end(work: Awaitable[T]) -> T:
    """Await ``work`` to its end even when cancelled meanwhile; then the cancellation goes on."""
    result, cancelled = await _awaited(work)
    if cancelled:
        raise asyncio.CancelledError
    return result


async def _awaited(work: Awaitable[T]) -> tuple[T, bool]:
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    return task.result(), cancelled
