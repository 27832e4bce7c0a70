"""Whatever befalls a release, it ends as released or as before, and can be typed again."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hapair.core.words.stored import Stored
from hapair.model.application import Unit
from hapair.model.status import Record, Wanted
from hapair.ports.programs import Finished, TimedOut
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.verbs import Call
from tests.fakes.small import Answer
from tests.jobs.hosts import NATIVE, OVER_DRBD, PLAIN, RETIRED
from tests.jobs.troubles import (
    TROUBLES,
    Story,
    again_and_again,
    all_moments,
    at_each_moment,
    tools,
)
from tests.jobs.world import NAMES

__all__ = ["tools"]
NESTED = 12  # Of the many ways to be in trouble three times, so many are played.
RELEASED = (
    [((("data", 268435456, False),), (), (), None, False, NATIVE, PLAIN),
     ((("data", 268435456, False),), (), (), None, False, "", RETIRED)],
    [3, 3],
    [False, False],
)  # fmt: skip


class Release(Story):
    """One release and its troubles, of an application that was built and runs on node1."""

    @classmethod
    async def of_built(cls, root: Path, wanted: Wanted = Wanted.UP) -> "Release":
        story = cls(root)
        assert await story.build()
        core = story.world.cores["node1"]
        for host in story.world.hosts.values():
            (record,) = core.state.stored.records
            host.stored = Stored(records=(replace(record, wanted=wanted),))
        if wanted is Wanted.DOWN:
            await core.halt(Call())
        story.world.moments.clear()
        story.before = story.looks()
        return story

    async def build(self) -> bool:
        return await Story.type_it(self)

    async def typed_here(self, *, plan: bool = False) -> JsonObject:
        return await self.world.builders["node1"].release(
            Call({"application": "orders", "plan": plan})
        )

    async def type_it(self) -> bool:
        return await self.ends_well(self.typed_here())

    def looks(self) -> list[object]:
        """Return what is to be found once the cores have done what they are told to."""
        for core in reversed(self.world.cores.values()):
            core.serve()
        records = self.world.hosts["node1"].stored.records
        return [*self.world.looks(), *(record.wanted for record in records)]

    def record(self) -> Record:
        (record,) = self.world.hosts["node1"].stored.records
        return record

    async def lose_peer_at(self, what: str, root: Path) -> None:
        """Lose the peer at the moment of a release that is called so."""
        moments = await all_moments(root / "smooth", begin_release)
        self.let("peer lost", next(n for n, each in enumerate(moments) if each.startswith(what)))

    def is_done(self) -> bool:
        *hosts, generations, notes = self.world.looks()
        return (hosts, generations, notes) == RELEASED


async def begin_release(root: Path, number: int) -> Release:
    return await Release.of_built(root, tuple(Wanted)[number % 3])


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_trouble_at_any_moment_ends_in_one_of_two_states(
    tmp_path: Path, trouble: str
) -> None:
    async for each in at_each_moment(trouble, tmp_path, begin_release):
        if trouble == "interrupted":
            assert each.story.is_as_before() != each.story.is_done(), each.told
        await each.story.end(each.told, again=each.number % 2 == 0)


@pytest.mark.parametrize("seed", range(NESTED))
async def test_it_may_be_interrupted_again_and_again(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    moments = await all_moments(tmp_path / "smooth", begin_release)
    story = await Release.of_built(tmp_path / "story", chance.choice(tuple(Wanted)))
    await again_and_again(story, chance, len(moments))


async def test_what_is_started_again_is_not_started_once_more(tmp_path: Path) -> None:
    """The peer stays lost: the release cannot be taken back there, and a person halts it here."""
    story = await Release.of_built(tmp_path / "story")
    core = story.world.cores["node1"]
    await story.lose_peer_at("node2: before the configuration is used", tmp_path)
    assert not await story.type_it()
    assert story.world.places("node1").job.exists()
    assert story.record().wanted is Wanted.UP
    story.world.hosts["node1"].frozen = False
    await core.halt(Call())
    assert await story.take_back() != ()
    assert story.record().wanted is Wanted.DOWN
    story.mend()
    assert await story.take_back() == ()
    assert story.record().wanted is Wanted.DOWN
    assert [story.world.built(name).generation for name in NAMES] == [2, 2]


async def test_a_peer_that_owns_it_by_now_lets_it_run_again(tmp_path: Path) -> None:
    """This node dies in between, and the other one is given the right, with what it knows."""
    story = await Release.of_built(tmp_path / "story")
    moments = await all_moments(tmp_path / "smooth", begin_release)
    story.let("power lost", moments.index("node2: before the configuration is used"))
    assert not await story.type_it()
    halted = story.record()
    taken = replace(halted, owner="node2", version=halted.version.after(1))
    for host in story.world.hosts.values():
        host.stored = Stored(records=(taken,))
    assert await story.take_back() == ()
    (record,) = story.world.hosts["node2"].stored.records
    assert (record.owner, record.wanted) == ("node2", Wanted.UP)


async def test_data_is_mounted_while_the_part_of_a_lost_peer_waits(tmp_path: Path) -> None:
    story = await Release.of_built(tmp_path / "story")
    await story.lose_peer_at("node1: mount the file system natively, before", tmp_path)
    with pytest.raises(RpcError) as error:
        await story.typed_here()
    assert error.value.exit_code is ExitCode.UNFINISHED
    assert "clbuildapp --release orders" in error.value.mend
    assert story.world.hosts["node1"].looks() == RELEASED[0][0]
    (alarm,) = story.world.builders["node1"].alarms()
    assert alarm.name == "not-taken-back"
    assert "it is out of the cluster, but this is left of it" in alarm.text
    story.mend()
    assert await story.type_it(), "typed again, it is brought to its end"
    assert story.is_done()


async def test_a_peer_that_is_lost_for_good_is_given_up_by_abandoning(tmp_path: Path) -> None:
    story = await Release.of_built(tmp_path / "story")
    await story.lose_peer_at("node1: mount the file system natively, before", tmp_path)
    assert not await story.type_it()
    result = await story.world.builders["node1"].abandon(Call())
    assert result["aside"]
    assert story.world.hosts["node1"].looks() == RELEASED[0][0]
    assert story.world.builders["node1"].alarms() == ()


async def test_a_copy_that_the_peer_kept_is_in_the_way_until_a_person_removes_it(
    tmp_path: Path,
) -> None:
    story = await Release.of_built(tmp_path / "story")
    assert await story.type_it()
    there = story.world.hosts["node2"].volumes
    group = there.groups["vg_orders"]
    kept = tuple(replace(each, content="ext4") for each in group.volumes)
    there.groups["vg_orders"] = replace(group, volumes=kept)
    with pytest.raises(RpcError) as error:
        await story.world.builders["node1"].buildapp(Call({"application": "orders"}))
    (problem,) = error.value.problems
    assert problem["what"] == "vg_orders/data exists and holds ext4 (256.0 MiB)"
    assert "on node2: lvremove vg_orders/data" in str(problem["mend"])
    there.groups["vg_orders"] = replace(group, volumes=())
    assert await story.build()
    assert story.record().wanted is Wanted.DATA, "it is new: what was halted is another one"
    assert story.world.hosts["node1"].mount == OVER_DRBD


async def test_nothing_that_was_known_of_the_copies_is_left(tmp_path: Path) -> None:
    story = await Release.of_built(tmp_path / "story")
    there = story.world.hosts["node2"]
    there.stored = replace(there.stored, behind=("orders.data", "web.data"))
    assert await story.type_it()
    assert there.stored.behind == ("web.data",)
    assert [host.stored.records for host in story.world.hosts.values()] == [(), ()]


async def test_a_plan_changes_nothing_and_says_what_is_left_afterwards(tmp_path: Path) -> None:
    story = await Release.of_built(tmp_path / "story")
    result = await story.typed_here(plan=True)
    assert story.looks() == story.before
    steps = [str(each) for each in result["steps"]]  # type: ignore[attr-defined]
    assert steps[:3] == [
        "node1: stop the application",
        "node1: install the new configuration",
        "node2: install the new configuration",
    ]
    assert steps.index("node1: mount the file system natively orders.data") < steps.index(
        "node2: stop the replication orders.data"
    )
    assert not any("remove the logical volume of the data" in step for step in steps)
    told = " ".join(str(each) for each in result["told"])  # type: ignore[attr-defined]
    assert "node2: vg_orders/data keeps the former copy" in told
    assert "its line in /etc/fstab stays commented out" in told


NAME: Final = "orders.service"
SHOWN: Final = "Id=orders.service\nTriggers=\nLoadState=loaded\nUnitFileState=disabled\n"
OF_UNIT: Final[dict[str, tuple[dict[str, Answer], str]]] = {
    "with a socket that nothing has loaded": (
        {
            "systemctl list-unit-files": Finished(0, "orders.socket disabled enabled\n", ""),
            "systemctl show --property=Id,Triggers -- orders.socket": Finished(
                0, f"Id=orders.socket\nTriggers={NAME}\n", ""
            ),
            "systemctl show": Finished(0, SHOWN, ""),
        },
        f"systemctl enable --now orders.socket {NAME}",
    ),
    "alone": ({"systemctl show": Finished(0, SHOWN, "")}, f"systemctl enable --now {NAME}"),
    "that is gone": (
        {"systemctl show": Finished(0, "LoadState=not-found\n", "")}, f"systemctl start {NAME}",
    ),
}  # fmt: skip


def run_a_unit(story: Release, answers: dict[str, Answer]) -> None:
    """Let its program be a unit of which systemd answers so."""
    core, run = story.world.cores["node1"], story.world.run
    run.answers, run.ran = dict(answers), []
    (entry,) = core.built.applications
    application = replace(entry.application, program=Unit(NAME))
    core.built = replace(core.built, applications=(replace(entry, application=application),))


@pytest.mark.parametrize(("answers", "typed"), OF_UNIT.values(), ids=OF_UNIT)
async def test_the_last_word_is_what_lets_a_unit_run_as_before(
    tmp_path: Path, answers: dict[str, Answer], typed: str
) -> None:
    """No boot starts a unit of the cluster: it was disabled for that, and its socket with it."""
    story = await Release.of_built(tmp_path / "story")
    run_a_unit(story, answers)
    result = await story.typed_here(plan=True)
    assert result["start_again"] == typed
    assert str(result["told"][-1]).endswith(f": {typed}")  # type: ignore[index]
    asked = ("systemctl show", "systemctl list-unit-files")
    assert all(line.startswith(asked) for line in story.world.run.ran)
    await story.lose_peer_at("node1: mount the file system natively, before", tmp_path)
    with pytest.raises(RpcError) as error:
        await story.typed_here()
    assert error.value.mend.endswith(f"its program is started by: {typed}")


@pytest.mark.parametrize(
    "answers",
    [
        {"systemctl show": TimedOut(20.0)},
        {"systemctl list": TimedOut(20.0), "systemctl show": Finished(0, SHOWN, "")},
    ],
)
async def test_a_line_of_which_a_part_may_be_missing_is_not_given(
    tmp_path: Path, answers: dict[str, Answer]
) -> None:
    story = await Release.of_built(tmp_path / "story")
    run_a_unit(story, answers)
    with pytest.raises(RpcError, match="systemd gives no answer about orders") as error:
        await story.typed_here()
    assert error.value.exit_code is ExitCode.NOT_NOW
    assert story.record().wanted is Wanted.UP, "nothing was stopped"


async def test_typed_again_there_is_nothing_to_release(tmp_path: Path) -> None:
    story = await Release.of_built(tmp_path / "story")
    assert (await story.typed_here())["changed"]
    assert (await story.typed_here())["steps"] == []
    with pytest.raises(RpcError, match="there is no application web") as error:
        await story.world.builders["node1"].release(Call({"application": "web"}))
    assert error.value.exit_code is ExitCode.USAGE


async def test_it_is_not_started_while_it_is_released(tmp_path: Path) -> None:
    story = await Release.of_built(tmp_path / "story")
    builder = story.world.builders["node1"]
    seen: list[str] = []

    def try_it(what: str) -> None:
        builder.refuse_beside("web")
        with pytest.raises(RpcError, match="orders is being released"):
            builder.refuse_beside("orders")
        seen.append(what)

    story.world.happens = {len(story.world.moments) + 4: try_it}
    assert await story.type_it()
    assert seen
    builder.refuse_beside("orders")


async def test_a_peer_with_an_unfinished_build_is_left_alone(tmp_path: Path) -> None:
    story = await Release.of_built(tmp_path / "story")
    story.world.places("node2").job.write_bytes(b"{}")
    with pytest.raises(RpcError, match="did not come to its end on node2"):
        await story.typed_here()
    story.world.places("node2").job.unlink()
    assert story.is_as_before()


async def test_a_peer_that_does_not_know_releases_is_named(tmp_path: Path) -> None:
    story = await Release.of_built(tmp_path / "story")
    story.world.unknown.add("release-survey")
    with pytest.raises(RpcError, match="does not know") as error:
        await story.typed_here()
    assert "node2" in error.value.mend


async def test_a_lost_peer_refuses_before_anything_is_stopped(tmp_path: Path) -> None:
    story = await Release.of_built(tmp_path / "story")
    story.world.hosts["node2"].lose_power()
    with pytest.raises(RpcError, match="are not together") as error:
        await story.typed_here()
    assert error.value.exit_code is ExitCode.NOT_NOW
    assert story.record().wanted is Wanted.UP


async def test_a_snapshot_from_before_a_resync_that_just_ended_does_not_stay(
    tmp_path: Path,
) -> None:
    """FAIL: nobody looks for it any more once the application is out of the cluster."""
    story = await Release.of_built(tmp_path)
    volumes = story.world.hosts["node2"].volumes
    await volumes.snapshot("vg_orders", "data", "data_before_resync", 4096)
    await volumes.snapshot("vg_orders", "data", "data_of_a_person", 4096)
    assert await story.type_it()
    left = [each.name for each in volumes.groups["vg_orders"].volumes]
    assert left == ["data", "data_of_a_person"]
