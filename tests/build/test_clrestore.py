"""Whole runs of clrestore on two nodes that are two folders."""

import argparse
import json
from dataclasses import replace
from typing import Final

import pytest

from hapair.cli import clrestore
from hapair.config import built_json
from hapair.ports.programs import Finished
from hapair.rpc.messages import ExitCode
from hapair.runtime.building import archive
from hapair.runtime.building.files import NewFile
from hapair.runtime.building.staging import Staging, leftovers
from hapair.runtime.building.steps import StepKind
from tests.build.command_world import CLCONF, World
from tests.build.material import WITH_ORDERS

EDITED: Final = CLCONF.replace('devices="16"', 'devices="20"')
APPCONF: Final = "etc/cluster/orders/appconf.xml"


@pytest.fixture
def built(world: World) -> World:
    """A cluster in its second generation, halted, with one archive of the first."""
    world.clbuild()
    for node in world.nodes:
        node.write("etc/cluster/orders/run", "#!/bin/sh", 0o755)
    world.edit(EDITED)
    assert world.clbuild() == 0
    for node in world.nodes:
        node.write(APPCONF, "added later")
    return world


def name_of(world: World, number: int = 0) -> str:
    return world.archives()[0][number]


def restore(world: World, name: str, *words: str) -> int:
    def body(options: argparse.Namespace) -> int:
        places = world.nodes[0].places
        return clrestore.restore(places, options.file, world.hands, as_json=options.json)

    return world.run(clrestore.parser(), body, name, *words)


def look(world: World, *words: str) -> int:
    """Run what does not need the other node."""
    return world.run(clrestore.parser(), clrestore.body, *words)


def test_archives_are_listed(built: World) -> None:
    assert look(built, "--list") == 0
    assert built.out.split()[:3] == [name_of(built), "generation", "1"]
    assert look(built, "--list", "--json") == 0
    assert json.loads(built.out)["archives"][0]["generation"] == 1


def test_without_archives_it_says_where_they_come_from(world: World) -> None:
    assert look(world, "--list") == 0
    assert "clbuild makes one before each change" in world.out


def test_an_archive_is_verified(built: World) -> None:
    assert look(built, "--verify", name_of(built)) == 0
    assert "is whole" in built.out
    assert "cluster shop, generation 1" in built.out
    assert look(built, "--verify", "--json", name_of(built)) == 0
    assert json.loads(built.out)["node"] == "node1"


def test_a_damaged_archive_is_refused(built: World) -> None:
    file = built.nodes[0].places.archives / name_of(built)
    file.write_bytes(file.read_bytes()[:100])
    for words in (("--verify", file.name), (str(file),)):
        assert look(built, *words) == 1
        assert "cannot be read" in built.err


def test_an_archive_from_before_the_first_build_is_refused(built: World) -> None:
    places = built.nodes[0].places
    places.built.unlink()
    archive.make(places, "cluster-20200101-000000-0.tar.gz", node="node1", version="0.1.0")
    assert look(built, "--verify", "cluster-20200101-000000-0.tar.gz") == 1
    assert "before anything was built" in built.err


def test_no_archive_named(built: World) -> None:
    assert look(built) == 2
    assert "clrestore --list" in built.err


def test_the_former_state_returns_on_both_nodes_as_a_new_generation(built: World) -> None:
    assert restore(built, name_of(built)) == 0
    first, second = built.built()
    assert first == second
    assert (first.generation, first.cluster.devices) == (3, 16)
    for node in built.nodes:
        assert node.places.clconf.read_text() == CLCONF
        assert not (node.root / APPCONF).exists()
        assert (node.root / "etc/cluster/orders/run").stat().st_mode & 0o777 == 0o755
        assert node.daemon.asked[-1] == "reload"
    assert "as generation 3\nnext: clform" in built.out
    assert built.clbuild() == 0
    assert "nothing to do: cluster shop, generation 3" in built.out


def with_orders(world: World) -> None:
    """Put a built application into built.json of both nodes, as clbuildapp would."""
    for node in world.nodes:
        built = built_json.loads(node.places.built.read_bytes())
        added = replace(built, generation=9, applications=WITH_ORDERS.applications)
        node.places.built.write_bytes(built_json.dumps(added))


RESOURCE: Final = "etc/drbd.d/hapair-orders.data0.res"


def test_drbd_files_follow_the_configuration(built: World) -> None:
    with_orders(built)
    built.edit(EDITED.replace("7700-7799", "7800-7899"))
    assert built.clbuild() == 0
    for node in built.nodes:
        assert "10.77.2.1:7801" in node.files()[RESOURCE][1]
        node.write("etc/drbd.d/web.res", "of somebody else")
        node.write("etc/drbd.d/hapair-old.data.res", "left over")
    assert restore(built, name_of(built)) == 0
    for node in built.nodes:
        assert RESOURCE not in node.files()
        assert [each for each in node.files() if "drbd.d" in each] == ["etc/drbd.d/web.res"]
    (ninth,) = (each for each in built.archives()[0] if each.endswith("-9.tar.gz"))
    assert restore(built, ninth) == 0
    for node in built.nodes:
        assert "10.77.2.1:7701" in node.files()[RESOURCE][1]


def test_a_secret_that_was_given_up_does_not_come_back(built: World) -> None:
    assert built.clbuild("--rotate-secret") == 0
    assert restore(built, name_of(built)) == 0
    assert [each.secret_number for each in built.built()] == [2, 2]


def test_a_restore_can_be_undone_by_another_one(built: World) -> None:
    restore(built, name_of(built))
    second = name_of(built, 1)
    assert second.endswith("-2.tar.gz")
    assert restore(built, second, "--json") == 0
    assert json.loads(built.out)["generation"] == 4
    assert [each.cluster.devices for each in built.built()] == [20, 20]
    assert all((node.root / APPCONF).exists() for node in built.nodes)


def test_a_deleted_configuration_can_be_restored(built: World) -> None:
    for node in built.nodes:
        node.places.clconf.unlink()
    assert restore(built, name_of(built)) == 0
    assert all(node.places.clconf.read_text() == CLCONF for node in built.nodes)


def test_a_formed_cluster_is_refused(built: World) -> None:
    built.let_daemons_say("together")
    before = built.files()
    assert restore(built, name_of(built)) == 1
    assert built.err.count("formed cluster") == 2
    assert built.files() == before


def test_the_other_node_needs_its_own_archive(built: World) -> None:
    (built.nodes[1].places.archives / name_of(built)).unlink()
    assert restore(built, name_of(built)) == 1
    assert "cannot be used there: there is no such file" in built.err


def test_an_archive_of_the_other_node_is_refused(built: World) -> None:
    mine, theirs = (node.places.archives / name_of(built) for node in built.nodes)
    mine.write_bytes(theirs.read_bytes())
    assert restore(built, mine.name) == 1
    assert "was made on node2, this machine is node1" in built.err


def test_an_archive_elsewhere_must_be_put_where_both_nodes_have_one(built: World) -> None:
    elsewhere = built.folder / name_of(built)
    elsewhere.write_bytes((built.nodes[0].places.archives / name_of(built)).read_bytes())
    assert restore(built, str(elsewhere)) == ExitCode.USAGE
    assert "copy it there on both nodes" in built.err


def test_another_command_at_work_is_waited_for(built: World) -> None:
    built.nodes[1].write("var/lib/hapair/job.json", "{}")
    assert restore(built, name_of(built)) == 1
    assert "another clbuild, clbuildapp or clrestore works on this node" in built.err


def test_a_connection_that_breaks_changes_nothing(built: World) -> None:
    built.wire.cut_before = StepKind.STAGE
    before = built.nodes[0].files()
    assert restore(built, name_of(built)) == 1
    assert built.nodes[0].files() == before


def test_a_node_that_cannot_be_scanned(built: World) -> None:
    built.wire.down = True
    assert restore(built, name_of(built)) == ExitCode.NOT_NOW


def test_a_leftover_is_settled_first(built: World) -> None:
    staging = Staging(built.nodes[1].places, 9)
    staging.begin()
    staging.stage((NewFile("etc/cluster/clconf.xml", "half of it"),))
    assert restore(built, name_of(built)) == 0
    assert leftovers(built.nodes[1].places) == ()


def test_a_daemon_that_does_not_start_leaves_it_restored(built: World) -> None:
    built.nodes[1].daemon.reloads = False
    built.nodes[1].commands.failing["systemctl restart"] = Finished(1, "", "see journalctl")
    assert restore(built, name_of(built)) == ExitCode.UNFINISHED
    assert [each.generation for each in built.built()] == [3, 3]
