"""What failed to start, or to go on: how often, when, and when it is tried again.

No failure is final. The other node is given the application if it can run it; while it cannot, the
start is tried again here, ever more slowly. What its monitors found on both nodes rests until that
is forgotten. What failed long ago says nothing any more, except that it does not fall back by
itself to a node that it had to leave.
"""

from dataclasses import replace
from typing import Final

from hapair.core.words.item import Failed
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model.monitor import NO_MONITORS
from hapair.model.status import Failure, Record

PAUSE_S: Final = 5.0  # Doubled by each further failure.
PAUSE_DOUBLINGS_MAX: Final = 5
PAUSE_MAX_S: Final = PAUSE_S * 2.0**PAUSE_DOUBLINGS_MAX
EXPIRES_S: Final = NO_MONITORS.period_s
EXPIRES_MIN_S: Final = 60.0  # Whatever is configured: nothing changes places more often.
FALLS_BACK_AFTER_S: Final = 86_400.0


def expires_s(state: NodeState, application: str) -> float:
    """Return how long a failure of an application counts."""
    built = state.built.by_name.get(application)
    period_s = built.application.monitors.period_s if built is not None else EXPIRES_S
    return max(period_s, EXPIRES_MIN_S)


def _every(record: Record) -> dict[str, Failure]:
    """Return the failures by node; a peer of an older version tells neither time nor number."""
    return {node: Failure(node, 1) for node in record.failed_on} | {
        each.node: each for each in record.failures
    }


def mark(
    turn: Turn, application: str, wall_s: float, *, ran: bool = False, final: bool = True
) -> None:
    """Count a failure here: of a start, or of what ``ran``; ``final``: it is not tried at once."""
    state = turn.state
    record = state.record(application)
    if record is None or record.owner != state.me:
        return
    every = _every(record)
    before = every.get(state.me, Failure(state.me, 0))
    if not _is_recent(state, application, state.me):
        before = replace(before, runs=0)
    every[state.me] = replace(
        before, count=before.count + 1, wall_s=int(wall_s), runs=before.runs + ran
    )
    failed_on = dict.fromkeys((*record.failed_on, state.me)) if final else record.failed_on
    turn.put_record(
        replace(
            record,
            version=record.version.after(state.stored.epoch),
            failed_on=tuple(failed_on),
            failures=tuple(every[node] for node in sorted(every)),
        )
    )


def count_anew(turn: Turn, application: str) -> None:
    """Let what its monitors found on this node so far count for nothing."""
    record = turn.state.record(application)
    if record is None or record.owner != turn.state.me:
        return
    after = tuple(
        replace(each, runs=0) if each.node == turn.state.me else each for each in record.failures
    )
    if after != record.failures:
        version = record.version.after(turn.state.stored.epoch)
        turn.put_record(replace(record, version=version, failures=after))


def _is_recent(state: NodeState, application: str, node: str) -> bool:
    failed = state.failures.get((application, node))
    return failed is None or state.now_s - failed.at_s < expires_s(state, application)


def runs_here(state: NodeState, record: Record) -> int:
    """Return how often its monitors ended a run here, of late."""
    return _runs(state, record, state.me)


def _runs(state: NodeState, record: Record, node: str) -> int:
    runs = (each.runs for each in record.failures if each.node == node)
    return next(runs, 0) if _is_recent(state, record.application, node) else 0


def is_worn_there(state: NodeState, record: Record) -> bool:
    """Tell whether the peer used all its restarts up, of late, whatever it runs since."""
    built = state.built.by_name.get(record.application)
    restarts = built.application.monitors.restarts if built is not None else 0
    return _runs(state, record, state.peer_name) > restarts


def gave_up(state: NodeState, record: Record) -> bool:
    """Tell whether it failed on both nodes, and not only to start: it rests until that expires."""
    both = state.me in record.failed_on and state.peer_name in record.failed_on
    return both and any(each.node == state.me and each.runs for each in record.failures)


def left_here(state: NodeState, record: Record) -> Record:
    """Return it with the note that the application left this node because it failed here."""
    left = (replace(each, left=each.left or each.node == state.me) for each in record.failures)
    return replace(record, failures=tuple(left))


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
        if record.owner != state.me or not _every(record):
            continue
        after = _without_old(turn.state, record)
        if after != record:
            turn.put_record(replace(after, version=record.version.after(state.stored.epoch)))


def _learnt(state: NodeState, application: str, failure: Failure) -> Failed:
    before = state.failures.get((application, failure.node))
    if before is not None and before.count == failure.count:
        return before
    return Failed(failure.count, state.now_s)


def _without_old(state: NodeState, record: Record) -> Record:
    """Forget what was long ago; what still fails here is tried all the time."""
    name = record.application
    failed_on = tuple(
        node for node in record.failed_on if node == state.me or _is_recent(state, name, node)
    )
    failures = tuple(each for each in record.failures if _counts(state, name, each, failed_on))
    return replace(record, failed_on=failed_on, failures=failures)


def _counts(
    state: NodeState, application: str, failure: Failure, failed_on: tuple[str, ...]
) -> bool:
    keeps_s = FALLS_BACK_AFTER_S if failure.left else 0.0
    at_s = state.failures[application, failure.node].at_s
    kept = state.now_s - at_s < max(keeps_s, expires_s(state, application))
    return kept or failure.node in failed_on


def again_at_s(state: NodeState, application: str) -> float:
    """Return when what failed here may be tried again; 0 when it did not fail."""
    record = state.record(application)
    if record is None or state.me not in record.failed_on:
        return 0.0
    failed = state.failures[application, state.me]
    if gave_up(state, record):
        return failed.at_s + expires_s(state, application)
    return failed.at_s + PAUSE_S * 2.0 ** min(failed.count - 1, PAUSE_DOUBLINGS_MAX)
