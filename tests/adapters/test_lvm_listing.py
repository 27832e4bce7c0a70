"""One look at LVM for all who ask at once; a group that is in trouble is nobody else's trouble."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from hapair.adapters.lvm.listing import NOT_FOUND, Listing
from hapair.adapters.lvm.parse import LvmReportError
from hapair.model.storage import GroupStorage, LogicalVolume
from hapair.ports.programs import Finished, TimedOut
from tests.fakes.played_lvm import group_row, row_of

NAMES = ("vg_a", "vg_b", "vg_c")
DATA = LogicalVolume("data", 64 << 20)


@dataclass
class Lvm:
    """Some groups, each with one volume; of some LVM has trouble to speak."""

    broken: dict[str, Finished | TimedOut] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    volume: LogicalVolume = DATA

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        del timeout_s, stdin
        names = tuple(word for word in argv if word in (*NAMES, "vg_none"))
        self.asked.append((argv[0], *names))
        volume = self.volume
        await asyncio.sleep(0.001)
        for name in names:
            if name in self.broken:
                return self.broken[name]
            if name not in NAMES:
                return Finished(5, "", f"  {NOT_FOUND.format(name)}")
        groups = [group_row(GroupStorage(name, exists=True)) for name in names]
        rows: dict[str, object] = {"vg": groups, "lv": [row_of(volume, name) for name in names]}
        return Finished(0, json.dumps({"report": [rows]}), "")


async def test_all_who_ask_at_once_share_two_programs() -> None:
    lvm = Lvm()
    listing = Listing(lvm)
    found = await asyncio.gather(*(listing.group(name) for name in NAMES * 20))
    assert [group.name for group in found] == list(NAMES * 20)
    assert all([volume.name for volume in group.volumes] == ["data"] for group in found)
    assert lvm.asked == [("vgs", *NAMES), ("lvs", *NAMES)]


async def test_no_answer_is_older_than_its_question() -> None:
    """FAIL: what was just made is not seen, or what was just removed is removed once more."""
    lvm = Lvm()
    listing = Listing(lvm)
    early = asyncio.ensure_future(listing.group("vg_a"))
    await asyncio.sleep(0.001)
    assert lvm.asked
    lvm.volume = LogicalVolume("new", 64 << 20)
    late = await asyncio.gather(*(listing.group(name) for name in ("vg_a", "vg_a", "vg_b")))
    assert {volume.name for group in late for volume in group.volumes} == {"new"}
    await early
    assert lvm.asked[2:] == [("vgs", "vg_a", "vg_b"), ("lvs", "vg_a", "vg_b")]


@pytest.mark.parametrize(
    "trouble", [Finished(5, "", "  Can't get lock for vg_b"), TimedOut(60.0), Finished(0, "{}", "")]
)
async def test_one_that_cannot_be_looked_at_hides_no_other(trouble: Finished | TimedOut) -> None:
    listing = Listing(Lvm({"vg_b": trouble}))
    asked = (listing.group(name) for name in (*NAMES, "vg_none"))
    a, b, c, none = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(b, LvmReportError)
    for found in (a, c):
        assert isinstance(found, GroupStorage)
        assert found.exists
    assert none == GroupStorage("vg_none", exists=False)


async def test_who_gives_up_leaves_the_look_to_the_others() -> None:
    lvm = Lvm()
    listing = Listing(lvm)
    one, other = (asyncio.ensure_future(listing.group("vg_a")) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    assert (await other).exists
    assert (await listing.group("vg_b")).exists


@pytest.mark.parametrize(
    ("setting", "spoil"),
    [
        ("report/compact_output=0", lambda text: text.replace(', "lv_health_status": ""', "")),
        (
            'report/compact_output_cols=""',
            lambda text: text.replace(', "lv_health_status": ""', ""),
        ),
        ("report/prefixes=0", lambda text: text.replace('": "', '": "LVM2=\'"')),
        ('report/list_item_separator=","', lambda text: text.replace("a,hapair", "a;hapair")),
        ("report/binary_values_as_numeric=0", lambda text: text.replace('"active"', '"1"')),
    ],
)
async def test_a_machine_that_wants_its_reports_in_another_form_is_understood(
    setting: str, spoil: Callable[[str], str]
) -> None:
    """As Debian 12's LVM does with these lines in lvmlocal.conf."""
    lvm = Lvm(volume=replace(DATA, ours=True))

    async def with_forms(
        argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        answer = await lvm(argv, timeout_s=timeout_s, stdin=stdin)
        assert isinstance(answer, Finished)
        told = answer.stdout.replace('"hapair"', '"a,hapair"')
        asked = argv[argv.index("--config") + 1].split() if "--config" in argv else []
        return replace(answer, stdout=told if setting in asked else spoil(told))

    (found,) = (await Listing(with_forms).group("vg_a")).volumes
    assert found.ours
    assert not found.inactive
