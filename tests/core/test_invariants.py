"""What must hold after every step: a core that breaks it stops deciding."""

from dataclasses import replace

import pytest

from hapair.core.invariants import BrokenInvariantError, check_step
from hapair.core.words.effects import Act, Do, Effect
from hapair.core.words.state import NodeState
from hapair.model.data import Disk
from hapair.model.status import Standing
from tests.core.bench import NAME, PEER, RESOURCE, facts, record
from tests.core.situations import TOGETHER

PROMOTE = Act(1, Do.PROMOTE, NAME, RESOURCE, 30.0)
START = Act(1, Do.START_PROGRAM, NAME, "", 30.0)
MINE = replace(TOGETHER, stored=replace(TOGETHER.stored, records=(record(),)))


@pytest.mark.parametrize(
    ("after", "effects", "sentence"),
    [
        (replace(MINE, stored=replace(MINE.stored, epoch=3)), (), "an epoch never goes back"),
        (replace(MINE, standing=Standing.ALONE), (), "has stored its right"),
        (replace(MINE, stored=replace(MINE.stored, holds_right=True)), (), "given up its right"),
        (replace(MINE, standing=Standing.CUT), (START,), "the right to act alone"),
        (TOGETHER, (START,), "only the owner"),
        *(
            (replace(MINE, standing=Standing.CUT), (Act(1, do, NAME, "", 10.0),), "the right")
            for do in (Do.ADD_ADDRESSES, Do.RESTORE_ADDRESSES)
        ),
        (
            replace(MINE, stored=replace(MINE.stored, records=(record(PEER),))),
            (PROMOTE,),
            "only the owner",
        ),
        (
            replace(MINE, facts={RESOURCE: facts(disk=Disk.OUTDATED)}),
            (PROMOTE,),
            "only a current copy",
        ),
    ],
)
def test_a_step_that_breaks_a_rule_is_a_bug(
    after: NodeState, effects: tuple[Effect, ...], sentence: str
) -> None:
    with pytest.raises(BrokenInvariantError, match=sentence):
        check_step(MINE, after, effects)


def test_a_good_step_passes() -> None:
    check_step(MINE, MINE, (PROMOTE, START, Act(2, Do.UNMOUNT, NAME, RESOURCE, 30.0)))
