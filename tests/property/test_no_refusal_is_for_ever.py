"""Whatever goes wrong while an application starts, and however often: it runs when that is over."""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from hapair.core.applications.failures import PAUSE_MAX_S
from hapair.core.members.commands import phase
from hapair.core.words.effects import Do
from hapair.core.words.events import Introduce
from hapair.model.outcome import HeldByPeer, NotNow, Outcome, Refused, Unknown
from hapair.model.status import Phase, Wanted
from tests.core.bench import NAME, PEER, Bench

STARTS: Final = (Do.PROMOTE, Do.MOUNT, Do.ADD_ADDRESSES, Do.START_PROGRAM)
STOPS: Final = (Do.STOP_PROGRAM, Do.KILL_PROGRAM, Do.UNMOUNT, Do.DEMOTE)
outcomes: Final = st.sampled_from(
    [Refused("no"), Unknown("no answer"), NotNow("no memory"), HeldByPeer("node2 has it")]
)
troubles: Final = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from((*STARTS, *STOPS)), outcomes),
        st.floats(0.5, 90.0),
    ),
    min_size=1,
    max_size=4,
)


@given(troubles, st.booleans())
@settings(max_examples=20, deadline=None)
def test_what_only_this_node_can_run_runs_when_the_trouble_is_over(
    found: list[tuple[dict[Do, Outcome], float]],
    alone: bool,  # noqa: FBT001 - drawn
) -> None:
    bench = Bench()
    bench.together()
    bench.peer_has(current=False)
    if alone:
        bench.alone()
    bench.outcomes = found[0][0]
    bench.command(Introduce(NAME, Wanted.UP))
    for bench.outcomes, for_s in found:
        bench.wait(for_s, hearing=not alone)
    bench.outcomes = {}
    bench.wait(PAUSE_MAX_S + 30.0, hearing=not alone)
    state = bench.state
    assert bench.record.owner != PEER
    assert phase(state, state.built.application(NAME).application) is Phase.RUNNING
    assert bench.record.failed_on == ()
