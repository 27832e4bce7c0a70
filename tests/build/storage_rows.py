"""Tools that take, hide or write to a replicated volume, as they are set on real machines."""

from typing import Final

from tests.build.hurts import Row, drbd, fact, groups, lvm
from tests.build.material import WITH_ORDERS, group

OF_PROXMOX: Final = ("r|/dev/zd.*|", "r|/dev/mapper/pve-.*|")

STORAGE_ROWS: Final = {
    "lvm scans drbd": Row(
        "node1",
        "LVM scans DRBD's devices",
        'global_filter = [ "r|^/dev/drbd|", "a|.*|" ]',
        first=lvm(global_filter=("a|.*|",)),
        warning=True,
    ),
    "a filter that is for other devices": Row(
        "node2",
        "LVM scans DRBD's devices",
        'global_filter = [ "r|^/dev/drbd|", "r|/dev/zd.*|", "r|/dev/mapper/pve-.*|" ]',
        second=lvm(global_filter=OF_PROXMOX),
        warning=True,
    ),
    "drbd in the devices file": Row(
        "node2",
        "LVM scans DRBD's devices",
        "lvmdevices --deldev /dev/drbd10",
        second=lvm(devices=("/dev/sda3", "/dev/drbd10")),
        warning=True,
    ),
    "a group of another machine": Row(
        "node2",
        "belongs to the system ID old, and this machine's is new",
        """vgchange --yes --config 'global/system_id_source="lvmlocal" local/system_id="old"'"""
        ' --systemid "new" vg_orders',
        second=lvm(system_id="new", groups=(group("vg_orders", "node2", system_id="old"),)),
        built=WITH_ORDERS,
    ),
    "a group of a machine with a name": Row(
        "node1",
        "this machine has none",
        '--systemid "" vg_orders',
        first=groups(group("vg_orders", "node1", system_id="old")),
        built=WITH_ORDERS,
    ),
    "a shared group": Row(
        "node1",
        "machines share it (lock type sanlock)",
        "vgchange --lock-type none --lock-opt force vg_orders",
        first=groups(group("vg_orders", "node1", lock_type="sanlock")),
        built=WITH_ORDERS,
    ),
    "an exported group": Row(
        "node2",
        "it is exported",
        "vgimport vg_orders",
        second=groups(group("vg_orders", "node2", exported=True)),
        built=WITH_ORDERS,
    ),
    "a volume list without the group": Row(
        "node1",
        "it leaves vg_orders/data0 and 1 more inactive",
        "add vg_orders to volume_list",
        first=lvm(volume_list=("vg_root", "vg_orders/other")),
        built=WITH_ORDERS,
    ),
    "a volume list without the meta-data": Row(
        "node1",
        "it leaves vg_orders/data0_meta inactive",
        "add vg_orders to volume_list",
        first=lvm(volume_list=("vg_orders/data0",)),
        built=WITH_ORDERS,
    ),
    "an empty volume list": Row(
        "node2",
        "it leaves vg_orders/data0 and 1 more inactive",
        "add vg_orders to volume_list",
        second=lvm(volume_list=()),
        built=WITH_ORDERS,
    ),
    "a group that is read-only": Row(
        "node2",
        "it leaves vg_orders/data0 and 1 more read-only, and DRBD cannot write",
        "take vg_orders out of read_only_volume_list",
        second=lvm(read_only_volume_list=("vg_orders",)),
        built=WITH_ORDERS,
    ),
    "a size for all": Row(
        "node1",
        "attaches no copy that is larger",
        "move it to the files",
        first=drbd(common_disk=("on-io-error", "size")),
        warning=True,
    ),
    "an order for all": Row(
        "node2",
        "every resync waits",
        "move it to the files",
        second=drbd(common_disk=("resync-after",)),
        warning=True,
    ),
    "e2scrub of everything": Row(
        "node1",
        "below DRBD, so that the copies differ",
        "scrub_all=0",
        first=fact(scrubs_unmounted=True),
    ),
}
