"""The format of /etc/cluster/clconf.xml."""

from typing import Final

from hapair.config import addresses, kinds
from hapair.config.format_alerts import ALERTS
from hapair.config.format_arbitration import ARBITRATION
from hapair.config.grammar import Attribute, Child, Element
from hapair.model.cluster import Timing, Watchdog

NETWORKS_MAX: Final = 8
DEVICES_MAX: Final = 1000
DETECTION_MIN_S: Final = 0.5
DETECTION_MAX_S: Final = 60.0
HEARTBEAT_MIN_S: Final = 0.05
HEARTBEAT_MAX_S: Final = 10.0
LEASE_MIN_S: Final = 0.5
LEASE_MAX_S: Final = 600.0

NODE_NAME: Final = Attribute(
    "name",
    kinds.NODE_NAME,
    "The node's name, exactly as `uname -n` prints it there.",
    required=True,
)
NODE: Final = Element(
    "node",
    "One of the two machines.",
    (NODE_NAME,),
    example='<node name="node1"/>',
)

ON_NODE: Final = Attribute(
    "node", kinds.NODE_NAME, "The node that is described here.", required=True
)
ON_ADDRESS: Final = Attribute(
    "address",
    addresses.INTERFACES,
    "The node's own static addresses on this network. Heartbeats and replication use the first. "
    "The subnets of applications' addresses are taken from here: for IPv6 addresses of "
    "applications write an IPv6 address here too.",
    required=True,
)
ON_CARDS: Final = Attribute(
    "cards",
    kinds.CARDS,
    "The node's network cards in this network. The first one is the default card: it holds the "
    "static address. The others are stand-by: `clbuild` checks them; moving addresses to them "
    "comes with a later version, until then use a bond and name it here. With a stand-by card the "
    "daemon has each of them answer ARP for its own addresses only (`arp_ignore` 1 and "
    "`arp_announce` 2 of these cards); what was set before comes back when the package is removed.",
    required=True,
)
ON: Final = Element(
    "on",
    "How one node is attached to the network; one of these for each node.",
    (ON_NODE, ON_ADDRESS, ON_CARDS),
    example='<on node="node1" address="10.77.1.1/24" cards="eth0 eth1"/>',
)

NETWORK_NAME: Final = Attribute(
    "name", kinds.SIMPLE_NAME, "A name for the network; applications refer to it.", required=True
)
NETWORK_REPLICATION: Final = Attribute(
    "replication",
    kinds.flag(),
    "DRBD replicates over this network. Exactly one network has it.",
    default="no",
    default_about='"yes" when there is only one network, else "no"',
)
NETWORK_ATTRIBUTE: Final = Attribute(
    "attribute",
    kinds.choice("crossover"),
    "With `crossover` (the nodes' cards are joined by a cable, without a switch) link checking is "
    "off for this network: a peer without power looks like a dead card there.",
)
NETWORK_REFERENCE: Final = Attribute(
    "reference",
    addresses.ADDRESS,
    "The address of something else on this network that answers pings while the network works, "
    'usually the gateway. `<arbitration by="paths"/>` needs at least one.',
)
NETWORK_RETURN: Final = Attribute(
    "return_after",
    kinds.duration(1, 86400),
    "Addresses return to the default card after its link was up for this long.",
    later="no address moves to a stand-by card",
)
NETWORK: Final = Element(
    "network",
    "Cards of both nodes that can reach each other. Every network carries heartbeats.",
    (NETWORK_NAME, NETWORK_REPLICATION, NETWORK_ATTRIBUTE, NETWORK_REFERENCE, NETWORK_RETURN),
    (Child(ON, 2, 2, ON_NODE),),
    example='<network name="public"> with an <on .../> for each node',
)

TIMING_DETECTION: Final = Attribute(
    "detection",
    kinds.duration(DETECTION_MIN_S, DETECTION_MAX_S),
    "A node that is not heard on any network for this long is lost. At least three heartbeats.",
    default=kinds.duration_text(Timing().detection_s),
)
TIMING_HEARTBEAT: Final = Attribute(
    "heartbeat",
    kinds.duration(HEARTBEAT_MIN_S, HEARTBEAT_MAX_S),
    "The time between two heartbeats on each network.",
    default_about="a fifth of `detection`",
)
TIMING_LEASE: Final = Attribute(
    "lease",
    kinds.duration(LEASE_MIN_S, LEASE_MAX_S),
    "A node that hears nobody and has no right to act alone stops what it runs after this long. "
    "Longer than `detection`, by a heartbeat at least.",
    default_about="three times `detection`",
)
TIMING: Final = Element(
    "timing",
    "How fast the loss of a node is noticed.",
    (TIMING_DETECTION, TIMING_HEARTBEAT, TIMING_LEASE),
    example='<timing detection="2s"/>',
)

WATCHDOG_DEVICE: Final = Attribute(
    "device", kinds.absolute_path(), "Its device file.", default=Watchdog().device
)
WATCHDOG_TIMEOUT: Final = Attribute(
    "timeout",
    kinds.duration(1, 600),
    "It resets the node after this long, in whole seconds. At most the lease: the other node "
    "relies on it.",
    default_about="the lease in whole seconds, at most 10s",
)
WATCHDOG: Final = Element(
    "watchdog",
    "A watchdog device that resets a node whose daemon hangs.",
    (WATCHDOG_DEVICE, WATCHDOG_TIMEOUT),
    example="<watchdog/>",
)
RESYNC_SNAPSHOT: Final = Attribute(
    "snapshot",
    kinds.flag(),
    "Keep an LVM snapshot of the older, consistent copy meanwhile, where there is room.",
    default="yes",
)
RESYNC_RATE: Final = Attribute(
    "rate",
    kinds.RATE,
    "At most this much each second.",
    default_about="what the application and the network leave over",
)
RESYNC_ORDER: Final = Attribute(
    "order",
    kinds.APPLICATIONS,
    "These are completed first, one after the other; then all others, at the same time. One that "
    "is not built yet takes its place when it is built.",
    default_about="all applications at the same time",
)
RESYNC: Final = Element(
    "resync",
    "How a copy that is behind is completed.",
    (
        RESYNC_SNAPSHOT,
        RESYNC_RATE,
        RESYNC_ORDER,
        Attribute(
            "verify",
            kinds.duration(3600, 3600000),
            "Compare both copies this often.",
            later="compare them with drbdadm verify",
        ),
    ),
    example='<resync rate="100M" order="orders mail"/>',
)
CLUSTER_NAME: Final = Attribute(
    "name", kinds.SIMPLE_NAME, "The cluster's name, shown everywhere.", required=True
)
CLUSTER_PORTS: Final = Attribute(
    "ports",
    kinds.PORTS,
    "The TCP and UDP ports that the cluster may use between its nodes: the first one for the "
    "nodes' own traffic, one more for each DRBD device.",
    default="7700-7799",
)
CLUSTER_DEVICES: Final = Attribute(
    "devices",
    kinds.whole(1, DEVICES_MAX),
    "How many DRBD devices may be allocated: one for each replicated file system. More than 250 "
    "are never used: drbdadm of DRBD 8.4 could not read their files.",
    default="16",
)
CLUSTER: Final = Element(
    "cluster",
    "Two nodes that act as one.",
    (CLUSTER_NAME, CLUSTER_PORTS, CLUSTER_DEVICES),
    (
        Child(NODE, 2, 2, NODE_NAME),
        Child(NETWORK, 1, NETWORKS_MAX, NETWORK_NAME),
        Child(ARBITRATION, 1, 1),
        Child(TIMING),
        Child(WATCHDOG),
        Child(RESYNC),
        Child(ALERTS),
    ),
    example='<cluster name="shop">',
)
