"""What came while nothing was decided: judged by when it came, and as a whole."""

from dataclasses import replace

from hapair.core.words.events import Beat, Heard, HeardTogether, NotUnderstood, Tick
from hapair.model.status import Standing
from tests.core.bench import NETWORKS, Bench


def heard(bench: Bench, *after_s: float, echo: int | None = None) -> HeardTogether:
    """Return what came of the peer so long after now, as it is handed over afterwards."""
    said = echo if echo is not None else bench.state.incarnation
    beat = Beat(bench.peer.incarnation, said, bench.peer.standing, bench.peer.epoch)
    beats = tuple(Heard(bench.now_s + s, name, beat) for s in after_s for name in NETWORKS)
    return HeardTogether(beats[-1].at_s, beats)


def test_a_daemon_that_was_busy_while_its_heartbeats_went_on_has_not_stood_still() -> None:
    """What was heard meanwhile is judged by when it came."""
    bench = Bench()
    bench.running()
    bench.do(heard(bench, *(half / 2 for half in range(1, 20))))
    bench.do(Tick(bench.now_s + 0.1))
    assert bench.stands(Standing.TOGETHER)
    assert "paused" not in bench.notes()


def test_a_gap_in_what_was_heard_meanwhile_is_a_pause() -> None:
    bench = Bench()
    bench.running()
    bench.do(heard(bench, 0.5, 1.0, 8.0, 8.5))
    assert bench.stands(Standing.CUT)
    assert "paused" in bench.notes()


def test_what_was_heard_meanwhile_is_judged_as_a_whole() -> None:
    """A peer that did not hear this node for a moment, and does so again, was never lost."""
    bench = Bench()
    bench.running()
    deaf = heard(bench, *(half / 2 for half in range(1, 18)), echo=0)
    again = heard(bench, 9.0, 9.5, 10.0)
    bench.do(HeardTogether(again.at_s, (*deaf.beats, *again.beats)))
    assert bench.stands(Standing.TOGETHER)
    assert "detected" not in bench.notes()


def test_several_heartbeats_that_only_repeat_cost_no_decision() -> None:
    bench = Bench()
    bench.running()
    bench.hear()
    bench.forget_effects()
    before = bench.state
    bench.do(heard(bench, 0.0))
    assert bench.effects == []
    assert replace(bench.state, peer=before.peer) == before


def test_what_was_not_understood_among_it_is_no_repetition() -> None:
    bench = Bench()
    bench.running()
    known = heard(bench, 0.0)
    unread = NotUnderstood(bench.now_s, bench.peer.incarnation)
    bench.do(HeardTogether(bench.now_s, (*known.beats, unread)))
    assert bench.state.peer.not_understood_at_s == bench.now_s
