"""What must be true of a clconf.xml besides its grammar."""

from typing import Final

from hapair.config import format_clconf as fmt
from hapair.config.addresses import overlap, reserved_in
from hapair.config.clconf_alerts import check_alerts
from hapair.config.clconf_arbitration import check_arbitration, node_names
from hapair.config.clconf_timing import check_durations
from hapair.config.complaints import Complaints, did_you_mean
from hapair.config.document import Node, shown
from hapair.config.grammar import value_of
from hapair.model.cluster import Address, Interface, Subnet

NODES: Final = 2
EPHEMERAL_FIRST: Final = 32768  # Linux gives ports from here on to outgoing connections.


def check_cluster(root: Node, complaints: Complaints) -> None:
    """Report what contradicts itself, what cannot work, and what the administrator must know."""
    _check_ports(root, complaints)
    for network in root.named("network"):
        _check_attachments(network, node_names(root), complaints)
        _check_reference(network, complaints)
    _check_cards(root, complaints)
    _check_subnets(root.named("network"), complaints)
    _check_replication(root.named("network"), complaints)
    check_durations(root, complaints)
    check_arbitration(root, complaints)
    check_alerts(root, complaints)
    if len(root.named("network")) == 1:
        complaints.warning(
            root.named("network")[0].line,
            "<network>",
            "this is the only network: when it fails, each node looks dead to the other",
            "add a second network, e.g. a cable between the two nodes",
        )


def _check_ports(root: Node, complaints: Complaints) -> None:
    ports, devices = value_of(root, fmt.CLUSTER_PORTS), value_of(root, fmt.CLUSTER_DEVICES)
    if ports is None or devices is None:
        return
    line, field = root.line_of("ports"), "<cluster> ports"
    available = ports.last - ports.first + 1
    if available < devices + 1:
        complaints.error(
            line,
            field,
            f"{devices} devices need {devices + 1} ports and the range has {available}",
            f'write at least ports="{ports.first}-{ports.first + devices}", or fewer devices',
        )
    if ports.last >= EPHEMERAL_FIRST:
        complaints.warning(
            line,
            field,
            f"Linux gives ports from {EPHEMERAL_FIRST} on to outgoing connections",
            "take lower ports, or reserve these (sysctl net.ipv4.ip_local_reserved_ports)",
        )


def _check_attachments(network: Node, nodes: tuple[str, ...], complaints: Complaints) -> None:
    for on in network.named("on"):
        name = value_of(on, fmt.ON_NODE)
        if name is not None and len(set(nodes)) == NODES and name not in nodes:
            complaints.error(
                on.line_of("node"),
                "<on> node",
                f"{shown(name)} is not one of the cluster's nodes",
                did_you_mean(name, nodes),
            )


def _check_cards(root: Node, complaints: Complaints) -> None:
    used: dict[tuple[str, str], tuple[int, str]] = {}
    for network in root.named("network"):
        name = value_of(network, fmt.NETWORK_NAME) or "?"
        for on in network.named("on"):
            node, cards = value_of(on, fmt.ON_NODE), value_of(on, fmt.ON_CARDS)
            for card in cards or ():
                line, other = used.setdefault((node or "?", card), (on.line, name))
                if other != name:
                    complaints.error(
                        on.line_of("cards"),
                        "<on> cards",
                        f'card {shown(card)} of {node} belongs to network "{other}" (line {line})',
                        "a card belongs to one network only: remove it from one of the two",
                    )


def _attached(network: Node) -> list[tuple[Node, tuple[Interface, ...]]]:
    found = ((on, value_of(on, fmt.ON_ADDRESS)) for on in network.named("on"))
    return [(on, interfaces) for on, interfaces in found if interfaces is not None]


def _subnets(interfaces: tuple[Interface, ...]) -> list[Subnet]:
    return [interface.network for interface in interfaces]


def _check_subnets(networks: tuple[Node, ...], complaints: Complaints) -> None:
    claimed: list[tuple[Subnet, Node]] = []
    for network in networks:
        attached = _attached(network)
        if not attached:
            continue
        first, interfaces = attached[0]
        for on, others in attached[1:]:
            if _subnets(others) != _subnets(interfaces):
                complaints.error(
                    on.line_of("address"),
                    "<on> address",
                    f"{_joined(_subnets(others))} here, but {_joined(_subnets(interfaces))} "
                    f"for the other node (line {first.line_of('address')})",
                    "both nodes are in the same subnets: write them in the same order",
                )
            for twin in set(others) & set(interfaces):
                complaints.error(
                    on.line_of("address"),
                    "<on> address",
                    f"{twin.ip} is the other node's address too (line {first.line_of('address')})",
                    "write this node's own address",
                )
        for subnet in _subnets(interfaces):
            for other, owner in claimed:
                if overlap(subnet, other):
                    complaints.error(
                        first.line_of("address"),
                        "<on> address",
                        f"subnet {subnet} overlaps {other} of the network in line {owner.line}",
                        "give each network a subnet of its own",
                    )
        claimed += [(subnet, network) for subnet in _subnets(interfaces)]


def _joined(subnets: list[Subnet]) -> str:
    return " ".join(str(subnet) for subnet in subnets)


def _check_reference(network: Node, complaints: Complaints) -> None:
    reference = value_of(network, fmt.NETWORK_REFERENCE)
    if reference is None:
        return
    line, field = network.line_of("reference"), "<network> reference"
    if value_of(network, fmt.NETWORK_ATTRIBUTE) == "crossover":
        what = "on a crossover network there is nothing but the two nodes"
        complaints.error(line, field, what, "remove it, or remove the attribute crossover")
        return
    attached = _attached(network)
    for on, interfaces in attached:
        if reference in {interface.ip for interface in interfaces}:
            what = f"{reference} is the node's own address (line {on.line_of('address')})"
            mend = "write the address of something else there, usually the gateway"
            complaints.error(line, field, what, mend)
            return
    if attached and (reason := _not_inside(reference, _subnets(attached[0][1]))):
        mend = "write an address of this network that always answers, usually the gateway"
        complaints.error(line, field, f"{reference} {reason}", mend)


def _not_inside(address: Address, subnets: list[Subnet]) -> str:
    """Say why the address belongs to no machine in the subnets; empty when it may."""
    for subnet in subnets:
        if address in subnet:
            return reserved_in(address, subnet)
    return f"is not in {_joined(subnets)}"


def _check_replication(networks: tuple[Node, ...], complaints: Complaints) -> None:
    chosen = [node for node in networks if value_of(node, fmt.NETWORK_REPLICATION)]
    undecided = any("replication" in n.attributes for n in networks) and any(
        value_of(n, fmt.NETWORK_REPLICATION) is None for n in networks
    )
    if len(networks) > 1 and not chosen and not undecided:
        complaints.error(
            networks[0].line,
            "<network> replication",
            "no network replicates",
            'write replication="yes" at one network, best at the one without clients',
        )
    if len(networks) == 1 and networks[0].attributes.get("replication", "").strip() == "no":
        complaints.error(
            networks[0].line_of("replication"),
            "<network> replication",
            "the only network must replicate",
            'remove replication="no"',
        )
    for node in chosen[1:]:
        complaints.error(
            node.line_of("replication"),
            "<network> replication",
            f"the network in line {chosen[0].line} replicates already",
            'keep replication="yes" at one network only',
        )
