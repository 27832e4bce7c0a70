"""What clbuild would change, and why it may not."""

from dataclasses import dataclass, replace

from hapair.core.plan.cluster_refusals import diverged, refusals
from hapair.core.plan.situation import CLCONF, Side, Situation
from hapair.core.plan.storage_checks import needs_filter
from hapair.model.application import Volume
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import ArbitrationKind, Cluster, Resync
from hapair.model.node_facts import TextFile
from hapair.model.problem import Problem


@dataclass(frozen=True, slots=True)
class Change:
    where: str  # "cluster" or a node.
    what: str
    before: str  # Empty: it is new.
    after: str  # Empty: it goes away.

    def __str__(self) -> str:
        if not self.before:
            return f"{self.where}: {self.what}: {self.after}"
        if not self.after:
            return f"{self.where}: {self.what}: no longer {self.before}"
        return f"{self.where}: {self.what}: {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class NodeWork:
    """What one node gets besides the files that are the same on both."""

    node: str
    new_key_pair: bool  # The node makes it itself; its private key never leaves it.
    applications: tuple[TextFile, ...]  # Copies of appconf.xml that only the peer has.
    lvm_filter: bool  # Keep LVM away from DRBD's devices.


@dataclass(frozen=True, slots=True)
class Plan:
    problems: tuple[Problem, ...]
    changes: tuple[Change, ...]  # Of files. Empty: everything already is as wanted.
    services: tuple[Change, ...]  # Units that are enabled or started.
    built: Built
    cluster_key_from: str  # The node whose cluster.key is kept; empty: a new one is made.
    work: tuple[NodeWork, NodeWork]

    @property
    def refused(self) -> bool:
        return any(not problem.warning for problem in self.problems)


def plan(situation: Situation) -> Plan:
    """Compare what is wanted with what both nodes have. Changes nothing itself."""
    previous = situation.previous
    minors_first = _minors_first(situation, previous)
    secret_number = _secret_number(situation, previous)
    same = (
        previous is not None
        and previous.cluster == situation.cluster
        and previous.fingerprint == situation.fingerprint
        and previous.minors_first == minors_first
        and previous.secret_number == secret_number
        and not diverged(*situation.sides)
    )
    generation = previous.generation if previous else 0
    built = Built(
        generation=generation if same else generation + 1,
        cluster=situation.cluster,
        fingerprint=situation.fingerprint,
        minors_first=minors_first,
        applications=_on_ports_of(situation.cluster, minors_first, previous),
        secret_number=secret_number,
        read_from=previous.read_from if previous else "",
    )
    keep_key_from = _cluster_key_from(situation)
    work = (_work(situation, situation.sides[0]), _work(situation, situation.sides[1]))
    changes = (
        *_cluster_changes(previous, built),
        *(change for side in situation.sides for change in _file_changes(situation, side, built)),
        *(change for each in work for change in _work_changes(each)),
        *_key_changes(situation, keep_key_from),
    )
    places = ("cluster", *situation.cluster.nodes)
    changes = tuple(sorted(changes, key=lambda change: places.index(change.where)))
    draft = Plan((), changes, _service_changes(situation), built, keep_key_from, work)
    return replace(draft, problems=tuple(refusals(situation, built, changed=bool(changes))))


def _minors_first(situation: Situation, previous: Built | None) -> int:
    """Return the first of enough minors that no foreign resource uses on either node."""
    if previous is not None and any(built.volumes for built in previous.applications):
        return previous.minors_first
    taken = sorted({minor for side in situation.sides for minor in side.facts.drbd.minors})
    first = 0
    for minor in taken:
        if first <= minor < first + situation.cluster.devices:
            first = minor + 1
    return first


def _secret_number(situation: Situation, previous: Built | None) -> int:
    """Return which secret is used: the one that is, the next one, or the first one.

    Nodes of different versions agree on nothing new: the older one might not know of it, and DRBD
    connects no two of which one asks for a secret.
    """
    used = previous.secret_number if previous else 0
    if not situation.one_version:
        return used
    return used + 1 if situation.rotate_secret else max(used, 1)


def _on_ports_of(
    cluster: Cluster, minors_first: int, previous: Built | None
) -> tuple[BuiltApplication, ...]:
    """Return the built applications with their devices on the cluster's present ports."""

    def moved(volume: Volume) -> Volume:
        return replace(volume, port=cluster.ports.replication(volume.minor, minors_first))

    applications = previous.applications if previous else ()
    return tuple(
        replace(each, volumes=tuple(moved(volume) for volume in each.volumes))
        for each in applications
    )


def _cluster_changes(previous: Built | None, built: Built) -> tuple[Change, ...]:
    before = described(previous) if previous else {}
    after = described(built)
    names = [*after, *(name for name in before if name not in after)]
    return tuple(
        Change("cluster", name, before.get(name, ""), after.get(name, ""))
        for name in names
        if before.get(name, "") != after.get(name, "")
    )


def described(built: Built) -> dict[str, str]:
    """Describe a configuration line by line, as people compare it."""
    cluster = built.cluster
    lines = {
        "name": cluster.name,
        "nodes": ", ".join(cluster.nodes),
        "ports": f"{cluster.ports.first}-{cluster.ports.last}",
        "DRBD devices": f"{cluster.devices}, the first is /dev/drbd{built.minors_first}",
        "arbitration": cluster.arbitration.value,
        "detection": f"{cluster.timing.detection_s:g} s",
        "heartbeat": f"{cluster.timing.heartbeat_s:g} s",
        "lease": f"{cluster.lease_s:g} s",
        "DRBD connections": _proof(built),
        **_arbitration(cluster),
    }
    for network in cluster.networks:
        traits = [
            *(["replication"] if network.replication else []),
            *(["crossover"] if network.crossover else []),
            *([f"reference {network.reference}"] if network.reference else []),
        ]
        lines[f"network {network.name}"] = ", ".join(traits) or "clients"
        for each in network.attachments:
            cards = " ".join(each.cards)
            addresses = " ".join(str(address) for address in each.addresses)
            own_only = " (each answers ARP for its own addresses only)" * (len(each.cards) > 1)
            lines[f"network {network.name} on {each.node}"] = f"{addresses} on {cards}{own_only}"
    return lines


def _proof(built: Built) -> str:
    number = built.secret_number
    return f"proved with secret number {number}" if number else "not authenticated"


def _arbitration(cluster: Cluster) -> dict[str, str]:
    """Describe who is asked. Of parameters only the names are shown: values may be secrets."""
    lines = {}
    if cluster.arbitration in {ArbitrationKind.WITNESS, ArbitrationKind.FENCING}:
        lines["window"] = f"{cluster.lead_s:g} s"
    for number, witness in enumerate(cluster.witnesses, 1):
        pin = f", pin {witness.pin[:8]}..." if witness.pin else ""
        lines[f"witness {number}"] = (
            f"{witness.kind.value} at {witness.at}, {witness.timeout_s:g} s{pin}"
        )
    for node in cluster.nodes:
        for number, method in enumerate(cluster.methods_against(node), 1):
            names = ", ".join(name for name, _ in method.parameters) or "no parameters"
            lines[f"fencing of {node}, method {number}"] = (
                f"{method.agent} ({names}), {method.timeout_s:g} s"
            )
    if cluster.watchdog is not None:
        lines["watchdog"] = f"{cluster.watchdog.device}, {cluster.watchdog.timeout_s:g} s"
    if cluster.resync != Resync():
        rate = cluster.resync.rate_bytes
        limit = f"at most {rate // 1024} KiB each second" if rate else "no limit"
        snapshot = "with" if cluster.resync.snapshot else "without"
        order = cluster.resync.order
        first = f"; first {', then '.join(order)}, then all others" if order else ""
        lines["resync"] = f"{snapshot} a snapshot, {limit}{first}"
    return lines


def _file_changes(situation: Situation, side: Side, built: Built) -> tuple[Change, ...]:
    found = []
    if side.fingerprint != situation.fingerprint:
        before = "another one" if side.fingerprint else ""
        found.append(Change(side.node, CLCONF, before, f"as on {situation.me}"))
    if side.built != built:
        before = f"generation {side.generation}" if side.built else ""
        found.append(Change(side.node, "built.json", before, f"generation {built.generation}"))
    return tuple(found)


def _cluster_key_from(situation: Situation) -> str:
    """Return the node whose key is kept, this one first; a key that others could read is not."""
    for node in (situation.me, situation.cluster.peer_of(situation.me)):
        keys = situation.side(node).facts.configuration.keys
        if keys.cluster_key_digest and keys.private:
            return node
    return ""


def _key_changes(situation: Situation, keep_from: str) -> tuple[Change, ...]:
    found = []
    for side in situation.sides:
        keys = side.facts.configuration.keys
        peer = situation.side(situation.cluster.peer_of(side.node)).facts.configuration.keys
        digest = keys.cluster_key_digest
        wanted = (
            situation.side(keep_from).facts.configuration.keys.cluster_key_digest
            if keep_from
            else ""
        )
        if not digest or digest != wanted:
            origin = f"as on {keep_from}" if keep_from else "a new one"
            found.append(Change(side.node, "cluster.key", "another one" if digest else "", origin))
        certificate = keys.peer_certificate
        if not certificate or certificate != peer.node_certificate:
            before = "another one" if certificate else ""
            found.append(
                Change(side.node, "certificate of the peer", before, "the peer's present one")
            )
    return tuple(found)


def _work(situation: Situation, side: Side) -> NodeWork:
    keys = side.facts.configuration.keys
    peer = situation.side(situation.cluster.peer_of(side.node))
    present = {file.name for file in side.facts.configuration.applications}
    return NodeWork(
        node=side.node,
        new_key_pair=not (keys.node_certificate and keys.pair_matches and keys.private),
        applications=tuple(
            file for file in peer.facts.configuration.applications if file.name not in present
        ),
        lvm_filter=bool(side.facts.lvm.version) and needs_filter(side.facts.lvm),
    )


def _work_changes(work: NodeWork) -> tuple[Change, ...]:
    found = [
        Change(work.node, f"{file.name}/appconf.xml", "", "as on the peer")
        for file in work.applications
    ]
    if work.new_key_pair:
        found.append(Change(work.node, "node.key and node.crt", "", "a new pair"))
    if work.lvm_filter:
        found.append(Change(work.node, "/etc/lvm/lvmlocal.conf", "", "LVM leaves /dev/drbd* alone"))
    return tuple(found)


def _service_changes(situation: Situation) -> tuple[Change, ...]:
    found = []
    for side in situation.sides:
        if not side.facts.daemon.enabled:
            found.append(Change(side.node, "services", "", "enabled, so that they start at boot"))
        if not side.facts.daemon.running:
            found.append(Change(side.node, "hapaird", "", "started"))
    return tuple(found)
