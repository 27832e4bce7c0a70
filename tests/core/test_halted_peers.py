"""A peer that was halted while it was cut off: its copies are down, and it may have written."""

from hapair.core import explain
from hapair.core.words.events import ConfirmCopy, ConfirmPeerDown
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing, Wanted
from tests.core.bench import NAME, PEER, RESOURCE, Bench, built, record


def left_by() -> Bench:
    """The peer owned it, was silent for a while, and says that it has been halted meanwhile."""
    bench = Bench(built(kind=ArbitrationKind.OPERATOR))
    bench.together()
    bench.peer_says(records=(record(PEER, Wanted.UP),))
    bench.disconnect()
    bench.wait(5.0, hearing=False)
    assert bench.stands(Standing.CUT)
    bench.hear(standing=Standing.HALTED)
    bench.peer_says(standing=Standing.HALTED, left=True)
    assert bench.stands(Standing.ALONE)
    return bench


def found(bench: Bench) -> dict[str, str]:
    return {alarm.name: alarm.text for alarm in explain.alarms(bench.state) if alarm.application}


def test_what_is_named_is_to_form_it() -> None:
    bench = left_by()
    assert bench.state.stored.unproven == (RESOURCE,)
    assert found(bench).keys() == {"unproven-copy"}
    assert f"{PEER} is halted; type there: clform" in found(bench)["unproven-copy"]
    refused = bench.command(ConfirmPeerDown())
    assert refused is not None
    assert not refused.accepted
    assert "type there: clform" in refused.text


def test_a_person_says_that_what_it_wrote_does_not_matter() -> None:
    bench = left_by()
    said = bench.command(ConfirmCopy(NAME))
    assert said is not None
    assert said.accepted
    assert bench.state.stored.unproven == ()
    assert bench.record.owner != PEER
    assert "unproven-copy" not in found(bench)


def test_once_its_machine_is_off_that_is_said_of_the_peer() -> None:
    bench = left_by()
    bench.wait(5.0, hearing=False)
    assert found(bench).keys() == {"stale-data"}
    said = bench.command(ConfirmPeerDown())
    assert said is not None
    assert said.accepted
