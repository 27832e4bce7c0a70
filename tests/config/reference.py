"""The cluster and the application that most tests speak of."""

from ipaddress import IPv4Interface
from typing import Final

from hapair.model.application import Application, Script, ServiceAddress
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import ArbitrationKind, Attachment, Cluster, Network, PortRange
from tests.config.values import volume

CLUSTER: Final = Cluster(
    name="shop",
    nodes=("node1", "node2"),
    ports=PortRange(7700, 7799),
    devices=16,
    networks=(
        Network(
            name="public",
            attachments=(
                Attachment("node1", IPv4Interface("10.77.1.1/24"), ("eth0", "eth1")),
                Attachment("node2", IPv4Interface("10.77.1.2/24"), ("eth0", "eth1")),
            ),
            reference="10.77.1.254",
        ),
        Network(
            name="private",
            attachments=(
                Attachment("node1", IPv4Interface("10.77.2.1/24"), ("eth2", "eth3")),
                Attachment("node2", IPv4Interface("10.77.2.2/24"), ("eth2", "eth3")),
            ),
            crossover=True,
            replication=True,
        ),
    ),
    arbitration=ArbitrationKind.PATHS,
)
FILES: Final = Application(
    name="files",
    preferred="node1",
    program=Script("/etc/cluster/files/run"),
    volume_groups=("vg_files",),
    addresses=(ServiceAddress("public", IPv4Interface("10.77.1.90/32")),),
)
BUILT: Final = Built(
    generation=1,
    cluster=CLUSTER,
    fingerprint="",
    minors_first=100,
    applications=(BuiltApplication(FILES, (volume("files", 0),), ""),),
)
