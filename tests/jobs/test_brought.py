"""A program that the build brings to the peer itself need not be there before."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from hapair.model.application import Application, Script
from hapair.model.storage import Place
from hapair.rpc.messages import JsonObject, RpcError
from hapair.runtime.jobs.survey import survey
from hapair.runtime.jobs.workshop import Workshop
from hapair.runtime.verbs import Call
from tests.fakes.small import FakeRunner
from tests.jobs.troubles import tools
from tests.jobs.world import APPCONF, Line, World

__all__ = ["tools"]
pytestmark = pytest.mark.usefixtures("tools")


@dataclass
class Lacking(Line):
    """A peer that says that it has no such program: here both nodes have one file system."""

    async def request(
        self, verb: str, args: JsonObject | None = None, *,
        timeout_s: float | None = None, connect_s: float = 0.0,
    ) -> JsonObject:  # fmt: skip
        answer = await super().request(verb, args, timeout_s=timeout_s, connect_s=connect_s)
        if verb == "build-survey":
            storage = cast("JsonObject", answer["storage"])
            storage["program_error"] = "it does not exist"
        return answer


def with_script(world: World, script: Path) -> None:
    places = world.places("node1")
    run = f'<run><script path="{script}"/></run></application>'
    places.appconf("orders").write_text(APPCONF.replace("</application>", run))
    script.parent.mkdir(exist_ok=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o750)
    world.cores["node1"].peer = Lacking(world, "node2")


async def build(world: World) -> None:
    await world.builders["node1"].buildapp(Call({"application": "orders"}))


@pytest.mark.parametrize("name", ["run", "scripts/run"])
async def test_a_script_beside_appconf_is_brought_and_not_asked_for(
    tmp_path: Path, name: str
) -> None:
    """FAIL: clbuildapp refuses because the peer lacks what it would bring there itself."""
    world = World(tmp_path)
    folder = world.places("node1").appconf("orders").parent
    with_script(world, folder / name)
    await build(world)
    brought = world.places("node2").appconf("orders").parent / name
    assert brought.read_text() == "#!/bin/sh\n"
    assert brought.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("place", ["elsewhere", "a link"])
async def test_a_script_that_is_not_brought_must_be_there(tmp_path: Path, place: str) -> None:
    world = World(tmp_path)
    folder = world.places("node1").appconf("orders").parent
    with_script(world, script := tmp_path / "usr/run")
    if place == "a link":
        (folder / "run").symlink_to(script)
        appconf = folder / "appconf.xml"
        appconf.write_text(appconf.read_text().replace(str(script), str(folder / "run")))
    with pytest.raises(RpcError) as refused:
        await build(world)
    (told,) = refused.value.problems
    assert (told["where"], told["what"]) == ("node2", "it does not exist")


async def test_a_folder_that_cannot_be_carried_brings_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    folder = world.places("node1").appconf("orders").parent
    with_script(world, folder / "run")
    (folder / "picture").write_bytes(b"\xff\xfe")
    with pytest.raises(RpcError) as refused:
        await build(world)
    assert refused.value.problems[0]["what"] == "it does not exist"


async def test_a_script_on_the_data_comes_with_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    application = Application("orders", "node1", Script(str(data / "bin/run")))
    bench = cast("Workshop", None)  # Nothing is asked of volumes where there are none.
    away = (Place("/dev/vg/data", str(data)),)
    run = FakeRunner()
    assert "does not exist" in (await survey("node2", application, bench, run)).program_error
    assert (await survey("node2", application, bench, run, away)).program_error == ""
    (data / "bin").mkdir(parents=True)
    (data / "bin/run").touch(0o644)  # It is mounted, and can be looked at.
    assert "not executable" in (await survey("node1", application, bench, run, away)).program_error
    beside = replace(application, program=Script(f"{data}2/run"))
    assert "does not exist" in (await survey("node2", beside, bench, run, away)).program_error
