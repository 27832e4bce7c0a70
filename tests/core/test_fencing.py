"""Fencing: who does it when, and what counts as proof."""

from dataclasses import replace

from hapair.core import explain
from hapair.core.right.fencing import HUNG_S
from hapair.core.words.effects import FencePeer
from hapair.core.words.events import Fenced
from hapair.model.built import Built
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing
from tests.core.bench import NAME, PEER, Bench, record
from tests.core.test_membership import MEMBER
from tests.sim.settings import Shape, application, built_from


def by_fencing() -> Built:
    return built_from(Shape(ArbitrationKind.FENCING, (application(NAME),)))


def tries(bench: Bench) -> int:
    return sum(isinstance(e, FencePeer) for e in bench.effects)


def silent(bench: Bench, for_s: float = 2.1) -> None:
    bench.running()
    bench.disconnect()
    bench.forget_effects()
    bench.wait(for_s, hearing=False)


def test_the_active_node_fences_at_once_and_goes_on_after_the_proof() -> None:
    bench = Bench(by_fencing())
    silent(bench)
    assert tries(bench) == 1
    assert bench.stands(Standing.CUT)
    bench.do(Fenced(bench.now_s, proven=True, text="fence_strip: off"))
    assert bench.stands(Standing.ALONE)
    assert "fenced" in bench.notes()


def test_the_passive_node_fences_after_the_lead() -> None:
    bench = Bench(by_fencing())
    bench.together()
    bench.peer_says(records=(record(PEER),))
    bench.disconnect()
    bench.wait(6.9, hearing=False)
    assert tries(bench) == 0
    bench.wait(0.2, hearing=False)
    assert tries(bench) == 1


def test_a_failure_is_no_proof_and_is_tried_again_ever_more_rarely() -> None:
    bench = Bench(by_fencing())
    silent(bench)
    for expected in (2, 3):
        bench.do(Fenced(bench.now_s, proven=False, text="fence_strip: no answer"))
        assert bench.stands(Standing.CUT)
        assert "fencing-failed" in {alarm.name for alarm in explain.alarms(bench.state)}
        bench.wait(4.0, hearing=False)
        assert tries(bench) == expected - 1
        bench.wait(8.0, hearing=False)
        assert tries(bench) == expected


def test_what_was_proven_is_void_when_the_peer_is_heard_again() -> None:
    bench = Bench(by_fencing())
    silent(bench)
    bench.hear()
    bench.do(Fenced(bench.now_s, proven=True, text="too late"))
    bench.wait(1.0, hearing=False)
    assert not bench.state.fencing.proven
    assert not bench.stands(Standing.ALONE)


def test_a_node_that_has_not_joined_since_its_boot_fences_nobody() -> None:
    bench = Bench(by_fencing(), stored=replace(MEMBER, joined_boot_id="boot0"))
    bench.wait(90.0, hearing=False)
    assert tries(bench) == 0


def test_a_living_kernel_is_fenced_only_when_its_daemon_must_hang() -> None:
    bench = Bench(by_fencing())
    bench.running()
    bench.wait(HUNG_S - 5.0, hearing=False)
    assert tries(bench) == 0
    bench.wait(10.0, hearing=False)
    assert tries(bench) == 1
    bench.do(Fenced(bench.now_s, proven=True, text="off"))
    assert bench.stands(Standing.CUT), "the replication link has not noticed it yet"
    bench.disconnect()
    bench.wait(1.0, hearing=False)
    assert bench.stands(Standing.ALONE)


def test_an_agent_that_is_under_way_is_waited_for_before_the_next_one() -> None:
    bench = Bench(by_fencing())
    silent(bench)
    bench.hear()
    bench.peer_says(accepted=bench.state.incarnation)
    bench.wait(10.0, hearing=False)
    assert tries(bench) == 1, "the first one has not answered yet"
    bench.do(Fenced(bench.now_s, proven=True, text="too late"))
    assert not bench.state.fencing.proven
    assert tries(bench) == 2
    bench.do(Fenced(bench.now_s, proven=True, text="off"))
    assert bench.stands(Standing.ALONE)
    bench.do(Fenced(bench.now_s, proven=True, text="twice"))
    assert bench.state.fencing.text == "off"


def test_a_heartbeat_that_hears_nothing_ends_a_proof_and_begins_no_other_agent() -> None:
    bench = Bench(by_fencing())
    silent(bench)
    bench.hear(echo=0)
    assert bench.state.fencing.busy
    assert tries(bench) == 1
    bench.do(Fenced(bench.now_s, proven=True, text="off"))
    assert bench.stands(Standing.ALONE)
    bench.hear(echo=0)
    assert not bench.state.fencing.proven
