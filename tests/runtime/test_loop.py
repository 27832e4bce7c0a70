"""Store before act, one event at a time, and what happens when something breaks."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from hapair.core.words.effects import Act, Do, Effect, Note, Publish, SetBeat, Store
from hapair.core.words.events import (
    Event,
    Heard,
    HeardTogether,
    LinkChanged,
    LookAgain,
    NotStated,
    PeerState,
    PeerStated,
    Tick,
)
from hapair.core.words.stored import Stored
from hapair.model.status import Standing
from hapair.rpc.messages import RpcError
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node import loop as loops
from hapair.runtime.node.loop import (
    EXIT_BROKEN,
    HEARD_MAX,
    WAITING_MAX,
    Loop,
    aside,
    contained,
    until_broken,
)
from tests.runtime.conftest import names
from tests.runtime.fakes import Scripted, beat, node_state, peer_state

BUNDLE: tuple[Effect, ...] = (
    Store(Stored(epoch=7, holds_right=True)),
    Publish(peer_state(epoch=7)),
    SetBeat(beat()),
    Act(1, Do.PROMOTE, "orders", "orders.data", 5.0),
    Note("granted", "may act alone"),
    Store(Stored(epoch=8)),
    Act(2, Do.MOUNT, "orders", "orders.data", 5.0),
)


class PowerLossError(Exception):
    """The node died between two effects."""


@dataclass(slots=True)
class Disk:
    """Performs effects: a store takes several turns of the event loop, like a real disk."""

    dies_after: int = 1000  # So many effects are begun; a begun store may be lost.
    stored: list[int] = field(default_factory=list)
    begun: list[Effect] = field(default_factory=list)
    stored_before: list[tuple[Effect, tuple[int, ...]]] = field(default_factory=list)

    async def perform(self, effect: Effect) -> None:
        if len(self.begun) >= self.dies_after:
            raise PowerLossError
        self.begun.append(effect)
        self.stored_before.append((effect, tuple(self.stored)))
        if isinstance(effect, Store):
            for _ in range(5):
                await asyncio.sleep(0)
            self.stored.append(effect.stored.epoch)


async def settle(turns: int = 100) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def test_nothing_after_a_store_is_begun_before_it_is_on_the_disk() -> None:
    disk = Disk()
    loop = Loop(Scripted({Tick: BUNDLE}).step, node_state(), disk)
    running = asyncio.ensure_future(loop.run(()))
    loop.offer(Tick(1.0))
    await settle()
    running.cancel()

    assert disk.begun == list(BUNDLE)
    seen = [(type(effect), stored) for effect, stored in disk.stored_before]
    assert seen == [
        (Store, ()),
        (Publish, (7,)),
        (SetBeat, (7,)),
        (Act, (7,)),
        (Note, (7,)),
        (Store, (7,)),
        (Act, (7, 8)),
    ]


@pytest.mark.parametrize("dies_after", range(len(BUNDLE) + 1))
async def test_a_death_between_any_two_effects_leaves_the_disk_ahead_of_the_deeds(
    dies_after: int,
) -> None:
    """Whatever was begun before the death, the next daemon finds the store that it relied on."""
    disk = Disk(dies_after)
    loop = Loop(Scripted({Tick: BUNDLE}).step, node_state(), disk)
    loop.offer(Tick(1.0))
    if dies_after < len(BUNDLE):
        with pytest.raises(PowerLossError):
            await loop.run(())
    else:
        running = asyncio.ensure_future(loop.run(()))
        await settle()
        running.cancel()

    needed = {1: 7, 2: 8}  # Which epoch each action relies on.
    for effect in disk.begun:
        if isinstance(effect, Act):
            assert needed[effect.effect_id] in disk.stored


async def test_events_are_decided_in_the_order_in_which_they_came() -> None:
    core, disk = Scripted({}), Disk()
    loop = Loop(core.step, node_state(), disk)
    events: list[Event] = [
        Tick(1.0),
        Heard(1.1, "public", beat()),
        LinkChanged(1.2, "public", up=False),
    ]
    for event in events:
        loop.offer(event)
    running = asyncio.ensure_future(loop.run(()))
    await settle()
    loop.offer(Tick(2.0))
    await settle()
    running.cancel()

    assert core.events == [*events, Tick(2.0)]
    assert loop.ticked_at_s == 2.0


async def test_first_effects_come_before_the_first_event() -> None:
    core, disk = Scripted({Tick: (Note("tick", ""),)}), Disk()
    loop = Loop(core.step, node_state(), disk)
    loop.offer(Tick(1.0))
    running = asyncio.ensure_future(loop.run((Note("begin", ""),)))
    await settle()
    running.cancel()

    assert disk.begun == [Note("begin", ""), Note("tick", "")]


async def test_while_the_disk_hangs_only_what_is_repeated_anyway_is_dropped() -> None:
    core = Scripted({})
    loop = Loop(core.step, node_state(), Disk())
    for second in range(WAITING_MAX + 10):
        loop.offer(Tick(float(second)))
    for second in range(10):
        loop.offer(LookAgain(5000.0 + 30.0 * second, ()))  # All mounts and addresses, for days.
    loop.offer(LinkChanged(9999.0, "public", up=False))
    running = asyncio.ensure_future(loop.run(()))
    await settle(2 * WAITING_MAX)
    running.cancel()

    assert len(core.events) == WAITING_MAX + 1
    assert core.events[-1] == LinkChanged(9999.0, "public", up=False)


async def test_what_is_heard_while_nothing_is_decided_is_judged_as_a_whole() -> None:
    """It costs one decision, before what came after the first of it, and none of it is lost."""
    core = Scripted({})
    loop = Loop(core.step, node_state(), Disk())
    beats = tuple(Heard(float(number), "public", beat()) for number in range(3))
    loop.offer(beats[0])
    for number in range(WAITING_MAX + 10):
        loop.offer(Tick(float(number)))
    for each in beats[1:]:
        loop.offer(each)
    running = asyncio.ensure_future(loop.run(()))
    await settle(2 * WAITING_MAX)
    loop.offer(beats[0])
    await settle()
    running.cancel()

    assert core.events[0] == HeardTogether(2.0, beats)
    assert core.events[-1] == beats[0]
    assert not any(isinstance(event, Heard | HeardTogether) for event in core.events[1:-1])


async def test_of_what_the_peer_said_while_nothing_is_decided_only_the_newest_counts() -> None:
    """A disk takes nothing for minutes: that the peer had left before it came back is history."""
    core = Scripted({})
    loop = Loop(core.step, node_state(), Disk())
    states = (PeerState(7, 0, Standing.CUT, epoch, 1, (), ()) for epoch in range(2))
    said = tuple(PeerStated(float(state.epoch), state) for state in states)
    loop.offer(said[0])
    loop.offer(LinkChanged(1.0, "public", up=True))
    loop.offer(NotStated(1.0, "unreadable"))
    loop.offer(said[1])
    running = asyncio.ensure_future(loop.run(()))
    await settle()
    loop.offer(said[0])
    await settle()
    running.cancel()

    newest = PeerStated(0.0, said[1].state)  # In the turn of the first: time goes no step back.
    assert core.events == [newest, LinkChanged(1.0, "public", up=True), said[0]]


async def test_a_peer_that_says_something_all_the_time_is_heard_all_the_same() -> None:
    """FAIL: each of its words goes behind what came since, and none has its turn."""
    core = Scripted({})
    loop = Loop(core.step, node_state(), Disk())
    running = asyncio.ensure_future(loop.run(()))
    loop.offer(Tick(0.0))
    for number in range(50):
        loop.offer(PeerStated(float(number), PeerState(7, 0, Standing.CUT, number, 1, (), ())))
        loop.offer(Tick(float(number)))
        await asyncio.sleep(0)
    running.cancel()

    assert sum(isinstance(event, PeerStated) for event in core.events) > 4


async def test_a_disk_that_hangs_for_long_does_not_fill_the_memory_with_heartbeats() -> None:
    core = Scripted({})
    loop = Loop(core.step, node_state(), Disk())
    for second in range(HEARD_MAX + 10):
        loop.offer(Heard(float(second), "public", beat()))
    running = asyncio.ensure_future(loop.run(()))
    await settle()
    running.cancel()

    (event,) = core.events
    assert isinstance(event, HeardTogether)
    assert len(event.beats) == HEARD_MAX


async def test_others_get_their_turn_between_two_decisions() -> None:
    """Heartbeats are sent although many events wait."""
    core = Scripted({})
    loop = Loop(core.step, node_state(), Disk())
    for second in range(10):
        loop.offer(Tick(float(second)))
    running = asyncio.ensure_future(loop.run(()))
    decided: list[int] = []
    while len(core.events) < 10:
        await asyncio.sleep(0)
        decided.append(len(core.events))
    running.cancel()

    assert decided == list(range(11))[-len(decided) :], "one at a time"
    assert len(decided) >= 10


async def test_a_bug_ends_the_daemon_with_a_line_that_tells_where(journal: Journal) -> None:
    async def broken() -> None:
        raise ZeroDivisionError("a bug of ours")

    assert await until_broken(broken(), journal) == EXIT_BROKEN
    (line,) = journal.since(0, 10)
    assert (line["name"], line["severity"]) == ("bug", "alarm")
    assert "a bug of ours" in str(line["text"])
    assert "test_loop.py" in str(line["text"])


async def test_a_regular_end_is_no_bug(journal: Journal) -> None:
    async def ends() -> None:
        return

    assert await until_broken(ends(), journal) == 0
    assert names(journal) == []


async def test_a_bug_in_answering_a_request_is_the_requests_problem_alone(
    journal: Journal,
) -> None:
    async def broken() -> int:
        raise KeyError("x")

    with pytest.raises(RpcError, match="internal error: KeyError"):
        await contained(broken, journal)
    assert names(journal) == ["bug"]


async def test_a_bug_in_what_decides_nothing_ends_nothing_and_it_is_tried_again(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "AGAIN_S", 0.0)
    tries = iter((ZeroDivisionError("a bug of ours"), KeyError("another"), None))

    async def looks() -> None:
        trouble = next(tries)
        if trouble is not None:
            raise trouble

    await aside(looks, journal)
    assert names(journal) == ["bug", "bug"]
    assert list(tries) == []


async def test_what_decides_nothing_can_be_stopped(journal: Journal) -> None:
    working = asyncio.ensure_future(aside(asyncio.Event().wait, journal))
    await settle()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    assert working.cancelled()
    assert names(journal) == []


async def test_a_refusal_is_no_bug(journal: Journal) -> None:
    async def refuses() -> int:
        raise RpcError("no")

    with pytest.raises(RpcError, match=r"^no$"):
        await contained(refuses, journal)
    assert names(journal) == []
