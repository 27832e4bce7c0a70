"""The last rung of the stop ladder: reset this node, where the application's file allows it.

A reset ends everything else on the node too, so it is asked for only when the other node waits
for what cannot be stopped here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hapair.core import lifecycle, placement
from hapair.core.effects import Layer, ResetNode, Severity
from hapair.core.rules import Rule, first_match
from hapair.core.state import Item, NodeState
from hapair.core.turn import Turn
from hapair.model.application import Application


class Rung(StrEnum):
    WAIT = "wait for a person"
    RESET = "reset this node"


@dataclass(frozen=True, slots=True)
class Stuck:
    """An application of which something cannot be stopped."""

    view: placement.View
    goal: placement.GoalRule


RungRule = Rule[Stuck, Rung]
RUNGS: Final[tuple[RungRule, ...]] = (
    Rule(
        "not-allowed",
        lambda s: not s.view.application.resets_node,
        Rung.WAIT,
        "its file does not allow that this node is reset for it",
    ),
    Rule(
        "gives-way",
        lambda s: s.goal.answer is placement.Goal.GIVE_WAY,
        Rung.RESET,
        "nothing of it may stay up beside the other node's",
    ),
    Rule("moving", lambda s: s.view.moving, Rung.RESET, "the peer waits to start it"),
    Rule(
        "handing-over",
        lambda s: s.view.handing_over and placement.peer_has_all(s.view),
        Rung.RESET,
        "this node leaves, and the peer waits to start it",
    ),
    Rule(
        "failed-here",
        lambda s: s.view.failed_here and placement.peer_has_all(s.view),
        Rung.RESET,
        "it failed to start here, and the peer could start it",
    ),
    Rule("nobody-waits", lambda _: True, Rung.WAIT, "the other node does not wait for it"),
)


def judge(state: NodeState, application: Application) -> RungRule:
    """Return the row that holds for an application that cannot be stopped."""
    seen = placement.view(state, application)
    return first_match(RUNGS, Stuck(seen, placement.goal(state, application)))


def settle(turn: Turn, before: NodeState) -> None:
    """Ask for a reset in the turn in which the ladder of something has come to its end."""
    if turn.state.items is before.items:
        return
    earlier = _stuck(before)
    names = dict.fromkeys(item.application for item in _stuck(turn.state) if item not in earlier)
    for name in names:
        application = turn.state.built.application(name).application
        rule = judge(turn.state, application)
        if rule.answer is Rung.RESET:
            text = f"it cannot be stopped, so this node is reset: {rule.because}"
            turn.note("reset", text, name, Severity.ALARM)
            turn.effects.append(ResetNode(name))


def _stuck(state: NodeState) -> tuple[Item, ...]:
    """Return what cannot be stopped and is no replication: a Secondary hurts nobody."""
    return tuple(
        item
        for item, item_state in state.items.items()
        if item.layer is not Layer.ATTACHED and item_state.rung >= len(lifecycle.LADDER[item.layer])
    )
