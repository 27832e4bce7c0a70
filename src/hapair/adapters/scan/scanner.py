"""All facts of this machine that clbuild asks for, gathered side by side."""

import asyncio
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hapair import __version__
from hapair.adapters.scan import arbitration, network, software, storage
from hapair.adapters.scan.software import text_of
from hapair.model.node_facts import Daemon, HookFile, NodeFacts, ScanRequest, Space
from hapair.ports.programs import CommandRunner

SPACE_FOLDERS: Final = ("etc", "var/lib", "cmbackup")
EPHEMERAL_DEFAULT: Final = ("32768", "60999")


class Scanner:
    """A pure reader: it loads no module, writes no file, and every question is bounded."""

    def __init__(self, run: CommandRunner, root: Path) -> None:
        self._run = run
        self._root = root

    async def scan(self, request: ScanRequest) -> NodeFacts:
        """Return what was seen; the configuration and the daemon's words are not asked here."""
        run, root = self._run, self._root
        units = (*software.FIREWALLS, *software.OTHER_MANAGERS, "hapaird")
        async with asyncio.TaskGroup() as group:
            drbd = group.create_task(software.drbd(run, root))
            lvm = group.create_task(storage.lvm(run, root))
            cards = group.create_task(network.cards(run))
            names = group.create_task(network.names(run, request.names))
            logins = group.create_task(network.logins(run, request.login_addresses))
            enabled = group.create_task(software.units_enabled(run))
            active = await software.active_units(run, units)
            firewall = await software.firewall(run, active)
        random = root / "proc/sys/kernel/random"
        net = root / "proc/sys/net/ipv4"
        first, last = (text_of(net / "ip_local_port_range").split() or EPHEMERAL_DEFAULT)[:2]
        return NodeFacts(
            hostname=platform.node(),
            version=__version__,
            machine_id=text_of(root / "etc/machine-id").strip(),
            boot_id=text_of(random / "boot_id").strip(),
            kernel=platform.release(),
            kernels=software.kernels(root),
            drbd=drbd.result(),
            lvm=lvm.result(),
            tools=software.tools(root),
            cards=cards.result(),
            names=names.result(),
            logins=logins.result(),
            busy_ports=network.busy_ports(root, request.port_first, request.port_last),
            ephemeral_first=int(first),
            ephemeral_last=int(last),
            reserved_ports=text_of(net / "ip_local_reserved_ports").strip(),
            firewall=firewall,
            other_managers=tuple(name for name in active if name in software.OTHER_MANAGERS),
            scrubs_unmounted=software.scrubs_unmounted(root),
            spaces=tuple(_spaces(root)),
            fence_agents=arbitration.fence_agents(root, request.fence_agents),
            watchdog=arbitration.watchdog(root, request.watchdog),
            secret_files=tuple(
                arbitration.secret_file(root, path) for path in request.secret_files
            ),
            hooks=_hooks(root, request.hooks),
            daemon=Daemon(running="hapaird" in active, enabled=enabled.result()),
            wall_ms=0,  # The caller reads the clock, at the end.
        )


async def as_configured(
    run: CommandRunner, root: Path, node: str, hooks: Sequence[str] = ()
) -> NodeFacts | None:
    """Return what a node's files say of who touches volumes, cheaply; None when not all is known.

    Neither a disk nor the kernel's DRBD is asked: what hangs holds nobody up.
    """
    lvm = await storage.lvm_as_configured(run, root)
    if lvm is None:
        return None
    return NodeFacts(
        hostname=node,
        version="",
        machine_id="",
        boot_id="",
        kernel="",
        wall_ms=0,
        drbd=await software.drbd_as_configured(run, root),
        lvm=lvm,
        scrubs_unmounted=await asyncio.to_thread(software.scrubs_unmounted, root),
        hooks=await asyncio.to_thread(_hooks, root, hooks),
    )


def _hooks(root: Path, paths: Sequence[str]) -> tuple[HookFile, ...]:
    return tuple(arbitration.hook_file(root, path) for path in paths)


def _spaces(root: Path) -> list[Space]:
    found = []
    for folder in SPACE_FOLDERS:
        place = root / folder
        while not place.exists():
            place = place.parent
        usage = os.statvfs(place)
        found.append(Space(f"/{folder}", usage.f_bavail * usage.f_frsize))
    return found
