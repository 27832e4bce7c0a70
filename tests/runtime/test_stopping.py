"""A planned stop looks at what else holds a device, before it stops anything."""

from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from typing import Final

import pytest

from hapair.core.words.events import Beat, Commanded, Event
from hapair.core.words.state import NodeState
from hapair.model.built import Built
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.holders import Held, Holders
from hapair.model.status import Standing
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.control.commands import Commands
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.node import Identity
from hapair.runtime.node.perform import Hands
from hapair.runtime.verbs import Call
from tests.runtime.conftest import names
from tests.runtime.fakes import VOLUME, LoopClock, Machine, built, node_state
from tests.runtime.test_commands import Files, NoBuilder

BIND: Final = Held("the mount on /export", "umount /export")


@dataclass(slots=True)
class Peer:
    """The peer's daemon, or none."""

    connected: bool = False
    name: str = "node2"
    refusal: RpcError | None = None
    answer: JsonObject = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def request(self, verb: str, *_: object, **__: object) -> JsonObject:
        self.asked.append(verb)
        if self.refusal is not None:
            raise self.refusal
        return self.answer


@dataclass(slots=True)
class Keeper:
    disk_takes: bool = True

    async def takes(self) -> bool:
        return self.disk_takes


class Stopped(Exception):  # noqa: N818 - No error: the core was given the command.
    """The command came as far as the core."""


@dataclass(slots=True)
class Node:
    """A node that runs orders, whose first volume is Primary."""

    state: NodeState
    machine: Machine = field(default_factory=Machine)
    peer: Peer = field(default_factory=Peer)
    identity: Identity = field(default_factory=lambda: Identity("node1", "boot", 1))
    keeper: Keeper = field(default_factory=Keeper)

    @property
    def built(self) -> Built:
        return built()

    @property
    def hands(self) -> Hands:
        return self.machine.hands()

    def offer(self, event: Event) -> None:
        assert isinstance(event, Commanded)
        raise Stopped


def facts(role: Role) -> VolumeFacts:
    return VolumeFacts(
        VOLUME.resource, role, Role.SECONDARY, Disk.UP_TO_DATE, Disk.UP_TO_DATE,
        Connection.CONNECTED,
    )  # fmt: skip


@pytest.fixture
def node() -> Node:
    state = replace(node_state(), standing=Standing.TOGETHER)
    return Node(replace(state, facts={VOLUME.resource: facts(Role.PRIMARY)}))


@pytest.fixture
def commands(node: Node, journal: Journal) -> Commands:
    async def reload() -> None:
        raise NotImplementedError

    return Commands(
        lambda: node,  # type: ignore[arg-type, return-value]
        reload,
        Files(),  # type: ignore[arg-type]
        journal,
        LoopClock(),
        NoBuilder(),  # type: ignore[arg-type]
    )


async def refused(saying: Awaitable[JsonObject]) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await saying
    return caught.value


@pytest.mark.parametrize("verb", ["move", "halt", "leave"])
async def test_a_second_holder_is_named_before_anything_stops(
    commands: Commands, node: Node, verb: str
) -> None:
    node.machine.holders = Holders((BIND,))
    handler = commands.verbs()[verb].handler
    error = await refused(handler(Call({"application": "orders"})))
    assert error.exit_code is ExitCode.REFUSED
    assert "nothing was stopped on node1" in error.error
    assert error.problems == (
        {
            "where": "node1",
            "field": "orders.data",
            "what": "the mount on /export holds /dev/drbd0",
            "mend": "umount /export",
            "warning": False,
        },
    )
    assert error.mend == "end what is listed; or, to have the stop end what it may: --force"
    with pytest.raises(Stopped):
        await handler(Call({"application": "orders", "force": True}))
    node.machine.holders = Holders()
    with pytest.raises(Stopped):
        await handler(Call({"application": "orders"}))
    assert node.machine.asked.count("held orders.data but for orders") == 2  # Not with force.


@pytest.mark.parametrize(("verb", "args"), [("move", {}), ("leave", {"handover": True})])
@pytest.mark.parametrize("who", ["node1", "node2", "node2 when it is asked"])
async def test_nothing_is_stopped_that_a_full_disk_keeps_from_starting_again(
    commands: Commands, node: Node, who: str, verb: str, args: JsonObject
) -> None:
    if who == "node1":
        node.keeper.disk_takes = False
    elif who != "node2":
        node.peer.connected, node.peer.answer = True, {"can_store": False}
    else:
        beat = Beat(7, 1, Standing.TOGETHER, 0, cannot_store=True)
        peer = replace(node.state.peer, unable=beat, unable_at_s=node.state.now_s)
        node.state = replace(node.state, peer=peer, standing=Standing.TOGETHER)
    handler = commands.verbs()[verb].handler
    error = await refused(handler(Call({"application": "orders", **args})))
    assert error.error.startswith(f"{who[:5]} cannot store")
    with pytest.raises(Stopped):
        await commands.halt(Call({"application": "orders"}))
    with pytest.raises(Stopped):
        await commands.leave(Call({"handover": True, "force": True}))


@pytest.mark.parametrize("refusal", [None, RpcError('"can-store" is not known to node2')])
async def test_a_peer_that_can_store_or_does_not_know_the_question_refuses_nothing(
    commands: Commands, node: Node, refusal: RpcError | None
) -> None:
    node.peer.connected, node.peer.answer = True, await commands.can_store(Call(from_peer=True))
    node.peer.refusal = refusal
    with pytest.raises(Stopped):
        await commands.move(Call({"application": "orders"}))
    assert node.peer.asked == ["can-store"]


async def test_the_owner_looks_also_when_the_peer_passed_the_order_on(
    commands: Commands, node: Node
) -> None:
    node.machine.holders = Holders((BIND,))
    await refused(commands.move(Call({"application": "orders"}, from_peer=True)))
    with pytest.raises(Stopped):  # What is started gives nothing up.
        await commands.run(Call({"application": "orders"}, from_peer=True))


async def test_what_is_not_primary_here_is_given_up_by_nobody(
    commands: Commands, node: Node
) -> None:
    node.machine.holders = Holders((BIND,))
    node.state = replace(node.state, facts={VOLUME.resource: facts(Role.SECONDARY)})
    with pytest.raises(Stopped):
        await commands.halt(Call({"application": "orders"}))


async def test_a_look_that_gets_no_answer_is_noted_and_forbids_nothing(
    commands: Commands, node: Node, journal: Journal
) -> None:
    node.machine.holders = Holders(not_looked_at="mounts")
    with pytest.raises(Stopped):
        await commands.move(Call({"application": "orders"}))
    assert names(journal) == ["not-looked"]


async def test_both_nodes_are_asked_before_the_cluster_is_halted(
    commands: Commands, node: Node
) -> None:
    assert await commands.may_stop(Call()) == {}
    node.peer.connected = True
    assert await commands.may_stop(Call()) == {}
    assert await commands.may_stop(Call(from_peer=True)) == {}
    assert await commands.may_stop(Call({"node": "node1"})) == {}
    assert node.peer.asked == ["may-stop"]
    node.peer.refusal = RpcError('the daemon does not know "may-stop"')
    assert await commands.may_stop(Call()) == {}  # A version before this one.
    node.machine.holders = Holders((BIND,))
    answer = await commands.may_stop(Call())
    assert "nothing was stopped on node1" in str(answer["error"])
    assert "the mount on /export" in str(answer["problems"])
    assert await commands.may_stop(Call({"node": "node2"})) == {}  # That is about the other one.
