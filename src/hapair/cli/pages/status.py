"""The daemon's answer to ``status`` as values. Nothing here decides; see attention and render."""

from collections.abc import Mapping
from dataclasses import dataclass

from hapair.cli.pages.maintenance import MaintenanceStatus, read_maintenance
from hapair.cli.pages.monitors import MonitorStatus, WatchStatus, read_monitors, read_watch
from hapair.cli.screen.reading import Json, Reader


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    name: str
    link_up: bool | None
    heard_ago_s: float | None  # None: never, or not known.
    address: str
    cards: tuple[str, ...]
    reference: str
    crossover: bool
    replication: bool


@dataclass(frozen=True, slots=True)
class Alarm:
    name: str
    text: str
    application: str


@dataclass(frozen=True, slots=True)
class KeptCopy:
    name: str  # With its volume group.
    made_wall_s: float | None


@dataclass(frozen=True, slots=True)
class VolumeStatus:
    resource: str
    mount_point: str
    role: str
    peer_role: str
    disk: str
    peer_disk: str
    connection: str
    out_of_sync_bytes: int
    sync_done: float | None  # 0.0 to 1.0 while a resync runs.
    behind: bool
    suspended: bool  # Writes are frozen.
    unproven: bool  # Not compared with the peer's copy since this node lost sight of it.
    apart_since_wall_s: float | None  # By the clock of the node that tells it.
    kept: tuple[KeptCopy, ...]  # Snapshots of an older state.
    resync_bytes_s: float  # As the daemon measured it; 0: not known.
    stalled: bool  # The resync stands still, and reconnecting did not help.
    waits_for: str  # The resource whose resync goes first; empty: it waits for none.

    @property
    def syncing(self) -> bool:
        return self.connection in {"SyncSource", "SyncTarget"}


@dataclass(frozen=True, slots=True)
class ItemStatus:
    layer: str
    resource: str
    known: str
    busy: bool
    rung: int
    last_error: str


@dataclass(frozen=True, slots=True)
class FailureStatus:
    node: str
    count: int
    wall_s: float  # Of the last one; 0: not known.
    runs: int = 0  # How many of them its monitors found.


@dataclass(frozen=True, slots=True)
class UnderWayStatus:
    """What is being done to a program just now."""

    do: str  # "start", "stop" or "kill".
    since_s: float
    limit_s: float
    waits: str  # What systemd says that it waits for; empty: it is no unit, or not known.


@dataclass(frozen=True, slots=True)
class ApplicationStatus:
    name: str
    owner: str
    wanted: str
    preferred: str
    phase: str
    rule: str  # The row of the decision table that holds.
    because: str  # Its sentence.
    failed_on: tuple[str, ...]
    failures: tuple[FailureStatus, ...]
    addresses: tuple[str, ...]
    program: str
    volumes: tuple[VolumeStatus, ...]
    items: tuple[ItemStatus, ...]
    monitors: tuple[MonitorStatus, ...] = ()
    changed: tuple[str, ...] = ()  # How the monitors differ from appconf.xml.
    watch: WatchStatus | None = None  # None: it does not run there, or an old version tells.
    under_way: UnderWayStatus | None = None  # None: nothing is done to its program.


@dataclass(frozen=True, slots=True)
class Drift:
    clconf: str  # "ok", "changed", "missing" or "invalid"
    applications: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """What a node knows of its peer from hearing it, not from asking it."""

    standing: str
    heard_ago_s: float | None
    connected: bool


@dataclass(frozen=True, slots=True)
class WitnessStatus:
    kind: str
    at: str
    answers: bool | None  # None: not asked yet.


@dataclass(frozen=True, slots=True)
class ThirdParties:
    """Who decides when the peer is silent."""

    witnesses: tuple[WitnessStatus, ...]
    agents: tuple[str, ...]  # Those that can switch the peer off.
    watchdog: str  # The device; empty: none.
    waiver: bool  # While the witness is lost this node may act alone.
    yields: bool  # While it is lost the peer may: this node has promised it.


@dataclass(frozen=True, slots=True)
class NodeStatus:
    cluster: str
    node: str
    peer: str
    standing: str
    epoch: int
    holds_right: bool
    generation: int
    authenticated: bool  # DRBD's connections; also when the node does not tell.
    arbitration: str
    third_parties: ThirdParties
    version: str
    features: Mapping[str, str]  # What it knows, in words for people; of an old version nothing.
    wall_s: float  # Its clock at this moment, for ages.
    drift: Drift
    networks: tuple[NetworkStatus, ...]
    peer_seen: PeerSeen
    alarms: tuple[Alarm, ...]
    applications: tuple[ApplicationStatus, ...]
    maintenance: tuple[MaintenanceStatus, ...] = ()

    def application(self, name: str) -> ApplicationStatus | None:
        return next((found for found in self.applications if found.name == name), None)


@dataclass(frozen=True, slots=True)
class Status:
    local: NodeStatus
    remote: NodeStatus | None  # None: the peer's daemon did not answer.

    def applications(self) -> tuple[str, ...]:
        """Return the names of all applications that either node knows."""
        known = [*self.local.applications, *(self.remote.applications if self.remote else ())]
        return tuple(sorted({application.name for application in known}))

    def nodes(self) -> tuple[NodeStatus, ...]:
        """Return the nodes that answered, the local one first."""
        return (self.local,) if self.remote is None else (self.local, self.remote)

    def alarmed(self) -> frozenset[str]:
        """Return the applications of which either node's daemon raises an alarm."""
        alarms = [alarm for node in self.nodes() for alarm in node.alarms]
        return frozenset(alarm.application for alarm in alarms if alarm.application)

    def seen_by(self, node: str) -> NodeStatus | None:
        """Return what this node says of itself; None when it did not answer."""
        if node == self.local.node:
            return self.local
        return self.remote


def read_status(answer: Json) -> Status:
    reader = Reader(answer)
    local = reader.text("local")
    nodes = reader.inner("nodes")
    others = [name for name in nodes.names() if name != local and nodes.inner(name).content]
    remote = _node(nodes.inner(others[0])) if others else None
    return Status(_node(nodes.inner(local)), remote)


def _node(reader: Reader) -> NodeStatus:
    drift = reader.inner("drift")
    features = reader.inner("features")
    changed = drift.inner("applications")
    peer = reader.inner("peer_view")
    return NodeStatus(
        cluster=reader.text("cluster"),
        node=reader.text("node"),
        peer=reader.text("peer"),
        standing=reader.text("standing", "unknown"),
        epoch=reader.whole("epoch"),
        holds_right=bool(reader.flag("holds_right")),
        generation=reader.whole("generation"),
        authenticated=reader.whole("secret_number", 1) > 0,
        arbitration=reader.text("arbitration"),
        third_parties=_third_parties(reader.inner("third_parties")),
        version=reader.text("version"),
        features={name: features.text(name) for name in features.names()},
        wall_s=reader.number("wall_s") or 0.0,
        drift=Drift(
            drift.text("clconf", "ok"), {name: changed.text(name) for name in changed.names()}
        ),
        networks=tuple(_network(inner) for inner in reader.inners("networks")),
        peer_seen=PeerSeen(
            peer.text("standing"), peer.number("heard_ago_s"), bool(peer.flag("connected"))
        ),
        alarms=tuple(
            Alarm(inner.text("name"), inner.text("text"), inner.text("application"))
            for inner in reader.inners("alarms")
        ),
        applications=tuple(_application(inner) for inner in reader.inners("applications")),
        maintenance=read_maintenance(reader),
    )


def _third_parties(reader: Reader) -> ThirdParties:
    return ThirdParties(
        witnesses=tuple(
            WitnessStatus(inner.text("kind"), inner.text("at"), inner.flag("answers"))
            for inner in reader.inners("witnesses")
        ),
        agents=reader.texts("agents"),
        watchdog=reader.text("watchdog"),
        waiver=bool(reader.flag("waiver")),
        yields=bool(reader.flag("yields")),
    )


def _network(reader: Reader) -> NetworkStatus:
    return NetworkStatus(
        name=reader.text("name"),
        link_up=reader.flag("link_up"),
        heard_ago_s=reader.number("heard_ago_s"),
        address=reader.text("address"),
        cards=reader.texts("cards"),
        reference=reader.text("reference"),
        crossover=bool(reader.flag("crossover")),
        replication=bool(reader.flag("replication")),
    )


def _application(reader: Reader) -> ApplicationStatus:
    why = reader.inner("why")
    return ApplicationStatus(
        name=reader.text("name"),
        owner=reader.text("owner"),
        wanted=reader.text("wanted"),
        preferred=reader.text("preferred"),
        phase=reader.text("phase", "unknown"),
        rule=why.text("rule"),
        because=why.text("text"),
        failed_on=reader.texts("failed_on"),
        failures=tuple(
            FailureStatus(
                inner.text("node"),
                inner.whole("count"),
                inner.number("wall_s") or 0.0,
                inner.whole("runs"),
            )
            for inner in reader.inners("failures")
        ),
        addresses=reader.texts("addresses"),
        program=reader.text("program"),
        volumes=tuple(_volume(inner) for inner in reader.inners("volumes")),
        items=tuple(_item(inner) for inner in reader.inners("items")),
        monitors=read_monitors(reader),
        changed=reader.texts("changed"),
        watch=read_watch(reader.inner("watched")),
        under_way=_under_way(reader.inner("under_way")),
    )


def _under_way(reader: Reader) -> UnderWayStatus | None:
    if not reader.content:
        return None
    since_s, limit_s = reader.number("since_s") or 0.0, reader.number("limit_s") or 0.0
    return UnderWayStatus(reader.text("do"), since_s, limit_s, reader.text("waits"))


def _volume(reader: Reader) -> VolumeStatus:
    return VolumeStatus(
        resource=reader.text("resource"),
        mount_point=reader.text("mount_point"),
        role=reader.text("role", "Unknown"),
        peer_role=reader.text("peer_role", "Unknown"),
        disk=reader.text("disk", "DUnknown"),
        peer_disk=reader.text("peer_disk", "DUnknown"),
        connection=reader.text("connection"),
        out_of_sync_bytes=reader.whole("out_of_sync_bytes"),
        sync_done=reader.number("sync_done"),
        behind=bool(reader.flag("behind")),
        suspended=bool(reader.flag("suspended")),
        unproven=bool(reader.flag("unproven")),
        apart_since_wall_s=reader.number("apart_since_wall_s"),
        kept=tuple(
            KeptCopy(inner.text("name"), inner.number("made_wall_s"))
            for inner in reader.inners("kept")
        ),
        resync_bytes_s=reader.inner("resync").number("bytes_s") or 0.0,
        stalled=bool(reader.inner("resync").flag("stalled")),
        waits_for=reader.inner("resync").text("waits_for"),
    )


def _item(reader: Reader) -> ItemStatus:
    return ItemStatus(
        layer=reader.text("layer"),
        resource=reader.text("resource"),
        known=reader.text("known", "unknown"),
        busy=bool(reader.flag("busy") or reader.whole("busy")),
        rung=reader.whole("rung"),
        last_error=reader.text("last_error"),
    )
