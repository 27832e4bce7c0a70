"""A peer that counts its starts anew is heard again; recordings of a former one are not."""

import asyncio
import errno
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hapair.adapters.heartbeat.datagrams import ReplayGuard
from hapair.core.words.events import Event, Form, PeerState, PeerStated
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.status import Standing
from hapair.ports.peer import HeardDatagram
from hapair.runtime.codec import dumps
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.lineage import OLDER_MAX, PEER, KnownPeer, Lineage, read_known
from tests.core.bench import Bench
from tests.runtime.conftest import names
from tests.runtime.fakes import Air, SetClock
from tests.runtime.pair import NAMES, Side, Two, without_data
from tests.runtime.virtual_time import virtually


@dataclass
class House:
    journal: Journal
    bench: Bench = field(default_factory=Bench)
    air: Air = field(default_factory=Air)
    offered: list[Event] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)
    connected: bool = True
    disk_full: bool = False
    lies: bytes | None = None

    def __post_init__(self) -> None:
        self.bench.together()
        self.lineage = Lineage(
            self.air,
            SetClock(),
            self.journal,
            self.offered.append,
            self.keep,
            self.state,
            lambda: self.connected,
            self.lies,
        )

    def state(self) -> NodeState:
        return self.bench.state

    async def keep(self, name: str, content: bytes) -> None:
        if self.disk_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.kept[name] = content

    def says(self, incarnation: int) -> PeerState:
        """Let the peer speak over the connection."""
        word = replace(self.bench.peer, incarnation=incarnation)
        self.lineage.stated(PeerStated(self.bench.now_s, word))
        return word

    def lived(self) -> list[PeerState]:
        stated = (event for event in self.offered if isinstance(event, PeerStated))
        return [each.state for each in stated if each.lives]


class Guarded(Air):
    """Air in which each datagram passes the guard, like on a real network."""

    def __init__(self) -> None:
        super().__init__()
        self.guard = ReplayGuard()
        self.sequence = 0

    def arrive(self, datagram: HeardDatagram) -> None:
        self.sequence += 1
        if self.guard.admit(datagram.network, datagram.incarnation, self.sequence):
            super().arrive(datagram)

    def introduce(self, incarnation: int, highest: int = 0) -> None:
        self.guard.introduce(incarnation, highest)

    def older(self) -> int:
        return self.guard.older


@virtually
async def test_two_whole_nodes_meet_again_after_a_new_disk_and_a_wrong_clock(
    tmp_path: Path,
) -> None:
    pair = Two({name: Side(name, tmp_path, air=Guarded(), incarnation=1000) for name in NAMES})
    for side in pair.sides.values():
        side.start(without_data(), Stored())
    pair.connect()
    for side in pair.sides.values():
        side.command(1, Form())
    await asyncio.sleep(3.0)
    old, new = pair.sides.values()
    assert old.standing is Standing.TOGETHER
    assert read_known(old.stored[PEER]) == KnownPeer(1001, 1001)
    new.die()
    old.running.peer.closed("it died")
    await asyncio.sleep(5.0)
    assert old.standing is not Standing.TOGETHER
    new.stored.clear()
    new.incarnation, new.air = 4, Guarded()
    new.start(without_data(), Stored())
    pair.connect()
    new.command(2, Form())
    await asyncio.sleep(10.0)
    assert [side.standing for side in (old, new)] == [Standing.TOGETHER] * 2
    assert old.running.state.peer.incarnation == 5
    assert "counts-anew" in old.names()
    assert read_known(old.stored[PEER]) == KnownPeer(5, 1001)
    pair.end()


@pytest.fixture
def house(journal: Journal) -> House:
    return House(journal)


async def test_who_speaks_on_the_connection_is_heard_again_once_no_heartbeat_comes(
    house: House,
) -> None:
    word = house.says(incarnation=3)
    assert house.offered == [PeerStated(house.bench.now_s, word)]
    await house.lineage.look()
    assert house.lived() == [], "its heartbeats say something else"
    house.bench.wait(3.0, hearing=False)
    await house.lineage.look()
    assert house.air.introduced == [(3, 0)]
    assert house.lived() == [word]
    assert names(house.journal) == ["counts-anew"]


async def test_a_connection_that_is_gone_introduces_nobody(house: House) -> None:
    house.says(incarnation=3)
    house.bench.wait(3.0, hearing=False)
    house.connected = False
    await house.lineage.look()
    house.connected = True
    await house.lineage.look()
    assert house.air.introduced == []
    assert house.lived() == []


async def test_a_dead_connection_does_not_bring_the_former_daemon_back(house: House) -> None:
    """Its word is older than the heartbeats of the present one, which is silent for a moment."""
    air = Guarded()
    house.lineage.heartbeats = air
    former = house.bench.peer.incarnation
    air.introduce(former)
    house.says(former)
    await house.lineage.look()
    assert air.guard.admit("public", former + 1, 1)
    house.bench.hear(incarnation=former + 1, standing=Standing.FORMING)
    house.bench.wait(3.0, hearing=False)
    await house.lineage.look()
    assert house.lived() == []
    assert air.guard.admit("public", former + 1, 2)


async def test_the_highest_incarnation_outlives_the_daemon(house: House) -> None:
    for incarnation in (9, 4):
        house.says(incarnation)
        await house.lineage.look()
    assert read_known(house.kept[PEER]) == KnownPeer(current=4, highest=9)


async def test_what_only_a_newer_version_knows_of_it_stays_in_the_file(journal: Journal) -> None:
    house = House(journal, lies=b'{"current": 4, "highest": 9, "novelty": [1]}')
    for incarnation in (11, 12):
        house.says(incarnation)
        await house.lineage.look()
        known = {"current": incarnation, "highest": incarnation, "novelty": [1]}
        assert json.loads(house.kept[PEER]) == known


async def test_a_full_disk_is_tried_again_and_hinders_nothing(house: House) -> None:
    house.disk_full = True
    house.says(9)
    await house.lineage.look()
    assert house.kept == {}
    house.disk_full = False
    await house.lineage.look()
    assert read_known(house.kept[PEER]) == KnownPeer(9, 9)


async def test_heartbeats_that_are_older_than_known_are_an_alarm_once(house: House) -> None:
    for _ in range(2):
        house.air.from_before = OLDER_MAX
        await house.lineage.look()
    house.air.from_before = 0
    await house.lineage.look()
    house.air.from_before = OLDER_MAX
    await house.lineage.look()
    assert names(house.journal) == ["older-heartbeats"] * 2


@pytest.mark.parametrize(
    ("content", "known"),
    [
        (None, KnownPeer()),
        (b"{", KnownPeer()),
        (b'{"current": "x"}', KnownPeer()),
        (b'{"current": 4, "highest": 9, "of a newer version": 1}', KnownPeer(4, 9)),
        (b'{"current": 4}', KnownPeer(4)),
        (dumps(KnownPeer(1, 2)), KnownPeer(1, 2)),
    ],
)
def test_what_was_kept_is_read_with_tolerance(content: bytes | None, known: KnownPeer) -> None:
    assert read_known(content) == known
