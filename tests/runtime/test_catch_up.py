"""A node that was away takes the newer committed configuration; two of one age are told."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hapair.config.appconf import RESERVED_NAMES
from hapair.config.built_json import dumps as dump_built
from hapair.config.built_json import loads as load_built
from hapair.config.codec import encode
from hapair.model.built import Built
from hapair.model.cluster import FenceMethod
from hapair.model.secret import IN_FILE
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.building import archive
from hapair.runtime.building.files import NewFile, only_builder
from hapair.runtime.building.staging import Staging
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.jobs.catch_up import KEYS, SECRETS, CatchUp, Sent, differences
from hapair.runtime.node.node import Node
from hapair.runtime.places import Places
from hapair.runtime.verbs import Call
from tests.runtime.fakes import SetClock, built

OLD, NEW = built(generation=4), replace(built(generation=5), fingerprint="newer")


@dataclass(slots=True)
class Machine:
    """One node's files and daemon; its peer is the other one."""

    name: str
    places: Places
    uses: Built
    journal: Journal
    catch_up: CatchUp | None = None
    other: "Machine | None" = None
    connected: bool = True
    asked: int = 0
    reload_fails: str = ""

    def node(self) -> Node:
        assert self.other is not None
        state = SimpleNamespace(peer=SimpleNamespace(state=self.other.stated()))
        peer = SimpleNamespace(connected=self.connected, name=self.other.name, request=self.request)
        return cast("Node", SimpleNamespace(state=state, built=self.uses, peer=peer))

    def stated(self) -> SimpleNamespace:
        return SimpleNamespace(generation=self.uses.generation)

    async def request(self, verb: str, args: JsonObject, *, timeout_s: float) -> JsonObject:
        assert timeout_s > 0
        assert self.other is not None
        assert self.other.catch_up is not None
        self.asked += 1
        return await self.other.catch_up.for_peer()[verb](Call(args, from_peer=True))

    async def reload(self) -> None:
        if self.reload_fails:
            raise RpcError(self.reload_fails, exit_code=ExitCode.NOT_NOW)
        self.uses = load_built(self.places.built.read_bytes())

    def write(self, name: str, text: str) -> None:
        target = self.places.configuration / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def read(self, name: str) -> str:
        return (self.places.configuration / name).read_text()

    async def look(self) -> None:
        assert self.catch_up is not None
        await self.catch_up.look()

    def names(self) -> list[object]:
        return [line["name"] for line in self.journal.since(0, 100)]

    def last(self) -> str:
        return str(self.journal.since(0, 100)[-1]["text"])


def resource_files(of: Built, cluster_key: bytes) -> tuple[NewFile, ...]:
    text = f"generation {of.generation} from {cluster_key.decode()}"
    return (NewFile("etc/drbd.d/hapair-orders.data.res", text, 0o600),)


def machine(folder: Path, name: str, uses: Built) -> Machine:
    places = Places(folder / name)
    places.memory.mkdir(parents=True)
    journal = Journal(name, places.history, SetClock(), show=lambda _: None)
    made = Machine(name, places, uses, journal)
    made.write("built/built.json", dump_built(uses).decode())
    made.write("clconf.xml", f"<!-- of {name} -->")
    made.write("orders/run", f"#!/bin/sh\n# of {name}\n")
    made.write("keys/node.key", f"secret of {name}")
    made.write("keys/cluster.key", f"the key of {name}")
    made.catch_up = CatchUp(made.node, made.reload, places, journal, resource_files)
    return made


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    """The first one was away while the second one got a newer configuration."""
    away, ahead = machine(tmp_path, "node1", OLD), machine(tmp_path, "node2", NEW)
    away.other, ahead.other = ahead, away
    yield away, ahead
    away.journal.close()
    ahead.journal.close()


Two = tuple[Machine, Machine]


async def test_the_returning_node_takes_the_newer_configuration(two: Two) -> None:
    away, ahead = two
    (ahead.places.configuration / "orders/run").chmod(0o755)
    await away.look()
    await ahead.look()
    assert away.uses == NEW
    assert load_built(away.places.built.read_bytes()) == NEW
    assert away.read("clconf.xml") == "<!-- of node2 -->"
    assert away.read("orders/run") == ahead.read("orders/run")
    assert (away.places.configuration / "orders/run").stat().st_mode & 0o777 == 0o755
    assert away.read("keys/node.key") == "secret of node1"
    resource = away.places.drbd_resources / "hapair-orders.data.res"
    # A new secret follows from the key that both nodes have, so that it comes by itself as well.
    assert resource.read_text() == f"generation {NEW.generation} from the key of node1"
    assert away.names() == ["configuration-taken"]
    assert ahead.names() == []
    assert list(away.places.configuration.glob(".staging-*")) == []


async def test_passwords_of_fence_agents_stay_each_node_s_own(two: Two) -> None:
    away, ahead = two
    parameters = (("password", f"{IN_FILE}/etc/cluster/fence.secret"),)
    cluster = replace(NEW.cluster, fence_methods=(FenceMethod("node1", "fence", 60, parameters),))
    ahead.uses = replace(NEW, cluster=cluster)
    ahead.write("built/built.json", dump_built(ahead.uses).decode())
    for name in ("fence.secret", "secrets/pdu"):
        away.write(name, "mine")
        ahead.write(name, "theirs")
    ahead.write("secrets/new", "theirs")
    await away.look()
    assert away.uses == ahead.uses
    assert [away.read(name) for name in ("fence.secret", "secrets/pdu")] == ["mine", "mine"]
    assert away.read("secrets/new") == "theirs"


def test_no_application_has_the_name_of_a_folder_of_the_cluster() -> None:
    places = Places()
    own = {
        value.relative_to(places.configuration).parts[0]
        for name in dir(Places)
        if not name.startswith("_")
        and isinstance(value := getattr(places, name), Path)
        and places.configuration in value.parent.parents
    }
    own |= {Path(folder).name for folder in (KEYS, SECRETS)}
    assert own == set(RESERVED_NAMES)


async def test_the_former_state_is_archived(two: Two) -> None:
    away, _ = two
    await away.look()
    (listed,) = archive.listed(away.places)
    assert listed.generation == OLD.generation
    kept = {file.path: file.text for file in archive.read(away.places.archives / listed.name).files}
    assert kept["etc/cluster/clconf.xml"] == "<!-- of node1 -->"


async def test_what_was_compared_is_not_asked_again_until_it_changes(two: Two) -> None:
    away, ahead = two
    for _ in range(3):
        await away.look()
    assert away.asked == 2  # It took the newer one, then it compared that one.
    ahead.uses = replace(NEW, generation=6)
    await away.look()
    assert away.uses.generation == 6


async def test_two_configurations_of_one_generation_are_told_and_none_is_taken(two: Two) -> None:
    away, ahead = two
    ahead.uses = replace(OLD, cluster=replace(OLD.cluster, devices=32))
    for _ in range(2):
        await away.look()
        await ahead.look()
    assert away.uses == OLD
    assert away.names() == ["configuration-conflict"]
    assert ahead.names() == ["configuration-conflict"]
    assert "cluster.devices: here 16, there 32" in away.last()
    assert away.read("clconf.xml") == "<!-- of node1 -->"


@pytest.mark.parametrize("builder", [0, 1])
async def test_nothing_is_taken_while_somebody_builds(two: Two, builder: int) -> None:
    away, _ = two
    with only_builder(two[builder].places):
        await away.look()
        assert away.uses == OLD
    job = two[builder].places.job
    job.write_bytes(b"{}")
    await away.look()
    assert away.uses == OLD
    job.unlink()
    await away.look()
    assert away.uses == NEW


async def test_what_an_interrupted_build_put_there_is_only_used(two: Two) -> None:
    away, _ = two
    away.write("built/built.json", dump_built(NEW).decode())
    await away.look()
    assert away.uses == NEW
    assert away.read("clconf.xml") == "<!-- of node1 -->"
    assert archive.listed(away.places) == ()


async def test_what_an_interrupted_build_had_staged_is_in_nobodys_way(two: Two) -> None:
    away, _ = two
    staging = Staging(away.places, NEW.generation)
    staging.begin()
    staging.stage((NewFile("etc/cluster/clconf.xml", "staged"),))
    await away.look()
    assert away.uses == NEW
    assert away.read("clconf.xml") == "<!-- of node2 -->"


async def test_a_peer_that_sends_other_files_changes_nothing(two: Two) -> None:
    away, ahead = two

    async def forged(_verb: str, _args: JsonObject, *, timeout_s: float) -> JsonObject:
        assert timeout_s > 0
        sent = Sent(dump_built(NEW).decode(), (NewFile("etc/cluster/../passwd", "root"),))
        return {"sent": encode(sent)}

    node = away.node()
    node.peer.request = forged  # type: ignore[method-assign, assignment]
    made = CatchUp(lambda: node, away.reload, away.places, away.journal, resource_files)
    await made.look()
    await made.look()
    assert away.names() == ["configuration-differs"]
    assert "is no file of the cluster's configuration" in away.last()
    assert load_built(away.places.built.read_bytes()) == OLD
    assert not (away.places.root / "etc/passwd").exists()
    assert ahead.uses == NEW


async def test_a_configuration_that_cannot_be_used_is_told_once(two: Two) -> None:
    away, _ = two
    away.reload_fails = "the keys of this cluster cannot be used"
    await away.look()
    await away.look()
    assert away.names() == ["configuration-differs"]
    assert "keys of this cluster" in away.last()


async def test_without_a_connection_nothing_is_asked(two: Two) -> None:
    away, _ = two
    away.connected = False
    await away.look()
    assert away.asked == 0


def test_differences_do_not_show_what_may_be_a_password() -> None:
    here, there = ({"parameters": [["passwd", word]]} for word in ("geheim1", "geheim2"))
    assert list(differences({"m": here}, {"m": there})) == ["m.parameters[0][1] differs"]


def test_differences_name_the_place() -> None:
    found = list(differences({"a": [1, {"b": 2}], "c": [1]}, {"a": [1, {"b": 3}], "c": []}))
    assert found == ["a[1].b: here 2, there 3", "c: here 1 of them, there 0 of them"]
