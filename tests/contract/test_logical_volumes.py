"""What snapshots of logical volumes promise; LVM's own tools are played by a script."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest

from hapair.adapters.lvm.adapter import LvmAdapter
from hapair.adapters.lvm.parse import LvmReportError
from hapair.model.outcome import Done, Refused
from hapair.model.storage import GroupStorage, LogicalVolume
from hapair.ports.programs import Finished, TimedOut
from hapair.ports.storage import LogicalVolumes
from tests.fakes.played_lvm import PlayedLvm, group_row, row_of
from tests.fakes.storage import FakeLogicalVolumes

MIB: Final = 2**20
EXTENT: Final = 4 * MIB
DATA: Final = LogicalVolume("data", 64 * MIB)
THEIRS: Final = LogicalVolume("data_before_resync", 0, origin="data")
GROUP: Final = GroupStorage(
    "vg", exists=True, extent_bytes=EXTENT, free_bytes=100 * MIB, volumes=(DATA,)
)
SHARED: Final = replace(GROUP, volumes=(DATA, THEIRS))


def played() -> PlayedLvm:
    return PlayedLvm(GROUP)


@pytest.fixture(params=["fake", "adapter"])
def volumes(request: pytest.FixtureRequest) -> LogicalVolumes:
    if request.param == "fake":
        return FakeLogicalVolumes({"vg": GROUP})
    return LvmAdapter(played())


async def test_a_snapshot_names_its_origin_and_its_moment(volumes: LogicalVolumes) -> None:
    assert await volumes.snapshot("vg", "data", "data_split", 16 * MIB) == Done()
    group = await volumes.group("vg")
    (snapshot,) = group.snapshots("data")
    assert (snapshot.name, snapshot.origin, snapshot.made_wall_s) == ("data_split", "data", 5000.0)
    assert group.free_bytes == 84 * MIB
    assert group.size_bytes == 164 * MIB


async def test_a_taken_name_or_a_full_group_refuses(volumes: LogicalVolumes) -> None:
    assert isinstance(await volumes.snapshot("vg", "data", "data", 16 * MIB), Refused)
    assert isinstance(await volumes.snapshot("vg", "data", "other", 101 * MIB), Refused)
    assert isinstance(await volumes.snapshot("vg", "none", "other", 16 * MIB), Refused)


async def test_a_snapshot_is_removed_and_its_room_is_free_again(volumes: LogicalVolumes) -> None:
    await volumes.snapshot("vg", "data", "data_split", 16 * MIB)
    assert await volumes.remove_snapshots("vg", "data_split") == Done()
    assert (await volumes.group("vg")).free_bytes == 100 * MIB
    assert await volumes.remove_snapshots("vg", "data_split") == Done()


@pytest.mark.parametrize("kind", ["fake", "adapter"])
async def test_a_snapshot_of_somebody_elses_stays(kind: str) -> None:
    script = played()
    script.inside.groups["vg"] = SHARED
    volumes: LogicalVolumes = script.inside if kind == "fake" else LvmAdapter(script)
    assert isinstance(await volumes.remove_snapshots("vg", THEIRS.name), Refused)
    assert [each.name for each in (await volumes.group("vg")).snapshots("data")] == [THEIRS.name]


async def test_snapshots_are_removed_together_or_not_at_all(volumes: LogicalVolumes) -> None:
    for name in ("one", "two"):
        assert await volumes.snapshot("vg", "data", name, 16 * MIB) == Done()
    assert isinstance(await volumes.remove_snapshots("vg", "one", "data", "two"), Refused)
    assert len((await volumes.group("vg")).volumes) == 3
    assert await volumes.remove_snapshots("vg", "one", "none", "two") == Done()
    assert [each.name for each in (await volumes.group("vg")).volumes] == ["data"]


async def test_only_snapshots_are_removed_as_snapshots(volumes: LogicalVolumes) -> None:
    assert isinstance(await volumes.remove_snapshots("vg", "data"), Refused)
    assert (await volumes.group("vg")).volume("data") is not None


class Looked:
    """One volume ``data``, as LVM, blkid and cmp tell of it."""

    def __init__(self, *, active: str = "active", is_open: str = "") -> None:
        self.row = row_of(DATA, "vg") | {"lv_active": active, "lv_device_open": is_open}
        self.blkid: Finished | TimedOut = Finished(2, "", "")
        self.different_from_bytes: int | None = None  # Where the first byte that is not zero lies.
        self.cmp: Finished | TimedOut | None = None
        self.attributes = "wz--n-"

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        del timeout_s, stdin
        match argv[0]:
            case "vgs":
                row = group_row(GROUP) | {"vg_attr": self.attributes}
                return Finished(0, json.dumps({"report": [{"vg": [row]}]}), "")
            case "lvs":
                return Finished(0, json.dumps({"report": [{"lv": [self.row]}]}), "")
            case "blkid":
                return self.blkid
            case _:
                return self.cmp or Finished(int(self._differs(argv)), "", "")

    def _differs(self, argv: Sequence[str]) -> bool:
        size = int(argv[2].partition("=")[2])
        start = int(argv[3].partition("=")[2].partition(":")[0])
        where = self.different_from_bytes
        return where is not None and start <= where < start + size


async def looked(seen: Looked, *, whole: bool = False) -> LogicalVolume:
    lvm = LvmAdapter(seen)
    found = (await lvm.group("vg")).volume("data")
    assert found is not None
    assert found.why_not_free, "what nobody looked at is not free"
    return await lvm.look("vg", found, whole=whole)


async def test_a_volume_is_free_when_it_was_looked_at_and_is_empty() -> None:
    assert (await looked(Looked())).why_not_free == ""


@pytest.mark.parametrize("active", ["", "suspended", "unknown", "remotely", "-1"])
async def test_a_volume_that_nobody_can_look_at_is_not_free(active: str) -> None:
    """Of a device that is not there blkid says the same as of an empty one."""
    assert "is inactive" in (await looked(Looked(active=active))).why_not_free


@pytest.mark.parametrize("is_open", ["open", "unknown", "1"])
async def test_a_volume_that_may_be_open_is_not_free_and_not_searched(is_open: str) -> None:
    seen = Looked(is_open=is_open)
    seen.different_from_bytes = 0
    volume = await looked(seen)
    assert volume.why_not_free == "is in use"
    assert not volume.nameless


@pytest.mark.parametrize(
    ("blkid", "holds"),
    [
        (Finished(0, "DEVNAME=/dev/vg/data\nUUID=1\nTYPE=ext4\n", ""), "holds ext4"),
        (Finished(0, "DEVNAME=/dev/vg/data\nPTTYPE=gpt\n", ""), "holds gpt"),
        (Finished(0, "", ""), "holds something that blkid does not name"),
        (Finished(8, "", "ambivalent result"), "holds the marks of several things (see: wipefs)"),
        (Finished(1, "", "blkid: error"), "holds something that cannot be read"),
        (Finished(127, "", "not found"), "holds something that cannot be read"),
        (TimedOut(60.0), "holds something that cannot be read"),
    ],
)
async def test_what_a_tool_finds_or_cannot_say_is_in_the_way(
    blkid: Finished | TimedOut, holds: str
) -> None:
    seen = Looked()
    seen.blkid = blkid
    assert (await looked(seen)).why_not_free == holds


@pytest.mark.parametrize("where", [0, 4096, 32 * MIB, 64 * MIB - 1])
async def test_data_without_a_name_is_in_the_way(where: int) -> None:
    seen = Looked()
    seen.different_from_bytes = where
    assert "holds data of a kind" in (await looked(seen)).why_not_free


@pytest.mark.parametrize("where", [0, 11 * MIB, 31 * MIB, 64 * MIB - 1])
async def test_every_byte_is_looked_at_before_it_is_overwritten(where: int) -> None:
    """A raw database may have its only data where nobody would look for it."""
    assert (await looked(Looked(), whole=True)).why_not_free == ""
    seen = Looked()
    seen.different_from_bytes = where
    assert "holds data of a kind" in (await looked(seen, whole=True)).why_not_free


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        (TimedOut(120.0), "holds too much to be read within 120 s"),
        (Finished(2, "", "cmp: input/output error"), "holds something that cannot be read"),
        (Finished(127, "", "cmp: command not found"), "holds something that cannot be read"),
    ],
)
async def test_what_cannot_be_read_to_its_end_is_not_free(
    answer: Finished | TimedOut, holds: str
) -> None:
    seen = Looked()
    seen.cmp = answer
    assert (await looked(seen, whole=True)).why_not_free == holds


@pytest.mark.parametrize("answer", [Finished(2, "", "cmp: no such file"), TimedOut(60.0)])
async def test_a_volume_that_cannot_be_read_is_not_free(answer: Finished | TimedOut) -> None:
    seen = Looked()
    seen.cmp = answer
    assert (await looked(seen)).why_not_free == "holds something that cannot be read"


@pytest.mark.parametrize(
    ("attributes", "objection"),
    [
        ("wz--n-", ""),
        ("wz--ns", ""),
        ("rz--n-", "may not be changed"),
        ("wzx-n-", "is exported"),
        ("wz-pn-", "lacks a disk"),
        ("", "may not be changed"),
    ],
)
async def test_a_group_that_takes_no_volume_says_why(attributes: str, objection: str) -> None:
    seen = Looked()
    seen.attributes = attributes
    assert (await LvmAdapter(seen).group("vg")).objection == objection


async def test_a_thin_volume_that_was_copied_from_another_one_is_a_volume() -> None:
    seen = Looked()
    seen.row |= {"origin": "golden", "lv_attr": "Vwi-a-tz--"}
    assert (await looked(seen)).origin == ""


@pytest.mark.parametrize(
    ("attributes", "health", "says"),
    [
        ("twi-a-tz--", "", "is a thin pool"),
        ("dwi-a-v---", "", "is a VDO pool"),
        ("Owi-a-s---", "", "is to become what a snapshot of it holds"),
        ("-ri-a-----", "", "may only be read"),
        ("rwi-a-r-p-", "partial", 'is not in order: LVM says "partial"'),
        ("rwi-a-r-m-", "mismatches exist", 'is not in order: LVM says "mismatches exist"'),
        ("-wi-s-----", "", "is inactive"),
        ("-wi-XX----", "", "is inactive"),
        ("-wi-------", "", "is inactive"),
        ("", "", "is inactive"),
    ],
)
async def test_a_volume_on_which_no_data_can_be_kept_is_not_free(
    attributes: str, health: str, says: str
) -> None:
    seen = Looked()
    seen.row |= {"lv_attr": attributes, "lv_health_status": health}
    assert says in (await looked(seen)).why_not_free


async def test_a_guarded_volume_is_looked_at_like_any_other() -> None:
    """LVM shows as "R" what the kernel lets nobody write to, also when that was our doing."""
    seen = Looked()
    seen.row |= {"lv_attr": "-Ri-a-----"}
    assert (await looked(seen, whole=True)).why_not_free == ""


@pytest.mark.parametrize("kind", ["-", "r", "R", "m", "C", "V", "v"])
async def test_what_looks_like_an_ordinary_volume_is_one(kind: str) -> None:
    """A cache, RAID, a thin volume or one of VDO below it is LVM's own matter."""
    seen = Looked()
    seen.row |= {"lv_attr": f"{kind}wi-a-----", "pool_lv": "pool"}
    volume = await looked(seen)
    assert volume.why_not_free == ""
    assert volume.pool == ("pool" if kind in "Vv" else "")


@pytest.mark.parametrize(
    ("name", "attributes"),
    [("[data_tdata]", "Twi-ao----"), ("[lvol0_pmspare]", "ewi-------"), ("-gone", "----h-----")],
)
async def test_a_volume_that_lvm_hides_or_remembers_takes_a_name_and_nothing_else(
    name: str, attributes: str
) -> None:
    seen = Looked()
    seen.row |= {"lv_name": name, "lv_attr": attributes, "lv_size": ""}
    group = await LvmAdapter(seen).group("vg")
    assert group.volumes == ()
    assert group.taken_names == (name.strip("[]-"),)


async def test_a_volume_of_somebody_elses_is_not_removed(volumes: LogicalVolumes) -> None:
    assert isinstance(await volumes.remove("vg", "data"), Refused)
    assert (await volumes.group("vg")).volume("data") is not None


@pytest.mark.parametrize("kind", ["fake", "adapter"])
@pytest.mark.parametrize("ours", [True, False])
async def test_a_volume_takes_no_snapshot_with_it_but_ours(kind: str, *, ours: bool) -> None:
    """LVM removes them all, without a question."""
    script = played()
    inside = (replace(DATA, ours=True), replace(THEIRS, ours=ours))
    script.inside.groups["vg"] = replace(GROUP, volumes=inside)
    volumes: LogicalVolumes = script.inside if kind == "fake" else LvmAdapter(script)
    assert isinstance(await volumes.remove("vg", "data"), Done if ours else Refused)
    assert len((await volumes.group("vg")).volumes) == (0 if ours else 2)


async def test_what_took_the_name_over_is_not_removed() -> None:
    """Between the look and the removal: LVM compares the UUID under its own lock."""
    script = played()
    script.inside.groups["vg"] = replace(GROUP, volumes=(replace(DATA, ours=True),))
    lvm = LvmAdapter(script)
    identity = "uuid-of-data"

    async def run(
        argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        given = [word.replace(identity, "uuid-of-the-former") for word in argv]
        return await script(given, timeout_s=timeout_s, stdin=stdin)

    assert await LvmAdapter(run).remove("vg", "data") == Done()
    assert (await lvm.group("vg")).volume("data") is not None
    assert await lvm.remove("vg", "data") == Done()
    assert (await lvm.group("vg")).volume("data") is None


class Guarded:
    """Notes what is done to the device of the one volume."""

    def __init__(self, seen: Looked) -> None:
        self.seen = seen
        self.asked: list[str] = []

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        if argv[0] in ("blockdev", "lvchange"):
            self.asked.append(" ".join(argv))
            return Finished(0, "", "")
        return await self.seen(argv, timeout_s=timeout_s, stdin=stdin)


@pytest.mark.parametrize(("is_open", "undone"), [("", True), ("open", False)])
async def test_a_guard_is_taken_away_with_the_tag(is_open: str, *, undone: bool) -> None:
    run = Guarded(Looked(is_open=is_open))
    run.seen.row["lv_tags"] = "hapair"
    lvm = LvmAdapter(run)
    assert await lvm.guard("vg", "data") == Done()
    assert await lvm.disown("vg", "data") == Done()
    assert await lvm.disown("vg", "none") == Done()
    writable = ["blockdev --setrw /dev/vg/data"] if undone else []
    assert run.asked == [
        "blockdev --setro /dev/vg/data", *writable, "lvchange --deltag hapair vg/data",
    ]  # fmt: skip


@pytest.mark.parametrize("tags", ["hapair", "other,hapair", "hapair2", ""])
async def test_a_volume_of_ours_is_known_by_its_tag(tags: str) -> None:
    seen = Looked()
    seen.row["lv_tags"] = tags
    assert (await looked(seen)).ours == ("hapair" in tags.split(","))


@pytest.mark.parametrize(
    "answer",
    [
        Finished(5, "", "  Can't get lock for vg\n  Cannot process volume group vg\n"),
        Finished(5, "", "  WARNING: Failed to connect to lvmlockd\n"),
        Finished(127, "", "vgs: not found"),
        TimedOut(60.0),
    ],
)
async def test_whoever_could_not_look_does_not_say_that_there_is_nothing(
    answer: Finished | TimedOut,
) -> None:
    """A removal that did nothing must not pass for done."""

    async def run(
        argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        del argv, timeout_s, stdin
        return answer

    volumes = LvmAdapter(run)
    for asked in (
        volumes.group("vg"),
        volumes.remove("vg", "data"),
        volumes.remove_snapshots("vg", "data"),
    ):
        with pytest.raises(LvmReportError):
            await asked
