"""A peer that was halted while it was cut off: what clstat names is what helps."""

import pytest

from hapair.core import explain
from hapair.core.words.events import ConfirmCopy, ConfirmPeerDown, Form, Leave
from hapair.model.status import Standing
from tests.sim.faults import PullCable
from tests.sim.machine import Core
from tests.sim.run import CORE
from tests.sim.settings import PUBLIC
from tests.sim.stage import ASK_OPERATOR, ORDERS, Stage


def halted_while_cut_off(core: Core = CORE, *, unreached: bool = False) -> Stage:
    """node1 may have written alone before it was halted; unreached by clients, it wrote nothing."""
    stage = Stage(ASK_OPERATOR, core=core).begin()
    if unreached:
        stage.suffers(PullCable(PUBLIC, "node1", 45.0))
        stage.run_for(1.5)
    stage.cuts_off(for_s=40.0)
    stage.run_for(10.0)
    stage.world.command("node1", Leave(handover=False))
    stage.waits_for(lambda: stage.standing("node2") is Standing.ALONE, 100.0)
    stage.run_for(5.0)
    return stage


def told(stage: Stage) -> dict[str, str]:
    alarms = explain.alarms(stage.state("node2"))
    return {each.name: each.text for each in alarms if each.application == ORDERS}


def test_the_peer_is_formed_and_nothing_is_lost() -> None:
    stage = halted_while_cut_off()
    assert stage.served_by() == ""
    assert told(stage).keys() == {"unproven-copy"}
    assert "type there: clform" in told(stage)["unproven-copy"]
    refusal = stage.types("node2", ConfirmPeerDown())
    assert not refusal.accepted
    assert "type there: clform" in refusal.text
    assert stage.types("node1", Form()).accepted
    stage.waits_for(lambda: stage.served_by() == "node1", 30.0)
    assert told(stage) == {}
    stage.ends_well()


@pytest.mark.parametrize("off", [False, True])
def test_or_a_person_says_that_it_does_not_matter(*, off: bool) -> None:
    """Of a copy while the peer lives, of the peer once its machine is off."""
    stage = halted_while_cut_off(unreached=True)
    if off:
        stage.dies("node1")
        stage.run_for(5.0)
    said = stage.types("node2", ConfirmPeerDown() if off else ConfirmCopy(ORDERS))
    assert said.accepted
    stage.waits_for(lambda: stage.served_by() == "node2", 30.0)
