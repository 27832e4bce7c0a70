"""A DRBD resource of somebody else, replicated to a third machine, changes nothing."""

from dataclasses import replace

import pytest

from hapair.core.words.events import Configured, ConfirmPeerDown, DataChanged, FenceAsked
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing
from tests.sim.others import CONNECTED, DISKLESS
from tests.sim.settings import NODES, Shape
from tests.sim.stage import KINDS, WEB, WEB_TOO, WITNESS, Stage, with_kind


def beside(kind: ArbitrationKind, *nodes: str, shape: Shape = WEB_TOO) -> Stage:
    stage = Stage(replace(with_kind(kind, shape), others=nodes or NODES))
    stage.world.others.steady = True
    return stage.begin()


@pytest.mark.parametrize("kind", KINDS)
def test_a_dead_peer_is_taken_over(kind: ArbitrationKind) -> None:
    stage = beside(kind, "node2")
    stage.dies("node1")
    stage.takes_over("node2")
    assert stage.standing("node2") is Standing.ALONE


def test_who_is_cut_off_gives_way() -> None:
    stage = beside(WITNESS, "node1")
    stage.loses_witness("node1")
    stage.cuts_off()
    stage.takes_over("node2")
    stage.waits_for(lambda: stage.served_by(WEB) == "node2", 60.0)
    stage.ends_well()


def test_a_person_who_says_that_the_peer_is_down_is_believed() -> None:
    stage = beside(ArbitrationKind.OPERATOR)
    stage.dies("node1")
    stage.run_for(8.0)
    assert stage.standing("node2") is Standing.CUT
    assert stage.types("node2", ConfirmPeerDown()).accepted
    stage.takes_over("node2")


def test_its_end_and_its_return_are_no_loss_of_the_peer() -> None:
    stage = beside(WITNESS)
    before = stage.state("node1")
    step = stage.world.core.step
    state = before
    for kernel in ((), (CONNECTED,), (DISKLESS,)):
        ours = tuple(each for each in before.kernel if each.resource in before.facts)
        state, _ = step(state, DataChanged(state.now_s, (*ours, *kernel)))
    assert (state.losses, state.linked_until_s) == (before.losses, before.linked_until_s)
    assert set(state.facts) == set(before.facts)
    assert not state.stored.doubtful


def test_what_is_built_later_is_known_from_what_the_kernel_said_before() -> None:
    """And its connection proves nothing yet: it may have ended since."""
    stage = beside(WITNESS, "node1")
    state = stage.state("node1")
    (first, *_), *_ = (b.volumes for b in state.built.applications if b.volumes)
    named = replace(CONNECTED, resource="orders.more")
    step = stage.world.core.step
    state, _ = step(state, DataChanged(state.now_s, (*state.kernel, named)))
    assert "orders.more" not in state.facts
    applications = tuple(
        replace(each, volumes=(*each.volumes, replace(first, resource="orders.more", minor=1)))
        if each.volumes
        else each
        for each in state.built.applications
    )
    built = replace(state.built, generation=2, applications=applications)
    state, _ = step(state, Configured(state.now_s, built))
    assert state.facts["orders.more"] == named
    assert state.joined_from_s["orders.more"] > state.now_s
    state, _ = step(state, Configured(state.now_s, replace(stage.world.built, generation=3)))
    assert "orders.more" not in state.facts


def test_its_handler_is_told_at_once_that_nothing_is_known() -> None:
    stage = beside(WITNESS, "node1")
    state, effects = stage.world.core.step(
        stage.state("node1"), FenceAsked(stage.state("node1").now_s, 99, CONNECTED.resource)
    )
    assert "no application of this cluster has it" in str(effects)
    assert not state.fence_asked
