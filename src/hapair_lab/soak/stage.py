"""The cluster of the soak: the reference cluster, with a second application on the other node.

That is the ``bank`` of the lab, or PostgreSQL as the example of our package has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hapair_lab import cluster
from hapair_lab.applications import postgresql
from hapair_lab.applications.application import SAMPLES
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.recipe import PAYLOAD
from hapair_lab.snapshots import Step

ORDERS: Final = "orders"
BANK: Final = "bank"
REAL: Final = postgresql.POSTGRESQL
BANK_ADDRESS: Final = "10.77.1.51"
BANK_PORT: Final = 7001
BANK_PATH: Final = "/usr/local/lib/hapair-lab/bank.py"
BANK_FOLDER: Final = "/srv/bank/pages"
DISK: Final = "/dev/vdc"
POSTGRESQL_MIB: Final = 256

RUN_SCRIPT: Final = f"""\
#!/bin/sh
pid_file=/run/bank.pid
case "$1" in
  start) exec python3 -I -S {BANK_PATH} {BANK_FOLDER} {BANK_PORT} --pid-file "$pid_file" ;;
  stop) [ ! -e "$pid_file" ] || kill "$(cat "$pid_file")" 2>/dev/null; rm -f "$pid_file" ;;
esac
"""


def add_bank(lab: Lab) -> None:
    """Add the bank while the first application runs."""
    cluster.make_storage(lab, BANK, disk=DISK)
    for node in lab.nodes:
        node.put(BANK_PATH, (PAYLOAD / "bank.py").read_bytes(), mode=0o755)
        node.check("mkdir -p /etc/cluster/bank")
        node.put("/etc/cluster/bank/run", RUN_SCRIPT, mode=0o755)
    text = cluster.appconf(BANK, preferred="node2", address=BANK_ADDRESS)
    lab.node1.put("/etc/cluster/bank/appconf.xml", text)
    _run_on_node2(lab, BANK)


def add_postgresql(lab: Lab) -> None:
    """Add PostgreSQL, as its example says but for the node that it prefers."""
    name, data = REAL.name, REAL.mount_point
    cluster.make_storage(lab, name, disk=DISK, size_mib=POSTGRESQL_MIB, mount_point=data)
    lab.node1.check(
        f'mkdir /etc/cluster/{name} && sed \'s/preferred="node1"/preferred="node2"/\' '
        f"{SAMPLES}/{name}/appconf.xml >/etc/cluster/{name}/appconf.xml"
    )
    postgresql.prepare(lab)
    _run_on_node2(lab, name)


def _run_on_node2(lab: Lab, name: str) -> None:
    node1 = lab.node1
    node1.check(f"clbuildapp {name}", timeout_s=cluster.COMMAND_S)
    cluster.wait_until_redundant(lab)
    lab.wait_until(  # The daemons may hear later of the equal copies than the kernels.
        f"{name} is started on node2",
        lambda: node1.run(f"clrunapp {name} --node node2", timeout_s=cluster.COMMAND_S).ok,
        timeout_s=PATIENCE_S,
    )
    for node in lab.nodes:
        node.check("sync")  # A script that a power cut empties starts nothing, with success.


ADDED: Final = {BANK: add_bank, REAL.name: add_postgresql}


def soak_step(plan: cluster.ClusterPlan, application: str = BANK) -> Step:
    """Return the snapshot from which a soak begins, with ``application`` beside ``orders``."""
    ingredients = (
        (PAYLOAD / "bank.py").read_text(),
        Path(__file__).read_text(),
        Path(postgresql.__file__).read_text(),
    )
    formed = cluster.formed_step(plan)
    also = "" if application == BANK else f"-{application}"
    return Step(f"soak-{formed.name}{also}", formed, ingredients, ADDED[application])
