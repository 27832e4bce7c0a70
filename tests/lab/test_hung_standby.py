"""The stand-by's disk hangs: writes wait for it, and what waits for a write has not failed."""

from typing import Final

import pytest

from hapair_lab import cluster, faults
from hapair_lab.lab import PATIENCE_S, Lab
from tests.lab.story import alarms, notes, serving
from tests.labs import LabFrom

pytestmark = [pytest.mark.lab(seconds=60), pytest.mark.long]

DISK: Final = "/dev/vg_orders/data"
OVERDUE: Final = "wait for the disk of node2"
WRITES: Final = "/root/writes"
# A monitor that writes, as that of a database does, and has far less patience than DRBD.
SCRIPT: Final = "#!/bin/sh\nexec dd if=/dev/zero of=/srv/orders/.probe bs=1 count=1 conv=fsync\n"


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    """A settled cluster whose application runs on node1."""
    return lab_from(cluster.formed_step())


def test_a_stand_by_whose_disk_hangs_restarts_nothing(formed_lab: Lab) -> None:
    """FAIL: the application is stopped on the good node because the other one's disk hangs."""
    node1, node2 = formed_lab.nodes
    for node in formed_lab.nodes:
        node.put(WRITES, SCRIPT)
        node.check(f"chmod 755 {WRITES}")
    node1.check(f"lemsctl orders add check name=writes path={WRITES} interval=1s timeout=8s")
    starts = notes(node1).count("started")
    with serving(formed_lab) as story:
        faults.disk_hang(node2, DISK)
        formed_lab.wait_until(
            "it is told whose disk hangs", lambda: OVERDUE in alarms(node1), timeout_s=PATIENCE_S
        )
        formed_lab.wait_until(
            "the monitor that writes failed",
            lambda: "failed" in node1.run("lemsctl orders status").stdout,
            timeout_s=PATIENCE_S,
        )
        story.service_answers()
        assert OVERDUE not in alarms(node1)
        faults.mend_disk(node2, DISK)
        story.redundant_again()
        assert story.runs_on() == "node1"
        assert notes(node1).count("started") == starts, notes(node1)
