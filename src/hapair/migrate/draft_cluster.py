"""clconf.xml from what was found of a cluster."""

from typing import Final

from hapair.config import addresses, kinds
from hapair.config import format_arbitration as arbitration
from hapair.config import format_clconf as fmt
from hapair.migrate import times
from hapair.migrate.subnets import Subnets, likely_subnet
from hapair.migrate.words import Found, FoundAddress, FoundCluster, FoundNetwork, simple_name
from hapair.migrate.xml_text import Tag, left_open, settled
from hapair.model.secret import named_like_a_secret

PUBLIC: Final = "public"
NODES: Final = 2
NOBODY_TOLD: Final = "Nothing that was read tells it."


def cluster_tag(found: Found) -> Tag:
    """Return the element <cluster>; what nobody told is left open."""
    cluster = found.cluster
    name = simple_name(cluster.name) if cluster.name else ""
    nodes = nodes_of(cluster)
    children = [
        Tag("node", (("name", node),), why=_first(index, cluster.why.get("nodes", NOBODY_TOLD)))
        for index, node in enumerate(nodes)
    ]
    subnets = subnets_of(found)
    networks = _networks(found, subnets)
    known = any(each.replication for each in networks)
    for index, network in enumerate(networks):
        asked = not known and index == 0 and len(networks) > 1
        children.append(_network(network, found, subnets, asked=asked))
    children.append(_arbitration(cluster, nodes))
    if cluster.detection_s:
        bounds = (fmt.DETECTION_MIN_S, fmt.DETECTION_MAX_S)
        detection = times.written(cluster.detection_s, *bounds)
        why = (cluster.why.get("timing", ""),)
        children.append(Tag("timing", (("detection", detection),), why=why))
    if cluster.watchdog:
        device = settled(kinds.absolute_path(), cluster.watchdog, "the watchdog's device file")
        why = (cluster.why.get("watchdog", ""),)
        children.append(Tag("watchdog", (("device", device),), why=why))
    return Tag(
        "cluster",
        (("name", settled(kinds.SIMPLE_NAME, name, "a name for the cluster")),),
        tuple(children),
    )


def nodes_of(cluster: FoundCluster) -> tuple[str, ...]:
    """Return the names of the two nodes, or what is left open of them."""
    asked = ("the first node, as `uname -n` prints it", "the second node, as `uname -n` prints it")
    names = (*cluster.nodes, "", "")[:NODES]
    return tuple(
        settled(kinds.NODE_NAME, name, what) for name, what in zip(names, asked, strict=True)
    )


def subnets_of(found: Found) -> Subnets:
    return Subnets(found.cluster.networks, _addresses_of(found))


def _addresses_of(found: Found) -> tuple[FoundAddress, ...]:
    return tuple(each for application in found.applications for each in application.addresses)


def _networks(found: Found, subnets: Subnets) -> tuple[FoundNetwork, ...]:
    """Return the networks, with one for the clients where addresses lie in none of them."""
    networks = found.cluster.networks[: fmt.NETWORKS_MAX - 1]
    strange = [e for e in _addresses_of(found) if not subnets.name_of(e.address, e.prefix)]
    if networks and not strange:
        return networks
    cards = tuple(dict.fromkeys(each.card for each in strange if each.card))
    why = "The network of the clients."
    if strange:
        listed = ", ".join(each.address for each in strange[:4])
        why += f" The nodes' own addresses beside {listed} were told by no file."
    card_of_each = tuple((node, cards[0]) for node in found.cluster.nodes if len(cards) == 1)
    return (FoundNetwork(PUBLIC, cards=card_of_each, why=why), *networks)


def _network(network: FoundNetwork, found: Found, subnets: Subnets, *, asked: bool) -> Tag:
    attributes = [("name", settled(kinds.SIMPLE_NAME, network.name, "a name for the network"))]
    if network.replication:
        attributes.append(("replication", "yes"))
    elif asked:
        attributes.append(("replication", left_open("yes, or no and yes at another network")))
    there = (e for e in found.cluster.references if subnets.name_of(e) == network.name)
    if (reference := next(there, "")) and not network.replication:
        answers = "something there that always answers pings"
        attributes.append(("reference", settled(addresses.ADDRESS, reference, answers)))
    known, cards = dict(network.addresses), dict(network.cards)
    names = (*found.cluster.nodes, "", "")[:NODES]
    children = []
    for node, name in zip(nodes_of(found.cluster), names, strict=True):
        address, of = known.get(name, ""), name or "that node"
        length = 64 if ":" in address else 24
        question = (
            f"{address} with its prefix length, e.g. {address}/{length}"
            if address
            else f"the address of {of} there, with its prefix length"
        )
        full = _with_prefix(address, found)
        children.append(
            Tag(
                "on",
                (
                    ("node", node),
                    ("address", settled(addresses.INTERFACES, full, question)),
                    ("cards", settled(kinds.CARDS, cards.get(name, ""), f"the card of {of} there")),
                ),
            )
        )
    return Tag("network", tuple(attributes), tuple(children), why=(network.why,))


def _with_prefix(own: str, found: Found) -> str:
    """Return a node's address with the prefix length that an address beside it tells."""
    if not own or "/" in own:
        return own
    for each in _addresses_of(found):
        subnet = likely_subnet(each.address, each.prefix) if each.prefix else None
        if subnet is not None and likely_subnet(own, each.prefix) == subnet:
            return f"{own}/{each.prefix}"
    return own


def _arbitration(cluster: FoundCluster, nodes: tuple[str, ...]) -> Tag:
    if cluster.methods:
        return _fencing(cluster, nodes)
    if cluster.witness:
        why = (
            f"{cluster.witness} gave a third vote. Here a witness does: install hapair on that"
            " machine and type there: clwitness invite NAME. It prints this line."
        )
        witness = Tag(
            "witness",
            (
                ("kind", "clwitness"),
                ("at", left_open("host:port of the witness, e.g. witness.example.net:7790")),
                ("pin", left_open("the pin that clwitness invite prints")),
            ),
        )
        return Tag("arbitration", (("by", "witness"),), (witness,), why=(why,))
    why = (
        "Who allows a node to act alone when it no longer hears the other one? What was read names"
        " nobody, so it is your choice: witness (safe and automatic, a small third machine),"
        " fencing (the other node is switched off first), operator (a person types clconfirm) or"
        " paths (two cables cut at once can leave both sides running)."
    )
    by = left_open("witness, fencing, operator or paths")
    return Tag("arbitration", (("by", by),), why=(why,))


def _fencing(cluster: FoundCluster, nodes: tuple[str, ...]) -> Tag:
    children = []
    for each in cluster.methods[: arbitration.METHODS_MAX]:
        attributes = [
            ("node", settled(kinds.NODE_NAME, each.node, "the node that it switches off")),
            ("agent", settled(kinds.FENCE_AGENT, each.agent, "a program of fence-agents")),
        ]
        if each.timeout_s:
            attributes.append(("timeout", times.written(each.timeout_s, 1, 600)))
        parameters = tuple(_parameter(each.node, *pair) for pair in each.parameters)
        children.append(Tag("method", tuple(attributes), parameters, why=(each.why,)))
    covered = {each.node for each in cluster.methods}
    for node in nodes:
        if node not in covered:
            agent = ("agent", left_open(f"the fence agent against {node}"[:60]))
            why = (f"No file told how {node} is switched off.",)
            children.append(Tag("method", (("node", node), agent), why=why))
    return Tag("arbitration", (("by", "fencing"),), tuple(children))


def _parameter(node: str, name: str, value: str) -> Tag:
    """Return a parameter; of a secret only where a file with it is to be laid."""
    title = settled(kinds.PARAMETER_NAME, name, "the parameter's name")
    if not named_like_a_secret(name):
        shown = settled(kinds.text(), value, f"the value of {name}")
        return Tag("parameter", (("name", title), ("value", shown)))
    why = "The secret was not copied: write it into this file, mode 0600, on both nodes."
    file = f"/etc/cluster/fence-{simple_name(node)}.secret"
    return Tag("parameter", (("name", title), ("file", file)), why=(why,))


def _first(index: int, text: str) -> tuple[str, ...]:
    return (text,) if index == 0 else ()
