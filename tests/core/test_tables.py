"""Every row of every table can hold, and tells a person what is the matter."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.core.applications import brake, goals, hands, health, last_rung
from hapair.core.copies import backing
from hapair.core.members import formation
from hapair.core.right import arbitration
from hapair.core.right.arbitration import Silence, Verdict
from hapair.core.words.effects import GO_ON
from hapair.core.words.rules import Rule, first_match
from hapair.model.cluster import ArbitrationKind
from tests.core import situations

TABLES: dict[str, tuple[Sequence[Rule[Any, Any]], Mapping[str, object]]] = {
    "paths": (arbitration.PATHS, situations.PATHS),
    "operator": (arbitration.OPERATOR, situations.OPERATOR),
    "witness": (arbitration.WITNESS, situations.WITNESS),
    "fencing": (arbitration.FENCING, situations.FENCING),
    "brake": (brake.BRAKE, situations.BRAKE),
    "formation": (formation.FORMATION, situations.FORMATION),
    "backing": (backing.FOREIGN, situations.BACKING),
    "goal": (goals.GOALS, situations.GOALS),
    "hand-over": (hands.HANDS, situations.HANDS),
    "health": (health.HEALTH, situations.HEALTH),
    "last-rung": (last_rung.RUNGS, situations.RUNGS),
}
ROWS = [(name, row.name) for name, (table, _) in TABLES.items() for row in table]


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_every_row_has_a_situation_in_which_it_holds(name: str, row: str) -> None:
    table, examples = TABLES[name]
    assert first_match(table, examples[row]).name == row


@pytest.mark.parametrize("name", TABLES)
def test_a_table_names_each_row_once_and_each_situation_has_a_row(name: str) -> None:
    table, examples = TABLES[name]
    names = [row.name for row in table]
    assert len(set(names)) == len(names)
    assert set(examples) == set(names)
    assert all(row.because for row in table)


@pytest.mark.parametrize("name", TABLES)
def test_the_last_row_always_holds(name: str) -> None:
    table, examples = TABLES[name]
    assert all(table[-1].applies(situation) for situation in examples.values())


@pytest.mark.parametrize("kind", ArbitrationKind)
def test_every_kind_of_arbitration_has_a_table(kind: ArbitrationKind) -> None:
    names = [row.name for row in arbitration.TABLES[kind]]
    assert names[:2] == ["peer-halted", "peer-heard"]
    assert {"listening", "kernel-answers", "confirmed"} <= set(names)


@given(st.builds(Silence))
def test_nobody_is_granted_the_right_while_the_peer_is_known_to_live(silence: Silence) -> None:
    """Taking silence for death is how a split brain begins."""
    if arbitration.judge(silence).answer is Verdict.GRANT:
        assert not silence.peer_heard
        assert not silence.kernel_answers
        assert silence.long_enough
        if silence.kind not in (ArbitrationKind.WITNESS, ArbitrationKind.FENCING):
            assert not silence.peer_alive


@given(st.builds(Silence, kind=st.just(ArbitrationKind.WITNESS)))
def test_a_witness_node_acts_alone_only_with_a_grant_a_promise_or_a_proof(silence: Silence) -> None:
    if arbitration.judge(silence).answer is Verdict.GRANT:
        by_witness = silence.granted and silence.records_allow
        assert by_witness or silence.waiver or silence.confirmed
    if silence.denied and not silence.granted and not silence.confirmed:
        assert arbitration.judge(silence).answer is not Verdict.GRANT


@given(st.builds(Silence, kind=st.just(ArbitrationKind.FENCING)))
def test_a_node_that_has_not_joined_fences_nobody(silence: Silence) -> None:
    rule = arbitration.judge(silence)
    if rule.answer is Verdict.FENCE:
        assert silence.was_together
        assert silence.methods
    if rule.answer is Verdict.GRANT:
        assert silence.fenced or silence.confirmed


@given(st.builds(brake.Frozen))
def test_frozen_writes_go_on_only_where_the_peer_can_never_use_an_older_copy(
    frozen: brake.Frozen,
) -> None:
    answer = first_match(brake.BRAKE, frozen).answer
    if answer in GO_ON:
        assert not frozen.connected, "whoever asks early waits for the kernel's word"
        assert frozen.alone or frozen.peer_stored_it or frozen.operator
        assert frozen.alone or not frozen.gives_way


@given(st.builds(Silence, kind=st.just(ArbitrationKind.OPERATOR)))
def test_without_a_person_the_kind_operator_grants_nothing(silence: Silence) -> None:
    if arbitration.judge(silence).answer is Verdict.GRANT:
        assert silence.confirmed


@given(st.builds(Silence, kind=st.just(ArbitrationKind.PATHS), confirmed=st.just(value=False)))
def test_paths_grant_only_to_a_member_with_two_networks_and_good_links(silence: Silence) -> None:
    if arbitration.judge(silence).answer is Verdict.GRANT:
        assert silence.was_together
        assert silence.networks >= 2
        assert silence.own_links_up
        assert silence.probed
        assert silence.answering >= silence.references


def test_a_table_without_a_row_that_applies_is_a_bug_and_no_answer() -> None:
    with pytest.raises(LookupError, match="no row"):
        first_match((), None)
