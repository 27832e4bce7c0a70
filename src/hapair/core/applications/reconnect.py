"""A resource that gave its peer up (StandAlone) tries again, a few times.

DRBD gives up when two Primaries meet: the loser of a partition that has not stopped yet, and the
winner. When the loser has stopped, nothing keeps the copies apart but that nobody tries. A true
split brain only makes DRBD compare, refuse and give up again: nothing is ever discarded.

It gives up as well when somebody cannot prove that he is the peer. While the peer is not heard on
the replication network, whoever answers there is not the peer: nothing is tried.

The tries begin anew when the copies are connected, or the peer is silent there, a minute after the
last one. A connection that ends sooner has not mended anything, and one that flaps would be tried
for ever.
"""

from typing import Final

from hapair.core.applications import items
from hapair.core.words.effects import Act, Do
from hapair.core.words.item import Reconnects
from hapair.core.words.turn import Turn
from hapair.model import timing
from hapair.model.data import Connection, Disk
from hapair.model.status import Phase, Standing

TRIES_MAX: Final = 6
FIRST_AFTER_S: Final = 2.0  # Doubled after each try.
COUNTS_FOR_S: Final = 60.0


def settle(turn: Turn) -> None:
    state = turn.state
    for built in state.built.applications:
        for volume in built.volumes:
            facts = state.facts.get(volume.resource)
            apart = facts is not None and facts.connection is Connection.STAND_ALONE
            if facts is None or not apart or facts.disk is Disk.DISKLESS:
                if facts is not None and facts.kernel_answers:
                    _forget(turn, volume.resource)
            elif not state.heard_on(state.built.cluster.replication_network.name):
                _forget(turn, volume.resource)
            elif _can_meet(turn, built.application.name):
                _try(turn, built.application.name, volume.resource)


def _forget(turn: Turn, resource: str) -> None:
    state = turn.state
    tried = state.reconnects.get(resource)
    if tried is not None and tried.counts_until_s <= state.now_s:
        left = {k: v for k, v in state.reconnects.items() if k != resource}
        turn.change(reconnects=left)


def _can_meet(turn: Turn, application: str) -> bool:
    """Tell whether one side has stopped: two Primaries would only give up again."""
    state = turn.state
    theirs = state.peer.state
    if theirs is None or state.standing is not Standing.TOGETHER:
        return False
    record = state.record(application)
    if record is not None and record.owner == state.me:
        said = theirs.by_name.get(application)
        return said is not None and said.phase is Phase.STOPPED
    return items.is_stopped(state, application)  # Else this side is still giving way.


def _try(turn: Turn, application: str, resource: str) -> None:
    state = turn.state
    before = state.reconnects.get(resource, Reconnects(0, state.now_s + FIRST_AFTER_S))
    if before.tries >= TRIES_MAX or state.now_s < before.again_at_s:
        turn.change(reconnects={**state.reconnects, resource: before})
        return
    wait_s = FIRST_AFTER_S * 2.0 ** (before.tries + 1)
    after = Reconnects(before.tries + 1, state.now_s + wait_s, state.now_s + COUNTS_FOR_S)
    turn.change(reconnects={**state.reconnects, resource: after})
    turn.note("reconnect", f"{resource} had given its peer up and tries again", application)
    effect_id = turn.number()
    act = Act(effect_id, Do.BRING_UP, application, resource, timing.REPLICATION_S)
    turn.effects.append(act)
