"""Volumes of an application's groups that are no file system mounted straight from them.

What would not be copied although the application may need it is refused by its true name; what
only lies beside it is told, and left as it is.
"""

from collections.abc import Iterator
from typing import Final

from hapair.core.copies.loss import amount_text
from hapair.model.problem import Problem
from hapair.model.storage import (
    UNSEEN,
    GroupStorage,
    LogicalVolume,
    NativeMount,
    UseKind,
    VolumeUse,
)

RAW: Final = "raw volumes are not supported"
BETWEEN: Final = "between volume and file system is not supported"
OUT: Final = "keep the volume in a volume group of no application"
BELOW_LVM: Final = (
    "encrypt below LVM instead, on the disks of the volume group; make the file system on the"
    " volume itself"
)
# What is said of a use, and its mend. {name}: of the device or process; {where}: the mount points.
REFUSED: Final = {
    UseKind.LUKS: (f"holds LUKS, opened as {{name}}{{where}}: encryption {BETWEEN}", BELOW_LVM),
    UseKind.CRYPT: (f"is encrypted, opened as {{name}}{{where}}: encryption {BETWEEN}", BELOW_LVM),
    UseKind.INTEGRITY: (
        f"is used by dm-integrity as {{name}}{{where}}: this {BETWEEN}",
        "use what shows an ordinary volume: lvcreate --type raid1 --raidintegrity y",
    ),
    UseKind.VERITY: (f"is used by dm-verity as {{name}}{{where}}: this {BETWEEN}", OUT),
    UseKind.PARTITION: (
        f"has partitions, one of them {{name}}{{where}}: a partition {BETWEEN}",
        "copy each file system to a volume of its own",
    ),
    UseKind.PHYSICAL_VOLUME: (
        f"is a disk of another volume group, which has {{name}}{{where}}: a group {BETWEEN}",
        "move that group to a disk of its own (vgextend, pvmove), and name it in the file",
    ),
    UseKind.MAP: (
        f"is used by the device-mapper map {{name}}{{where}}: a map {BETWEEN}",
        "if it only passes on what lies there (dmsetup table {name}), mount the volume itself",
    ),
    UseKind.BCACHE: (
        f"is used by {{name}}{{where}}: bcache {BETWEEN}",
        "use a cache of LVM, which shows an ordinary volume: lvconvert --type cache",
    ),
    UseKind.MD: (
        f"is a disk of {{name}}{{where}}: RAID {BETWEEN}",
        "use RAID of LVM, which shows an ordinary volume, or md below LVM",
    ),
    UseKind.DRBD: (
        f"is the disk of {{name}}{{where}}, which is none of this cluster: another DRBD {BETWEEN}",
        "end that replication, remove its file from /etc/drbd.d, and mount the volume itself",
    ),
    UseKind.LOOP: (
        f"is used by the loop device {{name}}{{where}}: a device {BETWEEN}",
        "end it (losetup -d {name}), and mount the volume itself",
    ),
    UseKind.FILE_SYSTEM: (
        "holds {name}, mounted on {points}, which is not supported",
        "use ext4 or xfs, each on one volume",
    ),
    UseKind.SPACE: (
        "is mounted on {points} in the mount name space of {name} only",
        "stop that, and mount it here where the application wants it",
    ),
    UseKind.EXPORT: (f"is exported as {{name}}: {RAW}", f"end the export, or {OUT}"),
    UseKind.PROCESS: (f"can be written by {{name}}: {RAW}", f"stop it, or {OUT}"),
    UseKind.OTHER: (
        f"is used by {{name}}{{where}}: a device {BETWEEN}",
        f"mount the volume itself, or {OUT}",
    ),
}
OF_A_PART: Final = ("logdev=", "rtdev=")
STAYS: Final = (UseKind.SWAP, UseKind.PART)  # Nobody misses it on the other node.


def told(use: VolumeUse) -> str:
    """Name a use in brackets, e.g. "LUKS cx, mounted on /srv/x"."""
    name = f" {use.name}" if use.name else ""
    points = f", mounted on {', '.join(use.mount_points)}" if use.mount_points else ""
    return f"{use.kind}{name}{points}"


def beside(group: GroupStorage, known: tuple[str, ...]) -> tuple[LogicalVolume, ...]:
    """Return the volumes that are not mounted here, nor ours, nor among ``known`` ones."""
    names = {*known, *(mount.logical_volume for mount in group.mounts)}
    return tuple(v for v in group.volumes if v.name not in names and not v.ours)


def refused(group: GroupStorage, known: tuple[str, ...], node: str) -> Iterator[Problem]:
    """Return what is in the way on the node with the data; ``known``: what is replicated."""
    for mount in group.mounts:
        volume = group.volume(mount.logical_volume)
        if volume is not None and volume.objection:
            mend = f"mend it first, see: lvs -a -o +lv_health_status {group.name}"
            what = f"{group.name}/{volume.name} on {mount.mount_point} {volume.objection}"
            yield Problem(node, "volume", what, mend)
    for volume in beside(group, known):
        path = f"{group.name}/{volume.name}"
        uses = tuple(use for use in group.uses if use.logical_volume == volume.name)
        for use in uses:
            if use.kind not in STAYS:
                what, mend = _refusal(use)
                yield Problem(node, "volume", f"{path} {what}", mend)
        if volume.in_use and not uses and not volume.objection and not volume.origin:
            what = f"{_named(group, volume)} is in use, and by what is not found"
            mend = f"see dmsetup ls --tree; lsof /dev/{path}. If it was for a moment: type it again"
            yield Problem(node, "volume", what, mend)


def parts_elsewhere(group: str, mount: NativeMount, node: str) -> Iterator[Problem]:
    """Return what a copy of the volume alone would lack, e.g. its log."""
    for part in mount.elsewhere:
        named = [o.partition("=")[2] for o in mount.lost_options if o.startswith(OF_A_PART)]
        device = f"another device ({', '.join(named)})" if named else "another device"
        what = f"{group}/{mount.logical_volume} on {mount.mount_point} has its {part} on {device}"
        mend = "use a file system that is whole on one volume"
        yield Problem(node, "file system", f"{what}, which would not be replicated", mend)


def without_parts(mount: NativeMount) -> tuple[str, ...]:
    """Return the options that get lost, but for those that name what is refused anyway."""
    refused_anyway = OF_A_PART if mount.elsewhere else ()
    return tuple(o for o in mount.lost_options if not o.startswith(refused_anyway))


def left_alone(group: GroupStorage, known: tuple[str, ...]) -> tuple[str, ...]:
    """Name each volume that is not mounted, with what it holds, as "vg/old (ext4, 3 GiB)"."""
    return tuple(_named(group, volume) for volume in beside(group, known))


def _named(group: GroupStorage, volume: LogicalVolume) -> str:
    holds = [volume.content] if volume.content != UNSEEN else []
    holds += [told(use) for use in group.uses if use.logical_volume == volume.name]
    if volume.origin:
        holds = [f"snapshot of {volume.origin}"]
    elif volume.objection:
        holds = [volume.objection.removeprefix("is ")]
    elif volume.inactive:
        holds = ["inactive"]
    elif volume.nameless:
        holds = ["data of a kind that is not recognised"]
    texts = [text for text in holds if text] or ([] if volume.in_use else ["empty"])
    return f"{group.name}/{volume.name} ({', '.join([*texts, amount_text(volume.size_bytes)])})"


def _refusal(use: VolumeUse) -> tuple[str, str]:
    points = ", ".join(use.mount_points)
    where = f" and mounted on {points}" if points else ""
    what, mend = REFUSED[use.kind]
    words = {"name": use.name, "where": where, "points": points}
    return what.format(**words), mend.format(**words)
