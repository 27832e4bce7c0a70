"""LVM, and what its physical volumes lie on."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from hapair.adapters.scan import parse
from hapair.adapters.scan.software import output, text_of
from hapair.adapters.shared.lvm_reports import REPORT
from hapair.adapters.shared.mounts import OF_NETWORKS, mount_info
from hapair.model.node_facts import Lvm, PhysicalVolume, StorageKind, VolumeGroup
from hapair.ports.programs import CommandRunner, TimedOut

# A hung disk makes LVM wait; the scan must not.
LVM_TIMEOUT_S: Final = 30.0
STACK_DEPTH_MAX: Final = 16
NETWORK_BLOCK_DEVICES: Final = ("nbd", "rbd")
# As in force: where lvm.conf is silent, distributions have compiled in other defaults.
SETTINGS: Final = (
    "devices/use_devicesfile", "devices/devicesfile",
    "activation/volume_list", "activation/read_only_volume_list",
)  # fmt: skip
NOT_SET: Final = "Configuration node"  # lvmconfig's words about what nobody has set.


async def lvm(run: CommandRunner, root: Path) -> Lvm:
    version = await run(("lvm", "version"), timeout_s=LVM_TIMEOUT_S)
    if isinstance(version, TimedOut):
        return Lvm(error=f"no answer within {version.after_s:.0f} s")
    if not parse.lvm_version(version.stdout):
        return Lvm(error=version.stderr.strip() or f"lvm ended with {version.exit_code}")
    listed = await run(
        ("pvs", "--foreign", "--shared", *REPORT, "-o", parse.PVS_FIELDS),
        timeout_s=LVM_TIMEOUT_S,
    )
    if isinstance(listed, TimedOut):
        return Lvm(error=f"pvs gave no answer within {listed.after_s:.0f} s: a disk may hang")
    if listed.exit_code != 0:
        return Lvm(error=listed.stderr.strip() or f"pvs ended with {listed.exit_code}")
    configured = await lvm_as_configured(run, root)
    if configured is None:
        return Lvm(error="lvmconfig does not tell how LVM is configured")
    return replace(
        configured,
        version=parse.lvm_version(version.stdout),
        groups=_groups(parse.physical_volumes(listed.stdout), root),
        system_id=parse.system_id(await output(run, "lvm", "systemid")),
    )


async def lvm_as_configured(run: CommandRunner, root: Path) -> Lvm | None:
    """Return what LVM's own files say, without a look at any disk; None when that is not known."""
    explicit = await run(("lvmconfig", "devices/global_filter"), timeout_s=LVM_TIMEOUT_S)
    full = await run(("lvmconfig", "--typeconfig", "full", *SETTINGS), timeout_s=LVM_TIMEOUT_S)
    if isinstance(explicit, TimedOut) or isinstance(full, TimedOut):
        return None
    if explicit.exit_code != 0 and NOT_SET not in explicit.stderr:
        return None
    settings = parse.lvm_settings(full.stdout)
    return Lvm(
        global_filter=parse.lvm_filter(explicit.stdout),
        devices=await asyncio.to_thread(_devices, settings, root),
        volume_list=settings.get("volume_list"),
        read_only_volume_list=settings.get("read_only_volume_list", ()),
    )


def _devices(settings: Mapping[str, tuple[str, ...]], root: Path) -> tuple[str, ...] | None:
    """Return what LVM's devices file names; None when LVM uses none, or it is not there."""
    (name,) = settings.get("devicesfile") or ("",)
    file = root / "etc/lvm/devices" / name
    if settings.get("use_devicesfile") != ("1",) or not file.is_file():
        return None
    return parse.lvm_devices(text_of(file))


def _groups(rows: tuple[parse.ReportedVolume, ...], root: Path) -> tuple[VolumeGroup, ...]:
    mountinfo = mount_info(root / "proc/self/mountinfo")
    found = []
    for name in sorted({row.group for row in rows}):
        members = [row for row in rows if row.group == name]
        first = members[0]
        volumes = tuple(_physical_volume(row.device, root, mountinfo) for row in members)
        found.append(
            VolumeGroup(
                name,
                first.identity,
                first.size_bytes,
                first.free_bytes,
                volumes,
                system_id=first.system_id,
                lock_type=first.lock_type,
                exported=first.exported,
            )
        )
    return tuple(found)


def _physical_volume(device: str, root: Path, mountinfo: str) -> PhysicalVolume:
    name = Path(root / device.lstrip("/")).resolve().name
    block = root / "sys/class/block"
    kind, origin = origin_of(name, block, mountinfo)
    sector = text_of(_whole_disk(block / name) / "queue/logical_block_size").strip()
    return PhysicalVolume(device, kind, origin, int(sector) if sector.isdecimal() else 0)


def origin_of(
    name: str, block: Path, mountinfo: str, depth: int = STACK_DEPTH_MAX
) -> tuple[StorageKind, str]:
    """Follow a block device down to what it lies on; the worst that is found counts."""
    if name.startswith(NETWORK_BLOCK_DEVICES):
        return StorageKind.NETWORK_BLOCK, name
    if name.startswith("drbd"):
        return StorageKind.REPLICATED, name
    folder = _whole_disk(block / name)
    backing = folder / "loop/backing_file"
    if backing.exists():
        path = backing.read_text().strip()
        file_system = parse.file_system_of(path, mountinfo)
        if file_system in OF_NETWORKS:
            return StorageKind.NETWORK_FILE, f"{path} on {file_system}"
    below = sorted(each.name for each in folder.glob("slaves/*")) if depth else []
    if folder.name.startswith(NETWORK_BLOCK_DEVICES):
        return StorageKind.NETWORK_BLOCK, folder.name
    for each in below:
        kind, origin = origin_of(each, block, mountinfo, depth - 1)
        if kind is not StorageKind.LOCAL:
            return kind, origin
    return StorageKind.LOCAL, ""


def _whole_disk(place: Path) -> Path:
    """Return the kernel's folder of a device, or of the disk that it is a partition of."""
    folder = place.resolve()
    return folder.parent if (folder / "partition").exists() else folder
