"""Collect what clbuildapp has to know of this node's storage."""

import asyncio
import os
import re
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Final

from hapair.model import ocf
from hapair.model.agent import ProgramAgent
from hapair.model.application import Application, OcfAgent, Script, Unit
from hapair.model.built import Built
from hapair.model.nesting import enclosing
from hapair.model.storage import (
    Folder,
    GroupStorage,
    NodeStorage,
    Obstacle,
    Place,
    Release,
    UseKind,
)
from hapair.model.unit import ProgramUnit, Unusable
from hapair.ports.programs import CommandRunner, Finished
from hapair.ports.storage import NativeMounts
from hapair.rpc.messages import JsonObject
from hapair.runtime.jobs.accounts import local_accounts
from hapair.runtime.jobs.agents import agent_facts
from hapair.runtime.jobs.units import unit_facts
from hapair.runtime.jobs.workshop import Workshop

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
    workshop: Workshop,
    run: CommandRunner,
    away: Iterable[Place] = (),
) -> NodeStorage:
    """Return the facts about an application's groups and program on this node; changes nothing.

    ``away``: the places of its volumes that need not be mounted here.
    """
    groups = []
    seen_groups = (await workshop.scan()).groups if application.volume_groups else ()
    disks = {seen.name: seen for seen in seen_groups}
    for name in application.volume_groups:
        volumes, natives = workshop.volumes, workshop.natives
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
    program = await _look_at(application, node, run, [place.mount_point for place in away])
    return NodeStorage(
        node=node,
        groups=tuple(groups),
        missing_tools=tuple(tool for tool in needed if shutil.which(tool) is None),
        program_error=program.what if isinstance(program, Unusable) else "",
        program_mend=program.mend if isinstance(program, Unusable) else "",
        file_systems=tuple([kind for kind in FILE_SYSTEM_TOOLS if await _can_mount(kind, run)]),
        accounts=await asyncio.to_thread(local_accounts),
        releases=await _releases(run),
        kernel_options=_kernel_options(),
        wall_s=time.time(),
        unit=program if isinstance(program, ProgramUnit) else None,
        agent=program if isinstance(program, ProgramAgent) else None,
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


def places_of(groups: tuple[GroupStorage, ...]) -> tuple[Place, ...]:
    """Return where the volumes of groups are mounted natively."""
    return tuple(
        Place(f"/dev/{group.name}/{mount.logical_volume}", mount.mount_point, mount.names)
        for group in groups
        for mount in group.mounts
    )


def kept_places(built: Built, application: str) -> tuple[Place, ...]:
    """Return where an application's volumes are that it has already."""
    entry = built.by_name.get(application)
    volumes = entry.volumes if entry is not None else ()
    return tuple(Place(each.backing_device, each.mount_point) for each in volumes)


def question(places: tuple[Place, ...]) -> JsonObject:
    """Ask the other node about the places where volumes are mounted here."""
    return {
        "places": [place.mount_point for place in places],
        "devices": [place.device for place in places],
        "names": [list(place.names) for place in places],
    }


def asked(args: JsonObject) -> tuple[Place, ...]:
    """Return the places that the other node asks about; an earlier version says less of them."""
    points, devices, names = (
        list(listed) if isinstance(listed := args.get(name), list) else []
        for name in ("places", "devices", "names")
    )
    return tuple(
        Place(str(device), str(at), tuple(map(str, named)) if isinstance(named, list) else ())
        for at, device, named in zip_longest(points, devices, names, fillvalue="")
        if at
    )


def obstacles(
    natives: NativeMounts,
    places: tuple[Place, ...],
    kept: tuple[Place, ...],
    application: Application,
    *,
    elsewhere: bool,
) -> tuple[Obstacle, ...]:
    """Return what is in the way of the application's new volumes on this node.

    ``kept``: where those are that it has already. ``elsewhere``: the new ones are mounted on the
    other node, and here nothing is to be at their places.
    """
    every = (*places, *kept)
    program = application.program.name if isinstance(application.program, Unit) else ""
    found: list[Obstacle] = []
    for place in (each for each in places if each.device):
        found += natives.boot_uses(place, every, program)
        if not enclosing(place.mount_point, [each.mount_point for each in every]):
            found += natives.in_the_way(place, elsewhere=elsewhere)
    return tuple(found)


def ways_to(natives: NativeMounts, places: tuple[Place, ...]) -> tuple[Folder, ...]:
    """Return the folders on the way to mount points of the other node, each once."""
    ways = (each for place in places for each in natives.folders(place.mount_point))
    return tuple(dict.fromkeys(ways))


async def _look_at(
    application: Application, node: str, run: CommandRunner, away: Sequence[str]
) -> ProgramUnit | ProgramAgent | Unusable | None:
    """Return a unit's or an agent's facts, or why it cannot be started; None: a script that can."""
    match application.program:
        case None:
            return None
        case Script(path):
            return None if _comes_with_data(Path(path), away) else _unusable(Path(path))
        case OcfAgent() as agent:
            missing = _unusable(Path(ocf.path(agent)))
            return missing or await agent_facts(agent, application.name, node, run)
        case Unit(name):
            return await unit_facts(name, run)


def _comes_with_data(path: Path, away: Sequence[str]) -> bool:
    return not path.exists() and bool(enclosing(str(path), away))


def _unusable(path: Path) -> Unusable | None:
    if not path.is_file():
        return Unusable(f"{path} does not exist")
    if not os.access(path, os.X_OK):
        return Unusable(f"{path} is not executable", f"chmod +x {path}")
    return None
