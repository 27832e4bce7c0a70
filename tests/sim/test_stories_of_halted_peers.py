"""A peer that was halted while it was cut off: what clstat names is what helps."""

from math import inf

import pytest

from hapair.core import explain
from hapair.core.words.effects import Do
from hapair.core.words.events import ConfirmCopy, ConfirmPeerDown, Form, Leave
from hapair.model.status import Standing
from tests.sim.faults import FailActions, KillDaemon, PullCable, SlowStore
from tests.sim.machine import Core, Trouble
from tests.sim.progress import SERVES_WITHIN_S, Progress
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


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("after_s", [0.0, 0.1])
def test_what_it_had_given_before_its_daemon_died_is_served(after_s: float, seed: int) -> None:
    """Its next daemon says that it left; until then it was out of sight, and wrote nothing."""
    stage = Stage(ASK_OPERATOR, seed=f"given {seed}").begin()
    stage.suffers(FailActions("node2", Do.PROMOTE, ORDERS, Trouble.REFUSED, 3.0))
    stage.world.command("node1", Leave(handover=True))
    stage.waits_for(lambda: stage.stored("node2").by_application[ORDERS].owner == "node2", 10.0)
    stage.run_for(after_s)
    stage.suffers(KillDaemon("node1", 1.5))
    stage.waits_for(lambda: stage.served_by() == "node2", 20.0)
    stage.ends_well()


def died_before_it_formed(after_s: float) -> Stage:
    """node1 boots while its disk takes nothing, and its daemon dies so long after it was asked."""
    stage = Stage(ASK_OPERATOR).begin()
    stage.world.power_off("node1")
    stage.run_for(10.0)
    stage.suffers(SlowStore("node1", inf, after_s + 5.0))
    stage.world.power_on("node1")
    stage.run_for(1.0 + after_s)
    stage.suffers(KillDaemon("node1", 0.5))
    stage.run_for(20.0)
    return stage


def test_a_daemon_that_dies_before_it_answers_a_boot_is_asked_again() -> None:
    stage = died_before_it_formed(0.5)
    assert stage.is_together()
    assert stage.served_by() == "node1"
    stage.ends_well()


def test_one_that_dies_later_stays_halted_and_a_person_is_needed() -> None:
    """A limit in safety.md: with operator, nobody knows what it wrote while it was out of sight."""
    stage = died_before_it_formed(5.0)
    assert stage.standing("node1") is Standing.HALTED
    Progress(stage.world, stage.watch, stage.faults)
    stage.run_for(SERVES_WITHIN_S + 10.0)
    assert stage.served_by() == ""
    stage.ends_well()
