"""A peer of another version: alive whatever it says, and acted together with if both can."""

from dataclasses import MISSING, fields, replace
from typing import Final

import pytest

from hapair.core import explain
from hapair.core.right.hearing import superseded
from hapair.core.words.effects import FencePeer
from hapair.core.words.events import (
    Fenced,
    Form,
    NotStated,
    NotUnderstood,
    PeerState,
    SaidTerms,
)
from hapair.core.words.protocol import (
    FEATURES,
    NEEDS,
    OLDEST,
    OURS,
    PROTOCOL,
    UNSAID,
    Speaks,
    as_known,
    work_together,
)
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing
from tests.core.bench import ME, PEER, Bench, built

TOO_OLD: Final = Speaks(OLDEST - 1, 0, ())
TOO_NEW: Final = Speaks(PROTOCOL + 9, PROTOCOL + 1, ())
NEXT: Final = Speaks(PROTOCOL + 1, PROTOCOL, (*OURS.features, "more"))


def babbles(bench: Bench, for_s: float, incarnation: int | None = None) -> None:
    """Hear for a while what this version cannot read."""
    end_s = bench.now_s + for_s
    while bench.now_s < end_s:
        bench.wait(0.5, hearing=False)
        bench.do(NotUnderstood(bench.now_s, incarnation or bench.peer.incarnation))


def tries(bench: Bench) -> int:
    return sum(isinstance(effect, FencePeer) for effect in bench.effects)


@pytest.mark.parametrize(
    "kind", [ArbitrationKind.FENCING, ArbitrationKind.PATHS, ArbitrationKind.OPERATOR]
)
def test_who_is_not_understood_is_alive_for_ever(kind: ArbitrationKind) -> None:
    bench = Bench(built(kind=kind))
    bench.running()
    bench.disconnect()
    bench.forget_effects()
    babbles(bench, 200.0, bench.peer.incarnation + 1)
    assert bench.stands(Standing.CUT)
    assert tries(bench) == 0
    assert bench.state.reasons["arbitration"] == "not-understood"
    assert "not-understood" in {alarm.name for alarm in explain.alarms(bench.state)}


def test_a_proof_counts_once_nothing_more_is_heard() -> None:
    bench = Bench(built(kind=ArbitrationKind.FENCING))
    bench.running()
    bench.disconnect()
    bench.wait(2.1, hearing=False)
    assert tries(bench) == 1
    babbles(bench, 1.0)
    bench.wait(2.5, hearing=False)
    bench.do(Fenced(bench.now_s, proven=True, text="off"))
    assert bench.stands(Standing.ALONE)


def test_what_a_former_incarnation_sent_says_nothing() -> None:
    bench = Bench()
    bench.running()
    before = bench.state.peer
    bench.do(NotUnderstood(bench.now_s, bench.peer.incarnation - 1))
    assert bench.state.peer == before


def test_what_was_stated_is_void_when_the_peer_is_heard_but_not_understood() -> None:
    bench = Bench(built(kind=ArbitrationKind.OPERATOR))
    bench.state = replace(bench.state, confirmed=True)
    bench.do(NotUnderstood(bench.now_s, 7))
    assert not bench.state.confirmed


def test_a_peer_with_an_unknown_standing_may_act_alone() -> None:
    bench = Bench()
    bench.running()
    bench.hear(standing=Standing.UNKNOWN, epoch=bench.state.stored.epoch + 1)
    assert superseded(bench.state)


@pytest.mark.parametrize(("theirs", "older"), [(TOO_OLD, PEER), (TOO_NEW, "this node")])
def test_a_version_that_is_too_old_is_named_and_not_acted_together_with(
    theirs: Speaks, older: str
) -> None:
    bench = Bench()
    bench.command(Form())
    bench.hear()
    bench.peer_says(accepted=bench.state.incarnation, speaks=theirs)
    bench.wait(30.0)
    assert bench.stands(Standing.FORMING)
    assert bench.state.peer_heard
    (alarm,) = [each for each in explain.alarms(bench.state) if each.name == "versions"]
    assert f"install the newer version of hapair on {older}" in alarm.text


def test_what_is_said_goes_without_what_the_other_version_does_not_know() -> None:
    bench = Bench()
    bench.together()
    assert bench.state.published is not None
    whole = replace(bench.state.published, wrote_nothing=("orders.data",))
    assert as_known(whole, UNSAID) == replace(whole, wrote_nothing=(), terms=SaidTerms())
    assert as_known(whole, OURS) == as_known(whole, NEXT) == whole


def test_what_needs_a_feature_can_be_left_out_and_the_feature_is_told_to_people() -> None:
    gated = [each for each in fields(PeerState) if NEEDS in each.metadata]
    assert gated
    assert {each.metadata[NEEDS] for each in gated} <= set(FEATURES)
    assert MISSING not in {each.default for each in gated}


def alarm_texts(bench: Bench) -> list[str]:
    return [each.text for each in explain.alarms(bench.state) if each.name == "not-stated"]


@pytest.mark.parametrize("kind", ArbitrationKind)
def test_a_peer_whose_state_cannot_be_read_lives_and_is_named_until_it_can(
    kind: ArbitrationKind,
) -> None:
    bench = Bench(built(kind=kind))
    bench.running()
    bench.forget_effects()
    for number in range(3):
        bench.do(NotStated(bench.now_s, f"hapair 99: {number}"))
        bench.wait(20.0)
    assert bench.stands(Standing.CUT)
    assert bench.state.peer_heard
    assert bench.state.reasons["arbitration"] == "peer-heard"
    assert tries(bench) == 0
    assert bench.state.accepted == 0
    (text,) = alarm_texts(bench)
    assert f"{PEER} states what this version of hapair cannot read (hapair 99: 2)" in text
    assert bench.notes().count("not-stated") == 1, "the history has one line for all of them"
    bench.peer_says(accepted=bench.state.incarnation)
    bench.wait(1.0)
    assert bench.stands(Standing.TOGETHER)
    assert alarm_texts(bench) == []


def test_nothing_is_said_of_the_state_of_a_peer_that_is_silent() -> None:
    bench = Bench()
    bench.running()
    bench.do(NotStated(bench.now_s, "hapair 99"))
    bench.wait(5.0, hearing=False)
    assert alarm_texts(bench) == []


def test_versions_that_follow_each_other_act_together() -> None:
    bench = Bench()
    bench.peer = replace(bench.peer, speaks=NEXT)
    bench.together()
    assert work_together(OURS, NEXT)
    assert not [alarm for alarm in explain.alarms(bench.state) if alarm.name == "versions"]
    assert bench.state.me == ME
