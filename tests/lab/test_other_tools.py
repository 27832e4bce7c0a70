"""Settings of the system's own tools that take a copy away, as administrators have them."""

from typing import Final

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from tests.lab.story import serving
from tests.labs import LabFrom

pytestmark = [pytest.mark.lab(seconds=60), pytest.mark.long]

VOLUME: Final = "vg_orders/data"
LIST: Final = r'activation {\n    volume_list = [ "vg_root" ]\n}\n'


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    return lab_from(cluster.formed_step())


def come_back_without_the_volume(node: Machine) -> None:
    """Let the node's daemon start as after a boot that did not activate the volume."""
    node.check(f"systemctl stop hapaird; drbdadm down orders.data; lvchange --activate n {VOLUME}")
    node.run(f"lvchange --activate y {VOLUME}")
    assert not node.run(f"test -e /dev/{VOLUME}").ok
    node.check("systemctl start hapaird")


def words(text: str) -> str:
    return " ".join(text.split())


def test_what_lvm_is_told_to_leave_out_is_activated_or_named(formed_lab: Lab) -> None:
    """FAIL: a node has no copy after a boot, and nobody says which setting of LVM it is."""
    node1, node2 = formed_lab.nodes
    with serving(formed_lab) as story:
        node2.check(f"lvchange --setactivationskip y {VOLUME}")
        come_back_without_the_volume(node2)
        story.redundant_again()

        node2.check(f"printf '{LIST}' >>/etc/lvm/lvmlocal.conf")
        told = node1.run("clbuild --plan", timeout_s=PATIENCE_S)
        assert not told.ok
        assert f"it leaves {VOLUME} and 1 more inactive" in words(told.stderr)
        assert "lvm volume_list" in words(node2.check("clscan"))
        come_back_without_the_volume(node2)
        formed_lab.wait_until(
            "node2 says that LVM does not give it the volume",
            lambda: f"LVM does not activate {VOLUME}" in words(node2.run("clevents").stdout),
            timeout_s=PATIENCE_S,
        )
        story.service_answers()
        node2.check("sed -i '/^activation {/,/^}/d' /etc/lvm/lvmlocal.conf")
        story.redundant_again()
        assert node1.run("clbuild --plan", timeout_s=PATIENCE_S).ok
