"""Two healthy nodes, as a scan sees them, and ways to hurt them."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_interface
from typing import Final

from hapair.config.fingerprint import fingerprint
from hapair.core.plan.situation import Side, Situation
from hapair.model.application import Application, FileSystem, ServiceAddress, Volume
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import (
    ArbitrationKind,
    Attachment,
    Cluster,
    Network,
    PortRange,
    Watchdog,
)
from hapair.model.node_facts import (
    Card,
    CardAddress,
    Configuration,
    Daemon,
    Drbd,
    Kernel,
    Keys,
    Link,
    Lvm,
    NodeFacts,
    PhysicalVolume,
    Protocols,
    Resolved,
    Space,
    SshTry,
    StorageKind,
    VolumeGroup,
    WatchdogFacts,
)

KERNEL: Final = "6.1.0-37-amd64"
GIB: Final = 1024**3
NODES: Final = ("node1", "node2")
TOOLS: Final = (
    "drbdadm", "drbdmeta", "drbdsetup", "e2fsck", "ip", "lvcreate", "lvs", "modprobe", "openssl",
    "ssh", "systemctl", "vgs", "xfs_repair",
)  # fmt: skip


def attachment(node: str, number: int, cards: tuple[str, ...]) -> Attachment:
    host = node.removeprefix("node")
    return Attachment(node, ip_interface(f"10.77.{number}.{host}/24"), cards)


PUBLIC: Final = Network(
    "public",
    tuple(attachment(node, 1, ("pub0", "pub1")) for node in NODES),
    reference="10.77.1.254",
)
PRIVATE: Final = Network(
    "private", tuple(attachment(node, 2, ("priv0",)) for node in NODES), replication=True
)
CLUSTER: Final = Cluster(
    name="shop",
    nodes=NODES,
    ports=PortRange(7700, 7799),
    devices=16,
    networks=(PUBLIC, PRIVATE),
    arbitration=ArbitrationKind.OPERATOR,
    watchdog=Watchdog(timeout_s=6.0),
)
ADDRESSES: Final = ("10.77.1.1", "10.77.2.1", "10.77.1.2", "10.77.2.2")


def boot_id(node: str) -> str:
    return f"boot-{node}"


def logins() -> tuple[SshTry, ...]:
    return tuple(SshTry(each, boot_id(f"node{each[-1]}")) for each in ADDRESSES)


def group(name: str, node: str, **changes: object) -> VolumeGroup:
    disk = PhysicalVolume("/dev/vdb", StorageKind.LOCAL)
    made = VolumeGroup(name, f"{name}-{node}", 2 * GIB, GIB, (disk,))
    return replace(made, **changes)  # type: ignore[arg-type]


def cards(node: str) -> tuple[Card, ...]:
    host = node.removeprefix("node")

    def card(name: str, *addresses: str) -> Card:
        given = tuple(CardAddress(address) for address in addresses)
        return Card(name, enabled=True, link=Link.UP, reports_link=True, addresses=given)

    return (
        card("mgmt0", "10.0.2.15/24"),
        card("pub0", f"10.77.1.{host}/24"),
        card("pub1"),
        card("priv0", f"10.77.2.{host}/24"),
    )


def healthy(node: str) -> NodeFacts:
    return NodeFacts(
        hostname=node,
        version="0.1.0",
        machine_id=f"machine-{node}",
        boot_id=boot_id(node),
        kernel=KERNEL,
        wall_ms=0,
        kernels=(Kernel(KERNEL, has_drbd=True),),
        drbd=Drbd(version="8.4.11", protocols=(Protocols(86, 101),), helper="/sbin/drbdadm"),
        lvm=Lvm(version="2.03.16(2)", groups=(group("vg_orders", node),)),
        tools=TOOLS,
        cards=cards(node),
        names=(Resolved("node1", ("10.77.1.1",)), Resolved("node2", ("10.77.1.2",))),
        logins=logins(),
        watchdog=WatchdogFacts(exists=True),
        spaces=(Space("/etc", GIB), Space("/var/lib", GIB), Space("/cmbackup", GIB)),
    )


Hurt = Callable[[NodeFacts], NodeFacts]


def unhurt(facts: NodeFacts) -> NodeFacts:
    return facts


def situation(
    first: Hurt = unhurt,
    second: Hurt = unhurt,
    *,
    cluster: Cluster = CLUSTER,
    built: Built | None = None,
    force: bool = False,
) -> Situation:
    """Two nodes on which ``built`` is committed; each one may be hurt."""
    print_ = fingerprint(cluster)
    committed = built.fingerprint if built else ""
    sides = (
        Side("node1", first(healthy("node1")), built, print_),
        Side("node2", second(healthy("node2")), built, committed),
    )
    return Situation(cluster, print_, "node1", sides, force)


def volume(number: int = 0, *, minors_first: int = 0) -> Volume:
    minor = minors_first + number
    return Volume(
        resource=f"orders.data{number}",
        minor=minor,
        port=7701 + number,
        volume_group="vg_orders",
        logical_volume=f"data{number}",
        meta_volume=f"data{number}_meta",
        size_bytes=GIB,
        mount_point=f"/srv/orders{number}",
        file_system=FileSystem.EXT4,
    )


ORDERS: Final = Application(
    "orders",
    "node1",
    volume_groups=("vg_orders",),
    addresses=(ServiceAddress("public", ip_interface("10.77.1.50/24")),),
)


def built_with(*applications: BuiltApplication, cluster: Cluster = CLUSTER) -> Built:
    return Built(3, cluster, fingerprint(cluster), 0, applications, secret_number=1)


EMPTY: Final = built_with()
WITH_ORDERS: Final = built_with(BuiltApplication(ORDERS, (volume(),), "appconf"))


def complete(node: str) -> Hurt:
    """Make a node to which nothing has to be done any more: keys, filter, services."""
    peer = CLUSTER.peer_of(node)

    def finished(facts: NodeFacts) -> NodeFacts:
        keys = Keys("digest", f"certificate of {node}", f"certificate of {peer}", pair_matches=True)
        lvm = replace(facts.lvm, global_filter=("r|^/dev/drbd|",))
        daemon = Daemon(running=True, enabled=True, standing="halted")
        return replace(facts, configuration=Configuration(keys=keys), lvm=lvm, daemon=daemon)

    return finished


def formed(facts: NodeFacts) -> NodeFacts:
    return replace(facts, daemon=replace(facts.daemon, running=True, standing="together"))
