"""clbuildapp --release on real kernels: the data stays, and nothing of ours is left beside it."""

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from tests.lab.story import wait_for_standing
from tests.labs import LabFrom

pytestmark = [pytest.mark.lab(seconds=150), pytest.mark.long]

REFUSED = 1
APPCONF = """\
<application name="x" preferred="node1">
  <volumegroup name="vg_x"/>
  <network name="public"><address>10.77.1.60</address></network>
  <run><script path="/etc/cluster/x/run"/></run>
</application>
"""
RUN = '#!/bin/sh\ncase "$1" in start) sleep infinity & ;; esac\n'
LINE = "/dev/mapper/vg_x-data /srv/x ext4 noatime,commit=60,nofail 0 2"
FORMER_COPY = f"# hapair left a former copy here, the data is on the other node: {LINE}"


@pytest.fixture
def lab(lab_from: LabFrom) -> Lab:
    """A formed cluster with a file system for a second application, in the fstab of both nodes."""
    lab = lab_from(cluster.formed_step())
    cluster.make_storage(lab, "x", disk="/dev/vdc", size_mib=64)
    for node in lab.nodes:
        node.check(f"mkdir -p /srv/x /etc/cluster/x && echo '{LINE}' >>/etc/fstab")
        node.put("/etc/cluster/x/run", RUN, mode=0o755)
    lab.node1.check("umount /srv/x && systemctl daemon-reload && mount /srv/x")
    lab.node1.put("/etc/cluster/x/appconf.xml", APPCONF)
    return lab


def mounted(node: Machine) -> str:
    return node.run("grep ' /srv/x ' /proc/mounts").stdout


def left(node: Machine) -> str:
    """Return what there is of x besides its data volume: it should be nothing."""
    return node.check(
        "lvs --noheadings -o lv_name,lv_tags vg_x | sed 's/^ *data *$//'; ls /etc/drbd.d | grep x;"
        " drbdsetup status 2>/dev/null | grep '^x'; ip -o addr | grep 10.77.1.60;"
        " grep '\"x' /etc/cluster/built/built.json; ls /var/lib/hapair/job.json 2>/dev/null; true"
    ).strip()


def build(node: Machine) -> None:
    node.check("clbuildapp x", timeout_s=PATIENCE_S)
    node.check("clrunapp x", timeout_s=PATIENCE_S)
    assert mounted(node).startswith("/dev/drbd")


def test_an_application_leaves_the_cluster_and_is_built_anew(lab: Lab) -> None:
    node1, node2 = lab.nodes
    fstabs = tuple(node.get("/etc/fstab") for node in lab.nodes)
    before = mounted(node1)
    build(node1)

    # Where it was before: everything is as it was, and the peer keeps a copy that nothing mounts.
    planned = node1.check("clbuildapp --release x --plan", timeout_s=PATIENCE_S)
    assert "node2: vg_x/data keeps the former copy" in " ".join(planned.split())
    assert mounted(node1).startswith("/dev/drbd"), "a plan changes nothing"
    cluster.wait_until_redundant(lab)
    node1.check("clbuildapp --release x", timeout_s=PATIENCE_S)
    assert mounted(node1) == before
    assert node1.get("/etc/fstab") == fstabs[0]
    assert node1.get("/srv/x/before-the-cluster") == b"precious\n"
    node1.check("echo more >/srv/x/after-it && sync")
    assert mounted(node2) == ""
    assert node2.get("/etc/fstab").decode().splitlines()[-1] == FORMER_COPY
    assert [left(node) for node in lab.nodes] == ["", ""]
    again = node1.check("clbuildapp --release x", timeout_s=PATIENCE_S)
    assert "nothing to release" in again

    # Built anew: the former copy is in the way until a person removes it.
    tried = node1.run("clbuildapp x", timeout_s=PATIENCE_S)
    assert "lvremove vg_x/data" in " ".join(tried.stderr.split()), tried
    node2.check("blockdev --getro /dev/vg_x/data | grep -qx 0 && lvremove -q -y vg_x/data")
    build(node1)
    cluster.wait_until_redundant(lab)

    # From the node that it was moved to, whose fstab knows nothing of it by now.
    node1.check("clmoveapp x", timeout_s=PATIENCE_S)
    elsewhere = node1.run("clbuildapp --release x", timeout_s=PATIENCE_S)
    assert elsewhere.exit_code == REFUSED, elsewhere
    assert "belongs to node2" in elsewhere.stderr
    node2.check("echo newest >/srv/x/newest && sync")
    said = node2.check("clbuildapp --release x", timeout_s=PATIENCE_S)
    assert "/dev/vg_x/data /srv/x ext4 " in said, "the line that fstab of node2 lacks"
    assert mounted(node2).split()[0] == "/dev/mapper/vg_x-data"
    assert mounted(node1) == ""
    for file in ("before-the-cluster", "after-it", "newest"):
        node2.check(f"test -s /srv/x/{file}")
    node2.check("echo '/dev/vg_x/data /srv/x ext4 noatime,nofail 0 2' >>/etc/fstab")

    # No boot brings anything back, and the other application is none the wiser.
    for node in lab.nodes:
        node.check("sync")
        node.power_off()
    for node in lab.nodes:
        node.power_on()
    wait_for_standing(lab, "together", *lab.nodes)
    cluster.wait_until_it_serves(lab)
    assert [left(node) for node in lab.nodes] == ["", ""]
    assert mounted(node1) == ""
    assert node2.get("/srv/x/newest") == b"newest\n"
