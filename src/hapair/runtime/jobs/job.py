"""Run the steps of a job to the end, or take back what was done.

The job is written to disk before its first step and after every one. A daemon that was killed
meanwhile finds it at its next start and takes it back, unless it was complete.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from hapair.core.plan.steps import Step, Work
from hapair.model.built import Built
from hapair.model.outcome import Done, Outcome, Refused

UNDO_TRIES_MAX: Final = 3
UNDO_RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Job:
    application: str
    before: Built  # What INSTALL_FORMER goes back to.
    built: Built  # What the job leads to.
    steps: tuple[Step, ...]
    begun: int = 0  # How many steps were begun; the last one of them may have happened.


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


async def run(job: Job, do: Do, keep: Keep, say: Say, *, retry_s: float = UNDO_RETRY_S) -> None:
    """Do all steps in order.

    Raises:
        JobFailedError: a step failed; what was done is taken back, or listed in the error.
        asyncio.CancelledError: the caller went away; what was done is taken back first.
    """
    for number, step in enumerate(job.steps, start=1):
        job = replace(job, begun=number)
        say(step.text, number, len(job.steps))
        try:
            outcome = await _begin(step, job, do, keep)
        except asyncio.CancelledError:
            say("interrupted: taking everything back", number, len(job.steps))
            await asyncio.shield(take_back(job, do, keep, say, retry_s=retry_s))
            raise
        if not isinstance(outcome, Done):
            say(f"failed: {outcome.why}; taking everything back", number, len(job.steps))
            not_undone = await asyncio.shield(take_back(job, do, keep, say, retry_s=retry_s))
            raise JobFailedError(step, outcome.why, not_undone)
    await asyncio.shield(keep(None))


async def _begin(step: Step, job: Job, do: Do, keep: Keep) -> Outcome:
    try:
        await keep(job)
    except OSError as error:
        return Refused(f"the job cannot be stored: {error}")
    return await do(step, step.work, job)


async def take_back(
    job: Job, do: Do, keep: Keep, say: Say, *, retry_s: float = UNDO_RETRY_S
) -> tuple[str, ...]:
    """Undo all steps that were begun, the last one first; return what could not be undone.

    A job with something left to undo stays stored: the next start of the daemon tries again.
    """
    failed: list[str] = []
    for number in range(job.begun, 0, -1):
        step = job.steps[number - 1]
        for work in step.undo:
            say(f"{step.node}: {work}", job.begun - number + 1, job.begun)
            why = await _undo(step, work, job, do, retry_s)
            if why:
                failed.append(f"{step.node}: {work}: {why}")
    with suppress(OSError):  # It stays stored as it was; taking it back twice does no harm.
        await keep(job if failed else None)
    return tuple(failed)


async def _undo(step: Step, work: Work, job: Job, do: Do, retry_s: float) -> str:
    why = ""
    for attempt in range(UNDO_TRIES_MAX):
        if attempt:
            await asyncio.sleep(retry_s)
        outcome = await do(step, work, job)
        if isinstance(outcome, Done):
            return ""
        why = outcome.why
    return why
