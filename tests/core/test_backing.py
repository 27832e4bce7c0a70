"""When a volume was written behind DRBD, and when that cannot be."""

from dataclasses import replace

import pytest

from hapair.core.copies.backing import Found, judge, without_drbd
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


@pytest.mark.parametrize("attached", [True, False])
def test_another_volume_of_that_name_has_none_of_the_data(attached: bool) -> None:  # noqa: FBT001
    """Made anew, exchanged by lvrename, or restored: DRBD's meta-data lies elsewhere and stays."""
    other = replace(LET_GO, volume="LVM-other")
    assert judge(LastSeen(LET_GO, attached=attached), other).name == "other-volume"
    assert judge(None, other).answer is Found.NOTHING


def test_what_was_activated_again_begins_to_count_anew() -> None:
    again = replace(LET_GO, activation="first boot 2", written_sectors=0)
    assert judge(LastSeen(LET_GO, attached=False), again).answer is Found.NOTHING
    as_much = replace(again, written_sectors=LET_GO.written_sectors)
    assert judge(LastSeen(LET_GO, attached=False), as_much).answer is Found.FOREIGN


def test_what_drbd_does_not_have_is_nobodys_from_then_on() -> None:
    given, now = LastSeen(LET_GO, attached=True), replace(LET_GO, written_sectors=1000)
    seen = without_drbd(given, now)
    assert seen == LastSeen(now, attached=False)
    assert judge(seen, now).answer is Found.NOTHING
    assert judge(seen, replace(now, written_sectors=1001)).answer is Found.FOREIGN


@pytest.mark.parametrize(
    "now",
    [
        replace(LET_GO, under_way=1),
        replace(AFTER_BOOT, written_sectors=8),
        replace(LET_GO, volume="LVM-other"),
    ],
)
def test_what_may_be_of_drbd_or_is_not_does_not_become_its_own(now: Backing) -> None:
    for before in (LastSeen(LET_GO, attached=True), LastSeen(LET_GO, attached=False), None):
        assert without_drbd(before, now) is before
