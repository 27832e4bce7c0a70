"""Volumes that somebody else made: clbuildapp looks at them, names them, and overwrites nothing."""

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from tests.labs import LabFrom

pytestmark = [pytest.mark.lab(seconds=30), pytest.mark.long]

REFUSED = 2
PRECIOUS = "what nobody has a second time"
APPCONF = """\
<application name="x" preferred="node1">
  <volumegroup name="vg_x"/>
  <volumegroup name="vg_log"/>
</application>
"""


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    return lab_from(cluster.formed_step())


def make_groups(node: Machine) -> None:
    """Make two volume groups, one of them on a file of this machine."""
    node.check("vgcreate vg_x /dev/vdc")
    node.check("modprobe loop && truncate -s 200M /var/log.img && losetup /dev/loop0 /var/log.img")
    node.check("vgcreate vg_log /dev/loop0")


def make_data(node: Machine, group: str, mount_point: str) -> None:
    node.check(f"lvcreate -y -L 64M -n data {group} && mkfs.ext4 -q /dev/{group}/data")
    node.check(f"mkdir -p {mount_point} && mount /dev/{group}/data {mount_point}")


def refused(node: Machine, *words: str) -> None:
    """Try to build, and see that nothing of it was begun."""
    for option in ("--plan", ""):
        tried = node.run(f"clbuildapp x {option}", timeout_s=PATIENCE_S)
        assert tried.exit_code == REFUSED, tried
        said = " ".join(tried.stderr.split())
        for each in words:
            assert each in said, tried.stderr
    assert not node.run("test -e /var/lib/hapair/job.json").ok


def stack_a_map(node: Machine) -> None:
    """Let something lie between a volume and its file system, as encryption does."""
    node.check("lvcreate -y -L 32M -n secret vg_x")
    over = 'dmsetup create cx --table "0 $(blockdev --getsz {0}) linear {0} 0"'
    node.check(over.format("/dev/vg_x/secret"))
    node.check("mkfs.ext4 -q /dev/mapper/cx && mkdir /srv/secret")
    node.check("mount /dev/mapper/cx /srv/secret")
    refused(node, "vg_x/secret is used by the device-mapper map cx and mounted on /srv/secret")
    node.check("umount /srv/secret && dmsetup remove cx && losetup /dev/loop1 /dev/vg_x/secret")
    refused(node, "vg_x/secret is used by the loop device /dev/loop1: a device between")
    node.check("losetup -d /dev/loop1")
    planned = " ".join(node.check("clbuildapp x --plan", timeout_s=PATIENCE_S).split())
    assert "vg_x/secret (ext4, 32.0 MiB) is not mounted and stays as it is" in planned


def test_what_lies_on_the_peer_is_seen_before_anything_begins(formed_lab: Lab) -> None:
    """FAIL: the peer's data is gone, or two volumes of one name make a job without an end."""
    node1, node2 = formed_lab.nodes
    for node in formed_lab.nodes:
        make_groups(node)
    make_data(node1, "vg_x", "/srv/x")
    make_data(node1, "vg_log", "/srv/log")
    node1.check("mkdir -p /etc/cluster/x")
    node1.put("/etc/cluster/x/appconf.xml", APPCONF)

    stack_a_map(node1)
    make_data(node2, "vg_x", "/mnt")
    node2.check(f"echo {PRECIOUS} >/mnt/kept && umount /mnt && lvchange -an vg_x/data")
    refused(node1, "vg_x/data exists and is inactive", "--ignoreactivationskip vg_x/data")
    node2.check("lvchange -ay vg_x/data")
    refused(node1, "vg_x/data exists and holds ext4 (64.0 MiB, made", "lvremove vg_x/data")
    node2.check("mount /dev/vg_x/data /mnt")
    refused(node1, "vg_x/data exists and is in use (mounted on /mnt)")
    node2.check("umount /mnt")
    assert PRECIOUS in node2.check("mount -o ro /dev/vg_x/data /mnt && cat /mnt/kept; umount /mnt")
    node2.check("wipefs --all --quiet /dev/vg_x/data")
    refused(node1, "vg_x/data exists and holds data of a kind that is not recognised")
    node2.check("dd if=/dev/zero of=/dev/vg_x/data bs=1M count=64 conv=fsync")
    raw = "dd of=/dev/vg_x/data bs=1M count=1 seek=11 conv=notrunc,fsync"
    node2.check(f"dd if=/dev/urandom bs=1M count=1 | tee /root/raw | {raw} iflag=fullblock")
    tried = node1.run("clbuildapp x", timeout_s=PATIENCE_S)
    assert "vg_x/data holds data of a kind that is not recognised" in " ".join(tried.stderr.split())
    assert not node1.run("test -e /var/lib/hapair/job.json").ok
    assert not any("drbdmeta" in node.check("lvs --all vg_x vg_log") for node in formed_lab.nodes)
    node2.check("dd if=/dev/vg_x/data bs=1M count=1 skip=11 | cmp - /root/raw")
    node2.check(f"dd if=/dev/zero bs=1M count=1 | {raw} iflag=fullblock")

    # As on the second node of another cluster manager, which mounts by itself.
    line = "/dev/vg_x/data /srv/x ext4 noauto 0 2"
    node2.check(f"echo '{line}' >>/etc/fstab && systemctl daemon-reload")
    assert node2.run("systemctl cat srv-x.mount").ok
    node1.check("clbuildapp x", timeout_s=PATIENCE_S)
    assert not node2.run("systemctl cat srv-x.mount").ok
    assert f"# hapair mounts this over DRBD: {line}" in node2.check("cat /etc/fstab")
    resources = node2.check("ls /etc/drbd.d")
    assert "x.data.res" in resources
    assert "x.vg_log.data.res" in resources
    node1.check("clrunapp x", timeout_s=PATIENCE_S)
    formed_lab.wait_until(
        "the copies are complete and x moves",
        lambda: node1.run("clmoveapp x", timeout_s=PATIENCE_S).ok,
        timeout_s=PATIENCE_S,
    )
    for mount_point in ("/srv/x", "/srv/log"):
        assert "/dev/drbd" in node2.check(f"findmnt --noheadings -o SOURCE {mount_point}")
