"""Before something is given to the peer it has to store a number."""

from hapair.core.applications import trials
from hapair.core.words.effects import Publish, Reply, Store
from hapair.core.words.events import Introduce, Leave, Move
from hapair.core.words.protocol import OURS, UNSAID
from hapair.model.status import Standing, Wanted
from tests.core.bench import ME, NAME, PEER, Bench, built
from tests.sim.settings import application


def moving() -> Bench:
    """The application is stopped here, and the peer is asked whether it can store."""
    bench = Bench()
    bench.running()
    bench.peer_says(speaks=OURS, stored_for=7)
    bench.command(Move(NAME))
    bench.wait(1.0)
    return bench


def asked(bench: Bench) -> int:
    return [e.state for e in bench.effects if isinstance(e, Publish)][-1].asks_store


def test_it_is_given_when_the_peer_has_stored_it() -> None:
    bench = moving()
    assert asked(bench) == 8
    assert bench.record.owner == ME
    assert trials.waits(bench.state)
    bench.peer_says(stored_for=8)
    assert bench.record.owner == PEER
    assert asked(bench) == 0


def test_an_answer_counts_for_one_step() -> None:
    bench = moving()
    bench.peer_has(current=False)
    bench.peer_says(stored_for=8)
    assert bench.record.owner == ME
    bench.peer_has(current=True)
    bench.command(Move(NAME))
    bench.wait(1.0)
    assert asked(bench) == 9


def test_a_peer_that_does_not_answer_takes_nothing_before_it_does() -> None:
    bench = moving()
    bench.wait(trials.ANSWERS_WITHIN_S)
    assert bench.record.owner == ME
    assert bench.state.moving == ()
    refused = bench.command(Move(NAME))
    assert refused is not None
    assert "cannot store" in refused.text
    bench.peer_says(stored_for=8)
    assert not trials.takes_nothing(bench.state)
    bench.command(Move(NAME))
    bench.wait(1.0)
    assert asked(bench) == 9


def test_a_former_version_is_not_asked() -> None:
    bench = Bench()
    bench.running()
    bench.peer_says(speaks=UNSAID)
    bench.command(Move(NAME))
    bench.wait(1.0)
    assert bench.record.owner == PEER


def test_nor_is_it_waited_for() -> None:
    bench = moving()
    bench.peer_says(speaks=UNSAID)
    assert bench.record.owner == PEER
    assert asked(bench) == 0


def falling_back() -> Bench:
    """The application runs here, and its preferred node is back with current data."""
    bench = Bench(built(application(NAME, preferred=PEER, failback=True)))
    bench.together()
    bench.peer_has(current=False)
    bench.command(Introduce(NAME, Wanted.UP))
    bench.wait(20.0)
    bench.peer_says(speaks=OURS, stored_for=7)
    bench.forget_effects()
    bench.peer_has()
    return bench


def test_nothing_that_nobody_asked_for_is_stopped_before_the_peer_has_stored_it() -> None:
    bench = falling_back()
    assert asked(bench) == 8
    assert bench.acts() == []
    bench.peer_says(stored_for=8)
    assert "failback" in bench.notes()
    assert not bench.up
    assert asked(bench) == 9, "the answer of before the stop says little after it"
    bench.peer_says(stored_for=9)
    assert bench.record.owner == PEER


def test_nor_for_a_peer_that_died_a_moment_ago() -> None:
    bench = falling_back()
    bench.wait(bench.state.detection_s + 1.0, hearing=False)
    bench.wait(trials.ANSWERS_WITHIN_S, hearing=False)
    assert bench.acts() == []
    assert ("program", NAME, "") in bench.up


def test_what_the_peer_asks_for_is_stored_once() -> None:
    bench = Bench()
    bench.together()
    bench.forget_effects()
    bench.peer_says(asks_store=3)
    bench.peer_says(asks_store=3)
    bench.peer_says(asks_store=0)
    stores = [e.stored.stored_for for e in bench.effects if isinstance(e, Store)]
    assert stores == [3]
    assert bench.state.published is not None
    assert bench.state.published.stored_for == 3


def leaving(*, shutdown: bool = False) -> Bench:
    bench = Bench()
    bench.running()
    bench.peer_says(speaks=OURS)
    bench.command(Leave(handover=True, shutdown=shutdown))
    bench.wait(1.0)
    return bench


def test_who_leaves_waits_for_it() -> None:
    bench = leaving()
    assert bench.state.stored.formed
    bench.peer_says(stored_for=1)
    assert bench.record.owner == PEER
    assert not bench.state.stored.formed


def test_who_leaves_in_vain_stays() -> None:
    bench = leaving()
    bench.wait(trials.ANSWERS_WITHIN_S)
    bench.peer_says(standing=Standing.TOGETHER)
    assert bench.stands(Standing.TOGETHER)
    assert "cannot-leave" in bench.notes()
    texts = [e.text for e in bench.effects if isinstance(e, Reply)]
    assert any(f"{PEER} cannot store" in text for text in texts)


def test_a_machine_that_goes_down_asks_nobody() -> None:
    assert leaving(shutdown=True).record.owner == PEER
