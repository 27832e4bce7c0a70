"""Both nodes change or neither does: whatever breaks, whenever it breaks."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest

from hapair.config import built_json
from hapair.model.leftover import Leftover, Stage
from hapair.ports.programs import Finished
from hapair.runtime.building.change import Change, ChangeError, Parts, activate, settle
from hapair.runtime.building.files import NewFile, digest
from hapair.runtime.building.staging import leftovers
from hapair.runtime.building.steps import Step, StepKind
from tests.build.material import EMPTY
from tests.build.power import PowerCut, supplied
from tests.build.two_nodes import FakeNode, Wire

GENERATION: Final = 4
ARCHIVE: Final = "cluster-20260801-101500-3.tar.gz"
OLD_BUILT: Final = built_json.dumps(EMPTY).decode()
NEW_BUILT: Final = built_json.dumps(replace(EMPTY, generation=GENERATION)).decode()
OLD: Final = {
    "etc/cluster/clconf.xml": (0o644, "old clconf"),
    "etc/cluster/built/built.json": (0o644, OLD_BUILT),
    "etc/cluster/keys/cluster.key": (0o600, "old key"),
    "etc/lvm/lvmlocal.conf": (0o640, "administrator's own\n"),
}
NEW: Final = {
    "etc/cluster/clconf.xml": (0o644, "new clconf"),
    "etc/cluster/built/built.json": (0o644, NEW_BUILT),
    "etc/cluster/keys/cluster.key": (0o600, "new key"),
    "etc/cluster/orders/appconf.xml": (0o644, "orders"),
}


@dataclass
class World:
    folder: Path
    said: list[str] = field(default_factory=list)
    nodes: tuple[FakeNode, FakeNode] = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = (FakeNode("node1", self.folder / "1"), FakeNode("node2", self.folder / "2"))
        for node in self.nodes:
            for path, (mode, text) in OLD.items():
                node.write(path, text, mode)

    @property
    def wire(self) -> Wire:
        return Wire(self.nodes[1])

    async def change(self, wire: Wire | None = None, *, archive: str = ARCHIVE) -> None:
        local, remote = self.nodes[0].seat, (wire or self.wire).seat
        change = Change(local, remote, GENERATION, self.said.append, look_pause_s=0.0)
        await change.carry_through(parts("node1", archive), parts("node2", archive))
        await activate((local, remote), GENERATION, ())

    async def settle(self) -> None:
        found = {node.name: leftovers(node.places) for node in self.nodes}
        await settle(found, self.nodes[0].seat, self.wire.seat, self.said.append)

    def states(self) -> list[str]:
        """Name each node's state: old, new, or its files when it is something else."""
        return [state_of(node.files()) for node in self.nodes]


def state_of(files: dict[str, tuple[int, str]]) -> str:
    if files == OLD:
        return "old"
    lvm = files.pop("etc/lvm/lvmlocal.conf", (0, ""))[1]
    filtered = lvm.startswith("administrator's own\n# hapair: begin")
    return "new" if files == NEW and filtered else str(sorted(files))


def parts(node: str, archive: str = ARCHIVE) -> Parts:
    files = tuple(NewFile(path, text, mode) for path, (mode, text) in NEW.items())
    begin = Step(StepKind.BEGIN, node, GENERATION, "shop")
    stage = Step(
        StepKind.STAGE,
        node,
        GENERATION,
        "shop",
        built_seen=digest(OLD_BUILT.encode()),
        files=files,
        lvm_filter=True,
        archive=archive,
    )
    return Parts(begin, lambda _own, _peer: stage)


@pytest.fixture
def world(memory: Path) -> World:
    return World(memory)


async def test_both_nodes_get_the_new_state_and_keep_the_old_one_in_an_archive(
    world: World,
) -> None:
    await world.change()
    assert world.states() == ["new", "new"]
    for node in world.nodes:
        archive = node.places.archives / ARCHIVE
        assert archive.stat().st_mode & 0o777 == 0o600


async def test_nothing_is_archived_before_the_first_build(world: World) -> None:
    await world.change(archive="")
    assert not any(node.places.archives.exists() for node in world.nodes)


PREPARING: Final = (StepKind.BEGIN, StepKind.STAGE)


@pytest.mark.parametrize("kind", PREPARING)
async def test_a_connection_that_breaks_early_changes_nothing(world: World, kind: StepKind) -> None:
    wire = world.wire
    wire.cut_before = kind
    with pytest.raises(ChangeError) as caught:
        await world.change(wire)
    assert caught.value.undone
    assert state_of(world.nodes[0].files()) == "old"
    await world.settle()
    assert world.states() == ["old", "old"]


async def test_a_commit_that_never_arrived_is_settled_later(world: World) -> None:
    wire = world.wire
    wire.cut_before = StepKind.COMMIT
    with pytest.raises(ChangeError) as caught:
        await world.change(wire)
    assert not caught.value.undone, "nobody knows whether node2 has it"
    await world.settle()
    assert world.states() == ["old", "old"]


async def test_a_commit_whose_answer_was_lost_is_looked_up(world: World) -> None:
    wire = world.wire
    wire.lose_answer_of = StepKind.COMMIT
    await world.change(wire)
    assert world.states() == ["new", "new"]


async def test_a_commit_that_was_lost_before_it_began_is_undone(world: World) -> None:
    """The wire loses one message and works again: node2 says that it only staged."""
    wire = world.wire

    def lose_once(kind: StepKind) -> None:
        wire.down = kind is StepKind.COMMIT

    wire.on_step = lose_once
    with pytest.raises(ChangeError) as caught:
        await world.change(wire)
    assert caught.value.undone
    assert world.states() == ["old", "old"]


async def test_a_commit_that_was_lost_for_good_is_finished_when_the_peer_did_it(
    world: World,
) -> None:
    wire = world.wire
    wire.lose_answer_of, wire.cut_before = StepKind.COMMIT, StepKind.LOOK
    with pytest.raises(ChangeError):
        await world.change(wire)
    await world.settle()
    assert world.states() == ["new", "new"]
    assert any("finishing" in line for line in world.said)


async def test_a_node_that_refuses_to_commit_undoes_both(world: World) -> None:
    def spoil(kind: StepKind) -> None:
        if kind is StepKind.COMMIT:
            (world.nodes[1].places.configuration / f".staging-{GENERATION}/new-0").write_text("x")

    wire = world.wire
    wire.on_step = spoil
    with pytest.raises(ChangeError, match="the disk may be failing") as caught:
        await world.change(wire)
    assert caught.value.undone
    assert world.states() == ["old", "old"]


async def test_a_local_commit_that_fails_undoes_the_peers(world: World) -> None:
    def spoil(kind: StepKind) -> None:
        if kind is StepKind.COMMIT:
            (world.nodes[0].places.configuration / f".staging-{GENERATION}/new-0").write_text("x")

    wire = world.wire
    wire.on_step = spoil
    with pytest.raises(ChangeError, match="the disk may be failing") as caught:
        await world.change(wire)
    assert caught.value.undone
    assert world.states() == ["old", "old"]


async def test_a_peers_commit_that_cannot_be_undone_is_finished_later(world: World) -> None:
    def spoil(kind: StepKind) -> None:
        if kind is StepKind.COMMIT:
            (world.nodes[0].places.configuration / f".staging-{GENERATION}/new-0").write_text("x")

    wire = world.wire
    wire.on_step, wire.cut_before = spoil, StepKind.UNDO
    with pytest.raises(ChangeError) as caught:
        await world.change(wire)
    assert not caught.value.undone
    assert any("not undone yet" in line for line in world.said)
    staging = world.nodes[0].places.configuration / f".staging-{GENERATION}"
    (staging / "new-0").write_text(NEW["etc/cluster/clconf.xml"][1])
    await world.settle()
    assert world.states() == ["new", "new"]


async def test_drbd_that_cannot_be_loaded_changes_nothing(world: World) -> None:
    world.nodes[1].commands.failing["modprobe drbd"] = Finished(1, "", "Key was rejected")
    begin = Step(StepKind.BEGIN, "node2", GENERATION, "shop", load_drbd=True)
    remote = Parts(begin, parts("node2").stage)
    change = Change(world.nodes[0].seat, world.wire.seat, GENERATION, world.said.append)
    with pytest.raises(ChangeError, match="the DRBD module cannot be loaded: Key was rejected"):
        await change.carry_through(parts("node1"), remote)
    assert world.states() == ["old", "old"]


@pytest.mark.parametrize("moment", [StepKind.STAGE, StepKind.COMMIT])
@pytest.mark.parametrize("number", [0, 1])
async def test_a_record_that_changes_meanwhile_is_not_overwritten(
    world: World, moment: StepKind, number: int
) -> None:
    """A clbuildapp that began after the scan: its work must not be lost."""
    newer = built_json.dumps(replace(EMPTY, generation=8))

    def clbuildapp(kind: StepKind) -> None:
        if kind is moment:
            world.nodes[number].places.built.write_bytes(newer)

    wire = world.wire
    wire.on_step = clbuildapp
    with pytest.raises(ChangeError) as caught:
        await world.change(wire)
    assert caught.value.undone
    assert world.nodes[number].places.built.read_bytes() == newer
    assert state_of(world.nodes[1 - number].files()) == "old"


# --- Interruptions -------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("kind", [*PREPARING, StepKind.COMMIT])
async def test_an_interruption_leaves_the_old_or_the_new_state_on_both(
    world: World, kind: StepKind, times: int
) -> None:
    """Ctrl-C at any step, also several times in a row."""
    wire = world.wire

    def interrupt(now: StepKind) -> None:
        if now is kind:
            for _ in range(times):
                task.cancel()

    wire.on_step = interrupt
    task = asyncio.ensure_future(world.change(wire))
    committed = True
    try:
        await task
    except asyncio.CancelledError:
        committed = False
    assert committed is (kind not in {*PREPARING})
    assert world.states() == (["new", "new"] if committed else ["old", "old"])


# --- Power cuts ----------------------------------------------------------------------------------


def in_a_world(folder: Path, number: int, cut: Callable[[World], None]) -> World:
    world = World(folder / str(number))
    cut(world)
    powers = [node.power for node in world.nodes]
    with supplied(*powers), contextlib.suppress(ChangeError, PowerCut):
        asyncio.run(world.change())
    return world


def changes_of(folder: Path, node: int) -> int:
    """Count the changes of files that an undisturbed run makes on a node."""
    world = in_a_world(folder, 0, lambda _world: None)
    assert world.states() == ["new", "new"]
    return world.nodes[node].power.changes


@pytest.mark.parametrize("dead", [0, 1], ids=["the node that builds dies", "the other node dies"])
def test_a_power_cut_between_any_two_writes_is_settled_by_the_next_build(
    memory: Path, dead: int
) -> None:
    """After the power is back both nodes have the old state, or both the new one."""
    ends = set()
    for number in range(1, changes_of(memory, dead) + 1):

        def cut(world: World, at: int = number) -> None:
            world.nodes[dead].power.cut_at = at

        world = in_a_world(memory, number, cut)
        world.nodes[dead].power.on()
        asyncio.run(world.settle())
        states = world.states()
        assert states in (["old", "old"], ["new", "new"]), f"cut at change {number}"
        ends.add(states[0])
    assert ends == {"old", "new"}


def test_a_power_cut_while_it_is_settled_is_settled_too(memory: Path) -> None:
    """Cut in the middle of the commit, then again at every write of the settling."""
    total = changes_of(memory, 1)
    for first in range(total // 2, total + 1, 3):
        for second in range(1, 60, 4):

            def cut(world: World, at: int = first) -> None:
                world.nodes[1].power.cut_at = at

            world = in_a_world(memory / str(first), second, cut)
            power = world.nodes[1].power
            power.on()
            power.cut_at = second
            with supplied(power), contextlib.suppress(ChangeError, PowerCut):
                asyncio.run(world.settle())
            power.on()
            asyncio.run(world.settle())
            assert world.states() in (["old", "old"], ["new", "new"]), (first, second)


async def test_rubbish_is_swept_away(world: World) -> None:
    """A folder without a journal: begun and never staged, or finished and not yet removed."""
    staging = world.nodes[1].places.configuration / ".staging-9"
    staging.mkdir()
    (staging / "new-0").write_text("x")
    assert leftovers(world.nodes[1].places) == (Leftover(9, Stage.EMPTY),)
    await world.settle()
    assert not staging.exists()


async def test_settling_stops_when_a_node_cannot_do_it(world: World) -> None:
    (world.nodes[1].places.configuration / ".staging-9").mkdir()
    wire = world.wire
    wire.down = True
    found = {node.name: leftovers(node.places) for node in world.nodes}
    with pytest.raises(ChangeError, match="node2"):
        await settle(found, world.nodes[0].seat, wire.seat, world.said.append)
