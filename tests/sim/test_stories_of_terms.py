"""Told stories: another kind of arbitration, or other witnesses, that only one node has yet."""

from dataclasses import replace

import pytest

from hapair.core.words.events import ConfirmPeerDown, Form
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing
from tests.sim.faults import KillDaemon
from tests.sim.settings import NODES, Shape, other
from tests.sim.stage import (
    FENCING,
    LONG_S,
    PATHS,
    WEB,
    WEB_TOO,
    WITH_WITNESS,
    WITNESS,
    Stage,
    with_kind,
)
from tests.sim.test_stories_of_configurations import commits

EVERY = tuple(ArbitrationKind)
PAIRS = [(old, new) for old in EVERY for new in EVERY if old is not new]
OVER_S = 25.0  # The detection, the lease, and what the third party takes.


def between(old: Shape, new: Shape, first: str) -> Stage:
    """Only one node has the new terms when the two lose each other."""
    stage = Stage(old).begin()
    commits(stage, new, first)
    stage.cuts_off()
    stage.run_for(OVER_S)
    return stage


def takes_nothing(stage: Stage, node: str) -> bool:
    return not stage.stored(node).holds_right and stage.standing(node) is not Standing.ALONE


@pytest.mark.parametrize("first", NODES)
@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_who_has_another_arbitration_first_takes_nothing(
    old: ArbitrationKind, new: ArbitrationKind, first: str
) -> None:
    stage = between(with_kind(old), with_kind(new), first)
    machine = stage.world.machines[first]
    assert takes_nothing(stage, first) if machine.powered else old is FENCING
    if machine.powered:
        assert stage.reason(first) == "new-terms"
        assert "new-terms" in stage.alarms(first)
    else:
        stage.world.power_on(first)
    stage.faults.end_all()
    commits(stage, with_kind(new), *NODES)
    stage.waits_for(stage.is_together, 60.0)
    stage.run_for(1.0)
    assert all(stage.stored(node).terms.shared for node in NODES)
    stage.ends_well()


@pytest.mark.parametrize("first", NODES)
@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3), (2, 1)])
def test_the_same_of_another_number_of_witnesses(before: int, after: int, first: str) -> None:
    old, new = (replace(WITH_WITNESS, witnesses=number) for number in (before, after))
    stage = between(old, new, first)
    assert takes_nothing(stage, first)
    assert stage.served_by() == other(first)
    stage.ends_well()


@pytest.mark.parametrize("first", NODES)
def test_what_has_no_data_ends_there_with_the_lease(first: str) -> None:
    """The other node is granted the right by the former terms, and starts it after the lease."""
    operator = ArbitrationKind.OPERATOR
    stage = between(with_kind(WITNESS, WEB_TOO), with_kind(operator, WEB_TOO), first)
    assert stage.runs_on(WEB) == (other(first),)
    stage.ends_well()


@pytest.mark.parametrize("first", NODES)
@pytest.mark.parametrize(("old", "new"), [(FENCING, WITNESS), (WITNESS, PATHS)])
def test_a_new_daemon_knows_that_its_terms_are_new(
    old: ArbitrationKind, new: ArbitrationKind, first: str
) -> None:
    stage = Stage(with_kind(old)).begin()
    stage.world.third_parties.strip.takes_s = (LONG_S, LONG_S)
    commits(stage, with_kind(new), first)
    stage.cuts_off()
    stage.run_for(1.0)
    stage.suffers(KillDaemon(first, 0.5))
    stage.run_for(OVER_S)
    assert takes_nothing(stage, first)
    assert stage.reason(first) == "new-terms"


def test_a_start_with_new_terms_waits_for_the_peer_or_for_a_person() -> None:
    """node2 was not there when they were committed, and may have gone on by the former ones."""
    stage = Stage(with_kind(FENCING)).begin()
    commits(stage, WITH_WITNESS, "node1")
    for node in NODES:
        stage.dies(node)
    stage.world.power_on("node1")
    stage.run_for(2.0)
    stage.types("node1", Form(timeout_s=5.0))
    stage.run_for(80.0)
    assert stage.reason("node1", "formation") == "new-terms"
    assert stage.served_by() == ""
    assert stage.types("node1", ConfirmPeerDown()).accepted
    stage.waits_for(lambda: stage.served_by() == "node1", 30.0)
    stage.world.power_on("node2")
    stage.waits_for(stage.is_together, 60.0)
    stage.ends_well()


@pytest.mark.parametrize("first", NODES)
def test_there_and_back_again_the_terms_of_before_are_new_terms(first: str) -> None:
    """The peer may have taken those in between over, and know that this node had them as well."""
    stage = Stage(WITH_WITNESS).begin()
    commits(stage, with_kind(ArbitrationKind.OPERATOR), *NODES)
    commits(stage, WITH_WITNESS, first, generation=3)
    assert not stage.stored(first).terms.shared
    stage.cuts_off()
    stage.run_for(OVER_S)
    assert takes_nothing(stage, first)
    stage.faults.end_all()
    commits(stage, WITH_WITNESS, *NODES, generation=3)
    stage.waits_for(stage.is_together, 60.0)
    stage.ends_well()


@pytest.mark.parametrize("first", NODES)
def test_the_number_of_a_build_that_was_taken_back_proves_nothing(first: str) -> None:
    """The next build has the same number, and the other node may be told late of either."""
    stage = Stage(with_kind(ArbitrationKind.OPERATOR)).begin()
    commits(stage, with_kind(ArbitrationKind.OPERATOR), *NODES)
    commits(stage, WITH_WITNESS, first, generation=2)
    assert not stage.stored(first).terms.shared
    stage.cuts_off()
    stage.run_for(OVER_S)
    assert takes_nothing(stage, first)
    stage.ends_well()


@pytest.mark.parametrize("first", NODES)
def test_terms_count_when_the_peer_that_has_them_has_heard_of_them_here(first: str) -> None:
    """What it had before it went back to the former ones is no word about what it has now."""
    stage = Stage(WITH_WITNESS).begin()
    commits(stage, with_kind(FENCING), *NODES)
    stage.run_for(1.0)
    assert all(stage.stored(node).terms.shared for node in NODES)
    commits(stage, WITH_WITNESS, first, generation=3)
    commits(stage, with_kind(FENCING), first, generation=2)
    stage.run_for(1.0)
    assert stage.stored(first).terms.shared
    stage.ends_well()
