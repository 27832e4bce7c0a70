"""The reference cluster of the lab, made in the way an administrator makes one.

Two files are edited, four commands are typed. The application ``orders`` has one replicated
file system, one service address and the lab's own small server, which acknowledges a line
only after fdatasync.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hapair_lab import witness_service
from hapair_lab.errors import LabError
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.ledger import PORT, SERVER_PATH, install_server
from hapair_lab.machine import Machine
from hapair_lab.packages import installed_step, package_file
from hapair_lab.recipe import PAYLOAD
from hapair_lab.snapshots import OS_BOOTED, Rest, Step

SERVICE_ADDRESS: Final = "10.77.1.50"
MOUNT_POINT: Final = "/srv/orders"
LINES_FILE: Final = f"{MOUNT_POINT}/lines.txt"
DATA_MIB: Final = 64
FURTHER_MIB: Final = 8
DEVICES: Final = 16
COMMAND_S: Final = 600.0
FORMED: Final = "formed"  # How the names of snapshots with a cluster begin.

CLCONF: Final = """\
<cluster name="lab" ports="7700-7799" devices="{devices}">
  <node name="node1"/>
  <node name="node2"/>
  <network name="public" reference="10.77.1.254">
    <on node="node1" address="10.77.1.1/24" cards="pub0 pub1"/>
    <on node="node2" address="10.77.1.2/24" cards="pub0 pub1"/>
  </network>
  <network name="private" replication="yes" attribute="crossover">
    <on node="node1" address="10.77.2.1/24" cards="priv0 priv1"/>
    <on node="node2" address="10.77.2.2/24" cards="priv0 priv1"/>
  </network>
  <arbitration by="{arbitration}">{witness}</arbitration>
  <timing detection="{detection}" heartbeat="{heartbeat}"/>
</cluster>
"""

APPCONF: Final = """\
<application name="{name}" preferred="{preferred}">
  <volumegroup name="vg_{name}"/>
  <network name="public"><address>{address}</address></network>
  <run><script path="/etc/cluster/{name}/run"/></run>
  <limits start="60s" stop="60s"/>
</application>
"""

# What an administrator would write for any simple server.
RUN_SCRIPT: Final = """\
#!/bin/sh
# Called by hapair with "start" or "stop". The server returns when it listens.
pid_file=/run/{name}.pid
case "$1" in
  start) exec python3 -I -S {server} {mount_point}/lines.txt {port} --pid-file "$pid_file" ;;
  stop) [ ! -e "$pid_file" ] || kill "$(cat "$pid_file")" 2>/dev/null; rm -f "$pid_file" ;;
esac
"""


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """What varies between the labs of different scenarios."""

    arbitration: str = "paths"
    detection: str = "2s"
    heartbeat: str = "400ms"
    further_volumes: int = 0  # Of the application, beside its first one.

    def clconf(self, witness: str = "") -> str:
        """Return clconf.xml; ``witness`` is the element that the witness itself printed."""
        return CLCONF.format(
            devices=max(DEVICES, 1 + self.further_volumes),
            arbitration=self.arbitration,
            witness=witness,
            detection=self.detection,
            heartbeat=self.heartbeat,
        )


REFERENCE: Final = ClusterPlan()
QUICK: Final = ClusterPlan(detection="1s", heartbeat="200ms")
MANY: Final = replace(QUICK, further_volumes=28)


def arbitrate(lab: Lab, elements: str) -> None:
    """Replace the <arbitration> of a formed reference cluster; nothing that runs is touched.

    ``elements`` are the new one and what else clconf.xml shall have.
    """
    text = REFERENCE.clconf().replace('<arbitration by="paths"></arbitration>', elements)
    lab.node1.put("/etc/cluster/clconf.xml", text)
    lab.node1.check("clbuild --force", timeout_s=COMMAND_S)


def appconf(name: str = "orders", preferred: str = "node1", address: str = SERVICE_ADDRESS) -> str:
    return APPCONF.format(name=name, preferred=preferred, address=address)


def run_script(name: str = "orders", port: int = PORT) -> str:
    mount_point = f"/srv/{name}"
    return RUN_SCRIPT.format(name=name, server=SERVER_PATH, mount_point=mount_point, port=port)


def make_storage(
    lab: Lab,
    name: str = "orders",
    *,
    disk: str = "/dev/vdb",
    file_system: str = "ext4",
    size_mib: int = DATA_MIB,
    mount_point: str = "",
) -> None:
    """Make the volume group on both nodes, and on node1 a mounted file system with some data."""
    where = mount_point or f"/srv/{name}"
    for node in lab.nodes:
        node.check(f"vgcreate -q vg_{name} {disk}")
    lab.node1.check(
        f"lvcreate -q -L {size_mib}m -n data vg_{name} && "
        f"mkfs.{file_system} -q /dev/vg_{name}/data && "
        f"mkdir -p {where} && mount /dev/vg_{name}/data {where} && "
        f"echo precious > {where}/before-the-cluster"
    )


def further_mounts(plan: ClusterPlan) -> tuple[str, ...]:
    return tuple(f"/srv/further{number}" for number in range(1, 1 + plan.further_volumes))


def make_further_storage(node: Machine, plan: ClusterPlan) -> None:
    """Make the application's further file systems, small ones in the group of the first."""
    for mount_point in further_mounts(plan):
        name = mount_point.rpartition("/")[2]
        device = f"/dev/vg_orders/{name}"
        node.check(
            f"lvcreate -q -L {FURTHER_MIB}m -n {name} vg_orders && mkfs.ext4 -q {device} && "
            f"mkdir -p {mount_point} && mount {device} {mount_point}"
        )


def form(lab: Lab, plan: ClusterPlan, say: Callable[[str], None] = lambda _: None) -> None:
    """Edit two files and type four commands, then wait until both copies are UpToDate."""
    make_storage(lab)
    make_further_storage(lab.node1, plan)
    for node in lab.nodes:
        install_server(node)
    node1 = lab.node1
    build = "clbuild"
    if plan.arbitration == "witness":
        invitation = witness_service.install(lab.outside)
        node1.put("/etc/cluster/clconf.xml", plan.clconf(invitation.element))
        build += f" --witness-code {invitation.code}"
    else:
        node1.put("/etc/cluster/clconf.xml", plan.clconf())
    node1.check("mkdir -p /etc/cluster/orders")
    node1.put("/etc/cluster/orders/appconf.xml", appconf())
    node1.put("/etc/cluster/orders/run", run_script(), mode=0o755)
    lab.node2.check("mkdir -p /etc/cluster/orders")
    lab.node2.put("/etc/cluster/orders/run", run_script(), mode=0o755)
    for command in (build, "clform", "clbuildapp orders", "clrunapp orders"):
        say(f"node1# {command}")
        node1.check(command, timeout_s=COMMAND_S)
    wait_until_settled(lab)


def wait_until_redundant(lab: Lab, timeout_s: float = PATIENCE_S) -> float:
    """Wait until both nodes are together and every copy is UpToDate on both."""
    return lab.wait_until(
        "both copies of the data are UpToDate", lambda: is_redundant(lab), timeout_s=timeout_s
    )


def wait_until_settled(lab: Lab, timeout_s: float = PATIENCE_S) -> None:
    """Wait until both copies are UpToDate and what a resync left is gone: nothing moves by itself.

    A node keeps a snapshot of its copy while that is resynced and removes it a little later.
    """
    wait_until_redundant(lab, timeout_s)
    kept = "lvs --noheadings -o lv_name -S 'lv_name=~_before_resync$ && lv_tags={\"hapair\"}'"
    lab.wait_until(
        "no node keeps a snapshot from before a resync",
        lambda: not any(node.check(kept).strip() for node in lab.nodes),
        timeout_s=timeout_s,
    )


def is_redundant(lab: Lab) -> bool:
    return all(machine_is_redundant(node) for node in lab.nodes)


def machine_is_redundant(machine: Machine) -> bool:
    """Read it from the kernel itself: this must not depend on what our own commands say."""
    try:
        seen = machine.get("/proc/drbd").decode()
    except LabError:
        return False
    lines = [line for line in seen.splitlines() if "cs:" in line]
    return bool(lines) and all(
        "cs:Connected" in line and "ds:UpToDate/UpToDate" in line for line in lines
    )


def formed_step(plan: ClusterPlan = REFERENCE, booted: Step = OS_BOOTED) -> Step:
    """The snapshot of a formed, settled cluster that runs ``orders`` on node1.

    ``booted`` is the link with the guests in which our package is installed for it.
    """
    server = (PAYLOAD / "server.py").read_text()
    ingredients = (repr(plan), server, Path(__file__).read_text())
    many = f"-{1 + plan.further_volumes}-volumes" if plan.further_volumes else ""
    on = "" if booted is OS_BOOTED else f"-on-{booted.name}"
    name = f"{FORMED}-{plan.arbitration}-{plan.detection}{many}{on}"
    rest = Rest(halt_cluster, wait_until_it_serves)
    parent = installed_step(package_file(), booted)
    return Step(name, parent, ingredients, lambda lab: form(lab, plan), rest=rest)


def halt_cluster(lab: Lab) -> None:
    """End the application and the cluster in order, as before both machines are switched off.

    On a host that lets the guests stand still the peer's answer may be lost: what is halted by then
    stays so, and once more asks for the rest.
    """
    if not lab.node1.run("clhalt", timeout_s=COMMAND_S).ok:
        lab.node1.check("clhalt", timeout_s=COMMAND_S)


def go_on(lab: Lab) -> None:
    """Wait until a lab that has continued from a snapshot serves as it did when that was taken."""
    is_formed = lab.description.origin.startswith(FORMED)
    if is_formed and not lab.description.acceleration.can_freeze:
        wait_until_it_serves(lab)


def wait_until_it_serves(lab: Lab, timeout_s: float = PATIENCE_S) -> None:
    """Wait until the cluster that came with the boot is as it was before it was halted.

    Where a busy host let node1 boot long after node2, that has taken over what node1 ran.
    """
    lab.wait_until(
        "a node serves the application",
        lambda: any(serves(node) for node in lab.nodes),
        timeout_s=timeout_s,
    )
    wait_until_settled(lab, timeout_s)
    if not serves(lab.node1):
        lab.node2.check("clmoveapp orders", timeout_s=COMMAND_S)
        wait_until_settled(lab, timeout_s)


def serves(machine: Machine) -> bool:
    """Tell whether the application's program listens on the machine."""
    return bool(machine.check(f"ss -Hltn 'sport = :{PORT}'"))
