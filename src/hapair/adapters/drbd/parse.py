"""Read what drbdsetup and /proc/drbd print. Pure: text in, values out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

from hapair.model.data import REPLICATING, SYNCING, Connection, Disk, Role, VolumeFacts

_WORDS: Final = {
    Connection.STAND_ALONE: ("StandAlone", "Disconnecting"),
    Connection.SYNC_SOURCE: ("SyncSource", "PausedSyncS", "StartingSyncS", "WFBitMapS", "Ahead"),
    Connection.SYNC_TARGET: (
        *("SyncTarget", "PausedSyncT", "StartingSyncT", "WFBitMapT", "WFSyncUUID", "Behind"),
    ),
    # An online verification reads; it does not change who has which copy.
    Connection.CONNECTED: ("Established", "VerifyS", "VerifyT"),
}
_CONNECTIONS: Final = {word: connection for connection, words in _WORDS.items() for word in words}
CONNECTED: Final = "Connected"  # As ``events2`` says it, whatever is replicated over it.
_ENDPOINT: Final = re.compile(r"\w+:\[?([0-9A-Fa-f:.]+)\]?:[0-9]+", re.ASCII)
FIRST_VOLUME: Final = "0"
UNREADABLE: Final = "?"  # An address, but none that a peer of ours can have.
KIB: Final = 1024
NOBODY: Final = "no"  # Has frozen the writes.
ADMINISTRATOR: Final = "user"
FENCING: Final = "fencing"
DIGITS_MAX: Final = 20  # Of a number of the kernel's.
# The resync waits for the one named by resync-after: on this node, or on the peer, which may see a
# moment earlier that the other one has begun.
HELD_BACK: Final = frozenset({"dependency", "peer"})


def connection_of(connection: str, replication: str) -> Connection:
    """Map DRBD's words, as ``events2`` prints them, to ours.

    While a connection is being made or broken (Timeout, Unconnected, NetworkFailure...) it is
    CONNECTING: nothing is replicated and the peer's kernel is not proven to be alive.
    """
    if connection == CONNECTED:
        return _CONNECTIONS.get(replication, Connection.CONNECTING)
    if _CONNECTIONS.get(connection) is Connection.STAND_ALONE:
        return Connection.STAND_ALONE
    return Connection.CONNECTING


def role_of(word: str) -> Role:
    """Return the role; a word that we do not know proves nothing."""
    return Role(word) if word in tuple(Role) else Role.UNKNOWN


def disk_of(word: str) -> Disk:
    """Return the disk's state; a word that we do not know proves nothing."""
    return Disk(word) if word in tuple(Disk) else Disk.UNKNOWN


class Action(StrEnum):
    EXISTS = "exists"
    CREATE = "create"
    CHANGE = "change"
    DESTROY = "destroy"
    RENAME = "rename"
    CALL = "call"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of ``drbdsetup events2``."""

    action: Action
    kind: str  # resource, connection, device, peer-device, helper; "-" ends the first dump.
    values: Mapping[str, str]


def events_line(text: str) -> Line | None:
    """Return the line's parts, or None for a line that announces no state."""
    words = text.split()
    try:
        action = Action(words[0])
    except (ValueError, IndexError):
        return None
    kind = words[1] if len(words) > 1 else "-"
    pairs = (word.partition(":") for word in words[2:])
    return Line(action, kind, {key: value for key, _, value in pairs})


def tells_loss(text: str) -> bool:
    """Tell whether drbdsetup says that it missed events of the kernel."""
    return text.startswith("- skipped")


@dataclass(frozen=True, slots=True)
class Resource:
    """The newest words of one resource with one peer, and of its first volume.

    Ours have no other one. Those of others may have many; of these only the minors count.
    """

    role: str = "Unknown"
    frozen_by: str = NOBODY  # Whoever froze the writes: words of user, no-data, fencing.
    disk: str = "Diskless"
    minor: int | None = None
    minors: frozenset[int] = frozenset()  # Of all its volumes.
    connection: str = "StandAlone"
    address: str = ""  # Of the machine that it is connected with; empty: not known.
    peer_role: str = "Unknown"
    replication: str = "Off"
    peer_disk: str = "DUnknown"
    paused_by: str = "no"  # Who holds the resync back: words of user, peer, dependency.
    out_of_sync_bytes: int = 0
    sync_done: float | None = None
    overdue: bool = False  # The peer answers no write; see ``ProcDevice.stands``.

    def facts(self, name: str, peer: str = "") -> VolumeFacts:
        """Return what it says of the machine with the address ``peer``; empty: of any."""
        if self.connection == CONNECTED and peer and self.address != peer:
            nobody = Resource()
            elsewhere = replace(
                self,
                connection="Connecting",
                replication=nobody.replication,
                peer_role=nobody.peer_role,
                peer_disk=nobody.peer_disk,
            )
            return elsewhere.facts(name)
        connection = connection_of(self.connection, self.replication)
        frozen_by = set(self.frozen_by.split(",")) - {NOBODY}
        return VolumeFacts(
            resource=name,
            role=role_of(self.role),
            peer_role=role_of(self.peer_role),
            disk=disk_of(self.disk),
            peer_disk=disk_of(self.peer_disk),
            connection=connection,
            suspended=bool(frozen_by - {ADMINISTRATOR}),
            held=ADMINISTRATOR in frozen_by,
            out_of_sync_bytes=self.out_of_sync_bytes,
            sync_done=self.sync_done if connection in SYNCING else None,
            waits=connection in SYNCING and not HELD_BACK.isdisjoint(self.paused_by.split(",")),
            overdue=self.overdue and connection in REPLICATING,
        )


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that the lines of one ``events2`` run said so far."""

    complete: bool = False  # The first dump was read to its end.
    resources: Mapping[str, Resource] = field(default_factory=dict)

    def after(self, line: Line) -> "Picture":
        """Return the picture with ``line`` in it."""
        if line.kind == "-":
            return replace(self, complete=True)
        name = line.values.get("name", "")
        if line.action in (Action.CALL, Action.RESPONSE) or line.kind == "helper" or not name:
            return self
        old = self.resources.get(name, Resource())
        if line.action is Action.DESTROY:
            new = _without(old, line)
        elif line.action is Action.RENAME:
            return self._renamed(name, line.values.get("new_name", name))
        else:
            new = _with(old, line)
        return self.having(name, new)

    def having(self, name: str, resource: Resource | None) -> "Picture":
        """Return the picture with this resource, or without it."""
        resources = {key: value for key, value in self.resources.items() if key != name}
        if resource is not None:
            resources[name] = resource
        return replace(self, resources=resources)

    def _renamed(self, old: str, new: str) -> "Picture":
        resources = {new if key == old else key: value for key, value in self.resources.items()}
        return replace(self, resources=resources)

    def facts(self, peer: str = "") -> tuple[VolumeFacts, ...]:
        return tuple(self.resources[name].facts(name, peer) for name in sorted(self.resources))

    def told_by(self, text: str, names: Mapping[int, str]) -> "Picture":
        """Return the picture as a /proc/drbd tells of its devices; one without its own is down.

        A line that is not understood proves nothing: what was known before counts. ``names`` are
        those of resources that may be new, by minor.
        """
        devices, listed = proc_devices(text), proc_minors(text)
        resources = {
            name: as_told(Resource(minor=minor, minors=frozenset({minor})), devices[minor])
            for minor, name in names.items()
            if minor in devices
        }
        for name, each in self.resources.items():
            if each.minor in devices:
                resources[name] = as_told(each, devices[each.minor])
            elif each.minor is None or each.minor in listed:
                resources[name] = each
        return replace(self, resources=resources)

    def unknown(self) -> tuple[str, ...]:
        """Return which resources are connected with a machine that nobody has named yet."""
        return tuple(
            name
            for name, each in self.resources.items()
            if each.connection == CONNECTED and not each.address
        )

    def known(self) -> Mapping[str, str]:
        """Return where the connections lead of which that is known, by resource."""
        return {name: each.address for name, each in self.resources.items() if each.address}

    def leading(self, addresses: Mapping[str, str]) -> "Picture":
        """Return the picture in which the ``unknown`` connections lead to these addresses."""
        found = {
            name: replace(self.resources[name], address=addresses.get(name, ""))
            for name in self.unknown()
        }
        return replace(self, resources={**self.resources, **found})

    def holder(self, minor: int) -> str:
        """Return which resource has the device; empty: none."""
        found = (name for name, each in self.resources.items() if minor in each.minors)
        return next(found, "")


def _with(old: Resource, line: Line) -> Resource:
    """Take in a line; it names only the values that changed."""
    values = line.values
    match line.kind:
        case "resource":
            return replace(
                old,
                role=values.get("role", old.role),
                frozen_by=values.get("suspended", old.frozen_by),
            )
        case "device":
            minor = _count(values.get("minor", ""))
            minors = old.minors if minor is None else old.minors | {minor}
            if not _is_first(values):
                return replace(old, minors=minors)
            return replace(
                old,
                disk=values.get("disk", old.disk),
                minor=old.minor if minor is None else minor,
                minors=minors,
            )
        case "connection":
            return replace(
                old,
                address="" if line.action is Action.CREATE else old.address,
                connection=values.get("connection", old.connection),
                peer_role=values.get("role", old.peer_role),
            )
        case "peer-device":
            return _with_peer_device(old, values) if _is_first(values) else old
        case "path":  # DRBD 9 only; of 8.4 one has to ask (see ``remote_addresses``).
            return replace(old, address=_address(values.get("peer", "")) or old.address)
        case _:
            return old


def _is_first(values: Mapping[str, str]) -> bool:
    return values.get("volume", FIRST_VOLUME) == FIRST_VOLUME


def _address(endpoint: str) -> str:
    """Return the address of an endpoint like ``ipv4:10.0.0.2:7000``, as we write it."""
    match = _ENDPOINT.fullmatch(endpoint)
    try:
        return str(ip_address(match[1])) if match else ""
    except ValueError:
        return ""


def remote_addresses(text: str) -> dict[str, str]:
    """Return by resource where its connection leads, from what ``drbdsetup show`` prints."""
    found: dict[str, str] = {}
    name = ""
    remote = False
    for line in text.splitlines():
        words = line.strip().rstrip(";").split()
        if words[:1] == ["resource"] and len(words) > 1:
            name, remote = words[1].strip('"'), False
        elif words[:1] == ["_remote_host"] and words[1:] == ["{"]:
            remote = True
        elif words[:1] == ["}"]:
            remote = False
        elif remote and words[:1] == ["address"]:
            found[name] = _address(":".join(words[1:])) or UNREADABLE
    return found


def _with_peer_device(old: Resource, values: Mapping[str, str]) -> Resource:
    """Take in a line; only DRBD 9 prints ``done``, and 8.4 leaves a zero ``out-of-sync`` out."""
    missing = old.out_of_sync_bytes if "received" not in values else 0
    if (out_of_sync := _count(values.get("out-of-sync", ""))) is not None:
        missing = out_of_sync * KIB
    return replace(
        old,
        replication=values.get("replication", old.replication),
        peer_disk=values.get("peer-disk", old.peer_disk),
        paused_by=values.get("resync-suspended", old.paused_by),
        out_of_sync_bytes=missing,
        sync_done=_share(values["done"]) if "done" in values else old.sync_done,
    )


def _count(digits: str) -> int | None:
    """Return a number; None for anything else: a line that is not understood proves nothing."""
    good = digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX
    return int(digits) if good else None


def _share(percent: str) -> float | None:
    good = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,9})?", percent, re.ASCII)
    return round(float(percent) / 100, 4) if good else None


def _without(old: Resource, line: Line) -> Resource | None:
    gone = Resource()
    match line.kind:
        case "resource":
            return None
        case "device":
            minors = old.minors - {_count(line.values.get("minor", ""))}
            if not _is_first(line.values):
                return replace(old, minors=minors)
            return replace(old, disk=gone.disk, minor=gone.minor, minors=minors - {old.minor})
        case "connection":
            return replace(
                old, connection=gone.connection, peer_role=gone.peer_role, address=gone.address
            )
        case "peer-device" if _is_first(line.values):
            return replace(
                old,
                replication=gone.replication,
                peer_disk=gone.peer_disk,
                paused_by=gone.paused_by,
            )
        case _:
            return old


@dataclass(frozen=True, slots=True)
class ProcDevice:
    """One device of /proc/drbd (DRBD 8.4 only)."""

    minor: int
    connection: str  # 8.4's own words, e.g. WFConnection, or Connected.
    role: str
    peer_role: str
    disk: str
    peer_disk: str
    suspended: bool
    out_of_sync_bytes: int
    sync_done: float | None
    flow: Mapping[str, int] = field(default_factory=dict)  # Its counters, by their letters.

    @property
    def awaits_peer(self) -> bool:
        """Tell whether writes of programs are done here, and not yet by the peer."""
        here = self.flow.get("lo", 0)
        return not here and bool(self.flow.get("ap") and self.flow.get("pe"))

    def stands(self, before: "ProcDevice") -> bool:
        """Tell whether nothing was sent or answered since that look, though a program waits."""
        waited = self.awaits_peer and before.awaits_peer
        return waited and all(self.flow[each] == before.flow[each] for each in ("ns", "pe", "ap"))


_PROC_DEVICE: Final = re.compile(
    r"^\s*(?P<minor>[0-9]{1,20}): cs:(?P<cs>\w+)(?: ro:(?P<ro>\w+)/(?P<peer>\w+)"
    r" ds:(?P<ds>\w+)/(?P<pdsk>\w+)\s+(?:[ABC]\s+)?(?P<io>[rs])\S*)?$"
)
_PROC_MINOR: Final = re.compile(r"^ *([0-9]{1,20}): cs:(?!Unconfigured)", re.MULTILINE)
_PROC_OUT_OF_SYNC: Final = re.compile(r"\boos:([0-9]{1,20})\b")
_PROC_FLOW: Final = re.compile(r"\b(ns|lo|pe|ap):([0-9]{1,20})\b")
_PROC_DONE: Final = re.compile(r"sync'ed:\s*([0-9.]+)%")
_VERSION: Final = re.compile(r"version: (\d+\.\d+\.\d+)")


def proc_version(text: str) -> str | None:
    """Return the kernel module's version as /proc/drbd tells it, e.g. "8.4.11"."""
    match = _VERSION.search(text)
    return match.group(1) if match else None


def tells_devices(text: str) -> bool:
    """Tell whether this is a /proc/drbd in which every device is; DRBD 9 only says its version."""
    return (proc_version(text) or "").startswith("8.")


def proc_minors(text: str) -> frozenset[int]:
    """Return the minors of the configured devices, whatever is said of them."""
    return frozenset(int(minor) for minor in _PROC_MINOR.findall(text))


def proc_devices(text: str) -> dict[int, ProcDevice]:
    """Return the configured devices of /proc/drbd by minor number."""
    devices: dict[int, ProcDevice] = {}
    current: int | None = None
    for line in text.splitlines():
        if match := _PROC_DEVICE.match(line):
            current = int(match["minor"])
            if match["ro"] is None:  # cs:Unconfigured
                current = None
                continue
            devices[current] = ProcDevice(
                minor=current,
                connection=match["cs"],
                role=match["ro"],
                peer_role=match["peer"],
                disk=match["ds"],
                peer_disk=match["pdsk"],
                suspended=match["io"] == "s",
                out_of_sync_bytes=0,
                sync_done=None,
            )
        elif current is not None:
            devices[current] = _proc_details(devices[current], line)
    return devices


def _proc_details(device: ProcDevice, line: str) -> ProcDevice:
    if match := _PROC_OUT_OF_SYNC.search(line):
        flow = {letters: int(count) for letters, count in _PROC_FLOW.findall(line)}
        return replace(device, out_of_sync_bytes=int(match.group(1)) * KIB, flow=flow)
    if match := _PROC_DONE.search(line):
        return replace(device, sync_done=_share(match.group(1)))
    return device


def as_told(resource: Resource, device: ProcDevice) -> Resource:
    """Return the resource as /proc/drbd tells of its device, where no event stream does.

    It does not say who has frozen the writes, nor where a connection leads that is new.
    """
    connected = device.connection in _PROC_CONNECTED
    same = connected and resource.connection == CONNECTED
    frozen_by = resource.frozen_by if resource.frozen_by != NOBODY else FENCING
    return replace(
        resource,
        role=device.role,
        frozen_by=frozen_by if device.suspended else NOBODY,
        disk=device.disk,
        connection=CONNECTED if connected else device.connection,
        address=resource.address if same else "",
        peer_role=device.peer_role,
        replication=_replication(device) if connected else Resource().replication,
        peer_disk=device.peer_disk,
        out_of_sync_bytes=device.out_of_sync_bytes,
        sync_done=device.sync_done,
    )


def agrees(resource: Resource, device: ProcDevice) -> bool:
    """Tell whether the event stream's picture is what /proc/drbd says at the same moment.

    What is said of the peer is compared while it is connected: only then anything follows from it.
    """
    alike = (
        resource.role == device.role
        and resource.disk == device.disk
        and (resource.frozen_by != NOBODY) == device.suspended
        and (resource.connection == CONNECTED) == (device.connection in _PROC_CONNECTED)
    )
    connection = connection_of(resource.connection, resource.replication)
    if not alike or connection not in REPLICATING:
        return alike
    return (
        connection is connection_of(CONNECTED, _replication(device))
        and resource.peer_role == device.peer_role
        and resource.peer_disk == device.peer_disk
    )


def _replication(device: ProcDevice) -> str:
    """Return what is replicated, in the words of ``events2``: 8.4 has one word for all of it."""
    return "Established" if device.connection == CONNECTED else device.connection


_PROC_CONNECTED: Final = frozenset({CONNECTED, "WFReportParams"}) | {
    word for connection, words in _WORDS.items() if connection is not Connection.STAND_ALONE
    for word in words
}  # fmt: skip
