"""A small cluster with one application whose file system is still mounted natively."""

from dataclasses import replace
from ipaddress import ip_interface
from typing import Final

from hapair.core.plan.application import Situation
from hapair.model.application import Application, Script
from hapair.model.built import Built
from hapair.model.cluster import ArbitrationKind, Attachment, Cluster, Network, PortRange
from hapair.model.storage import Folder, GroupStorage, LogicalVolume, NativeMount, NodeStorage

MIB: Final = 2**20
EXTENT: Final = 4 * MIB
DATA: Final = LogicalVolume("data", 256 * MIB, "ext4", in_use=True)
WAY: Final = (Folder("/srv", 0o755, "root", "root"), Folder("/srv/orders", 0o750, "dba", "dba"))
MOUNT: Final = NativeMount("data", "/srv/orders", "ext4", "noatime", folders=WAY)


def network(name: str, number: int, *, replication: bool) -> Network:
    attachments = tuple(
        Attachment(f"node{n}", ip_interface(f"10.0.{number}.{n}/24"), (f"{name}0",)) for n in (1, 2)
    )
    return Network(name, attachments, replication=replication)


CLUSTER: Final = Cluster(
    name="shop",
    nodes=("node1", "node2"),
    ports=PortRange(7700, 7799),
    devices=2,
    networks=(network("public", 1, replication=False), network("private", 2, replication=True)),
    arbitration=ArbitrationKind.OPERATOR,
)
BUILT: Final = Built(generation=1, cluster=CLUSTER, fingerprint="c", minors_first=10)
ORDERS: Final = Application(
    "orders", "node1", Script("/etc/cluster/orders/run"), volume_groups=("vg_orders",)
)
HERE: Final = GroupStorage(
    "vg_orders",
    exists=True,
    extent_bytes=EXTENT,
    free_bytes=64 * MIB,
    volumes=(DATA,),
    mounts=(MOUNT,),
)
THERE: Final = GroupStorage("vg_orders", exists=True, extent_bytes=EXTENT, free_bytes=1024 * MIB)


def situation(
    *,
    here: GroupStorage = HERE,
    there: GroupStorage = THERE,
    built: Built = BUILT,
    application: Application = ORDERS,
    owner: str = "",
) -> Situation:
    return Situation(
        built=built,
        application=application,
        fingerprint="a",
        file="/etc/cluster/orders/appconf.xml",
        here=NodeStorage("node1", (here,), file_systems=("ext4", "xfs")),
        peer=NodeStorage("node2", (there,), file_systems=("ext4", "xfs")),
        owner=owner,
    )


def mounted(**changes: object) -> GroupStorage:
    """Return the group of node1 with another kind of mount."""
    return replace(HERE, mounts=(replace(MOUNT, **changes),))  # type: ignore[arg-type]
