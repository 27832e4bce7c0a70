"""drbd.d/*.res: resources, their volumes, hosts and addresses."""

import re
from dataclasses import dataclass
from typing import Final

from hapair.migrate.blocks import Block, read_blocks
from hapair.migrate.lines import Place, Source, refuse_more
from hapair.migrate.notes import Notes

_VOLUME_GROUP: Final = re.compile("/dev/([^/]+)/([^/]+)")
_MAPPED: Final = re.compile("/dev/mapper/((?:[^-]|--)+)-((?:[^-]|--)+)")
_MINOR: Final = re.compile("(?:minor )?(?:/dev/drbd)?([0-9]{1,7})")
_NO_GROUPS: Final = frozenset({"disk", "drbd", "mapper", "block", "zvol"})


@dataclass(frozen=True, slots=True)
class DrbdVolume:
    device: str  # "/dev/drbd0", or empty.
    disk: str
    place: Place

    @property
    def volume_group(self) -> str:
        return group_of(self.disk)


@dataclass(frozen=True, slots=True)
class DrbdResource:
    name: str
    place: Place
    volumes: tuple[DrbdVolume, ...]
    addresses: tuple[tuple[str, str], ...]  # Host and address.

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(host for host, _ in self.addresses))


def group_of(device: str) -> str:
    """Return the volume group that a path of a device names; empty when it names none."""
    if found := _MAPPED.fullmatch(device):
        return found[1].replace("--", "-")
    found = _VOLUME_GROUP.fullmatch(device)
    return found[1] if found and found[1] not in _NO_GROUPS else ""


def read_drbd(source: Source, notes: Notes) -> tuple[DrbdResource, ...]:
    """Return the resources of one file; UnreadableError."""
    root = read_blocks(source, comments="#", ended_by=";")
    found = []
    refuse_more(len(root.inner), "resources", root.place)
    for each in root.inner:
        if each.name == "resource" and each.braced:
            found.append(_resource(each, notes))
        else:
            way = "hapair writes DRBD's options itself; see docs/operating/other-tools.md"
            notes.left(each.place, " ".join(each.words[:2]), way)
    return tuple(found)


def _resource(block: Block, notes: Notes) -> DrbdResource:
    hosts = [each for each in block.inner if each.name in {"on", "floating"}]
    addresses: list[tuple[str, str]] = []
    volumes: dict[str, DrbdVolume] = {}
    for holder in (block, *hosts):
        for number, volume in _volumes(holder):
            volumes.setdefault(number, volume)
    for host in hosts:
        for address in host.named("address"):
            plain = address.words[-1].rpartition(":")[0].strip("[]") if address.value else ""
            addresses += [(name, plain) for name in host.words[1:] if plain]
    for pair in (each for mesh in block.named("connection") for each in mesh.named("host")):
        if "address" in pair.words[:-1]:
            told = pair.words[pair.words.index("address") + 1]
            addresses.append((pair.value, told.rpartition(":")[0].strip("[]")))
    resource = DrbdResource(block.value, block.place, tuple(volumes.values()), tuple(addresses))
    groups = ", ".join(dict.fromkeys(each.volume_group or each.disk for each in volumes.values()))
    notes.took(
        block.place,
        f"resource {block.value}",
        f"hapair makes its own DRBD resource over the volumes of {groups or 'its disks'}",
    )
    for each in block.named("net", "disk", "handlers", "startup", "syncer", "options", "protocol"):
        if each.braced or each.name == "protocol":
            notes.left(each.place, each.name, "hapair sets DRBD's options itself")
    if len(hosts) > 2:  # noqa: PLR2004 - a pair
        notes.left(block.place, f"{len(hosts)} hosts", "hapair has two nodes")
    return resource


def _volumes(holder: Block) -> list[tuple[str, DrbdVolume]]:
    found = []
    numbered = [(each.value, each) for each in holder.named("volume")]
    for number, block in numbered or [("0", holder)]:
        disk = next((each.value for each in block.named("disk") if not each.braced), "")
        device = next((" ".join(each.words[1:]) for each in block.named("device")), "")
        if disk:
            minor = _MINOR.search(device)
            path = f"/dev/drbd{minor[1]}" if minor else ""
            found.append((number, DrbdVolume(path, disk, block.place)))
    return found
