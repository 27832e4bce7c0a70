"""A build of mounts inside one another that fails anywhere leaves them mounted as they were."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from hapair.core.plan.steps import Step, Work
from hapair.model.application import Volume
from hapair.model.nesting import lies_inside, parts
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.runtime.jobs.job import Job, JobFailedError, run, take_back
from hapair.runtime.jobs.workshop import Workshop
from tests.fakes.hands import FakeFileSystems
from tests.jobs.material import BUILT
from tests.jobs.test_builder import Nonsense
from tests.jobs.test_nested_plan import NESTED, mounted, planned

PLAN = planned(mounted(*NESTED))
JOB = Job("orders", BUILT, PLAN.built, PLAN.steps)
PLACES = sorted((mount.mount_point for mount in NESTED), key=parts)
NATIVE, REPLICATED = "native", "replicated"
MOUNTS = {Work.MOUNT_NATIVE: NATIVE, Work.MOUNT: REPLICATED}
UNMOUNTS = {Work.UNMOUNT_NATIVE: NATIVE, Work.UNMOUNT: REPLICATED}


class PowerLostError(Exception):
    pass


@dataclass
class Machine:
    """What is mounted on node1, and what a boot mounts."""

    mounts: dict[str, str] = field(default_factory=lambda: dict.fromkeys(PLACES, NATIVE))
    left_out: set[str] = field(default_factory=set)
    deeds: int = 0
    troubles: dict[int, str] = field(default_factory=dict)

    async def do(self, step: Step, work: Work, job: Job) -> Outcome:
        del job
        self.deeds += 1
        trouble = self.troubles.get(self.deeds)
        if trouble == "power":
            raise PowerLostError
        if trouble == "refused":
            return Refused("it broke")
        outcome = self._done(work, step.volume[0].mount_point) if self._is_here(step) else Done()
        return Unknown("no answer") if trouble == "unknown" else outcome

    @staticmethod
    def _is_here(step: Step) -> bool:
        return step.node == "node1" and bool(step.volume)

    def _done(self, work: Work, place: str) -> Outcome:
        found = self.mounts.get(place)
        if work in MOUNTS and found is None:
            outer = [each for each in PLACES if lies_inside(place, each)]
            if set(outer) <= set(self.mounts):
                self.mounts[place] = MOUNTS[work]
            else:  # As in the workshop: what it lies in comes back later, and it after that.
                assert work is Work.MOUNT_NATIVE, f"{place} is mounted before {outer}"
        elif work in MOUNTS and found != MOUNTS[work]:
            return Refused("something else is mounted there")
        elif work in UNMOUNTS and found == UNMOUNTS[work]:
            if any(lies_inside(each, place) for each in self.mounts):
                return Refused("target is busy")
            del self.mounts[place]
        elif work is Work.LEAVE_FSTAB:
            self.left_out.add(place)
        elif work is Work.RESTORE_FSTAB:
            self.left_out.discard(place)
        return Done()

    def boot(self) -> None:
        self.mounts = {each: NATIVE for each in PLACES if each not in self.left_out}
        for each in self.mounts:
            outer = [other for other in PLACES if lies_inside(each, other)]
            assert set(outer) <= set(self.mounts), f"a boot mounts {each} without {outer}"

    def is_as_before(self) -> bool:
        return self.mounts == dict.fromkeys(PLACES, NATIVE) and not self.left_out


async def keep(_: Job | None) -> None:
    pass


def say(_text: str, _number: int, _of: int) -> None:
    pass


async def test_without_trouble_all_are_replicated() -> None:
    machine = Machine()
    await run(JOB, machine.do, keep, say, me="node1")
    assert machine.mounts == dict.fromkeys(PLACES, REPLICATED)


@pytest.mark.parametrize("trouble", ["refused", "unknown"])
@pytest.mark.parametrize("again", [None, *range(1, 20)])
async def test_each_step_may_fail_and_so_may_each_that_takes_back(
    trouble: str, again: int | None
) -> None:
    for number in range(1, len(JOB.steps) + 1):
        machine = Machine(troubles={number: trouble})
        if again is not None:
            machine.troubles[number + again] = trouble
        with pytest.raises(JobFailedError) as failed:
            await run(JOB, machine.do, keep, say, me="node1", retry_s=0.0)
        assert failed.value.not_undone == (), f"{number}, then {again}"
        assert machine.is_as_before(), f"{number}, then {again}: {machine.mounts}"


async def test_the_power_may_be_lost_at_each_step() -> None:
    for number in range(1, len(JOB.steps) + 1):
        machine = Machine(troubles={number: "power"})
        with pytest.raises(PowerLostError):
            await run(JOB, machine.do, keep, say, me="node1")
        machine.boot()
        job = replace(JOB, begun=number)
        assert await take_back(job, machine.do, keep, say, me="node1", retry_s=0.0) == ()
        assert machine.is_as_before(), f"{number}: {machine.mounts}"


class Natives(Nonsense):
    def __init__(self) -> None:
        self.places: list[str] = []

    def mounted(self, volume: Volume) -> bool:
        return volume.mount_point in self.places

    async def mount(self, volume: Volume) -> Outcome:
        self.places.append(volume.mount_point)
        return Done()


async def test_a_native_mount_does_not_come_back_where_what_it_lay_in_is_not_mounted() -> None:
    """The outer one is replicated, and runs on the other node: nobody could see it there."""
    outer, inner = PLAN.added[-1], PLAN.added[1]
    assert lies_inside(inner.mount_point, outer.mount_point)
    natives, over_drbd, no = Natives(), FakeFileSystems(), cast("Any", Nonsense())
    made = Workshop(no, cast("Any", natives), no, no, no, over_drbd)
    told = await made.do(Work.MOUNT_NATIVE, inner, PLAN.built)
    assert told == Done(f"{outer.mount_point}, in which it was mounted, is not mounted here")
    over_drbd.mounts.add(outer.resource)
    assert await made.do(Work.MOUNT_NATIVE, inner, PLAN.built) == Done()
    assert natives.places == [inner.mount_point]
