"""Long chains may be interrupted between any two steps: the next start finishes or undoes."""

from functools import partial
from itertools import takewhile

import pytest

from hapair.core.words.events import Command, Halt, Leave, Move
from tests.sim.faults import CrashAtEffect, KillAtEffect, PowerOff
from tests.sim.settings import NODES
from tests.sim.stage import ORDERS, Stage

STEPS_MAX = 60  # No chain here has as many effects on one node.
DAEMON, POWER = "daemon", "power"
COMMANDS: tuple[Command, ...] = (Move(ORDERS), Halt(ORDERS), Leave(handover=True))


def interrupted(node: str, step: int, command: Command, loses: str) -> bool:
    """Interrupt the command's chain at one step; return whether there was such a step."""
    stage = Stage(seed=f"{command}/{node}").begin()
    crash = CrashAtEffect(node, step, 8.0) if loses is POWER else KillAtEffect(node, step, 0.5)
    stage.suffers(crash)
    stage.world.command("node1", command)
    stage.run_for(20.0)
    crashed = stage.world.machines[node].effects_until_crash == 0
    stage.ends_well()
    return crashed


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("loses", [DAEMON, POWER])
def test_a_chain_that_is_interrupted_at_any_step_ends_well(
    command: Command, node: str, loses: str
) -> None:
    reached = partial(interrupted, node, command=command, loses=loses)
    steps = len(list(takewhile(reached, range(1, STEPS_MAX))))
    assert 2 <= steps < STEPS_MAX - 1, "the chain was interrupted nowhere, or it never ends"


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("loses", [DAEMON, POWER])
def test_a_take_over_that_is_interrupted_at_any_step_ends_well(node: str, loses: str) -> None:
    for step in range(1, 30):
        stage = Stage(seed=f"take-over/{node}/{step}").begin()
        stage.suffers(PowerOff("node1", 5.0))
        crash = CrashAtEffect(node, step, 8.0) if loses is POWER else KillAtEffect(node, step, 0.5)
        stage.world.clockwork.after(5.1 if node == "node1" else 0.0, partial(stage.suffers, crash))
        stage.run_for(25.0)
        stage.ends_well()


@pytest.mark.parametrize("step", range(1, 25, 2))
def test_both_daemons_may_die_in_the_middle_of_a_move(step: int) -> None:
    stage = Stage(seed=f"both/{step}").begin()
    stage.suffers(*(KillAtEffect(node, step, 0.7) for node in NODES))
    stage.world.command("node1", Move(ORDERS))
    stage.run_for(20.0)
    stage.ends_well()
