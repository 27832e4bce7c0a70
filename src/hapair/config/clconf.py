"""clconf.xml: text to Cluster, or problems."""

from typing import Final

from hapair.config import format_clconf as fmt
from hapair.config.clconf_checks import check_cluster
from hapair.config.document import Node
from hapair.config.grammar import must, value_of
from hapair.config.reading import Format, Reading, examine, nowhere
from hapair.model.cluster import (
    ArbitrationKind,
    Attachment,
    Cluster,
    Network,
    PortRange,
    Timing,
)
from hapair.model.problem import Problem

HEARTBEATS_IN_DETECTION: Final = 5  # The default; losing a few datagrams is no loss of a node.


def read_clconf(text: bytes, *, file: str) -> Cluster | tuple[Problem, ...]:
    """Return the cluster, or everything that is wrong with the file."""
    return examine_clconf(text, file=file).value_or_problems()


def examine_clconf(text: bytes, *, file: str) -> Reading[Cluster]:
    """Return the cluster, if there is no error, and its warnings; else the errors."""
    return examine(text, _FORMAT, file=file)


def _build(root: Node) -> Cluster:
    first, second = (must(node, fmt.NODE_NAME) for node in root.named("node"))
    ports = must(root, fmt.CLUSTER_PORTS)
    networks = root.named("network")
    (arbitration,) = root.named("arbitration")
    return Cluster(
        name=must(root, fmt.CLUSTER_NAME),
        nodes=(first, second),
        ports=PortRange(ports.first, ports.last),
        devices=must(root, fmt.CLUSTER_DEVICES),
        networks=tuple(
            _network(node, (first, second), only=len(networks) == 1) for node in networks
        ),
        arbitration=ArbitrationKind(must(arbitration, fmt.ARBITRATION_BY)),
        timing=_timing(root),
    )


def _network(node: Node, nodes: tuple[str, str], *, only: bool) -> Network:
    attachments = (_attachment(child) for child in node.named("on"))
    reference = value_of(node, fmt.NETWORK_REFERENCE)
    return Network(
        name=must(node, fmt.NETWORK_NAME),
        attachments=tuple(sorted(attachments, key=lambda a: nodes.index(a.node))),
        crossover=value_of(node, fmt.NETWORK_ATTRIBUTE) == "crossover",
        replication=only or must(node, fmt.NETWORK_REPLICATION),
        reference=None if reference is None else str(reference),
    )


def _attachment(node: Node) -> Attachment:
    address, *further = must(node, fmt.ON_ADDRESS)
    return Attachment(
        node=must(node, fmt.ON_NODE),
        address=address,
        cards=must(node, fmt.ON_CARDS),
        further=tuple(further),
    )


def _timing(root: Node) -> Timing:
    if not root.named("timing"):
        return Timing()
    (node,) = root.named("timing")
    detection_s = must(node, fmt.TIMING_DETECTION)
    heartbeat_s = value_of(node, fmt.TIMING_HEARTBEAT)
    if heartbeat_s is None:
        heartbeat_s = round(detection_s / HEARTBEATS_IN_DETECTION, 3)
    return Timing(detection_s, heartbeat_s)


_FORMAT: Final = Format(
    fmt.CLUSTER, "/usr/share/hapair/samples/clconf.xml", check_cluster, _build, nowhere
)
