"""Time and heartbeats: no false alarm, and no late one either."""

import asyncio
import math
from dataclasses import replace

import pytest

from hapair.core.words.events import Beat, DataChanged, Event, Heard, NotUnderstood, Tick
from hapair.model.cluster import Timing
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.ports.peer import HeardDatagram, Saying
from hapair.runtime.codec import dumps
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.sources import EPSILON_S, Pulse, watch_data
from hapair.runtime.pauses import Moment, late_s
from tests.runtime.conftest import names
from tests.runtime.fakes import Air, LoopClock, Machine, beat
from tests.runtime.virtual_time import virtually

TIMING = Timing(detection_s=1.0, heartbeat_s=0.2)


class Listening:
    """A pulse on virtual time, and what it told the core."""

    def __init__(self, journal: Journal) -> None:
        self.air = Air()
        self.clock = LoopClock()
        self.events: list[Event] = []
        self.heard_s: float | None = None
        self.decisions: int | None = 0
        self.pulse = Pulse(
            self.air,
            TIMING,
            self.clock,
            journal,
            self.events.append,
            lambda: self.heard_s,
            lambda: self.decisions,
        )
        self.pulse.open()

    def start(self) -> None:
        self.task = asyncio.ensure_future(self.pulse.run())

    def ticks_s(self) -> list[float]:
        return [event.at_s for event in self.events if isinstance(event, Tick)]


@pytest.fixture
def listening(journal: Journal) -> Listening:
    return Listening(journal)


def datagram(said: Beat, incarnation: int | None = None, at_s: float = 0.0) -> HeardDatagram:
    return HeardDatagram("public", incarnation or said.incarnation, dumps(said), at_s)


async def test_what_is_said_is_said_with_and_without_an_echo(listening: Listening) -> None:
    """The core may be waiting for a disk when the peer falls silent, and says nothing new then."""
    listening.pulse.set_beat(beat(incarnation=9))
    assert listening.air.saying == Saying(
        9, (dumps(beat(incarnation=9)),), (dumps(beat(incarnation=9, echo=0)),)
    )


async def test_new_connections_say_what_the_former_ones_said(listening: Listening) -> None:
    """A new configuration changes the wires; the core has no reason to say anything anew."""
    listening.pulse.set_beat(beat(incarnation=9))
    listening.pulse.heartbeats = successor = Air()
    listening.pulse.open()
    assert successor.saying == listening.air.saying is not None


@virtually
async def test_when_the_core_decided_last_is_told_at_every_interval(listening: Listening) -> None:
    listening.start()
    await asyncio.sleep(0.3)
    listening.decisions = 1
    await asyncio.sleep(0.4)
    assert listening.air.decided_s == pytest.approx([-math.inf, -math.inf, 0.4, 0.4])


@virtually
async def test_a_core_that_waits_for_a_full_disk_is_not_called_stuck(listening: Listening) -> None:
    """A new daemon could not write either; the peer is told of it in another way."""
    listening.decisions = None
    listening.start()
    await asyncio.sleep(0.5)
    assert listening.air.decided_s == pytest.approx([0.0, 0.2, 0.4])


@virtually
async def test_that_the_disk_takes_nothing_is_said_while_it_does(listening: Listening) -> None:
    """The core waits for that disk, and says nothing new meanwhile."""
    unable = False
    listening.pulse.cannot_store = lambda: unable
    listening.pulse.set_beat(said := beat(incarnation=9))
    listening.start()
    await asyncio.sleep(0.3)
    unable = True
    await asyncio.sleep(0.2)
    assert listening.air.saying == Saying(
        9,
        (dumps(replace(said, cannot_store=True)),),
        (dumps(replace(said, cannot_store=True, echo=0)),),
    )
    unable = False
    await asyncio.sleep(0.2)
    assert listening.air.saying == Saying(9, (dumps(said),), (dumps(replace(said, echo=0)),))


@virtually
async def test_a_core_that_has_said_nothing_yet_says_only_that_its_disk_takes_nothing(
    listening: Listening,
) -> None:
    unable = False
    listening.pulse.cannot_store = lambda: unable
    listening.pulse.before = beat(incarnation=9)
    listening.start()
    await asyncio.sleep(0.5)
    assert listening.air.saying is None
    unable = True
    await asyncio.sleep(0.2)
    assert listening.air.saying is not None
    assert listening.air.saying.bodies == (dumps(replace(beat(incarnation=9), cannot_store=True)),)


async def test_who_is_echoed_was_so_when_the_heartbeat_came(listening: Listening) -> None:
    listening.pulse.set_beat(beat(incarnation=9))
    for echo, at_s in ((8, 1.0), (9, 2.0), (0, 3.0)):
        listening.air.arrive(datagram(beat(echo=echo), at_s=at_s))
    listening.air.drain()
    assert listening.pulse.echoed_s == 2.0
    assert listening.pulse.received_s == 3.0


@virtually
async def test_the_core_looks_at_the_time_when_the_peer_would_be_lost(listening: Listening) -> None:
    listening.start()
    listening.heard_s = 0.05
    await asyncio.sleep(1.3)
    assert 1.05 + EPSILON_S in [pytest.approx(at_s) for at_s in listening.ticks_s()]


@virtually
async def test_what_came_is_handed_over_before_time_is_looked_at(listening: Listening) -> None:
    """A node that was not scheduled must not take its own absence for the peer's."""
    listening.start()
    await asyncio.sleep(0.1)
    listening.air.arrive(datagram(beat(), at_s=0.05))
    await asyncio.sleep(0.1)
    kinds = [type(event) for event in listening.events]
    assert kinds == [Heard, Tick]
    assert [event.at_s for event in listening.events] == pytest.approx([0.05, 0.2])


@virtually
async def test_a_daemon_that_was_busy_while_its_heartbeats_went_on_says_so(
    listening: Listening, journal: Journal
) -> None:
    listening.start()
    await asyncio.sleep(0.3)
    listening.clock.suspended_s = 30.0
    listening.air.arrive(datagram(beat(), at_s=30.0))
    await asyncio.sleep(0.2)
    assert names(journal) == ["busy"]


async def test_trouble_with_the_heart_is_an_alarm(listening: Listening, journal: Journal) -> None:
    listening.air.tell("it ended")
    (line,) = journal.since(0, 10)
    assert (line["name"], line["severity"], line["text"]) == ("heartbeats", "alarm", "it ended")


@virtually
async def test_a_suspended_machine_shows_as_a_leap_of_time_and_is_told(
    listening: Listening, journal: Journal
) -> None:
    listening.start()
    await asyncio.sleep(0.3)
    listening.clock.suspended_s = 30.0
    await asyncio.sleep(0.2)
    assert listening.ticks_s() == pytest.approx([0.2, 30.4])
    assert names(journal) == ["paused"]


@virtually
async def test_ordinary_lateness_is_not_worth_a_line(
    listening: Listening, journal: Journal
) -> None:
    listening.start()
    listening.clock.suspended_s = TIMING.detection_s / 2 - 0.01
    await asyncio.sleep(0.5)
    assert names(journal) == []


async def test_a_beat_that_is_not_understood_proves_only_that_its_sender_lives(
    listening: Listening, journal: Journal
) -> None:
    for _ in range(3):
        listening.air.arrive(datagram(beat(incarnation=5), incarnation=6))
        listening.air.arrive(HeardDatagram("public", 5, b"no beat", 0.0))
    listening.air.drain()
    heard = [event.incarnation for event in listening.events if isinstance(event, NotUnderstood)]
    assert heard == [6, 5] * 3, "the numbers that the key vouches for"
    assert len(listening.events) == listening.pulse.malformed == 6
    assert names(journal) == ["malformed"]


async def test_a_beat_with_another_echo_is_passed_on_so_that_the_core_can_answer_it(
    listening: Listening,
) -> None:
    said = beat(incarnation=5, echo=0)
    listening.air.arrive(datagram(said))
    listening.air.drain()
    (heard,) = listening.events
    assert isinstance(heard, Heard)
    assert heard.beat == said


@pytest.mark.parametrize(
    ("now", "expected_s"),
    [
        (Moment(10.0, 20.0), 0.0),
        (Moment(9.0, 19.0), 0.0),
        (Moment(12.5, 22.5), 2.5),
        (Moment(10.0, 80.0), 60.0),
    ],
)
def test_lateness_counts_suspension_and_starvation(now: Moment, expected_s: float) -> None:
    assert late_s(Moment(10.0, 20.0), now) == expected_s


@virtually
async def test_facts_of_the_data_become_events() -> None:
    machine, events = Machine(), list[Event]()
    facts = VolumeFacts(
        "orders.data", Role.PRIMARY, Role.SECONDARY, Disk.UP_TO_DATE, Disk.UP_TO_DATE,
        Connection.CONNECTED,
    )  # fmt: skip
    task = asyncio.ensure_future(watch_data(machine, LoopClock(), events.append))
    machine.facts_seen.put_nowait((facts,))
    await asyncio.sleep(0.5)
    task.cancel()
    assert events == [DataChanged(0.0, ()), DataChanged(0.0, (facts,))]
