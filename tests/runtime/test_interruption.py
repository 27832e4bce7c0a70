"""The daemon is killed at every step of a start, a move and a halt; the next one goes on.

A step is every moment at which the daemon waits for the disk or for the machine: just before the
deed, and just after it when nobody has heard of it yet.
"""

import asyncio
from pathlib import Path
from typing import Final

import pytest

from hapair.core.words.events import Command, Form, Halt, Introduce, Move
from hapair.core.words.stored import Stored
from hapair.model.status import Phase, Wanted
from hapair.runtime.codec import loads
from hapair.runtime.node.state_file import STATE
from tests.runtime.pair import Side, Two, formed, two, without_data
from tests.runtime.virtual_time import virtually

SETTLED_S: Final = 40.0  # Virtual seconds, for back-offs of the core.
STEPS_MAX: Final = 60


class Killer:
    """Kills the daemon of one side at its n-th step."""

    def __init__(self, side: Side, step: int) -> None:
        self.side = side
        self.left = step
        self.struck = False
        side.machine.at_step = self.step
        side.at_step = self.step

    async def step(self) -> None:
        self.left -= 1
        if self.left != 0:
            return
        self.struck = True
        self.side.die()
        await asyncio.sleep(0)  # Here the cancellation of this very task arrives.


def restart(pair: Two, side: Side) -> None:
    side.start(without_data(), loads(Stored, side.stored[STATE]) if side.stored else Stored())
    pair.connect()


def watch_both(pair: Two) -> None:
    """From now on the start of what runs elsewhere fails the test."""
    first, second = pair.sides.values()
    for here, there in ((first, second), (second, first)):
        here.machine.elsewhere = there.machine


async def killed(pair: Two, name: str, step: int, command: Command | None) -> bool:
    """Give the command, kill the daemon at its step, restart it; tell whether it was struck."""
    side = pair[name]
    watch_both(pair)
    killer = Killer(side, step)
    if command is not None:
        side.command(9, command)
    for _ in range(100):
        await asyncio.sleep(0.05)
        if killer.struck:
            break
    side.machine.at_step = side.at_step = None
    if killer.struck:
        restart(pair, side)
    await asyncio.sleep(SETTLED_S)
    return killer.struck


def told(pair: Two) -> str:
    return " ".join(f"{side.name} {side.standing} {side.phase}" for side in pair.sides.values())


def runs_on_one(pair: Two) -> bool:
    phases = sorted(side.phase for side in pair.sides.values())
    return phases == [Phase.RUNNING, Phase.STOPPED]


def runs_nowhere(pair: Two) -> bool:
    return all(side.phase is Phase.STOPPED for side in pair.sides.values())


@virtually
async def test_a_halt_is_finished_by_the_next_daemon_or_never_began(tmp_path: Path) -> None:
    for step in range(1, STEPS_MAX):
        pair = await formed(tmp_path / str(step))
        struck = await killed(pair, "node1", step, Halt("orders"))
        record = pair["node1"].running.state.record("orders")
        assert record is not None
        settled = runs_nowhere(pair) if record.wanted is Wanted.DOWN else runs_on_one(pair)
        assert settled, f"death at step {step}: {told(pair)}"
        pair.end()
        if not struck:
            assert step > 4
            assert record.wanted is Wanted.DOWN
            return
    pytest.fail("it has no end")


@pytest.mark.parametrize("name", ["node1", "node2"])
@virtually
async def test_a_move_ends_with_the_application_on_exactly_one_node(
    tmp_path: Path, name: str
) -> None:
    for step in range(1, STEPS_MAX):
        pair = await formed(tmp_path / str(step))
        pair["node1"].command(8, Move("orders"))
        struck = await killed(pair, name, step, None)
        assert runs_on_one(pair), f"death at step {step}: {told(pair)}"
        pair.end()
        if not struck:
            assert step > 4
            return
    pytest.fail("it has no end")


@virtually
async def test_a_start_is_finished_by_the_next_daemon(tmp_path: Path) -> None:
    for step in range(1, STEPS_MAX):
        pair = two(tmp_path / str(step))
        for side in pair.sides.values():
            side.command(1, Form())
        await asyncio.sleep(2.0)
        introduce = Introduce("orders", Wanted.UP)
        struck = await killed(pair, "node1", step, introduce)
        if pair["node1"].running.state.record("orders") is not None:
            assert runs_on_one(pair), f"death at step {step}: {told(pair)}"
        pair.end()
        if not struck:
            assert step > 4
            return
    pytest.fail("it has no end")
