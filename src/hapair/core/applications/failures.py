"""What failed to start: how often, when, and when it is tried again.

No failure is final. The other node is given the application if it can run it; while it cannot, the
start is tried again here, ever more slowly. What failed long ago says nothing any more.
"""

from dataclasses import replace
from typing import Final

from hapair.core.words.item import Failed
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.status import Failure, Record

PAUSE_S: Final = 5.0  # Doubled by each further failure.
PAUSE_DOUBLINGS_MAX: Final = 5
PAUSE_MAX_S: Final = PAUSE_S * 2.0**PAUSE_DOUBLINGS_MAX
EXPIRES_S: Final = 600.0


def _every(record: Record) -> dict[str, Failure]:
    """Return the failures by node; a peer of an older version tells neither time nor number."""
    return {node: Failure(node, 1) for node in record.failed_on} | {
        each.node: each for each in record.failures
    }


def mark(turn: Turn, application: str, wall_s: float) -> None:
    """Count a start that failed here."""
    state = turn.state
    record = state.record(application)
    if record is None or record.owner != state.me:
        return
    every = _every(record)
    before = every.get(state.me)
    count = before.count + 1 if before is not None else 1
    every[state.me] = Failure(state.me, count, int(wall_s))
    turn.put_record(
        replace(
            record,
            version=record.version.after(state.stored.epoch),
            failed_on=tuple(dict.fromkeys((*record.failed_on, state.me))),
            failures=tuple(every[node] for node in sorted(every)),
        )
    )


def settle(turn: Turn) -> None:
    """Learn of new failures; forget the old ones, if this node may write that down."""
    state = turn.state
    known = {
        (record.application, node): _learnt(state, record.application, failure)
        for record in state.stored.records
        for node, failure in _every(record).items()
    }
    turn.change(failures=known)
    for record in state.stored.records:
        if record.owner == state.me and (old := _old(turn.state, record)):
            version = record.version.after(state.stored.epoch)
            turn.put_record(replace(record.forgiven(*old), version=version))


def _learnt(state: NodeState, application: str, failure: Failure) -> Failed:
    before = state.failures.get((application, failure.node))
    if before is not None and before.count == failure.count:
        return before
    return Failed(failure.count, state.now_s)


def _old(state: NodeState, record: Record) -> list[str]:
    """Return the nodes whose failure is long ago; what still fails here is tried all the time."""
    return [
        node
        for node in _every(record)
        if state.now_s - state.failures[record.application, node].at_s >= EXPIRES_S
        and (node != state.me or node not in record.failed_on)
    ]


def again_at_s(state: NodeState, application: str) -> float:
    """Return when what failed to start here may be tried again; 0 when it did not fail."""
    record = state.record(application)
    if record is None or state.me not in record.failed_on:
        return 0.0
    failed = state.failures[application, state.me]
    return failed.at_s + PAUSE_S * 2.0 ** min(failed.count - 1, PAUSE_DOUBLINGS_MAX)
