"""What only a person may take out of the way is found on both nodes before anything is changed."""

from dataclasses import replace
from pathlib import Path

import pytest

from hapair.config.codec import encode
from hapair.model.application import Application, FileSystem, Script, Unit, Volume
from hapair.model.built import BuiltApplication
from hapair.model.storage import Folder, Obstacle, Place
from hapair.rpc.messages import JsonObject, RpcError
from hapair.runtime.jobs.answers import as_text
from hapair.runtime.jobs.survey import asked, kept_places, obstacles, places_of, question
from hapair.runtime.verbs import Call
from tests.jobs.hosts import Host, Natives
from tests.jobs.material import BUILT, MOUNT, ORDERS, mounted
from tests.jobs.test_every_interruption import tools
from tests.jobs.world import World

__all__ = ["tools"]
AT: str = MOUNT.mount_point
BY_A_LINE = Obstacle(AT, "is also used at a boot by the line of /etc/fstab for /var/www", "noauto")
BY_A_LINK = Obstacle(AT, "has no place: /srv is /data there, by a symbolic link", "use one path")
OUTER, INNER = Place("/dev/vg/a", "/srv/x"), Place("/dev/vg/b", "/srv/x/wal")


async def test_what_is_in_the_way_on_either_node_is_refused_at_once(tmp_path: Path) -> None:
    """FAIL: it is found by a step on the other node, with half of the build done."""
    world = World(tmp_path)
    here, there = world.hosts.values()
    here.uses_at_boot, here.no_place = (BY_A_LINE,), (BY_A_LINK,)
    there.uses_at_boot, there.no_place = (BY_A_LINE,), (BY_A_LINK,)
    before = world.looks()
    with pytest.raises(RpcError) as refused:
        await world.builders["node1"].buildapp(Call({"application": "orders"}))
    told = [(each["where"], each["what"], each["mend"]) for each in refused.value.problems]
    volume = f"vg_orders/data on {AT}"
    assert told == [
        ("node1", f"{volume} {BY_A_LINE.what}", "noauto"),
        ("node1", f"{volume} {BY_A_LINK.what}", "use one path"),
        ("node2", f"{volume} {BY_A_LINE.what}", "noauto"),
        ("node2", f"{volume} {BY_A_LINK.what}", "use one path"),
    ]
    assert (world.looks(), world.moments) == (before, [])


async def test_an_earlier_version_asks_for_the_ways_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    there = world.hosts["node2"]
    there.ways, there.uses_at_boot = (Folder(AT, 0o700, "dba", "dba"),), (BY_A_LINE,)
    survey = world.builders["node2"].for_peer()["build-survey"]
    args: JsonObject = {"application": "orders", "built": as_text(BUILT, ORDERS), "places": [AT]}
    storage = (await survey(Call(args)))["storage"]
    assert isinstance(storage, dict)
    assert storage["folders"] == [encode(there.ways[0], defaults=False)]
    assert "obstacles" not in storage


def test_the_other_node_is_told_what_fstab_may_call_a_file_system() -> None:
    (place,) = places_of((mounted(names=("LABEL=x",)),))
    assert place == Place("/dev/vg_orders/data", AT, ("LABEL=x",))


def test_a_question_is_understood() -> None:
    places = (replace(OUTER, names=("LABEL=x",)), INNER)
    assert asked(question(places)) == places
    assert asked({}) == ()
    assert asked({"places": [AT]}) == (Place("", AT),)


class Looked(Natives):
    """Notes what is asked."""

    def __init__(self) -> None:
        super().__init__(Host("node1"))
        self.asked: list[object] = []

    def boot_uses(
        self, place: Place, beside: tuple[Place, ...], program: str
    ) -> tuple[Obstacle, ...]:
        self.asked.append((place, beside, program))
        return ()

    def in_the_way(self, place: Place, *, elsewhere: bool) -> tuple[Obstacle, ...]:
        self.asked.append((place, elsewhere))
        return ()


def test_what_lies_inside_a_volume_needs_no_place_of_the_node_s_own() -> None:
    """Its folder is made by nobody there: the copy has it."""
    natives, unit = Looked(), Application("x", "node1", Unit("x.service"))
    obstacles(natives, (INNER,), (OUTER,), unit, elsewhere=True)
    assert natives.asked == [(INNER, (INNER, OUTER), "x.service")]
    natives.asked.clear()
    script = Application("x", "node1", Script("/run"))
    obstacles(natives, (OUTER,), (), script, elsewhere=True)
    assert natives.asked == [(OUTER, (OUTER,), ""), (OUTER, True)]


def test_the_volumes_that_it_has_already_are_known() -> None:
    volume = Volume("x.data", 1, 2, "vg", "a", "meta", 4096, "/srv/x", FileSystem.EXT4)
    entry = BuiltApplication(Application("x", "node1"), (volume,), "")
    built = replace(BUILT, applications=(entry,))
    assert kept_places(built, "x") == (OUTER,)
    assert kept_places(built, "y") == ()
