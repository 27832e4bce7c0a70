"""Measure power loss, planned move and the idle footprint in the guests of the lab."""

import json
import time
from typing import Final

from bench.report import Figures
from hapair_lab import cluster, snapshots
from hapair_lab.cluster import QUICK, ClusterPlan
from hapair_lab.guests import Guests
from hapair_lab.lab import Lab
from hapair_lab.ledger import NeverStoppingClient
from hapair_lab.machine import Machine

LINES: Final = 40  # Acknowledged before and after each fault.
PATIENCE_S: Final = 240.0
IDLE_S: Final = 60
TICKS_PER_S: Final = 100


def power_loss(figures: Figures, kind: Guests | None, plan: ClusterPlan = QUICK) -> None:
    """Restore the snapshot, cut the power of the active node, and read the timeline."""
    with snapshots.lab_from(cluster.formed_step(plan), kind) as lab:
        client = asked(lab)
        lab.node1.power_off()
        client.wait_for_answers(LINES, PATIENCE_S)
        figures.add("power loss: outage", client.stop().longest_gap.seconds)
        for name, after_s in phases(lab.node2):
            figures.add(f"power loss: {name}", after_s)


def planned_move(figures: Figures, kind: Guests | None, plan: ClusterPlan = QUICK) -> None:
    with snapshots.lab_from(cluster.formed_step(plan), kind) as lab:
        client = asked(lab)
        lab.node1.check("clmoveapp orders", timeout_s=PATIENCE_S)
        client.wait_for_answers(LINES, PATIENCE_S)
        figures.add("planned move: outage", client.stop().longest_gap.seconds)


def footprint(figures: Figures, kind: Guests | None) -> None:
    """Let both nodes idle with one application, and read what their daemons used."""
    with snapshots.lab_from(cluster.formed_step(QUICK), kind) as lab:
        time.sleep(IDLE_S / 6)  # The load of the commands that formed it has passed.
        before = [ticks(node) for node in lab.nodes]
        time.sleep(IDLE_S)
        for node, used in zip(lab.nodes, before, strict=True):
            share = (ticks(node) - used) / TICKS_PER_S / IDLE_S
            figures.add(f"footprint: {node.name} CPU in % of a core", share * 100)
            figures.add(f"footprint: {node.name} PSS in MiB", memory_mib(node))


def asked(lab: Lab) -> NeverStoppingClient:
    client = NeverStoppingClient(lab.outside, cluster.SERVICE_ADDRESS)
    client.start()
    client.wait_for_answers(LINES)
    return client


def phases(node: Machine) -> list[tuple[str, float]]:
    """Return the steps of the last failover in seconds after the last heartbeat."""
    told = json.loads(node.check("clevents --failovers --json"))
    steps = told["failovers"][-1]["steps"]
    return [(str(step["name"]), float(step["after_s"])) for step in steps]


def processes(node: Machine) -> tuple[str, ...]:
    """Return the daemon and its children: drbdsetup's event stream belongs to it."""
    text = node.check("cat /sys/fs/cgroup/system.slice/hapaird.service/cgroup.procs")
    return tuple(text.split())


def ticks(node: Machine) -> int:
    fields = [
        node.check(["cat", f"/proc/{pid}/stat"]).rpartition(")")[2].split()
        for pid in processes(node)
    ]
    return sum(int(each[11]) + int(each[12]) for each in fields)


def memory_mib(node: Machine) -> float:
    """Return the proportional set size: memory that is shared counts in part."""
    kib = 0
    for pid in processes(node):
        for line in node.check(["cat", f"/proc/{pid}/smaps_rollup"]).splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return kib / 1024
