"""An application that goes to the other node while a build puts a volume of it under DRBD."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hapair.config.built_json import dumps as dump_built
from hapair.core.plan.steps import Work
from hapair.core.words.stored import Stored
from hapair.model.application import Application, Script
from hapair.model.built import BuiltApplication
from hapair.model.data import Role
from hapair.model.status import Record, Version, Wanted
from hapair.rpc.messages import RpcError
from hapair.runtime.jobs.job import Job
from hapair.runtime.jobs.parcel import Parcel, refusal
from hapair.runtime.jobs.whose import departed
from hapair.runtime.verbs import Call
from tests.jobs.hosts import NATIVE, OVER_DRBD
from tests.jobs.material import BUILT
from tests.jobs.troubles import Story, tools
from tests.jobs.world import NAMES, Killed

__all__ = ["tools"]
PLAIN: Final = Application("orders", "node1", Script("/etc/cluster/orders/run"))
TAKEN: Final = "node2: before the configuration is used"  # After the last look whose it is.
IN_USE: Final = "node2: after the configuration was used"


class Growing(Story):
    """The application is built without data, runs on node1, and gets a volume."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        built = replace(BUILT, applications=(BuiltApplication(PLAIN, (), "f"),))
        record = Record("orders", "node1", Version(0, 1), Wanted.UP)
        for name in NAMES:
            self.world.places(name).built.write_bytes(dump_built(built))
            self.world.hosts[name].stored = Stored(records=(record,))
            self.world.start_daemon(name)
        self.before = self.looks()

    def departs(self, _what: str) -> None:
        """Let the core of node1 stop what it has of it and give it to node2, which starts it."""
        one, two = self.world.hosts.values()
        if self.world.cores["node1"].built.volumes() and one.mount == OVER_DRBD:
            one.mount, one.drbd = "", Role.SECONDARY
        for host in (one, two):
            (record,) = host.stored.records
            host.stored = Stored(records=(replace(record, owner="node2"),))
        if self.world.cores["node2"].built.volumes():
            two.mount, two.drbd = OVER_DRBD, Role.PRIMARY

    def departs_and_dies(self, what: str) -> None:
        self.departs(what)
        raise Killed

    def is_used_there(self) -> bool:
        one, two = self.world.hosts.values()
        generations = [self.world.built(name).generation for name in NAMES]
        return (one.mount, two.mount, generations) == ("", OVER_DRBD, [2, 2])


async def moments_of(root: Path) -> tuple[str, ...]:
    story = Growing(root)
    assert await story.type_it()
    assert story.is_done(), story.looks()
    return tuple(story.world.moments)


async def test_a_build_ends_as_before_or_with_what_the_other_node_uses_by_then(
    tmp_path: Path,
) -> None:
    """FAIL: the other node is given a volume below a program that runs, or loses it below that."""
    moments = await moments_of(tmp_path / "smooth")
    taken_back = 0
    for number, moment in enumerate(moments):
        story = Growing(tmp_path / str(number))
        story.world.happens[number] = story.departs
        says_done = await story.type_it()
        story.mend()
        assert await story.take_back() == (), moment
        assert says_done == (number >= moments.index(TAKEN)), moment
        assert says_done or story.is_as_before(), f"{moment}: {story.looks()}"
        taken_back += not says_done
    assert taken_back > len(Work), "most of the moments are before the end"


async def test_the_message_says_where_it_goes(tmp_path: Path) -> None:
    story = Growing(tmp_path)
    story.world.happens[0] = story.departs
    with pytest.raises(RpcError) as refusal:
        await story.world.builders["node1"].buildapp(Call({"application": "orders"}))
    assert "orders goes to node2 meanwhile; once it is there, it is typed there" in str(
        refusal.value
    )
    assert "everything was taken back" in refusal.value.mend


@pytest.mark.parametrize("dies", [True, False], ids=["killed", "answer lost"])
async def test_a_volume_that_the_other_node_uses_is_not_taken_back(
    tmp_path: Path, *, dies: bool
) -> None:
    """FAIL: the data of before is mounted here, and what was written there since is removed."""
    moments = await moments_of(tmp_path / "smooth")
    story = Growing(tmp_path / "story")
    if dies:
        story.world.happens[moments.index(IN_USE)] = story.departs_and_dies
    else:
        story.let("interrupted", moments.index(IN_USE) - 1)
        story.world.happens[moments.index(IN_USE)] = story.departs
    assert not await story.type_it()
    assert story.is_used_there(), story.looks()
    story.mend()
    assert await story.take_back() == ()
    assert story.is_used_there(), story.looks()
    assert not story.world.places("node1").job.exists()


async def test_nothing_below_it_is_taken_back_while_the_other_node_cannot_say_that_it_has_it(
    tmp_path: Path,
) -> None:
    """A node that has just started has not heard yet whose it is; the other one refuses."""
    moments = await moments_of(tmp_path / "smooth")
    story = Growing(tmp_path / "story")
    story.world.happens[moments.index(IN_USE)] = story.departs_and_dies
    await story.type_it()
    one = story.world.hosts["node1"]
    known = one.stored
    one.stored = Stored(records=(replace(known.records[0], owner="node1"),))
    story.mend()
    (left,) = await story.take_back()
    assert "orders uses orders.data on node2 by now" in left
    assert one.mount != NATIVE
    assert story.world.built("node1").generation == 2
    one.stored = known
    assert await story.take_back() == ()
    assert story.is_used_there(), story.looks()


def test_what_is_on_its_way_is_not_built_on(tmp_path: Path) -> None:
    state = Growing(tmp_path).world.cores["node1"].state
    job = Job("orders", state.built, replace(state.built, generation=2), ())
    assert departed(state, job) == ""
    assert "goes to node2 meanwhile" in departed(replace(state, moving=("orders",)), job)


def test_its_owner_takes_nothing_newer_of_it_from_the_peer(tmp_path: Path) -> None:
    """The peer may not have heard yet that it went away."""
    story = Growing(tmp_path)
    former = story.world.built("node2")
    parcel = Parcel("orders", dump_built(replace(former, generation=2)).decode())
    assert refusal(parcel, story.world.cores["node2"].state) == ""
    story.departs("")
    assert refusal(parcel, story.world.cores["node2"].state) == "orders belongs to node2 by now"
    parcel = Parcel("orders", dump_built(former).decode())
    assert refusal(parcel, story.world.cores["node2"].state) == ""
