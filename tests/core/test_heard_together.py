"""What came while nothing was decided: judged by when it came, and as a whole."""

from dataclasses import replace

import pytest

from hapair.core.copies import doubts
from hapair.core.words.effects import Store
from hapair.core.words.events import Beat, DataChanged, Heard, HeardTogether, NotUnderstood, Tick
from hapair.model.data import Connection
from hapair.model.status import Standing
from tests.core.bench import NETWORKS, RESOURCE, Bench, facts


def heard(
    bench: Bench,
    *after_s: float,
    echo: int | None = None,
    unprotected: tuple[str, ...] | None = (),
) -> HeardTogether:
    """Return what came of the peer so long after now, as it is handed over afterwards."""
    said = echo if echo is not None else bench.state.incarnation
    beat = Beat(bench.peer.incarnation, said, bench.peer.standing, bench.peer.epoch, unprotected)
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


def together(*parts: HeardTogether) -> HeardTogether:
    beats = tuple(beat for part in parts for beat in part.beats)
    return HeardTogether(beats[-1].at_s, beats)


def test_what_the_peer_wrote_alone_meanwhile_is_missing_whatever_it_says_last() -> None:
    """Nor does a connection from before that clear it, of which the kernel told meanwhile."""
    bench = Bench()
    bench.together()
    began_s = bench.now_s
    alone = heard(bench, 1.0, 1.5, unprotected=(RESOURCE,))
    bench.do(together(alone, heard(bench, 2.0, 2.5, 3.0)))
    assert RESOURCE in bench.state.stored.behind
    bench.do(DataChanged(began_s + 0.1, (facts(connection=Connection.CONNECTING),)))
    bench.do(DataChanged(began_s + 0.5, (facts(),)))
    assert RESOURCE in bench.state.stored.behind
    bench.do(DataChanged(began_s + 0.9, (facts(connection=Connection.CONNECTING),)))
    bench.wait(10.0)
    assert RESOURCE in bench.state.stored.behind
    bench.do(DataChanged(bench.now_s, (facts(),)))
    assert RESOURCE not in bench.state.stored.behind


@pytest.mark.parametrize("told", [(RESOURCE,), None])
def test_a_connection_that_lasted_longer_than_the_peers_word_proves_the_copy(
    told: tuple[str, ...] | None,
) -> None:
    """The kernel would have noticed by then that it had been lost."""
    bench = Bench()
    bench.together()
    bench.do(together(heard(bench, 0.5, unprotected=told), heard(bench, 1.0, 1.5)))
    assert (RESOURCE in bench.state.stored.behind) is (told is not None)
    bench.wait(2.0)
    assert not bench.state.joined_from_s[RESOURCE] <= bench.now_s
    bench.wait(2.0)
    assert doubts.is_current(bench.state, RESOURCE)


def test_a_connection_of_which_the_kernel_told_late_proves_the_copy() -> None:
    """FAIL: the only good copy counts as one that misses writes, and only a person helps."""
    bench = Bench()
    bench.together()
    bench.state = replace(bench.state, stored=replace(bench.state.stored, behind=(RESOURCE,)))
    began_s = bench.now_s
    bench.do(DataChanged(began_s, (facts(connection=Connection.CONNECTING),)))
    bench.do(heard(bench, 1.0, 2.0, 3.0))
    bench.do(DataChanged(began_s + 1.5, (facts(),)))
    assert RESOURCE not in bench.state.stored.behind


def test_what_the_owner_could_not_write_makes_its_copy_no_older() -> None:
    bench = Bench()
    bench.running()
    bench.do(together(heard(bench, 0.5, unprotected=(RESOURCE,)), heard(bench, 1.0)))
    assert doubts.is_current(bench.state, RESOURCE)


def test_what_is_told_all_the_time_is_stored_when_it_changes_hands() -> None:
    """The heartbeats only repeat; what they mean is new as soon as the peer owns it."""
    bench = Bench()
    bench.together()
    bench.hear(unprotected=(RESOURCE,))
    bench.state = replace(bench.state, stored=replace(bench.state.stored, behind=()))
    bench.forget_effects()
    bench.do(heard(bench, 0.0, unprotected=(RESOURCE,)))
    assert any(isinstance(e, Store) and e.stored.behind == (RESOURCE,) for e in bench.effects)
