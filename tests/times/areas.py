"""Which scenario on guests belongs to which area: what ``make lab AREA=storage`` plays.

``python -m tests.times.areas storage`` prints pytest's arguments for it, or without a name those of
all areas. An unknown one is answered with the table and 2.
"""

import ast
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ALL: Final = "all"
ROOT: Final = Path(__file__).parents[2]
# Three labs side by side, one of emulated guests, and one who computes meanwhile.
WORKERS_MAX: Final = 5
# The longest of these beginnings of a test's name says where it belongs.
AREAS: Final[Mapping[str, tuple[str, ...]]] = {
    "build": (
        "tests/lab/test_build.py",
        "tests/lab/test_interrupted_builds.py",
        "tests/lab/test_volumes_of_others.py",
    ),
    "main-job": ("tests/lab/test_main_job.py", "tests/lab/test_versions.py"),
    "failures": (
        "tests/lab/test_alerts.py",
        "tests/lab/test_failures.py",
        "tests/lab/test_full_disks.py",
        "tests/lab/test_hearts.py",
        "tests/lab/test_hung_standby.py",
    ),
    "storage": (
        "tests/adapters/test_drbd_lab.py",
        "tests/lab/test_drbd_model.py",
        "tests/lab/test_failures.py::test_a_copy_that_is_half_resynced",
        "tests/lab/test_failures.py::test_a_device_that_somebody_holds",
        "tests/lab/test_failures.py::test_a_failing_disk",
        "tests/lab/test_failures.py::test_a_resync_that_stands_still",
        "tests/lab/test_many_volumes.py",
        "tests/lab/test_real_site.py",
        "tests/lab/test_nested.py",
        "tests/lab/test_boot_uses.py",
        "tests/lab/test_by_hand.py",
        "tests/lab/test_other_tools.py",
        "tests/lab/test_release.py",
        "tests/lab/test_resources_of_others.py",
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
    "applications": (
        "tests/lab/test_applications.py",
        "tests/lab/test_monitors.py",
        "tests/lab/test_ocf_agents.py",
        "tests/lab/test_real_applications.py",
        "tests/lab/test_second_holders.py",
    ),
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


def pytest_arguments(areas: Sequence[str]) -> list[str]:
    """Return the workers and files with which pytest plays these areas, or all of them.

    To collect all tests in each of five workers takes longer than a small area.
    """
    starts = [start for area in areas or AREAS for start in AREAS[area]]
    workers = min(WORKERS_MAX, sum(map(_scenarios, starts)))
    return [f"-n={workers}", *sorted({start.partition("::")[0] for start in starts})]


def _scenarios(start: str) -> int:
    """Count the tests whose names begin so; one with parameters is many."""
    file, _, name = start.partition("::")
    return sum(
        WORKERS_MAX if "parametrize" in "".join(map(ast.dump, node.decorator_list)) else 1
        for node in ast.parse((ROOT / file).read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith(name or "test_")
    )


def main(arguments: Sequence[str]) -> int:
    """Print pytest's arguments for the areas that are named."""
    unknown = [area for area in arguments if area not in AREAS]
    for area in unknown:
        print(f"there is no area {area!r}; {table()}", file=sys.stderr)
    if not unknown:
        print(" ".join(pytest_arguments(arguments)))
    return 2 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
