"""The runs of an application: which one this is, and whether Lems is to watch it.

A run begins with the start of its uppermost layer, and its number is stored before that. So what a
new daemon finds running is the run that has the last number, and a word about another one, of a
Lems that was left over, says nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hapair.core.applications import items
from hapair.core.applications.goals import Goal
from hapair.core.applications.placement import view
from hapair.core.words.effects import Watch
from hapair.core.words.item import Health, Item
from hapair.core.words.state import NodeState
from hapair.core.words.stored import RunCount
from hapair.core.words.turn import Turn
from hapair.model.application import Application
from hapair.model.status import Wanted

NOBODY: Final = 0  # The run that is watched where none is.
WATCHED_WITH: Final = (Goal.UP, Goal.KEEP)


def _of(state: NodeState, application: str) -> RunCount:
    counts = (each for each in state.stored.runs if each.application == application)
    return next(counts, RunCount(application, NOBODY))


def number(state: NodeState, application: str) -> int:
    """Return the number of the present run, or of the last one; 0 before the first."""
    return _of(state, application).number


def last_failed(state: NodeState, application: str) -> int:
    """Return the last run whose failure was counted: also by a former daemon, but each once."""
    return _of(state, application).failed


def fail(turn: Turn, application: str, run: int) -> None:
    """Remember that the failure of a run is counted."""
    _put(turn, replace(_of(turn.state, application), failed=run))


def begin(turn: Turn, item: Item) -> None:
    """Give the next run its number, if it begins with the start of this item."""
    name = item.application
    if item.layer is list(turn.state.items_of(name))[-1].layer:
        _count(turn, name)


def _count(turn: Turn, name: str) -> None:
    before = _of(turn.state, name)
    _put(turn, replace(before, number=before.number + 1))


def _put(turn: Turn, count: RunCount) -> None:
    others = (each for each in turn.state.stored.runs if each.application != count.application)
    runs = sorted((*others, count), key=lambda each: each.application)
    turn.store(runs=tuple(runs))


def forget(turn: Turn, application: str) -> None:
    """Forget the runs of an application that was released."""
    left = (each for each in turn.state.stored.runs if each.application != application)
    turn.store(runs=tuple(left))


def settle(turn: Turn, reached: Mapping[str, Goal]) -> None:
    """Say which run is to be watched where that has changed, or this daemon never said it.

    ``reached`` are the goals of this step, by application.
    """
    by_name = turn.state.built.by_name
    for name in turn.state.watched:
        if name not in by_name:
            _say(turn, name, NOBODY)
            left = {k: run for k, run in turn.state.watched.items() if k != name}
            turn.change(watched=left)
    for built in turn.state.built.applications:
        name = built.application.name
        if items.is_unknown(turn.state, name):
            continue  # A run that a former daemon began may go on.
        wanted = reached[name] in WATCHED_WITH and _is_up(turn.state, built.application)
        if wanted and number(turn.state, name) == NOBODY:
            _count(turn, name)  # Begun before anybody counted, or what was counted is lost.
        run = number(turn.state, name) if wanted else NOBODY
        if turn.state.watched.get(name) != run:
            _say(turn, name, run)


def _is_up(state: NodeState, application: Application) -> bool:
    """Tell whether it is up here as a whole, also where nothing is done about what is found."""
    seen = view(state, application)
    return seen.mine and seen.wanted is Wanted.UP and seen.complete


def _say(turn: Turn, application: str, run: int) -> None:
    turn.change(watched={**turn.state.watched, application: run})
    turn.effects.append(Watch(application, run))
    health = turn.state.health.get(application, Health())
    if health.silent:  # It is another Lems that watches the next run.
        heard = replace(health, silent="", told=False)
        turn.change(health={**turn.state.health, application: heard})
