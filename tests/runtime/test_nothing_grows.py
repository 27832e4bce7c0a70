"""What is kept for a name goes with its last user: a daemon runs for years."""

import asyncio
import contextlib
import gc
from dataclasses import replace

from hapair.adapters.network.netlink import Card
from hapair.adapters.network.wire import Wire
from hapair.adapters.shared.forked import Ended, Forked
from hapair.core.words.effects import Act, Do
from hapair.runtime.node.attachments import Attachments
from tests.fakes.backing import FakeBackings
from tests.fakes.hands import FakeReplication
from tests.runtime.fakes import VOLUME
from tests.runtime.test_perform import Stage, stage

__all__ = ["stage"]  # A fixture.

NAMES = tuple(f"orders.data{number}" for number in range(5))
LOOPBACK = Card(1, "lo", bytes(6), up=True, carrier=True, resolves=False)


def locks() -> int:
    gc.collect()
    return sum(isinstance(each, asyncio.Lock) for each in gc.get_objects())


async def test_an_action_leaves_no_lock(stage: Stage) -> None:
    before = locks()
    await stage.do(*(Act(n, Do.MOUNT, "orders", name, 5.0) for n, name in enumerate(NAMES, 1)))
    assert len(stage.outcomes()) == len(NAMES)
    assert locks() == before


async def test_a_volume_that_was_given_to_drbd_leaves_no_lock() -> None:
    attachments = Attachments(FakeReplication(), FakeBackings())
    before = locks()
    for name in NAMES:
        await attachments.bring_up(Do.BRING_UP, replace(VOLUME, resource=name), 5.0)
    assert locks() == before


async def test_a_child_leaves_no_lock() -> None:
    forked = Forked()
    before = locks()
    for name in NAMES:
        assert await forked(name, lambda _write: 0, timeout_s=5) == Ended(0, "")
    assert locks() == before


async def test_a_card_that_nobody_listens_on_any_more_leaves_no_listener() -> None:
    wire = Wire()
    with contextlib.closing(wire):
        with wire.claims(LOOPBACK, lambda _: None):
            assert _listeners(wire) == {LOOPBACK.index}
        assert _listeners(wire) == set()


def _listeners(wire: Wire) -> set[int]:
    tables = (each for each in vars(wire).values() if isinstance(each, dict))
    return {index for each in tables for index, kept in each.items() if isinstance(kept, list)}
