"""Which of the peer's daemons counts, when its numbers went back."""

from dataclasses import replace

from hapair.core.words.events import PeerStated
from tests.core.bench import Bench


def test_an_older_incarnation_that_lives_is_agreed_with_anew() -> None:
    """The peer has a new disk, and its clock was not set when it counted its start."""
    bench = Bench()
    bench.together()
    bench.wait(3.0, hearing=False)
    bench.peer = replace(bench.peer, incarnation=6, accepted=1)
    bench.do(PeerStated(bench.now_s, bench.peer, lives=True))
    assert (bench.state.peer.incarnation, bench.state.accepted) == (6, 0)
    bench.hear(incarnation=6)
    bench.peer_says(epoch=bench.state.stored.epoch)
    assert bench.state.accepted == 6
    assert bench.state.peer_heard
