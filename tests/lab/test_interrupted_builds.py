"""clbuildapp on real kernels, interrupted: it ends as built or as before, its data is mounted."""

from collections.abc import Callable

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from tests.lab.story import wait_for_standing
from tests.labs import LabFrom

pytestmark = [pytest.mark.lab(seconds=60), pytest.mark.long]

USAGE = 2
APPCONF = '<application name="x" preferred="node1"><volumegroup name="vg_x"/></application>\n'
NOTE = "/var/lib/hapair/job.json"
OPTIONS = "noatime,data=journal,commit=60"
TYPED = "/tmp/clbuildapp.out"
# Moments of the pause. A small guest is through it in a second, so their tools are slowed down.
MOMENTS = {
    "node1: unmount the file system x": "umount",
    "node1: start the replication x": "drbdadm",
    "node1: mount the file system over DRBD": "",
}
UNMOUNTS, STARTS, MOUNTS = MOMENTS


@pytest.fixture
def lab(lab_from: LabFrom) -> Lab:
    """A formed cluster with a file system for a second application, which fstab mounts."""
    lab = lab_from(cluster.formed_step())
    cluster.make_storage(lab, "x", disk="/dev/vdc", size_mib=64)
    node1 = lab.node1
    line = f"/dev/mapper/vg_x-data /srv/x/ ext4 {OPTIONS} 0 2"
    node1.check(f"umount /srv/x && echo '{line}' >>/etc/fstab && systemctl daemon-reload")
    node1.check("mount /srv/x")
    node1.check("mkdir -p /etc/cluster/x")
    node1.put("/etc/cluster/x/appconf.xml", APPCONF)
    return lab


def looks(node: Machine) -> str:
    """Return what a build changes: volumes, mounts, resource files, fstab, the configuration."""
    return node.check(
        "lvs --noheadings -o vg_name,lv_name,lv_size,lv_tags; grep -E ' /srv/' /proc/mounts | sort;"
        " ls /etc/drbd.d/hapair-*; cat /etc/fstab /etc/cluster/built/built.json;"
        " systemctl show --property=FragmentPath srv-x.mount;"
        f" grep -c ' cs:' /proc/drbd; ls {NOTE} 2>&1 | cut -d: -f3"
    )


def interrupted_at(node: Machine, moment: str, then: str) -> None:
    """Type clbuildapp as at a terminal, and do something the moment that a step of it begins."""
    typed = f": >{TYPED}; env --default-signal=INT clbuildapp x >{TYPED} 2>&1 </dev/null & typed=$!"
    ended = f"kill -0 $typed || {{ cat {TYPED}; exit 1; }}"
    waits = f"until grep -q '{moment}' {TYPED}; do {ended}; sleep 0.02; done"
    node.check(f"{typed}; {waits}; {then}", timeout_s=PATIENCE_S)


def slow_down(node: Machine, tool: str) -> None:
    """Let a tool take two seconds longer than it needs; an empty name slows nothing down."""
    node.check("rm -f /usr/local/sbin/umount /usr/local/sbin/drbdadm")
    if tool:
        real = node.check(f"command -v {tool}").strip()
        slow = f'#!/bin/sh\nsleep 2\nexec {real} "$@"\n'
        node.put(f"/usr/local/sbin/{tool}", slow, mode=0o755)


def is_settled(lab: Lab, *before: str) -> Callable[[], bool]:
    return lambda: tuple(looks(node) for node in lab.nodes) == before


def is_built(node: Machine) -> bool:
    return node.run('grep \'"name": "x"\' /etc/cluster/built/built.json').ok


def test_ctrl_c_puts_everything_back_and_typed_again_it_builds(lab: Lab) -> None:
    """FAIL: the take-back passes a step that still goes on, and can never be repeated."""
    before = tuple(looks(node) for node in lab.nodes)
    node1 = lab.node1
    for moment, tool in MOMENTS.items():
        slow_down(node1, tool)
        interrupted_at(node1, moment, "kill -INT $typed; wait $typed || true")
        said = node1.check(f"cat {TYPED}")
        as_before = is_settled(lab, *before)
        if moment == MOUNTS:  # It is a short one: Ctrl-C may come too late.
            lab.wait_until(
                "it is as before, or built",
                lambda as_before=as_before: is_built(node1) or as_before(),  # type: ignore[misc]
                timeout_s=PATIENCE_S,
            )
            if is_built(node1):
                break
        assert "puts back" in said
        lab.wait_until("it is as before", as_before, timeout_s=PATIENCE_S)
        assert node1.get("/srv/x/before-the-cluster") == b"precious\n"
    slow_down(node1, "")
    node1.check("clbuildapp x", timeout_s=PATIENCE_S)
    assert node1.get("/srv/x/before-the-cluster") == b"precious\n"
    mounted = node1.check("grep ' /srv/x ' /proc/mounts")
    assert mounted.startswith("/dev/drbd")
    assert all(option in mounted for option in OPTIONS.split(","))
    assert node1.check("cat /etc/fstab").count("# hapair mounts this over DRBD") >= 1
    generated = node1.check("systemctl show --property=FragmentPath srv-x.mount")
    assert "generator" not in generated, "systemd would mount the bare volume again"


def test_a_daemon_that_dies_and_a_peer_that_loses_power_lead_back(lab: Lab) -> None:
    before = tuple(looks(node) for node in lab.nodes)
    node1, node2 = lab.nodes
    slow_down(node1, MOMENTS[STARTS])
    interrupted_at(node1, STARTS, "systemctl kill --signal=KILL hapaird")
    lab.wait_until("it is as before", is_settled(lab, *before), timeout_s=PATIENCE_S)

    interrupted_at(node1, STARTS, "true")
    node2.power_off()
    lab.wait_until(
        "the data is mounted as before",
        lambda: looks(node1).splitlines()[:-2] == before[0].splitlines()[:-2],
        timeout_s=PATIENCE_S,
    )
    assert node1.get("/srv/x/before-the-cluster") == b"precious\n"
    assert "did not come to its end" in " ".join(node1.run("clstat").stdout.split())
    slow_down(node1, "")
    node2.power_on()
    wait_for_standing(lab, "together", *lab.nodes)
    node1.check("clbuildapp x", timeout_s=PATIENCE_S)
    assert "/dev/drbd" in node1.check("grep ' /srv/x ' /proc/mounts")


def test_a_note_that_cannot_be_read_has_a_way_out(lab: Lab) -> None:
    """FAIL: only removing the note by hand helps."""
    before = tuple(looks(node) for node in lab.nodes)
    node1 = lab.node1
    stop = f"systemctl kill --signal=STOP hapaird; : >{NOTE}; systemctl kill --signal=KILL hapaird"
    slow_down(node1, MOMENTS[STARTS])
    interrupted_at(node1, STARTS, stop)
    slow_down(node1, "")
    lab.wait_until(
        "clstat names the way out",
        lambda: "clbuildapp --abandon" in " ".join(node1.run("clstat").stdout.split()),
        timeout_s=PATIENCE_S,
    )
    wait_for_standing(lab, "together", *lab.nodes)
    left = tuple(looks(node) for node in lab.nodes)
    node1.check("clbuildapp --abandon --plan", timeout_s=PATIENCE_S)
    assert tuple(looks(node) for node in lab.nodes) == left
    said = node1.check("clbuildapp --abandon", timeout_s=PATIENCE_S)
    assert "the note was set aside" in said
    assert tuple(looks(node) for node in lab.nodes) == before
    assert node1.get("/srv/x/before-the-cluster") == b"precious\n"
    node1.check("clbuildapp x", timeout_s=PATIENCE_S)


def test_a_file_system_in_two_parts_is_refused_before_anything_is_unmounted(lab: Lab) -> None:
    """FAIL: the data is not mounted any more, and a sane file system is called damaged."""
    node1 = lab.node1
    node1.check("umount /srv/x && lvremove -q -y vg_x/data && lvcreate -q -y -L 330m -n data vg_x")
    node1.check("lvcreate -q -y -L 100m -n log vg_x")
    node1.check("mkfs.xfs -q -f -l logdev=/dev/vg_x/log,size=80m /dev/vg_x/data")
    node1.check("mount -o logdev=/dev/vg_x/log /dev/vg_x/data /srv/x")
    mounted = node1.check("grep ' /srv/x ' /proc/mounts")
    tried = node1.run("clbuildapp x", timeout_s=PATIENCE_S)
    assert tried.exit_code == USAGE, tried
    assert "has its log on another device" in " ".join(tried.stderr.split())
    assert node1.check("grep ' /srv/x ' /proc/mounts") == mounted
    assert not node1.run(f"test -e {NOTE}").ok
