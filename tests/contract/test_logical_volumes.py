"""What snapshots of logical volumes promise; LVM's own tools are played by a script."""

import json
from collections.abc import Sequence
from typing import Final

import pytest

from hapair.adapters.lvm.adapter import LvmAdapter
from hapair.model.outcome import Done, Refused
from hapair.model.storage import GroupStorage, LogicalVolume
from hapair.ports import Finished, LogicalVolumes
from tests.fakes.storage import FakeLogicalVolumes

MIB: Final = 2**20
EXTENT: Final = 4 * MIB
DATA: Final = LogicalVolume("data", 64 * MIB)
GROUP: Final = GroupStorage(
    "vg", exists=True, extent_bytes=EXTENT, free_bytes=100 * MIB, volumes=(DATA,)
)


class PlayedLvm:
    """One group behind the tools' command lines and reports."""

    def __init__(self) -> None:
        self.inside = FakeLogicalVolumes({"vg": GROUP})

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished:
        del timeout_s, stdin
        group = await self.inside.group("vg")
        match argv[0]:
            case "vgs" if argv[-1] == "vg":
                row = {"vg_extent_size": str(EXTENT), "vg_free": str(group.free_bytes)}
                return Finished(0, json.dumps({"report": [{"vg": [row]}]}), "")
            case "lvs":
                rows = [_row(volume) for volume in group.volumes]
                return Finished(0, json.dumps({"report": [{"lv": rows}]}), "")
            case "lvcreate":
                size, name, origin = argv[4], argv[6], argv[7].partition("/")[2]
                made = await self.inside.snapshot("vg", origin, name, int(size.rstrip("b")))
                return Finished(0, "", "") if isinstance(made, Done) else Finished(5, "", made.why)
            case "lvremove":
                await self.inside.remove("vg", argv[-1].partition("/")[2])
                return Finished(0, "", "")
            case _:
                return Finished(5, "", "not found")


def _row(volume: LogicalVolume) -> dict[str, str]:
    made = "" if volume.made_wall_s is None else str(int(volume.made_wall_s))
    return {
        "lv_name": volume.name,
        "lv_size": str(volume.size_bytes),
        "lv_device_open": "",
        "origin": volume.origin,
        "lv_time": made,
    }


@pytest.fixture(params=["fake", "adapter"])
def volumes(request: pytest.FixtureRequest) -> LogicalVolumes:
    if request.param == "fake":
        return FakeLogicalVolumes({"vg": GROUP})
    return LvmAdapter(PlayedLvm())


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
    assert await volumes.remove_snapshot("vg", "data_split") == Done()
    assert (await volumes.group("vg")).free_bytes == 100 * MIB
    assert await volumes.remove_snapshot("vg", "data_split") == Done()


async def test_only_snapshots_are_removed_as_snapshots(volumes: LogicalVolumes) -> None:
    assert isinstance(await volumes.remove_snapshot("vg", "data"), Refused)
    assert (await volumes.group("vg")).volume("data") is not None
