"""When a volume was written behind DRBD, and when that cannot be."""

from dataclasses import replace

import pytest

from hapair.core.copies.backing import Found, judge
from hapair.model.backing import Backing, LastSeen
from tests.core.situations import AFTER_BOOT, LET_GO


@pytest.mark.parametrize("now", [LET_GO, AFTER_BOOT])
def test_what_nobody_touched_is_not_doubted(now: Backing) -> None:
    assert judge(LastSeen(LET_GO, attached=False), now).answer is Found.NOTHING


def test_after_a_loss_of_power_only_what_was_written_since_the_boot_counts() -> None:
    """DRBD itself changed the first blocks after it was given the volume."""
    before = LastSeen(LET_GO, attached=True)
    assert judge(before, replace(AFTER_BOOT, start="DRBD's")).answer is Found.NOTHING
    assert judge(before, replace(AFTER_BOOT, written_sectors=1)).answer is Found.FOREIGN


def test_another_volume_of_that_name_is_none_of_ours() -> None:
    other = replace(AFTER_BOOT, volume="LVM-other", written_sectors=5, start="others")
    assert judge(LastSeen(LET_GO, attached=False), other).answer is Found.NOTHING


def test_what_was_activated_again_begins_to_count_anew() -> None:
    again = replace(LET_GO, activation="first boot 2", written_sectors=0)
    assert judge(LastSeen(LET_GO, attached=False), again).answer is Found.NOTHING
    as_much = replace(again, written_sectors=LET_GO.written_sectors)
    assert judge(LastSeen(LET_GO, attached=False), as_much).answer is Found.FOREIGN
