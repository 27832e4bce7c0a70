"""Whole stories as text: what node1 asks for, in its order. Read a change of them as a review.

Written anew by: pytest tests/core/test_transcripts.py --rewrite
"""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hapair.core.words.effects import Do
from hapair.core.words.events import Ended, Form, Halt, Introduce, Leave, Move
from hapair.model.data import Connection, Role
from hapair.model.outcome import Done, Refused
from hapair.model.status import Phase, Record, Standing, Version, Wanted
from tests.core.bench import NAME, Bench, facts
from tests.sim.trace import printer

FOLDER: Final = Path(__file__).parent / "transcripts"
Tell = Callable[[str], None]


def the_active_peer_loses_its_power(bench: Bench, tell: Tell) -> None:
    tell("both nodes form; orders runs on node2")
    bench.together()
    bench.peer_says(records=(replace_owner(bench),))
    bench.peer_has(Phase.RUNNING)
    bench.data(facts(peer_role=Role.PRIMARY))
    tell("node2 loses its power: silence, then DRBD notices it too")
    bench.wait(1.0, hearing=False)
    bench.data(facts(connection=Connection.CONNECTING, peer_role=Role.UNKNOWN))
    bench.wait(1.5, hearing=False)


def replace_owner(bench: Bench) -> Record:
    bench.command(Introduce(NAME, Wanted.DOWN))
    return replace(bench.record, owner="node2", wanted=Wanted.UP, version=Version(0, 2))


def a_planned_move(bench: Bench, tell: Tell) -> None:
    bench.running()
    bench.forget_effects()
    tell("an operator types: clmoveapp orders")
    bench.command(Move(NAME))
    tell("node2 has the record, starts orders and says so")
    bench.peer_says(records=bench.state.stored.records)
    bench.data(facts(peer_role=Role.PRIMARY))
    bench.peer_has(Phase.RUNNING)


def a_stop_that_needs_the_ladder(bench: Bench, tell: Tell) -> None:
    bench.running()
    bench.forget_effects()
    tell("an operator types: clhaltapp orders; somebody stands in the mounted folder")
    bench.outcomes = {Do.UNMOUNT: Refused("target is busy")}
    bench.deaf = {Do.END_HOLDERS}
    bench.command(Halt(NAME))
    tell("the holders have been ended")
    bench.outcomes, bench.deaf = {}, set()
    end_what_is_under_way(bench)
    tell("node2 has stored that it is halted")
    bench.peer_says(records=bench.state.stored.records)


def end_what_is_under_way(bench: Bench) -> None:
    busy = next(state.busy for _, state in bench.state.every_item() if state.busy)
    bench.do(Ended(bench.now_s, busy, Done("ended: bash (4711)")))


def a_node_leaves_in_order(bench: Bench, tell: Tell) -> None:
    bench.running()
    bench.forget_effects()
    tell("an operator types on node1: clhalt")
    bench.command(Leave(handover=True))
    tell("node2 has stored the right")
    bench.peer_says(holds_right=True, standing=Standing.ALONE, epoch=1)
    bench.wait(0.5)


def forming_without_the_peer(bench: Bench, tell: Tell) -> None:
    bench.attached = facts(connection=Connection.CONNECTING)
    tell("an operator types: clform --timeout 2s")
    bench.command(Form(timeout_s=2.0))
    bench.wait(3.0, hearing=False)
    tell("the peer returns")
    bench.hear()
    bench.peer_says(accepted=1, standing=Standing.TOGETHER)


STORIES: Final = (
    the_active_peer_loses_its_power,
    a_planned_move,
    a_stop_that_needs_the_ladder,
    a_node_leaves_in_order,
    forming_without_the_peer,
)


def told(story: Callable[[Bench, Tell], None]) -> str:
    """Return the story with the effects of each part below what happened."""
    bench = Bench()
    stream = io.StringIO()
    write = printer(stream)
    bench.on_effect = lambda effect: write(bench.now_s, "", effect)
    bench.forget_effects()

    def tell(text: str) -> None:
        stream.write(f"\n# {text}\n\n")

    story(bench, tell)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    return "\n".join(lines[lines.index("") + 1 :]) + "\n"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_story_goes_as_it_was_told(
    story: Callable[[Bench, Tell], None], request: pytest.FixtureRequest
) -> None:
    file = FOLDER / f"{story.__name__}.txt"
    now = told(story)
    if request.config.getoption("--rewrite"):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(now)
    assert now == file.read_text()
