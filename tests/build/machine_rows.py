"""Software, storage, names and clocks that are wrong."""

from typing import Final

from hapair.model.node_facts import (
    Daemon,
    Kernel,
    Lvm,
    Protocols,
    Space,
    StorageKind,
)
from tests.build.hurts import Row, both, disk, drbd, fact, groups, lvm, without_tool
from tests.build.material import (
    WITH_ORDERS,
    group,
)

MACHINE_ROWS: Final = {
    "one machine twice": Row(
        "node1 and node2", "the same machine", "addresses", second=fact(boot_id="boot-node1")
    ),
    "cloned machine": Row(
        "node1 and node2",
        "same /etc/machine-id",
        "systemd-machine-id-setup",
        second=fact(machine_id="machine-node1"),
        warning=True,
    ),
    "host name": Row(
        "node2", "calls itself web7", "hostnamectl set-hostname node2", second=fact(hostname="web7")
    ),
    "other release": Row(
        "node1, node2",
        "node1 has version 0.1.0 installed, node2 has 0.2.0",
        "newer version",
        second=fact(version="0.2.0"),
    ),
    "rolling upgrade": Row(
        "node1, node2",
        "node2 has 0.1.7",
        "newer version",
        second=fact(version="0.1.7"),
        warning=True,
    ),
    "a daemon that was not restarted": Row(
        "node2",
        "still runs version 0.1.7, version 0.1.0 is installed",
        "on node2: systemctl restart hapaird",
        second=fact(daemon=Daemon(running=True, enabled=True, version="0.1.7")),
        warning=True,
    ),
    "a daemon of another release": Row(
        "node2",
        "still runs version 0.2.0",
        "on node2: systemctl restart hapaird",
        second=fact(daemon=Daemon(running=True, enabled=True, version="0.2.0")),
    ),
    "no module": Row(
        "node1",
        "no DRBD module that can be loaded (not found)",
        "linux-image-amd64",
        first=drbd(version="", error="not found", protocols=()),
    ),
    "no module, with dkms": Row(
        "node1",
        "no DRBD module that can be loaded",
        "dkms autoinstall -k 6.1.0-37-amd64",
        first=drbd(version="", dkms=True, protocols=()),
    ),
    "devices in use not known": Row(
        "node2",
        "not known which devices the kernel has in use (events2 ended with 20)",
        "drbdsetup events2 --now",
        second=drbd(loaded=True, error="events2 ended with 20"),
    ),
    "drbd.conf": Row("node2", "does not read", "include", second=drbd(reads_our_folder=False)),
    "drbd.service at boot": Row(
        "node1",
        "attaches our volumes before anybody looks",
        "systemctl disable drbd.service",
        first=drbd(at_boot=True),
        warning=True,
    ),
    "a unit of drbd-utils at boot": Row(
        "node2",
        "attaches our volumes before anybody looks",
        "systemctl disable drbd@orders.data.target",
        second=drbd(units_at_boot=("drbd@orders.data.target",)),
        warning=True,
    ),
    "no handlers": Row(
        "node2",
        "its usermode_helper is /bin/true",
        "echo /sbin/drbdadm > /sys/module/drbd/parameters/usermode_helper",
        second=drbd(helper="/bin/true"),
    ),
    "handlers disabled": Row(
        "node1",
        "its usermode_helper is disabled",
        "remove usermode_helper from /etc/modprobe.d",
        first=drbd(helper="disabled"),
    ),
    "new kernel without module": Row(
        "node2",
        "kernel 6.12.0-1 has no DRBD module",
        "apt purge linux-image-6.12.0-1",
        second=fact(kernels=(Kernel("6.12.0-1", has_drbd=False),)),
        warning=True,
    ),
    "new kernel before dkms": Row(
        "node2",
        "kernel 6.12.0-1 has no DRBD module",
        "dkms autoinstall -k 6.12.0-1",
        second=both(fact(kernels=(Kernel("6.12.0-1", has_drbd=False),)), drbd(dkms=True)),
        warning=True,
    ),
    "no common protocol": Row(
        "node1, node2",
        "DRBD 8.4.11 and 9.2.8 speak no common protocol",
        "overlap",
        second=drbd(version="9.2.8", protocols=(Protocols(118, 122),)),
    ),
    "no lvm": Row("node1", "LVM does not answer", "apt install lvm2", first=fact(lvm=Lvm())),
    "hanging lvm": Row(
        "node1", "pvs gave no answer", "vgs", first=fact(lvm=Lvm(error="pvs gave no answer"))
    ),
    "tool": Row(
        "node2", "drbdmeta is missing", "apt install drbd-utils", second=without_tool("drbdmeta")
    ),
    "useful tool": Row(
        "node2",
        "xfs_repair is missing",
        "xfsprogs",
        second=without_tool("xfs_repair"),
        warning=True,
    ),
    "nfs below a used group": Row(
        "node1",
        "no local storage but a file on a network file system (/mnt/disk on nfs4)",
        "pvmove /dev/vdb",
        first=disk(StorageKind.NETWORK_FILE, "/mnt/disk on nfs4"),
        built=WITH_ORDERS,
    ),
    "network block device below an unused group": Row(
        "node2",
        "applications cannot use this volume group",
        "pvmove",
        second=disk(StorageKind.NETWORK_BLOCK, "nbd0"),
        warning=True,
    ),
    "group on drbd": Row(
        "node2", "DRBD device", "pvmove", second=disk(StorageKind.REPLICATED), built=WITH_ORDERS
    ),
    "group is gone": Row(
        "node2", "does not have it", "vgcreate vg_orders", second=groups(), built=WITH_ORDERS
    ),
    "group is not in the devices file": Row(
        "node2",
        "does not have it",
        "vgimportdevices vg_orders",
        second=both(groups(), lvm(devices=("/dev/sda3",))),
        built=WITH_ORDERS,
    ),
    "group is full": Row(
        "node1",
        "only 8 MiB are free",
        "vgextend vg_orders",
        first=groups(group("vg_orders", "node1", free_bytes=8 * 1024**2)),
        built=WITH_ORDERS,
        warning=True,
    ),
    "shared disk": Row(
        "node1, node2",
        "shared or a cloned disk",
        "vgchange --uuid vg_orders",
        second=groups(group("vg_orders", "node1")),
        built=WITH_ORDERS,
    ),
    "shared disk, unused": Row(
        "node1, node2",
        "shared or a cloned disk",
        "vgchange --uuid",
        second=groups(group("vg_orders", "node1")),
        warning=True,
    ),
    "no space": Row(
        "node2",
        "/cmbackup has 3 MiB left",
        "df -h /cmbackup",
        second=fact(spaces=(Space("/cmbackup", 3 * 1024**2),)),
    ),
    "clock behind": Row(
        "node1, node2",
        "differ by 3600 s, with node2 behind",
        "set-ntp",
        second=fact(wall_ms=-3_600_000),
    ),
    "clock ahead": Row(
        "node1, node2", "differ by 11 s, with node1 behind", "set-ntp", second=fact(wall_ms=11_000)
    ),
    "pacemaker": Row(
        "node1",
        "pacemaker runs here too",
        "systemctl disable --now pacemaker",
        first=fact(other_managers=("pacemaker",)),
        warning=True,
    ),
}
