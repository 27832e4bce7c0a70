"""LVM's tools, played by a script: their command lines and their reports."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from hapair.model.outcome import Done
from hapair.model.storage import GroupStorage, LogicalVolume
from hapair.ports.programs import Finished
from tests.fakes.storage import FakeLogicalVolumes


class PlayedLvm:
    """One group behind the tools' command lines and reports; counts what is started."""

    def __init__(self, group: GroupStorage) -> None:
        self.name = group.name
        self.inside = FakeLogicalVolumes({group.name: group})
        self.started: Counter[str] = Counter()

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished:
        del timeout_s, stdin
        self.started[argv[0]] += 1
        group = await self.inside.group(self.name)
        match argv[0]:
            case "vgs" if argv[-1] == self.name:
                row = group_row(group)
                return Finished(0, json.dumps({"report": [{"vg": [row]}]}), "")
            case "lvs":
                rows = [row_of(volume, self.name) for volume in group.volumes]
                return Finished(0, json.dumps({"report": [{"lv": rows}]}), "")
            case "lvcreate":
                assert "--snapshot" in argv
                options = dict(pairwise(argv))
                assert options["--addtag"] == "hapair"
                size, origin = options["--size"].rstrip("b"), argv[-1].partition("/")[2]
                made = await self.inside.snapshot(self.name, origin, options["--name"], int(size))
                return Finished(0, "", "") if isinstance(made, Done) else Finished(5, "", made.why)
            case "lvremove":
                assert argv[2] == "--select"
                for path in argv[4:]:
                    name = path.partition("/")[2]
                    if f"lv_uuid=uuid-of-{name}" in argv[3].split(" || "):
                        await self.inside.remove(self.name, name)
                return Finished(0, "", "")
            case _:
                return Finished(5, "", f'Volume group "{argv[-1]}" not found')


def group_row(group: GroupStorage) -> dict[str, str]:
    return {
        "vg_name": group.name,
        "vg_extent_size": str(group.extent_bytes),
        "vg_free": str(group.free_bytes),
        "vg_attr": "wz--n-",
    }


def row_of(volume: LogicalVolume, group: str) -> dict[str, str]:
    made = "" if volume.made_wall_s is None else str(int(volume.made_wall_s))
    return {
        "vg_name": group,
        "lv_name": volume.name,
        "lv_attr": "swi-a-s---" if volume.origin else "-wi-a-----",
        "lv_size": str(volume.size_bytes),
        "lv_active": "active",
        "lv_device_open": "",
        "origin": volume.origin,
        "lv_time": made,
        "lv_tags": "hapair" if volume.ours else "",
        "lv_uuid": f"uuid-of-{volume.name}",
        "pool_lv": volume.pool,
        "lv_health_status": "",
    }
