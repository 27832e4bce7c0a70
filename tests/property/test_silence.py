"""Rule R3 as a property: whatever else is the case, silence alone never grants anything."""

from hypothesis import given
from hypothesis import strategies as st

from hapair.core.right.arbitration import TABLES, Silence, Verdict, judge
from hapair.model.cluster import ArbitrationKind

SILENCES = st.builds(Silence, networks=st.integers(1, 4), references=st.integers(0, 3))


THIRD_PARTY = (ArbitrationKind.WITNESS, ArbitrationKind.FENCING)


@given(SILENCES)
def test_nobody_is_granted_the_right_beside_a_peer_that_shows_a_sign_of_life(
    silence: Silence,
) -> None:
    """Where a third party decides, a peer that does not hear this node counts as silent."""
    if judge(silence).answer is Verdict.GRANT:
        assert not silence.peer_heard
        assert silence.kind in THIRD_PARTY or not silence.peer_alive
        assert not silence.kernel_answers
        assert silence.long_enough


@given(SILENCES)
def test_without_a_confirmation_silence_alone_grants_nothing(silence: Silence) -> None:
    if judge(silence).answer is not Verdict.GRANT or silence.confirmed:
        return
    match silence.kind:
        case ArbitrationKind.PATHS:
            assert silence.was_together
            assert silence.networks >= 2
            assert silence.own_links_up
            assert silence.probed
            assert silence.answering >= silence.references
        case ArbitrationKind.WITNESS:
            assert silence.granted or silence.waiver
        case ArbitrationKind.FENCING:
            assert silence.fenced
        case ArbitrationKind.OPERATOR:
            raise AssertionError(silence)


@given(SILENCES)
def test_only_the_side_that_is_cut_off_stops_what_runs(silence: Silence) -> None:
    if judge(silence).answer is Verdict.ISOLATED:
        assert silence.kind is ArbitrationKind.PATHS
        assert silence.answering < silence.references
        assert not silence.peer_heard


@given(SILENCES)
def test_every_verdict_has_a_sentence_for_the_operator(silence: Silence) -> None:
    row = judge(silence)
    assert row.name
    assert row.because[0].islower()
    assert not row.because.endswith(".")


def test_every_kind_of_arbitration_has_a_table() -> None:
    assert set(TABLES) == set(ArbitrationKind)
