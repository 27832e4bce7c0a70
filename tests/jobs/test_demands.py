"""A demand that names no built application is told by clbuildapp, with what was probably meant."""

from pathlib import Path

import pytest

from hapair.runtime.verbs import Call
from tests.jobs.troubles import tools
from tests.jobs.world import World

__all__ = ["tools"]


def written(*demands: str) -> bytes:
    lines = "\n".join(("", *demands, ""))
    return (
        f'<application name="orders" preferred="node1"><volumegroup name="vg_orders"/>{lines}'
        "</application>"
    ).encode()


async def warnings(world: World, text: bytes, *, plan: bool = True) -> list[str]:
    call = Call({"application": "orders", "plan": plan})
    world.places("node1").appconf("orders").write_bytes(text)
    told = (await world.builders["node1"].buildapp(call))["warnings"]
    assert isinstance(told, list)
    return [str(each) for each in told]


@pytest.mark.parametrize("demand", ["after", "with", "apart-from"])
async def test_a_name_that_is_not_built_is_a_warning_with_its_line(
    tmp_path: Path, demand: str
) -> None:
    world = World(tmp_path)
    other = world.places("node1").appconf("database")
    other.parent.mkdir()
    other.write_bytes(b"")
    (warning,) = await warnings(world, written("", f'<{demand} application="databse"/>'))
    assert "orders/appconf.xml:3" in warning
    assert f"<{demand}>" in warning
    assert 'no application "databse" is built: until it is, this demands nothing' in warning
    assert 'did you mean "database"?' in warning


async def test_what_only_is_not_built_yet_is_no_error(tmp_path: Path) -> None:
    world = World(tmp_path)
    other = world.places("node1").appconf("mail")
    other.parent.mkdir()
    other.write_bytes(b"")
    text = written('<after application="mail"/>')
    (warning,) = await warnings(world, text, plan=False)
    assert "build it as well: clbuildapp mail" in warning
    assert "orders" in world.built("node1").by_name
    (warning,) = await warnings(world, written('<with application="q"/>'))
    assert "(known: mail)" in warning


async def test_names_that_are_built_are_not_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    await warnings(world, written(), plan=False)
    assert await warnings(world, written('<after application="none"/>')) != []
    assert await warnings(world, written()) == []
