"""Whose the application of a job is, as that may change while the job is at work."""

from hapair.core.words.state import NodeState
from hapair.runtime.jobs.job import Job


def departed(state: NodeState, job: Job) -> str:
    """Return why the next step of a job is not begun; empty: its application is still here.

    The plan looked before the first step, and a step may take hours.
    """
    name, record = job.application, state.record(job.application)
    if name not in job.before.by_name or record is None:
        return ""
    if record.owner == state.me and name not in state.moving:
        return ""
    return f"{name} goes to {state.peer_name} meanwhile; once it is there, it is typed there"


def is_complete(state: NodeState, job: Job) -> bool:
    """Tell whether both nodes have what a build leads to, and the peer uses it by now.

    Only the last answer is missing then. To take it back would mount the data of before.
    """
    record, theirs = state.record(job.application), state.peer.state
    built = job.application in job.built.by_name and state.built == job.built
    if not built or record is None or theirs is None:
        return False
    return record.owner == state.peer_name and theirs.generation == job.built.generation
