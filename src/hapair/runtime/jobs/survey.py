"""Collect what clbuildapp has to know of this node's storage."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from hapair.model.application import Application, OcfAgent, Program, Script, Unit
from hapair.model.node_facts import Lvm
from hapair.model.storage import NodeStorage
from hapair.model.unit import ProgramUnit, Unusable
from hapair.ports.programs import CommandRunner
from hapair.ports.storage import LogicalVolumes, NativeMounts
from hapair.runtime.jobs.units import unit_facts

TOOLS: Final = ("lvs", "vgs", "lvcreate", "lvremove", "blkid", "cmp", "drbdadm", "drbdsetup")
# The tools that a file system needs beside its kernel module.
FILE_SYSTEM_TOOLS: Final = {"ext4": ("e2fsck",), "xfs": ("xfs_repair",)}


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
        seen_volumes = [
            each if each.in_use else await volumes.look(name, each) for each in group.volumes
        ]
        groups.append(replace(group, mounts=mounts, volumes=tuple(seen_volumes)))
    needed = TOOLS if application.volume_groups else ()
    program = await _look_at(application.program, run)
    return NodeStorage(
        node=node,
        groups=tuple(groups),
        missing_tools=tuple(tool for tool in needed if shutil.which(tool) is None),
        program_error=program.what if isinstance(program, Unusable) else "",
        program_mend=program.mend if isinstance(program, Unusable) else "",
        file_systems=tuple(
            kind
            for kind, tools in FILE_SYSTEM_TOOLS.items()
            if all(shutil.which(tool) for tool in tools)
        ),
        unit=program if isinstance(program, ProgramUnit) else None,
    )


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
