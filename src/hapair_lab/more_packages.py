"""Packages that few scenarios want: a link of the chain of snapshots has them.

The image of all guests stays small. What it lacks for ``PACKAGES`` is fetched once into the cache,
and installed as an administrator does it, when a scenario first asks for it.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Final

from hapair_lab import package_sources, recipe
from hapair_lab.errors import LabError
from hapair_lab.folders import cache_folder
from hapair_lab.images import packages_tar, remove
from hapair_lab.lab import Lab, in_parallel
from hapair_lab.machine import Machine
from hapair_lab.packages import FOLDER_IN_GUEST, INSTALL, INSTALL_TIMEOUT_S
from hapair_lab.progress import step
from hapair_lab.snapshots import OS_BOOTED, Step
from hapair_lab.tools import locked, run_tool

PACKAGES: Final = (
    "apache2",
    "dovecot-imapd",
    "dovecot-lmtpd",
    "mariadb-server",
    "postfix",
    "samba",
    "smbclient",
)
# Until a scenario wants them.
MASKED_UNITS: Final = (
    "apache2.service",
    "apache-htcacheclean.service",
    "dovecot.service",
    "dovecot.socket",
    "mariadb.service",
    "nmbd.service",
    "postfix.service",
    "postfix-resolvconf.path",
    "samba-ad-dc.service",
    "smbd.service",
)
KNOWN_AS_INSTALLED: Final = "./var/lib/dpkg/status"
# Nothing is started while it is installed: what is not masked yet would be.
NO_START: Final = "/usr/sbin/policy-rc.d"
UNPACKED: Final = f"{FOLDER_IN_GUEST}/more"
INSTALL_ALL: Final = (
    f"mkdir {UNPACKED} && tar -C {UNPACKED} -xf {UNPACKED}.tar && "
    f"printf '#!/bin/sh\\nexit 101\\n' >{NO_START} && chmod 755 {NO_START} && "
    f"{INSTALL.format(path=f'{UNPACKED}/*.deb')} && "
    f"systemctl -q mask {' '.join(MASKED_UNITS)} && rm -r {NO_START} {UNPACKED} {UNPACKED}.tar"
)


def archives(release: str = recipe.DEFAULT_RELEASE) -> Path:
    """Return a tar of the packages that the image lacks, fetched if it is not in the cache."""
    base = packages_tar(release)
    digest = hashlib.sha256(repr((PACKAGES, base.name)).encode()).hexdigest()[:12]
    target = cache_folder() / f"packages-{release}-more-{digest}.tar"
    with locked(f"packages-{release}-more"):
        if not target.exists():
            work = Path(tempfile.mkdtemp(prefix="build-packages-", dir=cache_folder()))
            try:
                _fetch(release, base, work, work / target.name)
                (work / target.name).rename(target)
            finally:
                remove(work)
    return target


def _fetch(release: str, base: Path, work: Path, target: Path) -> None:
    """Let apt find out what the image, whose packages are in ``base``, lacks."""
    lines = package_sources.lines_for(release, tuple(package_sources.host_sources()))
    if not lines:
        raise LabError("this host's apt names no mirror of Debian")
    with step(f"fetching {', '.join(PACKAGES)} and what they need"):
        run_tool("tar", "-C", str(work), "-xf", str(base), KNOWN_AS_INSTALLED)
        apt = package_sources.apt_apart(work, lines)
        run_tool(*apt, "update")
        run_tool(
            *(*apt, "-o", f"Dir::State::status={work / KNOWN_AS_INSTALLED}"),
            *("install", "-y", "--download-only", "--no-install-recommends", *PACKAGES),
        )
        found = sorted(path.name for path in (work / "archives").glob("*.deb"))
        run_tool("tar", "-C", str(work / "archives"), "-cf", str(target), *found)


def _install_on(machine: Machine, content: bytes) -> None:
    machine.note(f"{machine.name}: installs {', '.join(PACKAGES)}")
    machine.put(f"{UNPACKED}.tar", content)
    machine.check(INSTALL_ALL, timeout_s=INSTALL_TIMEOUT_S)


def install(lab: Lab) -> None:
    """Install them in all guests: clients of what they serve are on ``outside``."""
    content = archives().read_bytes()
    in_parallel(lambda machine: _install_on(machine, content), lab.machines)


# Guests that have just booted with these packages, none of which is started.
MORE_BOOTED: Final = Step("more-booted", OS_BOOTED, (repr(PACKAGES), INSTALL_ALL), install)
