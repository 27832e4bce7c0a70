"""Everything that clbuild's decisions depend on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from hapair.model.built import Built
from hapair.model.cluster import Cluster
from hapair.model.node_facts import NodeFacts, ScanRequest
from hapair.model.problem import Problem
from hapair.model.secret import secret_files

CLCONF: Final = "clconf.xml"
HALTED: Final = "halted"

Problems: TypeAlias = Iterator[Problem]


@dataclass(frozen=True, slots=True)
class Side:
    """One node as the scan saw it."""

    node: str
    facts: NodeFacts
    built: Built | None = None  # What is committed there; None: nothing, or unreadable.
    fingerprint: str = ""  # Of its clconf.xml; empty when there is none.
    damage: str = ""  # Why its built.json cannot be read.

    @property
    def generation(self) -> int:
        return self.built.generation if self.built else 0

    @property
    def formed(self) -> bool:
        """Tell whether the node takes part in a cluster, as far as anybody can know."""
        if self.facts.daemon.standing:
            return self.facts.daemon.standing != HALTED
        # Without an answer of the daemon the kernel tells: replicated data is only up in a cluster.
        return self.facts.drbd.ours_up


@dataclass(frozen=True, slots=True)
class Situation:
    cluster: Cluster  # As it is wanted now.
    fingerprint: str  # Of the clconf.xml that wants it.
    me: str  # The node on which clbuild runs.
    sides: tuple[Side, Side]  # In the order of the cluster's nodes.
    force: bool = False
    rotate_secret: bool = False  # DRBD's connections are to be proved with the next secret.

    def side(self, node: str) -> Side:
        """Return the side of ``node``; KeyError for a stranger."""
        return self.sides[self.index(node)]

    def index(self, node: str) -> int:
        """Return the place of ``node`` among the nodes; KeyError for a stranger."""
        self.cluster.peer_of(node)
        return self.cluster.nodes.index(node)

    @property
    def formed(self) -> bool:
        return any(side.formed for side in self.sides)

    @property
    def one_version(self) -> bool:
        """Tell whether both nodes have the same version of hapair, and their daemons run it."""
        installed = {side.facts.version for side in self.sides}
        running = {side.facts.daemon.version for side in self.sides} - {""}
        return len(installed | running) == 1

    @property
    def previous(self) -> Built | None:
        """Return the newest committed configuration; this node's when both are of one age."""
        mine, other = self.side(self.me), self.side(self.cluster.peer_of(self.me))
        return other.built if other.generation > mine.generation else mine.built


def on(node: str, command: str) -> str:
    """Say where to type the command that mends."""
    return f"on {node}: {command}"


def addresses_of(cluster: Cluster, node: str) -> tuple[str, ...]:
    """Return all static addresses of a node, without prefix lengths."""
    attachments = [network.attachment(node) for network in cluster.networks]
    return tuple(str(each.ip) for attachment in attachments for each in attachment.addresses)


def identify(cluster: Cluster, hostname: str, addresses: tuple[str, ...]) -> str | None:
    """Return which node a machine is: by its name, else by an address that only it has."""
    if hostname in cluster.nodes:
        return hostname
    found = [node for node in cluster.nodes if set(addresses_of(cluster, node)) & set(addresses)]
    return found[0] if len(found) == 1 else None


def scan_request(cluster: Cluster) -> ScanRequest:
    """Return what both nodes are to look for."""
    return ScanRequest(
        names=cluster.nodes,
        login_addresses=tuple(
            address for node in cluster.nodes for address in addresses_of(cluster, node)
        ),
        port_first=cluster.ports.first,
        port_last=cluster.ports.last,
        fence_agents=tuple(dict.fromkeys(method.agent for method in cluster.fence_methods)),
        watchdog=cluster.watchdog.device if cluster.watchdog else "",
        secret_files=secret_files(cluster),
    )
