"""Told stories: somebody types DRBD's commands, or starts a program, beside the cluster."""

import pytest

from hapair.core.applications.elsewhere import LOOK_S
from hapair.core.words.effects import Do
from tests.sim.by_hand import ByHand, Deed
from tests.sim.settings import NODES
from tests.sim.stage import DATA, ORDERS, Stage

MENDED_S = 30.0


@pytest.mark.parametrize("node", NODES)
def test_a_connection_that_somebody_ended_is_made_again(node: str) -> None:
    stage = Stage().begin()
    stage.suffers(ByHand(node, DATA, Deed.DISCONNECT))
    assert not stage.is_redundant()
    stage.waits_for(stage.is_redundant, MENDED_S)
    assert stage.served_by() == "node1"
    assert {do for _, do in stage.acts} == {Do.BRING_UP}
    stage.ends_well()


def test_a_volume_that_somebody_took_down_is_attached_again() -> None:
    stage = Stage().begin()
    stage.suffers(ByHand("node2", DATA, Deed.DOWN))
    stage.waits_for(stage.is_redundant, MENDED_S)
    assert stage.acts == [("node2", Do.BRING_UP)]
    stage.ends_well()


def test_a_program_that_somebody_started_on_the_stand_by_is_ended_with_an_alarm() -> None:
    stage = Stage().begin()
    stage.suffers(ByHand("node2", DATA, Deed.START))
    machine = stage.world.machines["node2"]
    stage.waits_for(lambda: machine.program(ORDERS) is False, LOOK_S + 10.0)
    assert stage.acts == [("node2", Do.KILL_PROGRAM)]
    assert stage.alarms("node2") == {"runs-here-too"}
    assert stage.served_by() == "node1"
    stage.ends_well()
