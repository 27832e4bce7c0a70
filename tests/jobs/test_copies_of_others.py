"""What lies on the other node, or came to be used there, outlives builds and taking back."""

from dataclasses import replace
from pathlib import Path

import pytest

from hapair.core.plan.application import Plan, make_plan
from hapair.core.plan.steps import Work
from hapair.model.outcome import Done, Refused
from hapair.model.storage import LogicalVolume
from hapair.rpc.messages import ExitCode, RpcError
from hapair.runtime.building.files import only_builder
from hapair.runtime.jobs.parcel import FILE_BYTES_MAX, FILES_MAX, ParcelError, pack
from hapair.runtime.verbs import Call
from tests.jobs.hosts import LEFT_OUT, OVER_DRBD, PLAIN
from tests.jobs.material import MIB, situation
from tests.jobs.test_abandon import abandoned, damage, interrupted
from tests.jobs.troubles import Story, tools
from tests.jobs.world import Bench, World

__all__ = ["tools"]
MADE = LogicalVolume("data", 256 * MIB)


def has(world: World, name: str, volume: str) -> bool:
    return world.hosts[name].exists(volume)


def give(world: World, volume: LogicalVolume) -> None:
    """Let node2 have a volume that somebody made there."""
    groups = world.hosts["node2"].volumes.groups
    groups["vg_orders"] = replace(groups["vg_orders"], volumes=(volume,))


async def refused(world: World, *, plan: bool = False) -> RpcError:
    with pytest.raises(RpcError) as raised:
        await world.builders["node1"].buildapp(Call({"application": "orders", "plan": plan}))
    return raised.value


async def test_data_that_only_the_whole_look_finds_ends_the_build(tmp_path: Path) -> None:
    """A raw database between the places that the survey looks at."""
    story = Story(tmp_path)
    volumes = story.world.hosts["node2"].volumes
    give(story.world, MADE)
    volumes.hidden = True
    before = story.world.looks()
    error = await refused(story.world)
    assert "vg_orders/data holds data of a kind that is not recognised" in error.error
    assert story.world.looks() == before
    volumes.hidden = False
    assert await story.type_it()


TAKEN_MEANWHILE: dict[str, tuple[LogicalVolume, ...]] = {
    "is in use": (replace(MADE, in_use=True),),
    "there is no vg_orders/data": (),
    "has a snapshot, kept": (MADE, replace(MADE, name="kept", origin="data")),
}


@pytest.mark.parametrize("says", TAKEN_MEANWHILE)
async def test_who_comes_between_the_look_and_the_use_keeps_the_volume(
    tmp_path: Path, says: str
) -> None:
    """A guard comes first: who began to write before it has the volume open."""
    story = Story(tmp_path)
    volumes = story.world.hosts["node2"].volumes
    give(story.world, MADE)

    def come() -> None:
        group = volumes.groups["vg_orders"]
        meta = [each for each in group.volumes if each.name not in ("data", "kept")]
        left = (*meta, *TAKEN_MEANWHILE[says])
        volumes.groups["vg_orders"] = replace(group, volumes=left)

    volumes.meanwhile = come
    error = await refused(story.world)
    assert says in error.error
    assert volumes.guarded == set()
    assert not story.world.hosts["node2"].exists("data_drbdmeta")
    volumes.meanwhile = lambda: None
    give(story.world, MADE)
    assert await story.type_it()
    assert volumes.guarded == set()


async def test_what_took_the_name_of_the_meta_data_is_not_overwritten(tmp_path: Path) -> None:
    world = World(tmp_path)
    plan = make_plan(situation())
    assert isinstance(plan, Plan)
    (volume,) = plan.added
    bench = Bench(world, world.hosts["node2"])
    for name in ("data_drbdmeta", "another"):
        give(world, replace(MADE, name=name))
        assert isinstance(await bench.do(Work.WRITE_META_DATA, volume, plan.built), Refused)
    give(world, replace(MADE, name="data_drbdmeta", ours=True))
    assert await bench.do(Work.WRITE_META_DATA, volume, plan.built) == Done()


@pytest.mark.parametrize("readable", [True, False])
async def test_a_copy_that_was_left_to_somebody_is_not_removed_when_its_home_comes_back(
    tmp_path: Path, *, readable: bool
) -> None:
    """Typed on the node that has the copy, while the other one is lost; then its data is used."""
    story = await interrupted(tmp_path, "mount the file system over DRBD, after")
    world = story.world
    if not readable:
        damage(world, b"{")
    world.hosts["node1"].lose_power()
    told = (await abandoned(world, on="node2"))["told"]
    assert any("may be the only copy" in str(each) for each in told)  # type: ignore[attr-defined]
    world.hosts["node1"].boot()
    world.start_daemon("node1")
    if readable:
        assert await story.take_back() == ()
    else:
        await abandoned(world)
    assert has(world, "node2", "data")
    assert not has(world, "node2", "data_drbdmeta")
    assert world.hosts["node1"].looks() == story.before[0]


async def test_a_line_of_fstab_alone_does_not_make_a_copy_the_data(tmp_path: Path) -> None:
    """It may be half a copy: while its home is lost, it is not mounted by itself."""
    world = World(tmp_path)
    plan = make_plan(situation())
    assert isinstance(plan, Plan)
    peer = world.hosts["node2"]
    give(world, MADE)
    peer.fstab, peer.files = LEFT_OUT, {each.resource: each for each in plan.added}
    world.hosts["node1"].on = False
    told = (await abandoned(world, on="node2"))["told"]
    assert (peer.mount, peer.fstab) == ("", PLAIN)
    assert "was mounted by nobody now known" in str(told)
    assert has(world, "node2", "data")


async def test_a_disk_that_was_replaced_does_not_cost_the_copy(tmp_path: Path) -> None:
    story = await interrupted(tmp_path, "mount the file system over DRBD, after")
    world, home = story.world, story.world.hosts["node1"]
    damage(world, b"{")
    home.lose_power()
    group = home.volumes.groups["vg_orders"]
    home.volumes.groups["vg_orders"] = type(group)("vg_orders", exists=True)
    home.on = True
    world.start_daemon("node1")
    for files in (home.files, {}):
        home.files = files
        try:
            await abandoned(world)
        except RpcError:
            damage(world, b"{")
        assert has(world, "node2", "data")


async def test_what_cannot_be_carried_over_is_seen_before_the_mount_is_touched(
    tmp_path: Path,
) -> None:
    """An editor's file beside appconf.xml would end the build in its last step."""
    story = Story(tmp_path)
    folder = story.world.places("node1").appconf("orders").parent
    (folder / ".appconf.xml.swp").write_bytes(b"b0VIM\xff\xfe\x00")
    for plan in (True, False):
        moments = len(story.world.moments)
        error = await refused(story.world, plan=plan)
        assert error.exit_code is ExitCode.USAGE
        assert ".appconf.xml.swp is no text" in error.error
        assert len(story.world.moments) == moments
    assert story.is_as_before()
    (folder / ".appconf.xml.swp").unlink()
    assert await story.type_it()
    assert story.world.hosts["node1"].mount == OVER_DRBD


@pytest.mark.parametrize(("files", "size_bytes"), [(3, FILE_BYTES_MAX), (FILES_MAX + 1, 1),
                                                   (1, FILE_BYTES_MAX + 1)])  # fmt: skip
def test_a_folder_is_as_large_as_one_message_can_be(
    tmp_path: Path, files: int, size_bytes: int
) -> None:
    for number in range(files):
        (tmp_path / str(number)).write_bytes(b"\n" * size_bytes)
    with pytest.raises(ParcelError, match="too large"):
        pack(tmp_path)
    (tmp_path / "0").unlink()


async def test_clbuild_and_clbuildapp_do_not_commit_side_by_side(tmp_path: Path) -> None:
    """They would lead to one generation, and taking back would go below the other one's."""
    story = Story(tmp_path)
    with only_builder(story.world.places("node1")):
        assert "another clbuild" in (await refused(story.world)).error
    assert story.is_as_before()
    assert await story.type_it()
