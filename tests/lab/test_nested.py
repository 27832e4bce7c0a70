"""A file system inside another one of the application: the outer one comes first and goes last."""

import json
from typing import Final

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from tests.lab.story import server_pid, serving, wait_for_standing
from tests.labs import LabFrom

pytestmark = [pytest.mark.lab(seconds=100), pytest.mark.long]

INSIDE: Final = "/srv/orders/write ahead"
APPCONF: Final = "/etc/cluster/orders/appconf.xml"
GROUP: Final = '<volumegroup name="vg_orders"/>'


@pytest.fixture
def lab(lab_from: LabFrom) -> Lab:
    """A settled cluster; in the file system of its application, which runs, lies one of XFS."""
    lab = lab_from(cluster.formed_step())
    for node in lab.nodes:
        node.check("vgcreate -q vg_wal /dev/vdc")
    lab.node1.check(
        "lvcreate -q -L 320m -n data vg_wal && mkfs.xfs -q /dev/vg_wal/data"
        f" && mkdir -p '{INSIDE}' && mount -o noatime /dev/vg_wal/data '{INSIDE}'"
        f" && seq 100000 >'{INSIDE}/numbers' && sync"
    )
    text = lab.node1.get(APPCONF).decode()
    lab.node1.put(APPCONF, text.replace(GROUP, f'{GROUP}<volumegroup name="vg_wal"/>'))
    return lab


def mounts(node: Machine) -> list[tuple[str, str]]:
    """Return what lies at and inside the application's mount point, as the kernel nests it."""
    found = node.run("findmnt -R -J -o TARGET,FSTYPE,SOURCE /srv/orders").stdout
    tree = json.loads(found)["filesystems"] if found else []
    nested = []
    while tree:
        (mount,) = tree
        assert mount["source"].startswith("/dev/drbd")
        nested.append((mount["target"], mount["fstype"]))
        tree = mount.get("children", [])
    return nested


def has_both(node: Machine, numbers: str) -> None:
    assert mounts(node) == [("/srv/orders", "ext4"), (INSIDE, "xfs")]
    assert node.check(f"sha256sum <'{INSIDE}/numbers'") == numbers
    assert "noatime" in node.check(f"findmnt -n -o OPTIONS '{INSIDE}'")


def test_a_file_system_inside_another_one_goes_where_that_goes(lab: Lab) -> None:
    """FAIL: it is hidden by the outer one, keeps that from being unmounted, or its data is lost."""
    node1, node2 = lab.nodes
    numbers = node1.check(f"sha256sum <'{INSIDE}/numbers'")
    with serving(lab) as story:
        before = server_pid(node1)
        node1.check("clbuildapp orders", timeout_s=PATIENCE_S)
        assert server_pid(node1) == before
        has_both(node1, numbers)
        cluster.wait_until_settled(lab)

        node1.check("clmoveapp orders", timeout_s=PATIENCE_S)
        story.service_answers()
        assert mounts(node1) == []
        has_both(node2, numbers)

        node2.power_off()
        story.service_answers()
        assert story.runs_on() == "node1"
        has_both(node1, numbers)
        node2.power_on()
        wait_for_standing(lab, "together", *lab.nodes)
        cluster.wait_until_settled(lab)

        node1.check("clhaltapp orders", timeout_s=PATIENCE_S)
        assert mounts(node1) == mounts(node2) == []
        node1.check("clrunapp orders", timeout_s=PATIENCE_S)
        story.service_answers()
        has_both(lab.machine(story.runs_on()), numbers)
    assert "holders-ended" not in node1.check("clevents --json")
