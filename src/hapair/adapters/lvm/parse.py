"""Read the JSON reports of LVM's tools."""

import json
from typing import Any, Final

from hapair.model.storage import UNSEEN, GroupStorage, LogicalVolume

TAG: Final = "hapair"  # Of the volumes and snapshots that hapair makes.
ACTIVE: Final = "active"  # Else "", "suspended", "unknown" or how a cluster holds it.
SNAPSHOTS: Final = ("s", "S")  # Not a thin volume: it lives on without its origin.


class LvmReportError(ValueError):
    """LVM did not answer, or with something that is no report of ours."""


def _rows(text: str, kind: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)["report"][0][kind]
        return [dict(row) for row in rows]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise LvmReportError(f"no report of LVM: {error}") from error


def groups_of(text: str) -> tuple[GroupStorage, ...]:
    """Return the groups of a vgs report, without their volumes; sizes are in bytes."""
    try:
        return tuple(
            GroupStorage(
                str(row["vg_name"]),
                exists=True,
                extent_bytes=int(row["vg_extent_size"]),
                free_bytes=int(row["vg_free"]),
                objection=_objection(str(row["vg_attr"])),
            )
            for row in _rows(text, "vg")
        )
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise LvmReportError(f"no report of groups: {error}") from error


def _objection(attributes: str) -> str:
    """Say why no volume can be made; the places of the letters are those of vgs(8)."""
    objections = (
        (attributes[:1] != "w", "may not be changed"),
        (attributes[2:3] == "x", "is exported"),
        (attributes[3:4] == "p", "lacks a disk"),
    )
    return next((text for holds, text in objections if holds), "")


def volumes_of(text: str) -> dict[str, tuple[LogicalVolume, ...]]:
    """Return each group's volumes of an lvs report; what they hold is not known from it."""
    found: dict[str, tuple[LogicalVolume, ...]] = {}
    try:
        for row in _rows(text, "lv"):
            group = str(row["vg_name"])
            found[group] = (*found.get(group, ()), _volume(row))
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise LvmReportError(f"no report of volumes: {error}") from error
    return found


def _volume(row: dict[str, Any]) -> LogicalVolume:
    return LogicalVolume(
        name=str(row["lv_name"]),
        size_bytes=int(row["lv_size"]),
        content=UNSEEN,
        in_use=row["lv_active"] == ACTIVE and row["lv_device_open"] != "",
        inactive=row["lv_active"] != ACTIVE,
        origin=str(row.get("origin", "")) if row["lv_attr"][:1] in SNAPSHOTS else "",
        made_wall_s=_moment(row.get("lv_time")),
        ours=TAG in str(row.get("lv_tags", "")).split(","),
    )


def _moment(value: object) -> float | None:
    """Read the time of creation, in seconds since 1970; without it only the age is unknown."""
    text = str(value)
    return float(text) if text.isdigit() else None
