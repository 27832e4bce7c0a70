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
from hapair_lab.snapshots import OS_BOOTED, TRIXIE_BOOTED, Step
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
# What the tried OCF agents start, besides. Not every name is a unit of each of Debian's releases.
AGENT_PACKAGES: Final = (
    "bind9",
    "bind9-host",
    "nginx-light",
    "resource-agents",
    "rsync",
    "wget",
)
AGENT_UNITS: Final = (
    "logd.service",
    "named.service",
    "nginx.service",
    "postfix.service",
    "postfix-resolvconf.path",
    "rsync.service",
)
SNMP_PACKAGES: Final = ("snmp", "snmptrapd")
SNMP_UNITS: Final = ("snmpd.service", "snmptrapd.service", "snmptrapd.socket")
# Podman with Quadlet, which Debian 12 has not.
CONTAINER_PACKAGES: Final = ("catatonit", "netavark", "podman")
CONTAINER_UNITS: Final = (
    "podman.service",
    "podman.socket",
    "podman-auto-update.timer",
    "podman-restart.service",
)


def command(masked: tuple[str, ...]) -> str:
    """Return what installs the packages of the archive in a guest, and masks these units."""
    return (
        f"mkdir {UNPACKED} && tar -C {UNPACKED} -xf {UNPACKED}.tar && "
        f"printf '#!/bin/sh\\nexit 101\\n' >{NO_START} && chmod 755 {NO_START} && "
        f"{INSTALL.format(path=f'{UNPACKED}/*.deb')} && "
        f"systemctl -q mask {' '.join(masked)} && rm -r {NO_START} {UNPACKED} {UNPACKED}.tar"
    )


def archives(release: str = recipe.DEFAULT_RELEASE, packages: tuple[str, ...] = PACKAGES) -> Path:
    """Return a tar of the packages that the image lacks, fetched if it is not in the cache."""
    base = packages_tar(release)
    digest = hashlib.sha256(repr((packages, base.name)).encode()).hexdigest()[:12]
    target = cache_folder() / f"packages-{release}-more-{digest}.tar"
    with locked(f"packages-{release}-more"):
        if not target.exists():
            work = Path(tempfile.mkdtemp(prefix="build-packages-", dir=cache_folder()))
            try:
                _fetch(release, base, packages, work / target.name)
                (work / target.name).rename(target)
            finally:
                remove(work)
    return target


def _fetch(release: str, base: Path, packages: tuple[str, ...], target: Path) -> None:
    """Let apt find out what the image, whose packages are in ``base``, lacks."""
    work = target.parent
    lines = package_sources.lines_for(release, tuple(package_sources.host_sources()))
    if not lines:
        raise LabError("this host's apt names no mirror of Debian")
    with step(f"fetching {', '.join(packages)} and what they need"):
        run_tool("tar", "-C", str(work), "-xf", str(base), KNOWN_AS_INSTALLED)
        apt = package_sources.apt_apart(work, lines)
        run_tool(*apt, "update")
        run_tool(
            *(*apt, "-o", f"Dir::State::status={work / KNOWN_AS_INSTALLED}"),
            *("install", "-y", "--download-only", "--no-install-recommends", *packages),
        )
        found = sorted(path.name for path in (work / "archives").glob("*.deb"))
        run_tool("tar", "-C", str(work / "archives"), "-cf", str(target), *found)


def booted_with(
    name: str,
    parent: Step,
    packages: tuple[str, ...],
    masked: tuple[str, ...],
    release: str = recipe.DEFAULT_RELEASE,
) -> Step:
    """Return the link of guests that have just booted with these packages, none of them started.

    They are in all guests of the release: clients of what they serve are on ``outside``.
    """
    install_all = command(masked)
    guests = [guest for guest, its in parent.first.releases if its == release]

    def install(lab: Lab) -> None:
        content = archives(release, packages).read_bytes()

        def install_on(machine: Machine) -> None:
            machine.note(f"{machine.name}: installs {', '.join(packages)}")
            machine.put(f"{UNPACKED}.tar", content)
            machine.check(install_all, timeout_s=INSTALL_TIMEOUT_S)

        in_parallel(install_on, tuple(map(lab.machine, guests)))

    return Step(name, parent, (repr(packages), install_all), install)


MORE_BOOTED: Final = booted_with("more-booted", OS_BOOTED, PACKAGES, MASKED_UNITS)
SNMP_BOOTED: Final = booted_with("snmp-booted", OS_BOOTED, SNMP_PACKAGES, SNMP_UNITS)
CONTAINERS_BOOTED: Final = booted_with(
    "containers-booted", TRIXIE_BOOTED, CONTAINER_PACKAGES, CONTAINER_UNITS, "trixie"
)
AGENTS_BOOTED: Final = booted_with("agents-booted", MORE_BOOTED, AGENT_PACKAGES, AGENT_UNITS)
