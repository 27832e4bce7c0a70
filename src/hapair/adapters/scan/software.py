"""Kernel modules, tools, services."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from hapair.adapters.scan import parse
from hapair.model.node_facts import Drbd, Kernel
from hapair.ports.programs import CommandRunner, Finished, TimedOut

COMMAND_TIMEOUT_S: Final = 20.0
FOLDERS: Final = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
TOOLS: Final = (
    "drbdadm", "drbdmeta", "drbdsetup", "e2fsck", "ip", "lvcreate", "lvs", "modprobe", "openssl",
    "ssh", "systemctl", "vgs", "xfs_repair",
)  # fmt: skip
OWN_PREFIX: Final = "hapair-"  # Of our resource files in /etc/drbd.d.
SERVICE: Final = "drbd.service"  # Of drbd-utils: it brings all resources up.
ALL: Final = "exists -"  # The last line of a whole dump.
# What an enabled unit leaves in /etc/systemd/system: of drbd-utils, for one resource.
WANTS: Final = ("*.wants/drbd*@*", "*.requires/drbd*@*")
OWN_UNITS: Final = ("hapair-apps.service", "hapair-node.service", "hapaird.service")
FIREWALLS: Final = ("firewalld", "ufw")
OTHER_MANAGERS: Final = (
    "corosync", "drbd-reactor", "heartbeat", "linstor-satellite", "pacemaker",
)  # fmt: skip


def text_of(path: Path) -> str:
    """Return what a file says; nothing when it is not there or cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def tools(root: Path) -> tuple[str, ...]:
    return tuple(
        tool
        for tool in TOOLS
        if any(os.access(root / folder / tool, os.X_OK) for folder in FOLDERS)
    )


def kernels(root: Path) -> tuple[Kernel, ...]:
    """Return the installed kernels that the machine could boot."""
    found = []
    for folder in sorted((root / "lib/modules").glob("*")):
        release = folder.name
        bootable = (root / f"boot/vmlinuz-{release}").exists() or (folder / "vmlinuz").exists()
        if bootable:
            lists = (text_of(folder / "modules.dep"), text_of(folder / "modules.builtin"))
            found.append(Kernel(release, parse.has_module("drbd", *lists)))
    return tuple(found)


async def output(run: CommandRunner, *argv: str) -> str:
    """Return what a command printed, whatever its exit code; nothing when it did not end."""
    match await run(argv, timeout_s=COMMAND_TIMEOUT_S):
        case Finished(stdout=stdout):
            return stdout
        case TimedOut():
            return ""


async def drbd(run: CommandRunner, root: Path) -> Drbd:
    own, foreign_minors, main = _resource_files(root)
    configured = replace(
        await drbd_as_configured(run, root),
        reads_our_folder="drbd.d/" in main,
        dkms=(root / "var/lib/dkms/drbd").exists(),
    )
    if (root / "sys/module/drbd").exists():
        version = text_of(root / "sys/module/drbd/version").strip() or "unknown"
        said, error = await _events(run)
        in_kernel = parse.kernel_minors(said)
        foreign_minors |= {minor for name, minor in in_kernel if name not in own}
        return replace(
            configured,
            version=version,
            loaded=True,
            error=error,
            protocols=parse.protocols(text_of(root / "proc/drbd"))
            or parse.protocols_of_version(version),
            minors=tuple(sorted(foreign_minors)),
            ours_up=any(name in own for name, _ in in_kernel),
            helper=text_of(root / "sys/module/drbd/parameters" / parse.HELPER).strip(),
        )
    version, error, helper = await _module_on_disk(run)
    return replace(
        configured,
        version=version,
        error=error,
        protocols=parse.protocols_of_version(version),
        minors=tuple(sorted(foreign_minors)),
        helper=helper,
    )


async def drbd_as_configured(run: CommandRunner, root: Path) -> Drbd:
    """Return what the files of others make of our resources; the kernel is not asked."""
    return Drbd(
        at_boot=(await output(run, "systemctl", "is-enabled", SERVICE)).strip() == "enabled",
        units_at_boot=await asyncio.to_thread(_units_at_boot, root),
        common_disk=await asyncio.to_thread(_common_disk, root),
    )


async def _events(run: CommandRunner) -> tuple[str, str]:
    """Return what the kernel tells of its resources, and why it does not tell all of them."""
    match await run(("drbdsetup", "events2", "--now"), timeout_s=COMMAND_TIMEOUT_S):
        case Finished(exit_code=code, stdout=stdout) if code == 0 or ALL in stdout.splitlines():
            return stdout, ""
        case Finished(exit_code=code, stdout=stdout, stderr=stderr):
            return stdout, f"drbdsetup events2 ended with {code}: {stderr.strip()}"
        case TimedOut(after_s):
            return "", f"drbdsetup events2 gave no answer within {after_s:.0f} s"


async def _module_on_disk(run: CommandRunner) -> tuple[str, str, str]:
    """Return the version of the module that would be loaded, why none would, and its helper."""
    match await run(("modprobe", "--dry-run", "--verbose", "drbd"), timeout_s=COMMAND_TIMEOUT_S):
        case Finished(exit_code=0, stdout=would_do):
            version = (await output(run, "modinfo", "-F", "version", "drbd")).strip()
            return version or "unknown", "", parse.helper_of_module(would_do)
        case Finished(exit_code=code, stderr=stderr):
            return "", stderr.strip() or f"modprobe ended with {code}", ""
        case TimedOut(after_s):
            return "", f"modprobe gave no answer within {after_s:.0f} s", ""


def _resource_files(root: Path) -> tuple[set[str], set[int], str]:
    """Return the names of our resources, the minors of all others, and the main file."""
    own: set[str] = set()
    minors: set[int] = set()
    for file in sorted((root / "etc/drbd.d").glob("*.res")):
        if file.name.startswith(OWN_PREFIX):
            own.add(file.name.removeprefix(OWN_PREFIX).removesuffix(".res"))
        else:
            minors |= parse.configured_minors(text_of(file))
    main = text_of(root / "etc/drbd.conf")
    return own, minors | parse.configured_minors(main), main


def _units_at_boot(root: Path) -> tuple[str, ...]:
    """Return the enabled units of drbd-utils that bring up, or promote, a resource of ours."""
    files = (root / "etc/drbd.d").glob(f"{OWN_PREFIX}*.res")
    own = {file.stem.removeprefix(OWN_PREFIX) for file in files}
    folder = root / "etc/systemd/system"
    names = {link.name for pattern in WANTS for link in folder.glob(pattern)}
    return tuple(sorted(name for name in names if parse.instance_of(name) in own))


def _common_disk(root: Path) -> tuple[str, ...]:
    texts = (text_of(file) for file in (root / "etc/drbd.d").glob("*.conf"))
    said = "\n".join((text_of(root / "etc/drbd.conf"), *texts))
    return tuple(sorted(parse.common_disk_options(said)))


def scrubs_unmounted(root: Path) -> bool:
    """Tell whether e2scrub's timer checks all logical volumes, also those that are not mounted."""
    said = parse.shell_settings(text_of(root / "etc/e2scrub.conf"))
    return said.get("periodic_e2scrub") == said.get("scrub_all") == "1"


async def active_units(run: CommandRunner, names: tuple[str, ...]) -> tuple[str, ...]:
    states = (await output(run, "systemctl", "is-active", *names)).split()
    return tuple(
        name for name, state in zip(names, states, strict=False) if state in {"active", "reloading"}
    )


async def units_enabled(run: CommandRunner) -> bool:
    """Tell whether all our units start at boot."""
    states = (await output(run, "systemctl", "is-enabled", *OWN_UNITS)).split()
    return len(states) == len(OWN_UNITS) and set(states) == {"enabled"}


async def firewall(run: CommandRunner, active: tuple[str, ...]) -> str:
    """Name what filters incoming packets; nothing when nothing seems to."""
    named = [name for name in active if name in FIREWALLS]
    if named:
        return named[0]
    ruleset = await output(run, "nft", "list", "ruleset")
    return "nftables" if parse.input_is_filtered(ruleset) else ""
