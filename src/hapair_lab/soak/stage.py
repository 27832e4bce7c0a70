"""The cluster of the soak: the reference cluster, with a second application on the other node."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.recipe import PAYLOAD
from hapair_lab.snapshots import Step

APPLICATIONS: Final = ("orders", "bank")
BANK_ADDRESS: Final = "10.77.1.51"
BANK_PORT: Final = 7001
BANK_PATH: Final = "/usr/local/lib/hapair-lab/bank.py"
BANK_FOLDER: Final = "/srv/bank/pages"
BANK_DISK: Final = "/dev/vdc"

RUN_SCRIPT: Final = f"""\
#!/bin/sh
pid_file=/run/bank.pid
case "$1" in
  start) exec python3 -I -S {BANK_PATH} {BANK_FOLDER} {BANK_PORT} --pid-file "$pid_file" ;;
  stop) [ ! -e "$pid_file" ] || kill "$(cat "$pid_file")" 2>/dev/null; rm -f "$pid_file" ;;
esac
"""


def add_bank(lab: Lab) -> None:
    """Add the second application while the first one runs; it runs on node2."""
    cluster.make_storage(lab, "bank", disk=BANK_DISK)
    node1 = lab.node1
    for node in lab.nodes:
        node.put(BANK_PATH, (PAYLOAD / "bank.py").read_bytes(), mode=0o755)
        node.check("mkdir -p /etc/cluster/bank")
        node.put("/etc/cluster/bank/run", RUN_SCRIPT, mode=0o755)
    text = cluster.appconf("bank", preferred="node2", address=BANK_ADDRESS)
    node1.put("/etc/cluster/bank/appconf.xml", text)
    node1.check("clbuildapp bank", timeout_s=cluster.COMMAND_S)
    cluster.wait_until_redundant(lab)
    lab.wait_until(  # The daemons may hear later of the equal copies than the kernels.
        "bank is started on node2",
        lambda: node1.run("clrunapp bank --node node2", timeout_s=cluster.COMMAND_S).exit_code == 0,
        timeout_s=PATIENCE_S,
    )
    for node in lab.nodes:
        node.check("sync")  # A script that a power cut empties starts nothing, with success.


def soak_step(plan: cluster.ClusterPlan) -> Step:
    """Return the snapshot from which a soak begins."""
    ingredients = ((PAYLOAD / "bank.py").read_text(), Path(__file__).read_text())
    formed = cluster.formed_step(plan)
    return Step(f"soak-{formed.name}", formed, ingredients, add_bank)
