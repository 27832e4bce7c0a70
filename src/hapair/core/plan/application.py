"""What clbuildapp would change: problems, or the steps that put an application under DRBD."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from hapair.core.plan import (
    agent_checks,
    demands,
    features,
    layers,
    overwriting,
    programs,
    unit_checks,
)
from hapair.core.plan.machine_checks import own_group
from hapair.core.plan.mount_checks import (
    folders_to_make,
    hidden_there,
    is_of_the_node,
    owners_that_differ,
    ways_that_differ,
)
from hapair.core.plan.nesting import Nesting
from hapair.core.plan.steps import Step, Work
from hapair.model.application import Application, FileSystem, OcfAgent, Unit, Volume, map_name
from hapair.model.built import Built, BuiltApplication
from hapair.model.problem import Problem
from hapair.model.storage import GroupStorage, NativeMount, NodeStorage

SECTOR_BYTES: Final = 512
META_SUFFIX: Final = "_drbdmeta"
# drbdadm of DRBD 8.4 has a table for what must be unique, and gives up when it is full, whatever
# was asked: at 308 resources of ours. The kernel calls it for its handlers, too.
RESOURCES_MAX: Final = 250
RESOURCE_NAME_MAX: Final = 127  # Of DRBD, as of a device-mapper name: 128 bytes with the last zero.
MAP_NAME_MAX: Final = 127
# Which packages of Debian have the tools that are asked for, and those of the file systems.
PACKAGES: Final = {
    **dict.fromkeys(("lvs", "vgs", "lvcreate", "lvremove"), "lvm2"),
    **dict.fromkeys(("drbdadm", "drbdsetup"), "drbd-utils"),
    **dict.fromkeys(("blkid", "blockdev"), "util-linux"),
    "cmp": "diffutils",
    FileSystem.EXT4: "e2fsprogs",
    FileSystem.XFS: "xfsprogs",
}
INSTALL_IT: Final = "install the program in the same place on both nodes, or mend appconf.xml"
# drbdsetup prints names without quotation marks, and drbdadm reads no others there: it would take
# a resource whose name it cannot read for one that is not up.
NOT_OF_DRBD: Final = re.compile(r"[^a-zA-Z0-9._-]")


@dataclass(frozen=True, slots=True)
class Situation:
    built: Built
    application: Application
    fingerprint: str  # Of its appconf.xml.
    file: str  # The appconf.xml, for messages.
    here: NodeStorage  # The node on which the command was typed.
    peer: NodeStorage
    owner: str = ""  # Who runs it now; empty when no node was told to.
    moving: bool = False  # It is on its way to the peer.
    remembered: bool = False  # A node has a record of a former one of its name.


@dataclass(frozen=True, slots=True)
class Plan:
    built: Built  # What will be installed.
    steps: tuple[Step, ...]
    added: tuple[Volume, ...]
    summary: tuple[str, ...]  # One sentence for each thing that changes.
    warnings: tuple[Problem, ...] = ()


def meta_data_bytes(data_bytes: int) -> int:
    """Return the size of external DRBD meta-data for one peer.

    DRBD's formula, in sectors of 512 bytes: ceil(data / 2^18) * 8 for the bitmap (one bit for
    each 4 KiB), plus 72 for super-block and activity log.
    """
    sectors = -(-data_bytes // SECTOR_BYTES)
    return (-(-sectors // 2**18) * 8 + 72) * SECTOR_BYTES


def make_plan(situation: Situation) -> Plan | tuple[Problem, ...]:
    """Return the plan, or everything that is in its way; warnings alone do not stop it."""
    planner = _Planner(situation)
    planner.check_nodes()
    added = planner.new_volumes()
    if planner.problems:
        return tuple(planner.problems)
    plan = planner.plan(added)
    planner.check_result(plan)
    return tuple(planner.problems) or plan


class _Planner:
    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.problems: list[Problem] = []
        name = situation.application.name
        known = [b for b in situation.built.applications if b.application.name == name]
        self.former = known[0] if known else None
        self.kept = self.former.volumes if self.former else ()

    def refuse(self, field: str, what: str, mend: str, *, node: str = "") -> None:
        self.problems.append(Problem(node or self.situation.file, field, what, mend))

    def check_nodes(self) -> None:
        s = self.situation
        name = s.application.name
        if s.owner not in ("", s.here.node):
            mend = f"type there: clbuildapp {name}"
            self.refuse("node", f"{name} belongs to {s.owner}", mend, node=s.here.node)
        if s.moving:
            what = f"{name} is being moved to {s.peer.node}"
            self.refuse("node", what, "wait for it; see: clstat", node=s.here.node)
        for storage in (s.here, s.peer):
            for tool in storage.missing_tools:
                mend = f"apt install {PACKAGES.get(tool, tool)}"
                self.refuse("tools", f"{tool} is missing", mend, node=storage.node)
            if storage.program_error:
                mend = storage.program_mend or INSTALL_IT
                self.refuse("run", storage.program_error, mend, node=storage.node)
            self._check_program(storage)
            for group in s.application.volume_groups:
                self._check_group(storage.group(group), storage.node)
        others = tuple(each.application for each in s.built.applications)
        self.problems += demands.refused(s.application, others, s.file)
        for volume in self.kept:
            if volume.volume_group not in s.application.volume_groups:
                what = f"{volume.resource} is still replicated in {volume.volume_group}"
                self.refuse("volumegroup", what, f"keep {volume.volume_group} in the file")

    def _check_program(self, storage: NodeStorage) -> None:
        s = self.situation
        found: Iterable[tuple[str, str]] = ()
        match s.application.program:
            case Unit(asked) if storage.unit is not None:
                runs_here = self.former is not None and s.owner == storage.node
                found = unit_checks.objections(asked, storage.unit, runs_here=runs_here)
            case OcfAgent() as agent if storage.agent is not None:
                found = agent_checks.objections(agent, storage.agent)
            case _:
                pass
        for what, mend in found:
            self.refuse("run", what, mend, node=storage.node)

    def _check_group(self, group: GroupStorage, node: str) -> None:
        """Two copies need a group on each node, and each on a disk of that node's own."""
        s, here = self.situation, self.situation.here.group(group.name)
        if not group.exists:
            what = f"there is no volume group {group.name}"
            mend = f"vgcreate {group.name} DEVICE"
            if not here.exists:
                mend = f"correct the name in {s.file} (vgs lists those of a node), or {mend}"
            self.refuse("volumegroup", what, mend, node=node)
        for below in group.physical_volumes:
            if below.objection:
                what = f"{group.name}: {below.objection}"
                mend = (
                    f"vgextend {group.name} DEVICE, a local one, then: pvmove {below.device} DEVICE"
                )
                self.refuse("volumegroup", what, mend, node=node)
        sectors = group.sector_bytes, here.sector_bytes
        if all(sectors) and sectors[0] != sectors[1]:
            what = f"{group.name} lies on disks with sectors of {sectors[0]} bytes"
            what += f", and on {s.here.node} of {sectors[1]}: not every write fits on both"
            mend = "use disks alike in that on both nodes, see: blockdev --getss DEVICE"
            self.refuse("volumegroup", what, mend, node=node)
        same = group.identity and group.identity == here.identity
        if same and node == s.peer.node:
            what = f"both nodes see the same volume group {group.name}: two copies need two disks"
            self.refuse("volumegroup", what, own_group(group.name), node=node)

    def new_volumes(self) -> tuple[Volume, ...]:
        """Allocate what is mounted natively from the groups and not yet replicated."""
        s = self.situation
        added: list[Volume] = []
        for name in s.application.volume_groups:
            group = s.here.group(name)
            mounts = sorted(group.mounts, key=lambda m: m.mount_point)
            for mount in mounts:
                if self._mount_is_good(group, mount):
                    volume = self._allocate(group, mount, added)
                    if volume is not None:
                        added.append(volume)
            new = tuple(v for v in added if v.volume_group == name)
            self._check_space(s.here.group(name), new, s.here.node, with_data=False)
            self._check_space(s.peer.group(name), new, s.peer.node, with_data=True)
            self.problems += layers.refused(group, self._replicated(name), s.here.node)
        for volume in added:
            self._check_peer_volume(volume)
            self._check_names(volume)
        self.problems += self._nesting(tuple(added)).problems()
        if s.application.volume_groups and not added and not self.kept and not self.problems:
            self._refuse_without_mounts()
        return tuple(added)

    def _refuse_without_mounts(self) -> None:
        s = self.situation
        what = "no file system of its volume groups is mounted on this node"
        mend = "make the file systems, mount them where the application wants them, try again"
        if left := self._left_alone():
            what += f", and these volumes are not: {', '.join(left)}"
            mend = "mount what the application needs where it wants it; mkfs only on empty ones"
        there = [mount for g in s.application.volume_groups for mount in s.peer.group(g).mounts]
        if there:  # What lies here may be a former copy.
            what += f"; {there[0].mount_point} is mounted on {s.peer.node}"
            mend = f"type there: clbuildapp {s.application.name}"
        self.refuse("volumegroup", what, mend, node=s.here.node)

    def _replicated(self, group: str) -> tuple[str, ...]:
        """Return the names of all volumes of a group here that the cluster has already."""
        built = [v for v in self.situation.built.volumes() if v.volume_group == group]
        return tuple(name for v in built for name in (v.logical_volume, v.meta_volume))

    def _left_alone(self) -> tuple[str, ...]:
        s = self.situation
        groups = s.application.volume_groups
        return tuple(
            text
            for name in groups
            for text in layers.left_alone(s.here.group(name), self._replicated(name))
        )

    def _mount_is_good(self, group: GroupStorage, mount: NativeMount) -> bool:
        before = len(self.problems)
        node = self.situation.here.node
        where = f"{group.name}/{mount.logical_volume} on {mount.mount_point}"
        if is_of_the_node(mount.mount_point):
            what = f"{where} is the node's own: it needs that, wherever the application runs"
            part = f"vgsplit -n {mount.logical_volume} {group.name} NEW_GROUP"
            mend = f"name another group in {self.situation.file}; or part them: {part}"
            self.refuse("mount", what, mend, node=node)
            return False
        if mount.file_system not in tuple(FileSystem):
            what = f"{where} is {mount.file_system}, which is not supported"
            self.refuse("file system", what, "use ext4 or xfs", node=node)
        elif not mount.journal:
            what = f"{where} has no journal: after a power loss it could not be trusted"
            mend = f"unmount it, then: tune2fs -O has_journal /dev/{group.name}/"
            self.refuse("file system", what, mend + mount.logical_volume, node=node)
        elif mount.file_system not in self.situation.peer.file_systems:
            what = f"{mount.file_system} cannot be mounted or checked there"
            mend = f"apt install {PACKAGES[mount.file_system]}; modprobe {mount.file_system}"
            self.refuse("file system", what, mend, node=self.situation.peer.node)
        self.problems += layers.parts_elsewhere(group.name, mount, node)
        self.problems += features.unknown_there(
            mount, where, self.situation.here, self.situation.peer
        )
        if lost := layers.without_parts(mount):
            what = f"{where} is mounted with {', '.join(lost)}"
            mend = "such an option cannot be kept over DRBD: mount it without, if that is right"
            self.refuse("mount", what, mend, node=node)
        for storage in (self.situation.here, self.situation.peer):
            for each in storage.obstacles:
                if each.mount_point == mount.mount_point:
                    self.refuse("mount", f"{where} {each.what}", each.mend, node=storage.node)
        if mount.holders:
            what = f"{where} is in use by {', '.join(mount.holders)}, and must be unmounted once"
            self.refuse("mount", what, "; ".join(mount.freeing) or "stop them", node=node)
        return len(self.problems) == before

    def _allocate(
        self, group: GroupStorage, mount: NativeMount, before: list[Volume]
    ) -> Volume | None:
        s, number = self.situation, len(before)
        taken = {v.minor for built in s.built.applications for v in built.volumes}
        first = s.built.minors_first
        minors = [m for m in range(first, first + s.built.cluster.devices) if m not in taken]
        logical = group.volume(mount.logical_volume)
        if logical is not None and logical.origin:
            what = f"{group.name}/{logical.name} is a snapshot of {logical.origin}"
            mend = f"unmount it while this is built: umount {mount.mount_point}"
            self.refuse("volume", what, mend, node=s.here.node)
            return None
        if len(s.built.volumes()) + number >= RESOURCES_MAX:
            what = f"drbdadm of DRBD 8.4 reads {RESOURCES_MAX} resources of ours at most"
            self.refuse("devices", what, "put several file systems on fewer, larger volumes")
            return None
        if number >= len(minors) or logical is None:
            what = f"all {s.built.cluster.devices} DRBD devices of the cluster are in use"
            self.refuse("devices", what, "raise devices in clconf.xml and type: clbuild --force")
            return None
        minor = minors[number]
        return Volume(
            resource=self._free_name(group.name, mount.logical_volume, before),
            minor=minor,
            port=s.built.cluster.ports.replication(minor, first),
            volume_group=group.name,
            logical_volume=mount.logical_volume,
            meta_volume=mount.logical_volume + META_SUFFIX,
            size_bytes=logical.size_bytes,
            mount_point=mount.mount_point,
            file_system=FileSystem(mount.file_system),
            mount_options=mount.options,
        )

    def _free_name(self, group: str, logical_volume: str, before: list[Volume]) -> str:
        """Name a resource after its volume, and after its group too where the name is taken."""
        name = self.situation.application.name
        group, logical_volume = (NOT_OF_DRBD.sub("_", each) for each in (group, logical_volume))
        taken = {v.resource for v in (*self.situation.built.volumes(), *before)}
        names = [f"{name}.{logical_volume}", f"{name}.{group}.{logical_volume}"]
        names += [f"{names[1]}.{number}" for number in range(2, len(taken) + 3)]
        return next(each for each in names if each not in taken)

    def _check_space(
        self, group: GroupStorage, new: tuple[Volume, ...], node: str, *, with_data: bool
    ) -> None:
        if not group.exists or not new:
            return
        if group.objection:
            mend = f"look at it: vgs -o +vg_missing_pv_count {group.name}; pvs"
            self.refuse("volumegroup", f"{group.name} {group.objection}", mend, node=node)
        needed = 0
        for volume in new:
            needed += _in_extents(meta_data_bytes(volume.size_bytes), group.extent_bytes)
            if with_data and group.volume(volume.logical_volume) is None:
                needed += _in_extents(volume.size_bytes, group.extent_bytes)
        if needed > group.free_bytes:
            what = f"{group.name} has {_mib(group.free_bytes)} free, {_mib(needed)} are needed"
            mend = f"add a disk: vgextend {group.name} DEVICE"
            self.refuse("space", what, mend, node=node)

    def _check_peer_volume(self, volume: Volume) -> None:
        """Nothing that lies on the peer is overwritten unless it is plainly empty."""
        here, peer = self.situation.here, self.situation.peer
        self.problems += overwriting.names_taken(volume, here, with_data=False)
        self.problems += overwriting.names_taken(volume, peer, with_data=True)
        self.problems += overwriting.copy_in_the_way(volume, peer)

    def _check_names(self, volume: Volume) -> None:
        name = map_name(volume.volume_group, volume.meta_volume)
        if len(name) > MAP_NAME_MAX or len(volume.resource) > RESOURCE_NAME_MAX:
            path = f"{volume.volume_group}/{volume.logical_volume}"
            what = f"the name of {path} leaves no room for {META_SUFFIX} and for DRBD's own names"
            mend = f"give it a shorter one: lvrename {path} NAME, and the same in /etc/fstab"
            self.refuse("volume", what, mend, node=self.situation.here.node)

    def _nesting(self, added: tuple[Volume, ...]) -> Nesting:
        s = self.situation
        name = s.application.name
        groups = (s.here.group(each) for each in s.application.volume_groups)
        others = (each for each in s.built.applications if each.application.name != name)
        return Nesting(
            node=s.here.node,
            file=s.file,
            mounts=tuple(mount for group in groups for mount in group.mounts),
            added=added,
            kept=self.kept,
            of_others=tuple(volume for each in others for volume in each.volumes),
        )

    def check_result(self, plan: Plan) -> None:
        """Refuse what could not be read again: a stored job must always have a way back."""
        if twice := plan.built.allocated_twice():
            mend = "use another name or mount point for one of them"
            self.refuse("volume", f"{twice} by the applications of this cluster", mend)

    def plan(self, added: tuple[Volume, ...]) -> Plan:
        s = self.situation
        entry = BuiltApplication(s.application, (*self.kept, *added), s.fingerprint)
        others = [b for b in s.built.applications if b is not self.former]
        applications = tuple(sorted([*others, entry], key=lambda b: b.application.name))
        if self.former == entry:
            return Plan(s.built, (), (), ())
        built = replace(s.built, generation=s.built.generation + 1, applications=applications)
        install = tuple(
            Step(node, Work.INSTALL, (Work.INSTALL_FORMER,)) for node in (s.here.node, s.peer.node)
        )
        nesting = self._nesting(added)
        families = nesting.families()
        steps = tuple(
            step
            for family in families
            for volume in family
            for step in self._prepare(volume, in_root=not nesting.is_nested(volume))
        )
        switch = tuple(step for family in families for step in self._switch(family))
        warnings = (
            *ways_that_differ(added, s.here, s.peer),
            *hidden_there(added, s.here, s.peer),
            *owners_that_differ(added, s.here, s.peer),
            *programs.warnings(s.application, s.here, s.peer),
        )
        steps = (*self._forget_former(added), *steps, *switch, *install)
        return Plan(built, steps, added, self._summary(added), warnings)

    def _forget_former(self, added: tuple[Volume, ...]) -> tuple[Step, ...]:
        """Forget what a release left: without its note this build would be taken for that."""
        nodes = (self.situation.here.node, self.situation.peer.node)
        each_of = added if self.situation.remembered else ()
        return tuple(Step(node, Work.FORGET, (), (of,)) for of in each_of for node in nodes)

    def _prepare(self, volume: Volume, *, in_root: bool) -> list[Step]:
        """Everything that can fail without touching the mounted file system.

        ``in_root``: its mount point is a folder of the node, and none of another volume.
        """
        s = self.situation
        here, peer = s.here.node, s.peer.node
        of = (volume,)
        # The resource file says what all the rest is for: it comes first and goes last.
        steps = [
            Step(node, Work.WRITE_RESOURCE, (Work.REMOVE_RESOURCE,), of) for node in (here, peer)
        ]
        # Both before the volume comes into being: what waits for its device would mount it.
        if in_root:
            lacking = folders_to_make(volume, s.here, s.peer)
            undo = (Work.REMOVE_MOUNT_POINT,)
            steps.append(Step(peer, Work.MAKE_MOUNT_POINT, undo, of, lacking))
        steps.append(Step(peer, Work.LEAVE_FSTAB, (Work.RESTORE_FSTAB,), of))
        made = s.peer.group(volume.volume_group).volume(volume.logical_volume) is None
        if made:
            steps.append(Step(peer, Work.CREATE_DATA_VOLUME, (Work.REMOVE_DATA_VOLUME,), of))
        for node in (here, peer):
            steps += [
                Step(node, Work.CREATE_META_VOLUME, (Work.REMOVE_META_VOLUME,), of),
                Step(node, Work.WRITE_META_DATA, (), of),
            ]
        if not made:  # Right before DRBD has it: from then on nobody else can write to it.
            steps.append(Step(peer, Work.SEE_EMPTY, (Work.LEAVE_DATA_VOLUME,), of))
        steps.append(Step(peer, Work.BRING_UP, (Work.TAKE_DOWN,), of))
        return steps

    def _switch(self, family: tuple[Volume, ...]) -> list[Step]:
        """The short pause: from the native mounts to the mounts over DRBD.

        ``family``: mounts that lie inside one another, outer ones first. Inner ones are left out
        and unmounted first, also so that their way back leads over the outer ones.
        """
        here = self.situation.here.node
        each_of = [(volume,) for volume in family]
        inner_first = each_of[::-1]
        return [
            # A boot in between mounts nothing, so it is mounted for this step as well.
            *(
                Step(here, Work.LEAVE_FSTAB, (Work.MOUNT_NATIVE, Work.RESTORE_FSTAB), of)
                for of in inner_first
            ),
            *(Step(here, Work.UNMOUNT_NATIVE, (Work.MOUNT_NATIVE,), of) for of in inner_first),
            *(Step(here, Work.BRING_UP, (Work.TAKE_DOWN,), of) for of in each_of),
            *(Step(here, Work.MAKE_SOURCE, (Work.DEMOTE,), of) for of in each_of),
            *(Step(here, Work.MOUNT, (Work.UNMOUNT,), of) for of in each_of),
        ]

    def _summary(self, added: tuple[Volume, ...]) -> tuple[str, ...]:
        s = self.situation
        lines = [
            f"{v.mount_point} ({v.file_system}, {_mib(v.size_bytes)}) of {v.volume_group}/"
            f"{v.logical_volume} is put under {v.device}; its content stays where it is and is "
            f"copied to {s.peer.node} in the background"
            for v in added
        ]
        for volume in added:
            lines += overwriting.taken(volume, s.peer)
            lines += overwriting.without_blocks(volume, s.here)
            lines += overwriting.without_blocks(volume, s.peer)
        lines += [f"{volume} is not mounted and stays as it is" for volume in self._left_alone()]
        if self.former is None:
            lines.append(f"{s.application.name} becomes an application of the cluster")
        elif self.former.application != s.application:
            lines.append(f"the configuration of {s.application.name} changes")
        return tuple(lines)


def _in_extents(size_bytes: int, extent_bytes: int) -> int:
    extent_bytes = max(extent_bytes, 1)
    return -(-size_bytes // extent_bytes) * extent_bytes


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.0f} MiB"
