"""Only so many at a time; one that hangs, and one that gives up, keep nobody waiting."""

import asyncio
import random
from dataclasses import dataclass, field

from hapair.runtime.node.turns import Turns
from tests.runtime.virtual_time import virtually

LENT_S = 2.0


@dataclass
class Workers:
    turns: Turns
    under_way: int = 0
    most: int = 0
    begun: list[str] = field(default_factory=list)

    async def work(self, name: str, takes_s: float, *, kind: str = "mount", rank: int = 0) -> None:
        async with self.turns.turn(kind, rank):
            self.begun.append(name)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            try:
                await asyncio.sleep(takes_s)
            finally:
                self.under_way -= 1


def workers(at_once: int = 4) -> Workers:
    return Workers(Turns(at_once=at_once, lent_s=LENT_S))


@virtually
async def test_however_many_want_to_begin_only_some_do() -> None:
    many = workers()
    await asyncio.gather(*(many.work(f"{n}", 1.0) for n in range(64)))
    assert many.most == 4
    assert many.begun == [f"{n}" for n in range(64)]


@virtually
async def test_kinds_do_not_wait_for_each_other() -> None:
    two = workers(at_once=1)
    async with asyncio.timeout(1.5):
        await asyncio.gather(two.work("mount", 1.0), two.work("start", 1.0, kind="start"))
    assert two.most == 2


@virtually
async def test_a_wider_kind_has_more_turns() -> None:
    wide = Workers(Turns(at_once=4, lent_s=LENT_S, wider={"promote": 32}))
    for kind, most in (("promote", 32), ("mount", 4)):
        wide.most = 0
        await asyncio.gather(*(wide.work(f"{n}", 1.0, kind=kind) for n in range(64)))
        assert wide.most == most, kind


@virtually
async def test_who_matters_most_begins_first() -> None:
    ranked = workers(at_once=1)
    await asyncio.gather(*(ranked.work(f"{rank}", 1.0, rank=rank) for rank in (0, 3, 1, 2)))
    assert ranked.begun == ["0", "1", "2", "3"]


@virtually
async def test_what_hangs_lends_its_turn_on() -> None:
    """FAIL: a disk that hangs keeps the volumes of all others from being mounted."""
    stuck = workers()
    hanging = [asyncio.ensure_future(stuck.work("hangs", 1e6)) for _ in range(40)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10 * LENT_S + 1):
        await stuck.work("ours", 0.1)
    for each in hanging:
        each.cancel()


@virtually
async def test_those_that_give_up_at_any_moment_leave_their_turn_to_the_next() -> None:
    some = workers()
    chance = random.Random(7)
    tasks = [asyncio.ensure_future(some.work(f"{n}", 0.5)) for n in range(200)]
    for task in chance.sample(tasks, 150):
        await asyncio.sleep(chance.choice((0, 0, 0.25)))
        task.cancel()
        chance.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    some.most = 0
    await asyncio.gather(*(some.work("after", 0.5) for _ in range(8)))
    assert some.most == 4
