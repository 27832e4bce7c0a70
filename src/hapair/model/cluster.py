"""What an administrator wrote in clconf.xml, as values."""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Final, TypeAlias

from hapair.model.alerts import NO_ALERTS, Alerts

Interface: TypeAlias = IPv4Interface | IPv6Interface
Address: TypeAlias = IPv4Address | IPv6Address
Subnet: TypeAlias = IPv4Network | IPv6Network


class ArbitrationKind(StrEnum):
    """Who gives one node the right to act alone (docs/internals/safety.md)."""

    WITNESS = "witness"
    FENCING = "fencing"
    PATHS = "paths"
    OPERATOR = "operator"


class WitnessKind(StrEnum):
    CLWITNESS = "clwitness"  # Our own TLS service.
    ETCD = "etcd"  # Compare-and-swap through its HTTP gateway.
    FILE = "file"  # A folder on a mount that both nodes share.


@dataclass(frozen=True, slots=True)
class Witness:
    """A third place that records, atomically, one holder for each epoch of a cluster."""

    kind: WitnessKind
    at: str  # host:port, URLs of etcd, or a folder.
    timeout_s: float = 1.0
    pin: str = ""  # clwitness: SHA-256 of its certificate, in hexadecimal digits.


@dataclass(frozen=True, slots=True)
class FenceMethod:
    """One way to switch a node off: a program of the fence-agents package, run unchanged."""

    node: str  # The node that it switches off.
    agent: str
    timeout_s: float = 60.0
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # May be secrets.


FENCE_LEAD_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Watchdog:
    """A device that resets this node when the daemon no longer feeds it."""

    device: str = "/dev/watchdog"
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Resync:
    """How a copy that is behind is completed."""

    snapshot: bool = True  # Keep the older, consistent copy meanwhile, where there is room.
    rate_bytes: int | None = None  # At most this much each second; None: no limit of its own.
    # Applications whose copies are completed one after the other, before all others; empty: all
    # at the same time.
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """How one node is attached to one network."""

    node: str
    address: Interface  # The node's own static address with its prefix length.
    cards: tuple[str, ...]  # The default card first; the others are stand-by.
    further: tuple[Interface, ...] = ()  # Its static addresses in other subnets there, e.g. IPv6.

    @property
    def addresses(self) -> tuple[Interface, ...]:
        return (self.address, *self.further)


@dataclass(frozen=True, slots=True)
class Network:
    name: str
    attachments: tuple[Attachment, ...]  # One per node, in the order of the nodes.
    crossover: bool = False  # Link checking is off: a powered-off peer looks like a dead card.
    replication: bool = False  # DRBD traffic uses this network; exactly one network has it.
    reference: str | None = None  # An address on it that answers pings while the network works.

    def attachment(self, node: str) -> Attachment:
        """Return the attachment of ``node``; KeyError for a stranger."""
        for attachment in self.attachments:
            if attachment.node == node:
                return attachment
        raise KeyError(node)

    @property
    def subnets(self) -> tuple[Subnet, ...]:
        """Return the subnets on this network; both nodes are in all of them."""
        return tuple(address.network for address in self.attachments[0].addresses)

    def subnet_of(self, address: Address) -> Subnet | None:
        """Return the subnet of this network that holds ``address``."""
        for subnet in self.subnets:
            if address in subnet:
                return subnet
        return None


@dataclass(frozen=True, slots=True)
class PortRange:
    first: int
    last: int

    @property
    def peer(self) -> int:
        """UDP port of the heartbeats and TCP port of the peers' TLS connection."""
        return self.first

    def replication(self, minor: int, minors_first: int) -> int:
        """Return the TCP port of the DRBD device with this minor."""
        return self.first + 1 + minor - minors_first


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds on the monotonic clock."""

    detection_s: float = 2.0  # A peer silent on every path for this long is lost.
    heartbeat_s: float = 0.4  # Interval between two heartbeats on each network.
    # Without a right and unheard for this long, a node stops what it runs; None: three times
    # the detection time.
    lease_s: float | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    name: str
    nodes: tuple[str, str]
    ports: PortRange
    devices: int  # How many DRBD devices may be allocated.
    networks: tuple[Network, ...]
    arbitration: ArbitrationKind
    timing: Timing = Timing()
    witnesses: tuple[Witness, ...] = ()
    fence_methods: tuple[FenceMethod, ...] = ()  # In the order in which they are tried.
    window_s: float | None = None  # Lead of the active node; None: see lead_s.
    watchdog: Watchdog | None = None
    resync: Resync = Resync()
    alerts: Alerts = NO_ALERTS

    @property
    def lease_s(self) -> float:
        """Return how long a node without a right goes on, in seconds since the last heartbeat."""
        timing = self.timing
        return timing.lease_s if timing.lease_s is not None else 3 * timing.detection_s

    @property
    def lead_s(self) -> float:
        """Return how long a passive node lets the active one ask or fence first.

        A witness answers in milliseconds. A fence agent takes seconds, and of two nodes that
        fence each other at the same time none is left.
        """
        if self.window_s is not None:
            return self.window_s
        fences = self.arbitration is ArbitrationKind.FENCING
        return FENCE_LEAD_S if fences else 2 * self.timing.heartbeat_s

    def methods_against(self, node: str) -> tuple[FenceMethod, ...]:
        """Return the ways to switch ``node`` off, in the order in which they are tried."""
        return tuple(method for method in self.fence_methods if method.node == node)

    def peer_of(self, node: str) -> str:
        """Return the other node; KeyError for a stranger."""
        first, second = self.nodes
        if node == first:
            return second
        if node == second:
            return first
        raise KeyError(node)

    def network(self, name: str) -> Network:
        """Return the network with this name; KeyError if there is none."""
        for network in self.networks:
            if network.name == name:
                return network
        raise KeyError(name)

    @property
    def replication_network(self) -> Network:
        return next(network for network in self.networks if network.replication)
