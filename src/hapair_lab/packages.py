"""Installs our package in the guests, the way an administrator does, and without any network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from hapair_lab.errors import LabError
from hapair_lab.lab import Lab, in_parallel
from hapair_lab.machine import Machine
from hapair_lab.snapshots import OS_BOOTED, Step, file_hash

VARIABLE: Final = "HAPAIR_LAB_PACKAGE"
INSTALL_TIMEOUT_S: Final = 600.0
FOLDER_IN_GUEST: Final = "/var/cache/hapair-lab"
# The dependencies are in the image already; apt checks that, and fetches nothing.
INSTALL: Final = (
    "DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"
    " -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold {path}"
)


def package_file() -> Path:
    """Return the newest package in ``dist``, or the one that HAPAIR_LAB_PACKAGE names."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named)
    root = Path(__file__).parents[2]
    found = sorted((root / "dist").glob("hapair_*.deb"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise LabError(f"there is no package in {root / 'dist'}", hint="make deb")
    return found[-1]


def install_on(node: Machine, package: Path) -> None:
    """Copy the package to a node and install it there; an older version is upgraded."""
    target = f"{FOLDER_IN_GUEST}/{package.name}"
    node.note(f"{node.name}: installs {package.name}")
    node.put(target, package.read_bytes())
    node.check(INSTALL.format(path=target), timeout_s=INSTALL_TIMEOUT_S)


def install_package(lab: Lab, package: Path) -> None:
    """Install the package on both nodes at once."""
    in_parallel(lambda node: install_on(node, package), lab.nodes)


def installed_step(package: Path, booted: Step = OS_BOOTED) -> Step:
    """Return the link of the snapshot chain in which both nodes have the package."""
    return Step(
        name="installed" if booted is OS_BOOTED else f"installed-on-{booted.name}",
        parent=booted,
        ingredients=(file_hash(package), INSTALL),
        build=lambda lab: install_package(lab, package),
    )
