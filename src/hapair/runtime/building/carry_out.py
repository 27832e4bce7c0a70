"""One step of a build, asked for by the other node: a new process each time, so imports are few."""

from hapair.runtime.building.files import BUSY, BUSY_MEND, BusyError, only_builder
from hapair.runtime.building.steps import Answer, Step
from hapair.runtime.building.wiring import node_side, run_to_end
from hapair.runtime.codec import dumps, loads
from hapair.runtime.places import Places


def carry_out(request: bytes, places: Places) -> str:
    """Return the answer to the step, as JSON."""
    step = loads(Step, request)
    try:
        with only_builder(places):
            answer = run_to_end(node_side(places).perform(step))
    except BusyError:
        answer = Answer(BUSY, BUSY_MEND)
    return dumps(answer).decode()
