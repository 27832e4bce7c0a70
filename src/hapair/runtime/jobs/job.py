"""Run the steps of a job to the end, or take back what was done.

The job is written to disk before every step. A daemon that was killed meanwhile finds it at its
next start and takes it back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from hapair.core.plan.steps import Step, Work
from hapair.model.built import Built
from hapair.model.nesting import lies_inside
from hapair.model.outcome import Done, Outcome, Refused
from hapair.runtime.building.change import uninterrupted

UNDO_TRIES_MAX: Final = 3
UNDO_RETRY_S: Final = 1.0
# How the texts begin that are said once the way leads back.
BACK: Final = "taking back: "
BACKWARDS: Final = ("interrupted:", "failed:", BACK)


@dataclass(frozen=True, slots=True)
class Job:
    application: str
    before: Built  # What INSTALL_FORMER goes back to.
    built: Built  # What the job leads to.
    steps: tuple[Step, ...]
    begun: int = 0  # How many steps were begun; the last one of them may have happened.
    then: "Job | None" = None  # What is stored in its place once it is complete.

    @property
    def gives_back(self) -> bool:
        """Tell whether the application is released already: taking back leads to the end then."""
        return self.before.generation > self.built.generation

    @property
    def command(self) -> str:
        """Return what was typed."""
        releases = self.gives_back or self.application not in self.built.by_name
        return f"clbuildapp {'--release ' if releases else ''}{self.application}"


Do = Callable[[Step, Work, Job], Awaitable[Outcome]]
Keep = Callable[[Job | None], Awaitable[None]]  # Stores the job, or forgets it; OSError.
Say = Callable[[str, int, int], None]


class JobFailedError(Exception):
    """A step failed. ``undone`` tells whether everything was taken back."""

    def __init__(self, step: Step, why: str, not_undone: tuple[str, ...]) -> None:
        super().__init__(f"{step.text}: {why}")
        self.step = step
        self.why = why
        self.not_undone = not_undone


async def run(
    job: Job, do: Do, keep: Keep, say: Say, *, me: str, retry_s: float = UNDO_RETRY_S
) -> None:
    """Do all steps in order.

    An interruption takes effect when the step that is under way has ended: what goes on in the
    kernel or on the peer could not be taken back before. Every step is bounded in time.

    Raises:
        JobFailedError: a step failed; what was done is taken back, or listed in the error.
        asyncio.CancelledError: the caller went away; what was done is taken back first, or listed
            in the JobFailedError that is its cause.
    """

    async def back() -> tuple[str, ...]:
        return await uninterrupted(take_back(job, do, keep, say, me=me, retry_s=retry_s))

    of = len(job.steps)
    for number, step in enumerate(job.steps, start=1):
        job = replace(job, begun=number)
        say(step.text, number, of)
        step_under_way = asyncio.ensure_future(_begin(step, job, do, keep))
        try:
            outcome = await asyncio.shield(step_under_way)
        except asyncio.CancelledError:
            say(f"interrupted: {step.text} is ended, then all is taken back", number, of)
            with suppress(asyncio.CancelledError):  # The daemon itself is being ended.
                await uninterrupted(step_under_way)
            if left := await back():
                raise asyncio.CancelledError from JobFailedError(step, "interrupted", left)
            raise
        if not isinstance(outcome, Done):
            say(f"failed: {outcome.why}; taking everything back", number, of)
            raise JobFailedError(step, outcome.why, await back())
    try:
        await uninterrupted(keep(job.then))
    except OSError as error:  # Taken back later, when it is in use, it would do harm.
        why = f"the job cannot be closed: {error}"
        raise JobFailedError(job.steps[-1], why, await back()) from None


async def _begin(step: Step, job: Job, do: Do, keep: Keep) -> Outcome:
    try:
        await keep(job)
    except OSError as error:
        return Refused(f"the job cannot be stored: {error}")
    return await do(step, step.work, job)


async def take_back(
    job: Job, do: Do, keep: Keep, say: Say, *, me: str, retry_s: float = UNDO_RETRY_S
) -> tuple[str, ...]:
    """Undo all steps that were begun, the last one first; return what could not be undone.

    Each undo looks at what is there, and each try begins with the last step again: what an
    undo found to be down may have come up since, e.g. by a mount that had been slow.
    A job with something left to undo stays stored: it is tried again later. What was started again
    is not started once more then: whoever stopped it meanwhile meant it.
    """
    failed: tuple[str, ...] = ()
    for attempt in range(UNDO_TRIES_MAX):
        if attempt:
            await asyncio.sleep(retry_s)
        failed, job = await _undo_all(job, do, say, me)
        if not failed:
            break
    with suppress(OSError):  # It stays stored as it was; taking it back twice does no harm.
        await keep(job if failed else None)
    return failed


async def _undo_all(job: Job, do: Do, say: Say, me: str) -> tuple[tuple[str, ...], Job]:
    """Return what could not be undone, and the job as it is to be tried again."""
    failed: list[str] = []
    obstacles: list[Step] = []
    steps = list(job.steps)
    for number in range(job.begun, 0, -1):
        step = job.steps[number - 1]
        if any(_bars(obstacle, step, me) for obstacle in obstacles):
            continue
        for work in step.undo:
            say(f"{BACK}{step.undone(work)}", job.begun - number + 1, job.begun)
            outcome = await do(step, work, job)
            if not isinstance(outcome, Done):
                failed.append(f"{step.undone(work)}: {outcome.why}")
                obstacles.append(step)
                if _is_in_use(step, outcome, job):
                    return tuple(failed), replace(job, steps=tuple(steps))
                break
        else:
            if step.work is Work.HALT:
                steps[number - 1] = replace(step, undo=())
    return tuple(failed), replace(job, steps=tuple(steps))


def _is_in_use(step: Step, outcome: Outcome, job: Job) -> bool:
    """Tell whether a node keeps what was built: the copies go apart if it is taken from the other.

    One that cannot be asked bars only its own part. What is released is on no node any more.
    """
    refuses = step.work is Work.INSTALL and isinstance(outcome, Refused)
    return refuses and job.application in job.built.by_name


def _bars(failed: Step, earlier: Step, me: str) -> bool:
    """Tell whether an earlier step must stay while a later one could not be taken back.

    It may lie below it: a volume below a mount, a connection below a Primary. What is mounted
    inside it may not come back before it. On the node where the data is the whole job counts as
    below it; a peer that is lost bars only its own part.
    """
    below = not failed.volume or failed.volume == earlier.volume
    inside = any(
        lies_inside(v.mount_point, f.mount_point) for v in earlier.volume for f in failed.volume
    )
    return (below or inside) and failed.node in (earlier.node, me)
