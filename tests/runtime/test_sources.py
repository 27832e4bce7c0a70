"""Time and heartbeats: no false alarm, and no late one either."""

import asyncio

import pytest

from hapair.core.words.events import Beat, DataChanged, Event, Heard, NotUnderstood, Tick
from hapair.model.cluster import Timing
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.ports.peer import HeardDatagram
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
        self.pulse = Pulse(
            self.air, TIMING, self.clock, journal, self.events.append, lambda: self.heard_s
        )
        self.pulse.open()

    def start(self) -> None:
        self.task = asyncio.ensure_future(self.pulse.run())

    def ticks_s(self) -> list[float]:
        return [event.at_s for event in self.events if isinstance(event, Tick)]


@pytest.fixture
def listening(journal: Journal) -> Listening:
    return Listening(journal)


def datagram(said: Beat, incarnation: int | None = None) -> HeardDatagram:
    return HeardDatagram("public", incarnation or said.incarnation, dumps(said))


def hearing(listening: Listening) -> None:
    """Hear the peer once, and say so."""
    listening.start()
    listening.air.arrive(datagram(beat()))
    listening.air.drain()
    listening.pulse.set_beat(beat(incarnation=9))


@virtually
async def test_a_heartbeat_is_sent_at_every_interval(listening: Listening) -> None:
    hearing(listening)
    sent_at_once = len(listening.air.sent)
    await asyncio.sleep(1.05)
    assert sent_at_once == 1
    assert len(listening.air.sent) == sent_at_once + 6  # At 0.0, 0.2, 0.4, 0.6, 0.8 and 1.0 s.
    assert listening.air.sent[-1] == (9, dumps(beat(incarnation=9)))


@virtually
async def test_no_heartbeat_echoes_a_peer_that_has_been_silent(listening: Listening) -> None:
    """The core may be waiting for a disk, and says nothing new meanwhile."""
    hearing(listening)
    await asyncio.sleep(TIMING.detection_s + 0.5)
    assert listening.air.sent[-1] == (9, dumps(beat(incarnation=9, echo=0)))
    assert listening.air.sent[0] == (9, dumps(beat(incarnation=9)))


@virtually
async def test_nothing_is_sent_before_the_core_said_what(listening: Listening) -> None:
    listening.start()
    await asyncio.sleep(1.1)
    assert listening.air.sent == []
    assert listening.ticks_s() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


@virtually
async def test_the_core_looks_at_the_time_when_the_peer_would_be_lost(listening: Listening) -> None:
    listening.start()
    listening.heard_s = 0.05
    await asyncio.sleep(1.3)
    assert 1.05 + EPSILON_S in [pytest.approx(at_s) for at_s in listening.ticks_s()]


@virtually
async def test_what_the_kernel_holds_is_heard_before_time_is_looked_at(
    listening: Listening,
) -> None:
    """A node that was not scheduled must not take its own absence for the peer's."""
    listening.start()
    await asyncio.sleep(0.1)
    listening.air.arrive(datagram(beat()))
    await asyncio.sleep(0.1)
    kinds = [type(event) for event in listening.events]
    assert kinds == [Heard, Tick]
    assert [event.at_s for event in listening.events] == pytest.approx([0.2, 0.2])


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
        listening.air.arrive(HeardDatagram("public", 5, b"no beat"))
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
