"""A disk that takes nothing is found, told and waited for; the watchdog is fed meanwhile."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hapair.core.words.events import Form, Halt, Introduce
from hapair.core.words.stored import Stored
from hapair.model.cluster import ArbitrationKind, Watchdog
from hapair.model.status import Standing, Wanted
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.guard import BOUND, may_wait
from hapair.runtime.node.keeper import NO_ROOM, NOT_STORED, SAY_AFTER_S, TRIAL, Keeper
from hapair.runtime.node.mark import Mark
from hapair.runtime.node.state_file import STATE, StateFile, load_state
from tests.fakes.third_parties import DeviceSeen
from tests.runtime.conftest import names
from tests.runtime.fakes import LoopClock, cluster
from tests.runtime.pair import NAMES, Side, Two, without_data
from tests.runtime.virtual_time import virtually

LATER = Stored(epoch=7)
TIMEOUT_S = 2.0
WATCHED = replace(
    without_data(), cluster=replace(cluster(), watchdog=Watchdog(timeout_s=TIMEOUT_S))
)
FOR_EVER_S = 3600.0


@dataclass(slots=True)
class Disk:
    files: dict[str, bytes] = field(default_factory=dict)
    error: int = 0
    only: str = ""  # Which file the error hits; empty: each.
    hangs: asyncio.Event | None = None
    mark: Path | None = None

    async def keep(self, name: str, content: bytes) -> None:
        await asyncio.sleep(0.002)
        if self.hangs is not None:
            await self.hangs.wait()
        if self.error and self.only in ("", name):
            raise OSError(self.error, os.strerror(self.error), name)
        self.files[name] = content


@asynccontextmanager
async def keeping(disk: Disk, journal: Journal) -> AsyncIterator[Keeper]:
    memory = "/var/lib/hapair"
    mark = Mark(disk.mark, lambda: False)
    keeper = Keeper(disk.keep, LoopClock(), journal, memory, Stored(), StateFile(None), mark)
    work = asyncio.ensure_future(keeper.run())
    try:
        yield keeper
    finally:
        work.cancel()


@virtually
async def test_a_disk_is_tried_before_something_is_stopped(journal: Journal) -> None:
    disk = Disk()
    async with keeping(disk, journal) as keeper:
        await asyncio.sleep(1.0)
        assert await keeper.takes()
        disk.error = errno.EROFS
        assert not await keeper.takes()
        assert [each.name for each in keeper.alarms()] == [NOT_STORED]
        disk.error = 0
        assert await keeper.takes(), "it is not known to be mended before it is tried"
        assert keeper.alarms() == ()
        assert names(journal) == [NOT_STORED, "stored-again"]
        disk.error = errno.EROFS
        await asyncio.sleep(60.0)
        assert not await keeper.takes()
        disk.error = 0
        await asyncio.sleep(2.0)
        disk.hangs = asyncio.Event()
        began_s = asyncio.get_running_loop().time()
        assert not await keeper.takes()
        assert asyncio.get_running_loop().time() - began_s <= SAY_AFTER_S + 0.1
        disk.hangs.set()


@virtually
async def test_an_idle_node_finds_a_full_disk_within_a_minute(journal: Journal) -> None:
    disk = Disk()
    async with keeping(disk, journal) as keeper:
        await asyncio.sleep(100.0)
        assert keeper.works.is_set()
        assert set(disk.files) == {STATE, TRIAL}
        disk.error = errno.ENOSPC
        await asyncio.sleep(60.0)
        assert keeper.cannot_store
        assert not keeper.waits
        assert [each.name for each in keeper.alarms()] == [NOT_STORED]
        await asyncio.sleep(FOR_EVER_S)
        assert names(journal) == [NOT_STORED]
        disk.error = 0
        await asyncio.sleep(2.0)
        assert not keeper.cannot_store
        assert keeper.alarms() == ()
        assert names(journal) == [NOT_STORED, "stored-again"]


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "the disk fails"),
        (errno.EACCES, "Permission denied"),
    ],
)
@virtually
async def test_the_alarm_says_where_and_what_it_means(
    journal: Journal, code: int, word: str
) -> None:
    async with keeping(Disk(error=code), journal) as keeper:
        await asyncio.sleep(1.0)
        (alarm,) = keeper.alarms()
        assert "/var/lib/hapair/state.json" in alarm.text
        assert word in alarm.text


@virtually
async def test_room_that_was_reserved_makes_a_full_disk_a_warning(journal: Journal) -> None:
    disk = Disk(error=errno.ENOSPC, only=TRIAL)
    async with keeping(disk, journal) as keeper:
        await asyncio.sleep(60.0)
        assert [each.name for each in keeper.alarms()] == [NO_ROOM]
        assert not keeper.cannot_store
        await keeper.store(LATER)
        assert load_state(disk.files[STATE]) == LATER
        disk.error = 0
        await asyncio.sleep(60.0)
        assert keeper.alarms() == ()
    assert names(journal) == [NO_ROOM, "stored-again"]


@virtually
async def test_a_store_that_hangs_is_told_and_waited_for(journal: Journal) -> None:
    disk = Disk()
    async with keeping(disk, journal) as keeper:
        await asyncio.sleep(1.0)
        disk.hangs = asyncio.Event()
        storing = asyncio.ensure_future(keeper.store(LATER))
        await asyncio.sleep(SAY_AFTER_S / 2)
        assert keeper.waits
        assert not keeper.cannot_store
        await asyncio.sleep(60.0)
        assert keeper.cannot_store
        assert "hangs" in keeper.alarms()[0].text
        disk.hangs.set()
        await storing
        assert not keeper.waits
        assert not keeper.cannot_store
        assert keeper.stored == LATER
    assert names(journal) == [NOT_STORED, "stored-again"]


@virtually
async def test_a_trial_never_brings_an_older_state_back(journal: Journal) -> None:
    disk = Disk()
    async with keeping(disk, journal) as keeper:
        for epoch in range(200):
            await keeper.store(Stored(epoch=epoch))
            await asyncio.sleep(0.9)
            assert load_state(disk.files[STATE]).epoch == epoch


# --- The watchdog --------------------------------------------------------------------------------


async def watched(folder: Path) -> Two:
    """Return a cluster with watchdogs whose application runs on node1."""
    pair = Two({name: Side(name, folder) for name in NAMES})
    for side in pair.sides.values():
        side.start(WATCHED, Stored())
    pair.connect()
    for side in pair.sides.values():
        side.command(1, Form())
    await asyncio.sleep(2.0)
    pair["node1"].command(2, Introduce("orders", Wanted.UP))
    await asyncio.sleep(2.0)
    return pair


async def fed(side: Side, for_s: float) -> bool:
    """Tell whether the device is fed for all of the time."""
    times = int(for_s / TIMEOUT_S)
    for _ in range(times):
        before = side.device.done.count("feed")
        await asyncio.sleep(TIMEOUT_S)
        if side.device.done.count("feed") == before:
            return False
    return True


@virtually
async def test_with_stores_that_fail_for_ever_the_device_is_fed(tmp_path: Path) -> None:
    pair = await watched(tmp_path)
    first = pair["node1"]
    first.disk_full = True
    first.command(3, Halt("orders"))
    await asyncio.sleep(1.0)
    assert first.running.waits_for_disk
    assert await fed(first, 600.0)
    assert pair["node2"].running.state.peer.unable is not None
    pair.end()


@virtually
async def test_a_node_that_is_cut_off_as_well_is_fed_for_its_lease_only(tmp_path: Path) -> None:
    pair = await watched(tmp_path)
    first = pair["node1"]
    first.disk_full = True
    first.command(3, Halt("orders"))
    await asyncio.sleep(1.0)
    pair.cut_cables()
    lease_s = WATCHED.cluster.lease_s
    await asyncio.sleep(lease_s - 2 * TIMEOUT_S)
    before = first.device.done.count("feed")
    await asyncio.sleep(TIMEOUT_S / 2)
    assert first.device.done.count("feed") > before
    await asyncio.sleep(TIMEOUT_S / 2)  # It bites at the end of the lease.
    assert not await fed(first, 2 * TIMEOUT_S)
    pair.end()


@virtually
@pytest.mark.parametrize("hangs", [False, True])
async def test_the_next_daemon_of_the_boot_hears_of_a_disk_that_takes_nothing(
    journal: Journal, tmp_path: Path, *, hangs: bool
) -> None:
    disk = Disk(mark=tmp_path / "not-stored")
    async with keeping(disk, journal) as keeper:
        await asyncio.sleep(1.0)
        assert not keeper.mark.is_set
        disk.error, disk.hangs = errno.EROFS, asyncio.Event() if hangs else None
        storing = asyncio.ensure_future(keeper.store(LATER))
        await asyncio.sleep(SAY_AFTER_S + 0.1)
        assert disk.mark is not None
        assert disk.mark.exists()
        assert Mark(disk.mark, lambda: True).is_set
        disk.error = 0
        if disk.hangs is not None:
            disk.hangs.set()
        await storing
        assert not disk.mark.exists()


def test_a_mark_stays_until_what_it_says_is_stored(tmp_path: Path) -> None:
    place = tmp_path / "not-stored"
    place.touch()
    mark = Mark(place, lambda: True)
    mark.stored()
    assert place.exists()
    mark.is_needed = lambda: False
    mark.stored()
    assert not place.exists()


def test_who_cannot_even_leave_a_mark_goes_on(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "nowhere/not-stored", lambda: False)
    mark.set()
    mark.stored()
    assert not mark.is_set


@virtually
async def test_a_daemon_that_finds_the_mark_asks_its_peer_first(tmp_path: Path) -> None:
    pair = await watched(tmp_path)
    first = pair["node1"]
    stored = first.running.state.stored
    first.die()
    first.mark.touch()
    first.start(WATCHED, stored)
    assert first.running.state.forgot
    pair.connect()
    await asyncio.sleep(5.0)
    assert first.standing is Standing.TOGETHER
    assert not first.mark.exists()
    pair.end()


@virtually
async def test_a_boot_with_a_full_disk_opens_no_device_and_says_so(tmp_path: Path) -> None:
    pair = await watched(tmp_path)
    first, second = pair["node1"], pair["node2"]
    stored = replace(first.running.state.stored, joined_boot_id="before", formed_boot_id="before")
    first.die()
    first.device = DeviceSeen()
    first.disk_full = True
    first.start(WATCHED, stored)
    pair.connect()
    await asyncio.sleep(20.0)
    assert first.device.done == []
    unable = second.running.state.peer.unable
    assert unable is not None
    assert unable.standing is Standing.HALTED
    first.disk_full = False
    await asyncio.sleep(5.0)
    assert not first.running.keeper.cannot_store
    pair.end()


@virtually
async def test_a_new_daemon_of_the_same_boot_guards_what_may_run_at_once(tmp_path: Path) -> None:
    pair = await watched(tmp_path)
    first = pair["node1"]
    stored = first.running.state.stored
    first.die()
    first.device = DeviceSeen()
    first.disk_full = True
    first.start(WATCHED, stored)
    assert first.device.done == ["open"]
    pair.end()


async def left_running(tmp_path: Path) -> tuple[Two, Side, Stored]:
    """Kill the daemon of node1 while its device runs; return that node and what it had stored."""
    pair = await watched(tmp_path)
    first, stored = pair["node1"], pair["node1"].running.state.stored
    first.die()
    first.device = DeviceSeen(left_running=True)
    return pair, first, stored


@virtually
@pytest.mark.parametrize("kind", [ArbitrationKind.PATHS, ArbitrationKind.OPERATOR])
async def test_a_device_that_was_left_running_is_fed_at_once_only_if_nobody_takes_over(
    tmp_path: Path, kind: ArbitrationKind
) -> None:
    """It may be about to bite: without a word of the peer, and on a full disk, it is left alone."""
    pair, first, stored = await left_running(tmp_path)
    first.disk_full = True
    pair.cut_cables()
    first.start(replace(WATCHED, cluster=replace(WATCHED.cluster, arbitration=kind)), stored)
    assert first.device.done == ([] if kind in BOUND else ["open"])
    pair.end()


@virtually
async def test_a_disk_that_takes_something_is_word_enough(tmp_path: Path) -> None:
    pair, first, stored = await left_running(tmp_path)
    pair.cut_cables()
    first.start(WATCHED, stored)
    await asyncio.sleep(0.1)
    assert first.device.done[0] == "open"
    pair.end()


@virtually
async def test_it_is_fed_too_when_the_peer_echoes_a_daemon_that_cannot_store(
    tmp_path: Path,
) -> None:
    pair, first, stored = await left_running(tmp_path)
    first.disk_full = True
    first.start(WATCHED, stored)
    assert first.device.done == []
    pair.connect()
    await asyncio.sleep(TIMEOUT_S)
    assert first.device.done[:2] == ["open", "feed"]
    pair.end()


def test_only_a_lease_bounds_the_wait() -> None:
    for kind in ArbitrationKind:
        of_kind = replace(cluster(), arbitration=kind)
        lease_s = of_kind.lease_s
        bound = kind in BOUND
        assert may_wait(of_kind, Stored(), lease_s - 0.1)
        guarded = replace(of_kind, watchdog=Watchdog(timeout_s=TIMEOUT_S))
        assert may_wait(guarded, Stored(), lease_s - TIMEOUT_S - 0.1)
        assert may_wait(guarded, Stored(), lease_s - TIMEOUT_S) is not bound
        slow = replace(of_kind, watchdog=Watchdog(timeout_s=lease_s))
        assert may_wait(slow, Stored(), slow.timing.heartbeat_s)
        assert may_wait(of_kind, Stored(), FOR_EVER_S) is not bound
        assert may_wait(of_kind, Stored(holds_right=True), FOR_EVER_S)
