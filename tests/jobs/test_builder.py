"""What clbuildapp's daemon side does with jobs of the past."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hapair.adapters.files import FileStorage
from hapair.adapters.lvm.parse import LvmReportError
from hapair.config.built_json import dumps
from hapair.config.codec import encode
from hapair.core.plan.application import Plan, make_plan
from hapair.core.plan.steps import Step, Work
from hapair.core.words.events import Command
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.application import Volume
from hapair.model.built import Built
from hapair.model.cluster import FenceMethod
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.status import Standing
from hapair.model.storage import Folder, GroupStorage, LogicalVolume
from hapair.rpc.messages import JsonObject, RpcError
from hapair.runtime.building import archive
from hapair.runtime.building.archive import listed
from hapair.runtime.building.files import PUBLIC_MODE, write_durably
from hapair.runtime.jobs.buildapp import ApplicationBuilder, Surroundings
from hapair.runtime.jobs.job import Job
from hapair.runtime.jobs.parcel import Parcel, ParcelFile, unpack
from hapair.runtime.jobs.unfinished import encode_job
from hapair.runtime.jobs.workshop import Workshop
from hapair.runtime.node.node import Node
from hapair.runtime.places import Places
from hapair.runtime.verbs import Call
from tests.fakes.small import FakeRunner
from tests.fakes.storage import FakeLogicalVolumes
from tests.jobs.material import BUILT, situation


@dataclass
class Bench:
    """A workshop that notes what it does, slowly enough for two at once to meet."""

    works: list[Work] = field(default_factory=list)

    async def do(
        self, work: Work, _volume: Volume, _built: Built, _folders: tuple[Folder, ...] = ()
    ) -> Outcome:
        self.works.append(work)
        await asyncio.sleep(0)
        return Done()


def a_job() -> Job:
    plan = make_plan(situation())
    assert isinstance(plan, Plan)
    mine = tuple(step for step in plan.steps if step.node == "node1" and step.volume)
    return Job("orders", BUILT, plan.built, mine[:1], begun=1)


async def no_reload() -> None:
    """Nothing runs that could take the configuration over."""


async def no_command(_: Command) -> JsonObject:
    return {}


async def no_halt(_: Call) -> JsonObject:
    return {}


def builder(
    places: Places, bench: Bench, standing: Standing = Standing.TOGETHER
) -> ApplicationBuilder:
    places.memory.mkdir(parents=True)
    state = NodeState("node1", "boot", 1, BUILT, Stored(), standing=standing)
    node = cast("Node", SimpleNamespace(state=state))
    memory = FileStorage(places.memory)
    around = Surroundings(
        lambda: node, no_reload, no_command, FakeRunner(), places, memory, no_halt
    )
    return ApplicationBuilder(around, lambda: cast("Workshop", bench))


async def test_a_job_that_was_taken_back_leaves_no_file(tmp_path: Path) -> None:
    """While there is one, clbuild refuses."""
    places = Places(tmp_path)
    made = builder(places, Bench())
    places.job.write_bytes(encode_job(a_job()))
    assert await made.finish_interrupted(Call()) == ()
    assert not places.job.exists()
    assert not made.has_interrupted()


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"application": 1}', b"\xff\xfe"])
async def test_a_damaged_job_is_named_and_nothing_else_happens(
    tmp_path: Path, content: bytes
) -> None:
    places, bench = Places(tmp_path), Bench()
    made = builder(places, bench)
    places.job.write_bytes(content)
    (left,) = await made.finish_interrupted(Call())
    assert "job.json cannot be read" in left
    (alarm,) = made.alarms()
    assert (alarm.name, alarm.text) == ("job-unreadable", left)
    assert bench.works == []
    assert places.job.read_bytes() == content


@pytest.mark.parametrize(
    "damage", [{"begun": -1}, {"begun": 2}, {"steps": (replace(a_job().steps[0], volume=()),)}]
)
async def test_a_note_that_cannot_be_true_is_not_carried_out(
    tmp_path: Path, damage: dict[str, Any]
) -> None:
    """With fewer than no steps begun, nothing would be taken back and the note would go."""
    places, bench = Places(tmp_path), Bench()
    made = builder(places, bench)
    places.job.write_bytes(encode_job(replace(a_job(), **damage)))
    (left,) = await made.finish_interrupted(Call())
    assert "job.json cannot be read" in left
    assert bench.works == []
    assert places.job.exists()


async def test_a_job_is_taken_back_once_even_when_two_ask_for_it(tmp_path: Path) -> None:
    places, bench = Places(tmp_path), Bench()
    made = builder(places, bench)
    job = a_job()
    places.job.write_bytes(encode_job(job))
    await asyncio.gather(made.finish_interrupted(Call()), made.finish_interrupted(Call()))
    assert tuple(bench.works) == job.steps[0].undo


class Nonsense:
    """A tool that answers what makes no sense, whatever it is asked."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        def say(*_args: object, **_more: object) -> None:
            raise LvmReportError("vgs gave no answer")

        return say


async def test_what_a_tool_says_without_sense_is_an_unknown_end() -> None:
    step = next(s for s in a_job_of_both().steps if Work.REMOVE_META_VOLUME in s.undo)
    tool = Nonsense()
    made = Workshop(tool, tool, tool, tool, tool, tool)  # type: ignore[arg-type]
    for work in (Work.REMOVE_META_VOLUME, Work.LEAVE_FSTAB, Work.WRITE_RESOURCE):
        assert await made.do(work, step.volume[0], BUILT) == Unknown("vgs gave no answer")


async def test_taking_back_leaves_a_volume_that_somebody_else_made() -> None:
    """It was made under our name after the plan was: so our own creation was refused."""
    volume = a_job_of_both().steps[0].volume[0]
    theirs = LogicalVolume(volume.logical_volume, volume.size_bytes, "ext4")
    group = GroupStorage(volume.volume_group, exists=True, free_bytes=2**40, volumes=(theirs,))
    volumes = FakeLogicalVolumes({group.name: group})
    tool = Nonsense()
    made = Workshop(volumes, tool, tool, tool, tool, tool)  # type: ignore[arg-type]
    assert isinstance(await made.do(Work.CREATE_DATA_VOLUME, volume, BUILT), Refused)
    assert await made.do(Work.REMOVE_DATA_VOLUME, volume, BUILT) == Done()
    assert volumes.groups[group.name] == group
    assert await made.do(Work.CREATE_META_VOLUME, volume, BUILT) == Done()
    assert await made.do(Work.REMOVE_META_VOLUME, volume, BUILT) == Done()
    assert volumes.groups[group.name] == group


def a_job_of_both() -> Job:
    plan = make_plan(situation())
    assert isinstance(plan, Plan)
    return Job("orders", BUILT, plan.built, plan.steps)


async def test_the_peer_is_not_surveyed_for_two_builders_at_once(tmp_path: Path) -> None:
    places = Places(tmp_path)
    made = builder(places, Bench())
    folder = places.appconf("orders").parent
    folder.mkdir(parents=True)
    places.appconf("orders").write_text(
        '<application name="orders" preferred="node1">'
        '<run><unit name="orders.service"/></run></application>'
    )
    places.job.write_bytes(encode_job(replace(a_job(), steps=(a_slow_step(),))))
    building = asyncio.create_task(made.buildapp(Call({"application": "orders"})))
    await asyncio.sleep(0)
    survey = made.for_peer()["build-survey"]
    with pytest.raises(RpcError, match="another clbuildapp is at work on node1"):
        await survey(Call({"application": "orders"}))
    again: JsonObject = {"application": "orders"}
    plan: JsonObject = {**again, "plan": True}
    for typed in (made.abandon(Call({})), made.buildapp(Call(again)), made.buildapp(Call(plan))):
        with pytest.raises(RpcError, match="another clbuildapp is at work on node1"):
            await typed
    building.cancel()
    await asyncio.gather(building, return_exceptions=True)


async def test_nothing_is_planned_from_what_is_to_be_taken_back(tmp_path: Path) -> None:
    """Half-built, it may look as if there were nothing to do."""
    places = Places(tmp_path)
    made = builder(places, Bench())
    places.appconf("orders").parent.mkdir(parents=True)
    places.appconf("orders").write_text('<application name="orders" preferred="node1"/>')
    places.job.write_bytes(encode_job(a_job()))
    with pytest.raises(RpcError, match="did not come to its end"):
        await made.buildapp(Call({"application": "orders", "plan": True}))


def a_slow_step() -> Step:
    return a_job().steps[0]


async def test_installing_keeps_the_former_state(tmp_path: Path) -> None:
    """M26: whatever writes /etc/cluster leaves what was there in /cmbackup."""
    places = Places(tmp_path)
    write_durably(places.built, dumps(BUILT), PUBLIC_MODE)
    file = ParcelFile("run", 0o755, "#!/bin/sh\n")
    parcel = Parcel("orders", dumps(a_job().built).decode(), (file,))
    install = builder(places, Bench()).for_peer()["build-install"]
    assert await install(Call({"parcel": encode(parcel)})) == {}
    assert places.built.read_bytes() == dumps(a_job().built)
    assert (places.appconf("orders").parent / "run").stat().st_mode & 0o777 == 0o755
    assert places.built.stat().st_mode & 0o777 == 0o644
    (kept,) = listed(places)
    assert archive.read(places.archives / kept.name).built == BUILT


async def test_what_holds_parameters_of_fence_agents_is_for_root_only(tmp_path: Path) -> None:
    places = Places(tmp_path)
    write_durably(places.built, dumps(BUILT), PUBLIC_MODE)
    method = FenceMethod("node1", "fence_x", parameters=(("passwd", "geheim"),))
    built = a_job().built
    fenced = replace(built, cluster=replace(built.cluster, fence_methods=(method,)))
    install = builder(places, Bench()).for_peer()["build-install"]
    await install(Call({"parcel": encode(Parcel("orders", dumps(fenced).decode(), ()))}))
    assert places.built.stat().st_mode & 0o777 == 0o600


async def test_a_node_that_acts_alone_takes_no_configuration_from_its_peer(tmp_path: Path) -> None:
    """FAIL: a build that began before it took over stops what it runs, for want of the new data."""
    places = Places(tmp_path)
    write_durably(places.built, dumps(BUILT), PUBLIC_MODE)
    install = builder(places, Bench(), Standing.ALONE).for_peer()["build-install"]
    built = dumps(a_job().built).decode()
    answer = await install(Call({"parcel": encode(Parcel("orders", built, ()))}))
    assert "acts alone by now" in str(answer["refused"])
    names = Parcel("orders", built, (ParcelFile("../run", 0o755, ""),))
    assert "points out" in str((await install(Call({"parcel": encode(names)})))["refused"])
    assert places.built.read_bytes() == dumps(BUILT)
    former = Parcel("orders", dumps(BUILT).decode(), ())
    assert await install(Call({"parcel": encode(former)})) == {}, "it has that already"


async def test_what_speaks_against_it_while_it_is_written_keeps_it_from_being_used(
    tmp_path: Path,
) -> None:
    """FAIL: the application came here while a slow disk took what it would lose, or lack."""
    places, parcel = Places(tmp_path), Parcel("orders", dumps(a_job().built).decode(), ())
    write_durably(places.built, dumps(BUILT), PUBLIC_MODE)
    state, said = NodeState("node2", "boot", 1, BUILT, Stored()), iter(["", "it is here by now"])
    used: list[str] = []

    async def reload() -> None:
        used.append("reloaded")

    outcome = await unpack(parcel, state, places, reload, lambda: next(said))
    assert outcome == Refused("it is here by now")
    assert used == []
    former = Parcel("orders", dumps(BUILT).decode(), ())
    assert await unpack(former, state, places, reload, lambda: "") == Done()
    assert places.built.read_bytes() == dumps(BUILT)
