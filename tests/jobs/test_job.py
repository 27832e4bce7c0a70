"""A job is finished or taken back whole, wherever it is interrupted."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from errno import ENOSPC

import pytest

from hapair.core.plan.application import Plan, make_plan
from hapair.core.plan.steps import Step, Work
from hapair.model.outcome import Done, Outcome, Refused
from hapair.runtime.jobs.job import Job, JobFailedError, run, take_back
from hapair.runtime.jobs.unfinished import decode_job, encode_job
from tests.jobs.material import BUILT, situation


def a_job() -> Job:
    plan = make_plan(situation())
    assert isinstance(plan, Plan)
    return Job("orders", BUILT, plan.built, plan.steps)


STEPS = len(a_job().steps)


@dataclass
class World:
    """Remembers which works are in force; can fail, and can be killed, at one of them."""

    fail_at: int = 0
    hang_at: int = 0
    full_at: int = 0  # The disk of the job is full from then on.
    undo_fails: bool = False
    stored: Job | None = None
    done: int = 0
    in_force: list[tuple[str, Work]] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)  # What hangs goes on.

    async def do(self, step: Step, work: Work, _job: Job) -> Outcome:
        if work is not step.work:
            return self._undo(step)
        assert self.stored is not None, "a step was begun before the job was stored"
        self.done += 1
        self.in_force.append((step.node, step.work))
        if self.done == self.hang_at:
            self.hanging.set()
            await self.released.wait()
        return Refused("it broke") if self.done == self.fail_at else Done()

    def _undo(self, step: Step) -> Outcome:
        if self.undo_fails:
            return Refused("cannot be taken back")
        if (step.node, step.work) in self.in_force:
            self.in_force.remove((step.node, step.work))
        return Done()

    async def keep(self, job: Job | None) -> None:
        if job is not None and job.begun == self.full_at:
            raise OSError(ENOSPC, "No space left on device")
        self.stored = job

    def left(self) -> list[tuple[str, Work]]:
        """What is in force although it has an undo."""
        undoable = {(s.node, s.work) for s in a_job().steps if s.undo}
        return [entry for entry in self.in_force if entry in undoable]


def silent(_text: str, _done: int, _of: int) -> None:
    """Nobody listens."""


async def test_a_job_that_works_leaves_nothing_stored() -> None:
    world = World()
    await run(a_job(), world.do, world.keep, silent, me="node1")
    assert world.stored is None
    assert world.done == STEPS


@pytest.mark.parametrize("number", range(1, STEPS + 1))
async def test_a_step_that_fails_takes_everything_back(number: int) -> None:
    world = World(fail_at=number)
    with pytest.raises(JobFailedError, match="it broke") as raised:
        await run(a_job(), world.do, world.keep, silent, me="node1")
    assert raised.value.not_undone == ()
    assert world.left() == []
    assert world.stored is None


@pytest.mark.parametrize("number", range(1, STEPS + 1))
async def test_an_interrupted_step_is_ended_and_then_everything_is_taken_back(number: int) -> None:
    world = World(hang_at=number)
    task = asyncio.create_task(run(a_job(), world.do, world.keep, silent, me="node1"))
    await world.hanging.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert world.done == number, "what is under way cannot be taken back"
    world.released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.left() == []
    assert world.stored is None


@pytest.mark.parametrize("number", range(1, STEPS + 1))
async def test_the_next_start_takes_back_what_a_killed_daemon_left(number: int) -> None:
    world = World(hang_at=number)
    task = asyncio.create_task(run(a_job(), world.do, world.keep, silent, me="node1"))
    await world.hanging.wait()
    assert world.stored is not None
    found = decode_job(encode_job(world.stored))  # What the next daemon reads from the disk.
    left = await take_back(found, world.do, world.keep, silent, me="node1")
    assert left == ()
    assert world.left() == []
    assert world.stored is None
    task.cancel()
    world.released.set()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_cannot_be_taken_back_is_named_and_stays_stored() -> None:
    world = World(fail_at=2, undo_fails=True)
    with pytest.raises(JobFailedError) as raised:
        await run(a_job(), world.do, world.keep, silent, me="node1", retry_s=0.0)
    assert raised.value.not_undone
    assert world.stored is not None


@pytest.mark.parametrize("number", range(1, STEPS + 1))
async def test_a_job_that_cannot_be_stored_is_taken_back(number: int) -> None:
    world = World(full_at=number)
    with pytest.raises(JobFailedError, match="No space left"):
        await run(a_job(), world.do, world.keep, silent, me="node1")
    assert world.done == number - 1
    assert world.left() == []


def test_what_a_newer_version_noted_of_the_job_is_kept() -> None:
    job = a_job()
    theirs = json.loads(encode_job(job))
    theirs["newer"] = theirs["steps"][0]["newer"] = 1
    written = json.dumps(theirs).encode()
    again = json.loads(encode_job(replace(decode_job(written), begun=1), written))
    assert again == {**theirs, "begun": 1}
    assert encode_job(job, b"nothing that can be read") == encode_job(job)
