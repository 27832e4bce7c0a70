"""Collect what clbuildapp has to know of this node's storage."""

import asyncio
import os
import re
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from hapair.model.application import Application, OcfAgent, Program, Script, Unit
from hapair.model.node_facts import Lvm
from hapair.model.storage import Folder, NodeStorage, Release, UseKind
from hapair.model.unit import ProgramUnit, Unusable
from hapair.ports.programs import CommandRunner, Finished
from hapair.ports.storage import LogicalVolumes, NativeMounts
from hapair.runtime.jobs.units import unit_facts

TOOLS: Final = (
    "lvs", "vgs", "lvcreate", "lvremove", "blkid", "blockdev", "cmp", "drbdadm", "drbdsetup",
)  # fmt: skip
# The tools that a file system needs beside its kernel module; the first one tells its version.
FILE_SYSTEM_TOOLS: Final = {"ext4": ("e2fsck",), "xfs": ("xfs_repair",)}
KERNEL: Final = "Linux"
KERNELS_FILE_SYSTEMS: Final = Path("/proc/filesystems")
# What this kernel's ext4 can do besides; it says so when it is loaded.
EXT4_FEATURES: Final = Path("/sys/fs/ext4/features")
KERNEL_OPTIONS: Final = {"casefold": "casefold", "encryption": "encrypt", "verity": "verity"}
VERSION: Final = re.compile(r"\d+(?:\.\d+)+")
TOOL_LIMIT_S: Final = 10.0


async def survey(
    node: str,
    application: Application,
    volumes: LogicalVolumes,
    natives: NativeMounts,
    scan: Callable[[], Awaitable[Lvm]],
    run: CommandRunner,
) -> NodeStorage:
    """Return the facts about an application's groups and program on this node; changes nothing."""
    groups = []
    disks = {seen.name: seen for seen in (await scan()).groups} if application.volume_groups else {}
    for name in application.volume_groups:
        group = await volumes.group(name)
        if seen := disks.get(name):
            below = seen.physical_volumes
            group = replace(group, identity=seen.identity, physical_volumes=below)
        # It looks at every process of the machine: in a thread, so that heartbeats go on.
        mounts = await asyncio.to_thread(natives.mounts, group)
        uses = await asyncio.to_thread(natives.uses, group)
        # What DRBD has is known; its disk may be frozen.
        known = {each.logical_volume for each in mounts}
        known |= {each.logical_volume for each in uses if each.kind is UseKind.DRBD}
        seen_volumes = [
            each if each.name in known else await volumes.look(name, each) for each in group.volumes
        ]
        groups.append(replace(group, mounts=mounts, uses=uses, volumes=tuple(seen_volumes)))
    needed = TOOLS if application.volume_groups else ()
    program = await _look_at(application.program, run)
    return NodeStorage(
        node=node,
        groups=tuple(groups),
        missing_tools=tuple(tool for tool in needed if shutil.which(tool) is None),
        program_error=program.what if isinstance(program, Unusable) else "",
        program_mend=program.mend if isinstance(program, Unusable) else "",
        file_systems=tuple([kind for kind in FILE_SYSTEM_TOOLS if await _can_mount(kind, run)]),
        releases=await _releases(run),
        kernel_options=_kernel_options(),
        wall_s=time.time(),
        unit=program if isinstance(program, ProgramUnit) else None,
    )


async def _can_mount(kind: str, run: CommandRunner) -> bool:
    """Tell whether the tools are there, and the kernel has it or can load it."""
    if not all(shutil.which(tool) for tool in FILE_SYSTEM_TOOLS[kind]):
        return False
    if kind in KERNELS_FILE_SYSTEMS.read_text().split():
        return True
    seen = await run(("modprobe", "--dry-run", "--quiet", kind), timeout_s=TOOL_LIMIT_S)
    return isinstance(seen, Finished) and seen.exit_code == 0


async def _releases(run: CommandRunner) -> tuple[Release, ...]:
    found = [Release(KERNEL, os.uname().release)]
    for tool, *_ in FILE_SYSTEM_TOOLS.values():
        seen = await run((tool, "-V"), timeout_s=TOOL_LIMIT_S)
        if isinstance(seen, Finished) and (told := VERSION.search(seen.stdout + seen.stderr)):
            found.append(Release(tool, told[0]))
    return tuple(found)


def _kernel_options() -> tuple[str, ...]:
    return tuple(
        feature for file, feature in KERNEL_OPTIONS.items() if (EXT4_FEATURES / file).exists()
    )


def ways_to(natives: NativeMounts, places: tuple[str, ...]) -> tuple[Folder, ...]:
    """Return the folders on the way to mount points of the other node, each once."""
    return tuple(dict.fromkeys(each for place in places for each in natives.folders(place)))


async def _look_at(program: Program | None, run: CommandRunner) -> ProgramUnit | Unusable | None:
    """Return a unit's facts, or why the program cannot be started; None when it can."""
    match program:
        case None:
            return None
        case Script(path):
            return _unusable(Path(path))
        case OcfAgent(provider, kind):
            return _unusable(Path("/usr/lib/ocf/resource.d") / provider / kind)
        case Unit(name):
            return await unit_facts(name, run)


def _unusable(path: Path) -> Unusable | None:
    if not path.is_file():
        return Unusable(f"{path} does not exist")
    if not os.access(path, os.X_OK):
        return Unusable(f"{path} is not executable", f"chmod +x {path}")
    return None
