"""Fence agents, watchdogs and secrets that are wrong."""

from dataclasses import replace
from typing import Final

from hapair.model.cluster import ArbitrationKind, Cluster, FenceMethod
from hapair.model.node_facts import Configuration, NodeFacts, SecretFile, WatchdogFacts
from tests.build.hurts import Row, both, fact
from tests.build.material import CLUSTER, NODES, Hurt

FILE: Final = "/etc/cluster/fence.secret"


def fenced(*parameters: tuple[str, str]) -> Cluster:
    methods = tuple(FenceMethod(node, "fence_x", parameters=parameters) for node in NODES)
    return replace(CLUSTER, arbitration=ArbitrationKind.FENCING, fence_methods=methods)


IN_FILE: Final = fenced(("passwd", f"file:{FILE}"))
IN_THE_OPEN: Final = fenced(("ip", "10.0.0.5"), ("passwd", "geheim"))
INSTALLED: Final = fact(fence_agents=("fence_x",))


def held_by(name: str) -> Hurt:
    return fact(watchdog=WatchdogFacts(exists=True, holder=name))


def secret(**changes: bool) -> Hurt:
    return both(INSTALLED, fact(secret_files=(SecretFile(FILE, **changes),)))


def readable(facts: NodeFacts) -> NodeFacts:
    """Let others read clconf.xml."""
    shown = Configuration(clconf_private=False)
    return replace(facts, fence_agents=("fence_x",), configuration=shown)


ARBITRATION_ROWS: Final = {
    "no fence agent": Row(
        "node2",
        "this fence agent is not installed",
        "on node2: apt-get install fence-agents",
        first=INSTALLED,
        cluster=fenced(),
    ),
    "no watchdog": Row(
        "node1",
        "there is no such device",
        "on node1: load the driver of the machine's watchdog, or: modprobe softdog",
        first=fact(watchdog=WatchdogFacts()),
    ),
    "a watchdog that systemd feeds": Row(
        "node2",
        "systemd has it open",
        "RuntimeWatchdogSec=off",
        second=held_by("systemd"),
    ),
    "a watchdog that another program feeds": Row(
        "node2",
        "watchdog-mux has it open",
        "on node2: systemctl disable --now watchdog-mux",
        second=held_by("watchdog-mux"),
    ),
    "no file of a password": Row(
        "node2",
        "this file of a secret is not there",
        f"on node2: umask 077; cat > {FILE}",
        first=secret(exists=True, private=True),
        second=secret(),
        cluster=IN_FILE,
    ),
    "a file that was not looked for": Row(
        "node1",
        "this file of a secret is not there",
        "umask 077",
        first=INSTALLED,
        second=secret(exists=True, private=True),
        cluster=IN_FILE,
    ),
    "a file that others can read": Row(
        "node1",
        "others than root can read this file",
        f"on node1: chown root: {FILE}; chmod 600 {FILE}",
        first=secret(exists=True),
        second=secret(exists=True, private=True),
        cluster=IN_FILE,
    ),
    "a password that others can read": Row(
        "node1",
        "others than root can read it, and it holds a secret (passwd of fence_x)",
        "on node1: chmod 600 /etc/cluster/clconf.xml",
        first=readable,
        second=INSTALLED,
        cluster=IN_THE_OPEN,
        warning=True,
    ),
    "nothing that resets a hung node": Row(
        "clconf.xml",
        "a node whose software hangs while its kernel still answers cannot be reset",
        "add <watchdog/>",
        cluster=replace(CLUSTER, watchdog=None),
        warning=True,
    ),
}
FINE_CLUSTERS: Final = {
    "no watchdog, but fencing": replace(fenced(), watchdog=None),
    "passwords in files": IN_FILE,
    "a password that only root can read": IN_THE_OPEN,
}
