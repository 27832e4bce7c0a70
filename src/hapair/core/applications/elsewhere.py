"""A program that runs here although the peer runs its application: seen, told, and stopped.

A socket, a timer, an upgrade or a person starts a unit beside the cluster. On the node without the
data it writes into an empty folder, and clients may reach the wrong one.
"""

from dataclasses import replace
from typing import Final

from hapair.core.applications import maintenance
from hapair.core.words.effects import Layer, Severity
from hapair.core.words.events import Looked
from hapair.core.words.item import Is, Item, StrayLook
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.application import Application, OcfAgent, Unit
from hapair.model.status import Phase, Standing

LOOK_S: Final = 60.0  # Each application is looked at so often, or more rarely where there are many:
APART_S: Final = 3.0  # each look starts a program.


def settle(turn: Turn) -> None:
    """Look at the next program that is down here and runs on the peer."""
    state = turn.state
    before = state.stray_look
    if state.now_s < before.again_at_s:
        return
    there = [
        built.application.name
        for built in state.built.applications
        if _runs_there(state, built.application)
    ]
    later = [name for name in there if name > before.application]
    name = next(iter((*later, *there)), "")
    again_at_s = state.now_s + max(APART_S, LOOK_S / max(len(there), 1))
    turn.change(stray_look=StrayLook(name, again_at_s))
    if name:
        turn.look(Item(name, Layer.PROGRAM))


def _runs_there(state: NodeState, application: Application) -> bool:
    """Tell whether it runs on the peer, and nothing of its program is known to be up here.

    Only cluster software starts a script, so there is nothing to be found.
    """
    record, theirs = state.record(application.name), state.peer.state
    said = theirs.by_name.get(application.name) if theirs is not None else None
    item_state = state.items_of(application.name).get(Item(application.name, Layer.PROGRAM))
    return (
        isinstance(application.program, Unit | OcfAgent)
        and state.standing is Standing.TOGETHER
        and record is not None
        and record.owner != state.me
        and said is not None
        and said.phase is Phase.RUNNING
        and item_state is not None
        and item_state.known is Is.DOWN
        and not item_state.busy
    )


def absorb(turn: Turn, item: Item, looked: Looked) -> None:
    """Take in what a look at a program found that was known to be down.

    Only what certainly runs counts: an agent that cannot tell has lost its data with the move.
    """
    state = turn.state
    item_state = replace(turn.item(item), busy=0)
    application = state.built.application(item.application).application
    turn.put_item(item, item_state)
    found = looked.up is True and not looked.trouble
    if not found or not _runs_there(turn.state, application):
        return
    left_alone = maintenance.holds(turn.state, item.application) is not None
    if not left_alone:
        turn.put_item(item, replace(item_state, known=Is.UP))
    done = "it is left alone until the maintenance is over" if left_alone else "it is stopped here"
    text = (
        f"its program runs here too, although {state.peer_name} runs it; {done}."
        f" See what started it: {_who_starts(application)}"
    )
    severity = Severity.WARNING if left_alone else Severity.ALARM
    turn.note("runs-here-too", text, item.application, severity)


def _who_starts(application: Application) -> str:
    match application.program:
        case Unit(name):
            return f"clbuildapp {application.name} --plan; systemctl status {name}"
        case _:
            return "journalctl -b; crontab -l; systemctl list-timers"
