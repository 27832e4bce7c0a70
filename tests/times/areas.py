"""Which scenario on guests belongs to which area: what ``make lab AREA=storage`` plays.

``python -m tests.times.areas storage`` prints the table and ends with 2 without one.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

ALL: Final = "all"
# The longest of these beginnings of a test's name says where it belongs.
AREAS: Final[Mapping[str, tuple[str, ...]]] = {
    "build": (
        "tests/lab/test_build.py",
        "tests/lab/test_interrupted_builds.py",
        "tests/lab/test_volumes_of_others.py",
    ),
    "main-job": ("tests/lab/test_main_job.py",),
    "failures": ("tests/lab/test_failures.py",),
    "storage": (
        "tests/adapters/test_drbd_lab.py",
        "tests/lab/test_drbd_model.py",
        "tests/lab/test_failures.py::test_a_copy_that_is_half_resynced",
        "tests/lab/test_failures.py::test_a_device_that_somebody_holds",
        "tests/lab/test_failures.py::test_a_failing_disk",
        "tests/lab/test_failures.py::test_a_resync_that_stands_still",
        "tests/lab/test_resync_order.py",
        "tests/lab/test_strangers.py",
        "tests/lab/test_written_behind.py",
    ),
    "networks": (
        "tests/lab/test_failures.py::test_an_address_that_somebody_else_has",
        "tests/lab/test_main_job.py::test_cut_replication_link",
        "tests/lab/test_removed_addresses.py",
    ),
    "witness": (
        "tests/lab/test_third_parties.py::test_etcd",
        "tests/lab/test_witness.py",
    ),
    "fencing": (
        "tests/lab/test_power_devices.py",
        "tests/lab/test_third_parties.py::test_a_silent_node",
    ),
    "applications": ("tests/lab/test_applications.py", "tests/lab/test_second_holders.py"),
    "split-brain": ("tests/lab/test_split_brain.py",),
    "soak": ("tests/lab/test_soak.py",),
    "lab": ("tests/lab/test_faults.py", "tests/lab/test_lab_itself.py"),
}


def area_of(name: str) -> str:
    """Return the area of a test by its name; empty when no line of the table covers it."""
    _, area = max(
        (len(start), area)
        for area, starts in (*AREAS.items(), ("", ("",)))
        for start in starts
        if name.startswith(start)
    )
    return area


def table() -> str:
    """Return the areas, each with where its scenarios stand."""
    wide = max(len(area) for area in AREAS)
    lines = [
        f"  {area if first else '':{wide}}  {start}"
        for area, starts in AREAS.items()
        for first, start in zip((True, *[False] * len(starts)), starts, strict=False)
    ]
    return "\n".join(["the areas, and the scenarios of each:", *lines])


def main(arguments: Sequence[str]) -> int:
    """Check the area that is named, if any."""
    unknown = [area for area in arguments if area not in AREAS]
    for area in unknown:
        print(f"there is no area {area!r}; {table()}", file=sys.stderr)
    return 2 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
