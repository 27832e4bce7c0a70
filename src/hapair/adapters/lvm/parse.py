"""Read the JSON reports of LVM's tools."""

import json
from typing import Any, Final

from hapair.model.storage import UNSEEN, GroupStorage, LogicalVolume

TAG: Final = "hapair"  # Of the volumes and snapshots that hapair makes.
ACTIVE: Final = "active"  # Else "", "suspended", "unknown" or how a cluster holds it.
# The places of the letters, and what they mean, are those of lvs(8).
KIND, PERMISSION, STATE = 0, 1, 4
SNAPSHOTS: Final = ("s", "S")  # Not a thin volume: it lives on without its origin.
WITHOUT_BLOCKS: Final = ("V", "v")  # A thin volume, and one of a VDO pool.
HISTORICAL: Final = "h"
OBJECTIONS: Final = {
    "t": "is a thin pool",
    "d": "is a VDO pool",
    "O": "is to become what a snapshot of it holds: the merge is under way, or waits for its start",
    "p": "is being moved",
    "c": "is being converted",
    "I": "is a part of a RAID volume that was split off",
}


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
            if not _is_apart(row):
                group = str(row["vg_name"])
                found[group] = (*found.get(group, ()), _volume(row))
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise LvmReportError(f"no report of volumes: {error}") from error
    return found


def taken_names_of(text: str) -> dict[str, tuple[str, ...]]:
    """Return each group's names that no volume can be given although none is to be seen there."""
    found: dict[str, tuple[str, ...]] = {}
    try:
        for row in _rows(text, "lv"):
            if _is_apart(row):
                group = str(row["vg_name"])
                found[group] = (*found.get(group, ()), str(row["lv_name"]).strip("[]").lstrip("-"))
    except KeyError as error:
        raise LvmReportError(f"no report of volumes: {error}") from error
    return found


def _is_apart(row: dict[str, Any]) -> bool:
    """Tell whether LVM keeps it for itself, or only remembers it."""
    return str(row["lv_name"]).startswith("[") or _letter(row, STATE) == HISTORICAL


def _letter(row: dict[str, Any], place: int) -> str:
    return str(row["lv_attr"])[place : place + 1]


def _volume(row: dict[str, Any]) -> LogicalVolume:
    active = row["lv_active"] == ACTIVE
    kind = _letter(row, KIND)
    return LogicalVolume(
        name=str(row["lv_name"]),
        size_bytes=int(row["lv_size"]),
        content=UNSEEN,
        in_use=active and row["lv_device_open"] != "",
        inactive=not active or _letter(row, STATE) != "a",
        origin=str(row.get("origin", "")) if kind in SNAPSHOTS else "",
        made_wall_s=_moment(row.get("lv_time")),
        ours=TAG in str(row.get("lv_tags", "")).split(","),
        identity=str(row["lv_uuid"]),
        objection=_why_no_data(row),
        pool=str(row["pool_lv"]) if kind in WITHOUT_BLOCKS else "",
    )


def _why_no_data(row: dict[str, Any]) -> str:
    """Say why no data can be kept on a volume; empty also for a snapshot, which has an origin."""
    if objection := OBJECTIONS.get(_letter(row, KIND), ""):
        return objection
    if health := str(row["lv_health_status"]):
        return f'is not in order: LVM says "{health}"'
    # Not "R", which a guard of ours gives it, and takes away again.
    return "may only be read" if _letter(row, PERMISSION) == "r" else ""


def _moment(value: object) -> float | None:
    """Read the time of creation, in seconds since 1970; without it only the age is unknown."""
    text = str(value)
    return float(text) if text.isdigit() else None
