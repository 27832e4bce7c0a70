"""Rounds of looking at a machine: what they read, when, and what they tell the core."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from hapair.core.words.events import Event, LookAgain, Seen
from hapair.model.application import ServiceAddress, Volume
from hapair.model.built import Built
from hapair.model.presence import Presence
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.survey import (
    LOOK_AGAIN_S,
    MOUNTS_AGAIN_S,
    PAUSE_S,
    READING_LIMIT_S,
    Survey,
)
from tests.runtime.conftest import names
from tests.runtime.fakes import ORDERS, LoopClock, Machine, built
from tests.runtime.virtual_time import virtually

MOUNTS = (Seen("orders", "orders.data", up=True), Seen("orders", "orders.log", up=True))
ADDRESSES = (
    Seen("orders", "", up=None, trouble="some are gone"),
    Seen("plain", "", up=None, trouble="some are gone"),
)


@dataclass(slots=True)
class Read(Machine):
    """A machine that counts how often it was read."""

    readings: list[str] = field(default_factory=list)
    hangs: bool = False

    async def present_each(
        self, wanted: Sequence[tuple[ServiceAddress, ...]]
    ) -> tuple[Presence, ...]:
        self.readings.append("addresses")
        return await Machine.present_each(self, wanted)

    async def full(self, volume: Volume, *, timeout_s: float) -> bool:
        return await Machine.full(self, volume, timeout_s=timeout_s)

    async def mounted_each(self, volumes: Sequence[Volume]) -> tuple[Presence, ...]:
        self.readings.append("mounts")
        if self.hangs:
            await asyncio.Event().wait()
        return await Machine.mounted_each(self, volumes)


@dataclass(slots=True)
class Rounds:
    survey: Survey
    machine: Read
    events: list[Event]
    task: "asyncio.Future[None] | None" = None

    async def begin(self) -> None:
        self.task = asyncio.ensure_future(self.survey.run())
        await asyncio.sleep(1.0)

    def change(self) -> None:
        assert len(self.machine.change_callbacks) == 2, "of addresses and of mounts"
        for changed in self.machine.change_callbacks:
            changed()

    def seen(self) -> list[tuple[Seen, ...] | None]:
        return [event.seen for event in self.events if isinstance(event, LookAgain)]


def rounds_of(configuration: Built, journal: Journal) -> Rounds:
    machine = Read(is_mounted=True, addresses_present=None, address_trouble="some are gone")
    events: list[Event] = []
    survey = Survey(machine, machine, LoopClock(), journal, events.append, lambda: configuration)
    return Rounds(survey, machine, events)


@pytest.fixture
def rounds(journal: Journal) -> Rounds:
    return rounds_of(built(), journal)


@virtually
async def test_the_machine_is_looked_at_after_changes_and_now_and_then(rounds: Rounds) -> None:
    await rounds.begin()
    rounds.change()
    await asyncio.sleep(0.01)
    assert rounds.events == [LookAgain(1.0, MOUNTS), LookAgain(1.0, ADDRESSES)]
    await asyncio.sleep(LOOK_AGAIN_S * 2 + 2.0)
    later = [event for event in rounds.events[2:] if isinstance(event, LookAgain)]
    for table, again_s, times in ((ADDRESSES, LOOK_AGAIN_S, 2), (MOUNTS, MOUNTS_AGAIN_S, 11)):
        assert [event.at_s for event in later if event.seen == table] == pytest.approx(
            [1.0 + n * (PAUSE_S + again_s) for n in range(1, times + 1)]
        )


@virtually
async def test_a_machine_that_changes_all_the_time_is_not_read_all_the_time(
    rounds: Rounds,
) -> None:
    await rounds.begin()
    for _ in range(100):
        rounds.change()
        await asyncio.sleep(0.01)
    assert len(rounds.events) == pytest.approx(2 * 1.0 / PAUSE_S, abs=2)
    await asyncio.sleep(PAUSE_S)
    assert rounds.events[-1].at_s >= 2.0, "the last change is not forgotten"


@pytest.mark.parametrize("applications", [1, 50])
def test_a_round_reads_each_table_once_however_many_applications_there_are(
    journal: Journal, applications: int
) -> None:
    plain = built()
    one = plain.applications[0]
    many = tuple(
        replace(one, application=replace(ORDERS, name=f"app{number}"))
        for number in range(applications)
    )
    rounds = rounds_of(replace(plain, applications=many), journal)

    @virtually
    async def round_() -> None:
        await rounds.begin()
        rounds.change()
        await asyncio.sleep(0.01)

    round_()
    assert sorted(rounds.machine.readings) == ["addresses", "mounts"]
    assert [len(seen or ()) for seen in rounds.seen()] == [2 * applications, applications]


@virtually
async def test_a_change_of_one_table_reads_only_that_one(rounds: Rounds) -> None:
    await rounds.begin()
    _mounts, addresses = rounds.machine.change_callbacks
    addresses()
    await asyncio.sleep(0.01)
    assert rounds.machine.readings == ["addresses"]


@virtually
async def test_what_cannot_be_read_is_told_once_and_is_no_change(
    rounds: Rounds, journal: Journal
) -> None:
    rounds.machine.address_error = OSError(24, "Too many open files")
    await rounds.begin()
    for _ in range(2):
        rounds.change()
        await asyncio.sleep(1.0)
    rounds.machine.address_error = None
    rounds.change()
    await asyncio.sleep(1.0)
    assert rounds.seen()[1::2] == [(), (), ADDRESSES]
    assert names(journal) == ["look failed"]


@virtually
async def test_a_table_that_hangs_keeps_the_other_one_from_nothing(
    rounds: Rounds, journal: Journal
) -> None:
    rounds.machine.hangs = True
    await rounds.begin()
    for _ in range(3):
        rounds.change()
        await asyncio.sleep(1.0)
    assert rounds.seen() == [ADDRESSES] * 3
    await asyncio.sleep(READING_LIMIT_S)
    assert rounds.seen()[3:] == [()]
    assert names(journal) == ["look failed"]
