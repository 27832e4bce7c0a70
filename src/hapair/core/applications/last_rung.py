"""The last rung of the stop ladder: reset this node, where the application's file allows it.

A reset ends everything else on the node too, so it is asked for only when the other node waits
for what cannot be stopped here.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from hapair.core.applications import dependencies, ladder, placement
from hapair.core.right import hearing
from hapair.core.words.effects import Layer, ResetNode, Severity
from hapair.core.words.item import Is, Item, ItemState
from hapair.core.words.rules import Rule, first_match
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.application import Application
from hapair.model.status import Wanted


class Rung(StrEnum):
    WAIT = "wait for a person"
    RESET = "reset this node"


def _denied(state: NodeState) -> bool:
    return state.lost and hearing.silence(state).denied


def _others_need_this_node(v: placement.View) -> bool:
    built = (each.application for each in v.state.built.applications)
    others = (placement.view(v.state, each) for each in built if each.name != v.application.name)
    return any(not each.stopped and not (each.peer_current and each.joined) for each in others)


RungRule = Rule[placement.View, Rung]
RUNGS: Final[tuple[RungRule, ...]] = (
    Rule(
        "not-allowed",
        lambda v: not v.application.resets_node,
        Rung.WAIT,
        "its file does not allow that this node is reset for it",
    ),
    Rule(
        "nobody-wants-it",
        lambda v: v.wanted is Wanted.DOWN,
        Rung.WAIT,
        "an operator halted it: the other node does not wait for it",
    ),
    Rule(
        "peer-goes-on",
        lambda v: not v.mine or hearing.superseded(v.state) or _denied(v.state),
        Rung.RESET,
        "the peer has the right to run it, and nothing of it may stay up here",
    ),
    Rule(
        "others-need-this-node",
        _others_need_this_node,
        Rung.WAIT,
        "another application runs here whose copy on the peer lacks something",
    ),
    Rule("moving", lambda v: v.moving, Rung.RESET, "the peer waits to start it"),
    Rule(
        "failed-here",
        lambda v: v.failed_here and dependencies.peer_takes(v),
        Rung.RESET,
        "it failed here, and the peer could start it",
    ),
    Rule("nobody-waits", lambda _: True, Rung.WAIT, "the other node does not wait for it"),
)


def judge(state: NodeState, application: Application) -> RungRule | None:
    """Return the row that holds for an application that cannot be stopped; None when it can."""
    if _stuck(state.items_of(application.name)):
        return first_match(RUNGS, placement.view(state, application))
    return None


def cannot_stop(v: placement.View) -> bool:
    """Tell whether the ladder has come to its end, and this node is not reset for it."""
    rung = judge(v.state, v.application)
    return rung is not None and rung.answer is Rung.WAIT


def settle(turn: Turn, before: NodeState) -> None:
    """Ask for a reset in the turn in which the ladder of something has come to its end."""
    for name, items in turn.state.items.items():
        earlier = before.items_of(name)
        if items is earlier or set(_stuck(items)) <= set(_stuck(earlier)):
            continue
        rule = first_match(
            RUNGS, placement.view(turn.state, turn.state.built.application(name).application)
        )
        if rule.answer is Rung.RESET:
            text = f"it cannot be stopped, so this node is reset: {rule.because}"
            turn.note("reset", text, name, Severity.ALARM)
            turn.effects.append(ResetNode(name))


def _stuck(items: Mapping[Item, ItemState]) -> tuple[Item, ...]:
    """Return what is known to be up at the end of its ladder, and is no replication.

    A Secondary hurts nobody. What may have stopped after all is looked at first.
    """
    return tuple(
        item
        for item, item_state in items.items()
        if item.layer is not Layer.ATTACHED
        and item_state.known is not Is.UNKNOWN
        and item_state.rung >= len(ladder.LADDER[item.layer])
    )
