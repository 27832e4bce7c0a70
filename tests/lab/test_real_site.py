"""An application as a real site has it goes from its running service into the cluster and back.

Two file systems in two groups, one inside the other, with quotas, options, owners that are not
root's and a space in a path; lines in the fstab of both nodes, each spelt in its own way; a service
and its socket, both enabled on both nodes; a folder of it mounted once more, and exported. What
clbuildapp refuses is mended by typing what it says, word by word, and so is what a release leaves
to a person.
"""

import json
import re
from typing import Final

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.ledger import PORT, SERVER_PATH, NeverStoppingClient, install_server, missing
from hapair_lab.machine import Machine
from tests.checkers.rules import nothing_lost, one_writer
from tests.lab.story import seen

pytestmark = [pytest.mark.lab(seconds=180), pytest.mark.long]

REFUSED: Final = 2
# What the way in and out of a cluster may touch: of files of the system all but their age.
SYSTEM: Final = (
    "find /etc/drbd.d /etc/lvm/*.conf /etc/systemd /etc/fstab /etc/exports"
    " -printf '%p %l %y %u:%g %m ' '(' -type f -exec sha256sum {} ';' -o -printf '\\n' ')' | sort;"
    " lvs --noheadings -o vg_name,lv_name,lv_size,lv_tags; grep ' cs:' /proc/drbd;"
    " systemctl is-enabled orders.socket orders.service; true"
)
DATA: Final = cluster.MOUNT_POINT
FILES: Final = f"{DATA}/big files"
IN_FSTAB: Final = FILES.replace(" ", "\\040")
MARK: Final = "# hapair mounts this over DRBD: "
UNITS: Final = {
    "orders.service": f"""\
[Unit]
RequiresMountsFor={DATA} "{FILES}"

[Service]
User=daemon
ExecStart=/usr/bin/python3 -I -S {SERVER_PATH} {cluster.LINES_FILE} {PORT}
Restart=on-failure

[Install]
WantedBy=multi-user.target
""",
    "orders.socket": """\
[Socket]
ListenStream=/run/orders.sock

[Install]
WantedBy=sockets.target
""",
}
# /data is a symbolic link to /srv, on both nodes.
FSTAB: Final = {
    "node1": (
        f"UUID={{data}} {DATA}/ ext4 noatime,usrquota,grpquota,errors=remount-ro,commit=30 0 2\n"
        f"/dev/disk/by-uuid/{{files}} /data/{IN_FSTAB.removeprefix('/srv')} xfs"
        " prjquota,nofail 0 0\n"
    ),
    "node2": (
        f'UUID="{{data}}" {DATA} ext4 noauto,usrquota,grpquota 0 2\n'
        f"/dev/mapper/vg_files-data {IN_FSTAB}/ xfs"
        " prjquota,nofail,x-systemd.device-timeout=2s 0 0\n"
    ),
}
RETIRED: Final = "# hapair left a former copy here, the data is on the other node: "
EXPORT: Final = f"{DATA}/public 10.77.1.0/24(ro,fsid=1,no_subtree_check)\n"
# What becomes of that line in a cluster: the service does it itself.
EXPORTING: Final = f"""\
[Unit]
After=nfs-server.service

[Service]
ExecStartPost=+exportfs -o ro,fsid=1,no_subtree_check 10.77.1.0/24:{DATA}/public
ExecStopPost=+exportfs -u 10.77.1.0/24:{DATA}/public
"""
DROP_INS: Final = "/etc/systemd/system/orders.service.d"
# As packages and their administrators leave it.
FILL: Final = f"""set -e
cd {DATA}; mkdir public; head -c 1000000 /dev/urandom >public/prices
chown -R daemon:daemon .; chmod 2751 . public; setquota -u daemon 20480 30720 0 0 {DATA}
cd '{FILES}'; mkdir -m 750 scans; head -c 3000000 /dev/urandom >scans/page; chown -R games:mail .
setfacl -m user:daemon:rx,default:user:daemon:rx scans; setfattr -n user.kept -v 'ten years' scans
xfs_io -r -c 'chproj 42' scans; xfs_quota -x -c 'limit -p bhard=64m 42' '{FILES}'
"""
# What must be the same wherever it is mounted, without what the service appends.
LOOKS: Final = f"""set -e
grep -E '^[^ ]+ /srv/' /proc/mounts | cut -d' ' -f2- | sort
repquota -u {DATA} | awk '$1 == "daemon" {{ print "at most", $4, $5 }}'
xfs_quota -x -c 'report -p -n -N' '{FILES}'
find {DATA} ! -name lines.txt -printf '%p %u:%g %m %s\\n' | sort
getfacl -p '{FILES}/scans'; getfattr -d '{FILES}/scans'; stat -c '%n %U:%G %a' /srv
sha256sum {DATA}/public/prices '{FILES}/scans/page'
"""
ENABLED: Final = "orders.service is enabled: every boot would start it"
TRIGGERED: Final = "orders.socket starts orders.service as soon as somebody connects"
ON_DATA: Final = f"vg_orders/data on {DATA} is"
EXPORTED: Final = (
    f"{ON_DATA} also used at a boot by the line of /etc/exports that exports {DATA}/public"
)
HELD: Final = (
    f"{ON_DATA} in use by python3 (... of orders.service), the mount on /export (its folder"
    f" /public), the NFS export of {DATA}/public to 10.77.1.0/24(...), the way of NFS clients"
    f" through {DATA} to what is exported in it, and must be unmounted once"
)
# Where, what is so, and what to do; all but the line of the export is typed as it stands here.
IN_THE_WAY: Final = [
    ("node1", ENABLED, "systemctl disable --now orders.service"),
    ("node1", TRIGGERED, "systemctl disable --now orders.socket"),
    ("node2", ENABLED, "systemctl disable orders.service"),
    ("node2", TRIGGERED, "systemctl disable orders.socket"),
    ("node1", EXPORTED, ("take it out; what starts the application then types: exportfs -o OPTIONS"
     f" CLIENT:{DATA}/public, and what stops it: exportfs -u ...")),
    ("node1", HELD, ("systemctl stop orders.service; umount /export; exportfs -u"
     f" 10.77.1.0/24:{DATA}/public; exportfs -f")),
]  # fmt: skip
OPENING: Final = (
    f"exec 3<>/dev/tcp/127.0.0.1/{PORT}; echo '0 opening' >&3; read -r said <&3;"
    " [ \"$said\" = 'ok 0' ]"
)


@pytest.fixture
def site(installed_lab: Lab) -> Lab:
    """Two machines without a cluster; node1 has the data, and serves it."""
    node1 = installed_lab.node1
    for node in installed_lab.nodes:
        node.check(
            "vgcreate -q vg_orders /dev/vdb && vgcreate -q vg_files /dev/vdc && ln -s /srv /data"
        )
        install_server(node)
        for name, text in UNITS.items():
            node.put(f"/usr/lib/systemd/system/{name}", text)
    node1.check(
        "lvcreate -q -y -L 64m -n data vg_orders && lvcreate -q -y -L 320m -n data vg_files"
        " && mkfs.ext4 -q -O quota /dev/vg_orders/data && mkfs.xfs -q /dev/vg_files/data"
        f" && mkdir {DATA} /export"
    )
    names = {
        group: node1.check(f"blkid -o value -s UUID /dev/vg_{name}/data").strip()
        for group, name in (("data", "orders"), ("files", "files"))
    }
    for node in installed_lab.nodes:
        lines = FSTAB[node.name].format(**names)
        node.put("/etc/fstab", node.get("/etc/fstab").decode() + lines)
        node.check(
            "systemctl -q unmask nfs-server rpcbind.socket rpcbind.service && systemctl"
            f" daemon-reload && systemctl -q enable {' '.join(UNITS)} nfs-server"
            " && systemctl start nfs-server",
            timeout_s=PATIENCE_S,
        )
    node1.check(f"udevadm settle && mount {DATA} && mkdir '{FILES}' && mount -a && {FILL}")
    # As at a boot: a socket is refused when its service already runs.
    node1.check("systemctl start orders.socket && systemctl start orders.service")
    node1.check(f"mount --bind {DATA}/public /export")
    node1.put("/etc/exports", EXPORT)
    node1.check("exportfs -r")
    installed_lab.wait_until(
        "the service answers", lambda: node1.run(["bash", "-c", OPENING]).ok, timeout_s=PATIENCE_S
    )
    return installed_lab


def looks(node: Machine) -> str:
    return node.check(LOOKS)


def fstab_of(node: Machine) -> str:
    """Return fstab as it was before a build marked lines of it."""
    return node.get("/etc/fstab").decode().replace(MARK, "")


def is_exported(lab: Lab, address: str) -> None:
    """Look at the export as a client: the kernel holds what it exports from then on."""
    size = lab.outside.check(
        f"mount -t nfs4 -o ro {address}:{DATA}/public /mnt && stat -c %s /mnt/prices; umount /mnt",
        timeout_s=PATIENCE_S,
    )
    assert size == "1000000\n"


def form_a_cluster(lab: Lab) -> None:
    node1 = lab.node1
    node1.put("/etc/cluster/clconf.xml", cluster.REFERENCE.clconf())
    script = '<script path="/etc/cluster/orders/run"/>'
    group = '<volumegroup name="vg_orders"/>'
    text = cluster.appconf().replace(script, '<unit name="orders.service"/>')
    node1.check("mkdir -p /etc/cluster/orders")
    node1.put(
        "/etc/cluster/orders/appconf.xml",
        text.replace(group, f'{group}<volumegroup name="vg_files"/>'),
    )
    node1.check("clbuild && clform", timeout_s=PATIENCE_S)


def refused(lab: Lab) -> list[tuple[str, str, str]]:
    """Try to build; return what is said of it: where, what is so, what to type."""
    tried = lab.node1.run("clbuildapp orders --json", timeout_s=PATIENCE_S)
    assert tried.exit_code == REFUSED, tried
    problems = json.loads(tried.stdout)["problems"]
    return [
        (each["where"], re.sub(r"\((\d+|ro,[^)]*)", "(...", each["what"]), each["mend"])
        for each in problems
    ]


def exports_by_its_unit(lab: Lab) -> None:
    lab.node1.put("/etc/exports", "")
    for node in lab.nodes:
        node.check(f"mkdir {DROP_INS}")
        node.put(f"{DROP_INS}/override.conf", EXPORTING)
        node.check("systemctl daemon-reload")


def serves_as_before(lab: Lab, before: str) -> Machine:
    """Return the one node that serves, with everything as it was."""
    asked = "systemctl --quiet is-active orders.service"
    on = [node for node in lab.nodes if node.is_on()]
    (serving,) = [node for node in on if node.run(asked).ok]
    one_writer([seen(node) for node in on])
    assert looks(serving) == before
    return serving


def goes_through_faults(lab: Lab, client: NeverStoppingClient, before: str) -> Machine:
    """Move it, cut its power, cut that of both; return the node that serves in the end."""
    node1, node2 = lab.nodes
    assert serves_as_before(lab, before) is node1
    cluster.wait_until_settled(lab)
    node1.check("clmoveapp orders", timeout_s=PATIENCE_S)
    client.wait_for_answers(20)
    assert serves_as_before(lab, before) is node2
    is_exported(lab, cluster.SERVICE_ADDRESS)
    node2.power_off()
    client.wait_for_answers(20)
    assert serves_as_before(lab, before) is node1
    node2.power_on()
    cluster.wait_until_settled(lab)
    for node in lab.nodes:
        node.power_off()
    for node in lab.nodes:
        node.power_on(wait=False)
    for node in lab.nodes:
        node.wait_until_booted()
    client.wait_for_answers(20)
    cluster.wait_until_settled(lab)
    return serves_as_before(lab, before)


def leaves_the_cluster(lab: Lab, before: str, system: str, fstabs: list[str]) -> None:
    """Release it on node1: it runs there as it did, and nothing of ours is left on either node."""
    node1, node2 = lab.nodes
    if not node1.run("systemctl --quiet is-active orders.service").ok:
        node1.check("clmoveapp orders", timeout_s=PATIENCE_S)
        cluster.wait_until_settled(lab)
    lines = node1.get(cluster.LINES_FILE)
    released = json.loads(node1.check("clbuildapp --release orders --json", timeout_s=PATIENCE_S))
    assert looks(node1) == before
    assert node1.get(cluster.LINES_FILE) == lines
    # What the site had moved into the unit goes back to where it was.
    node1.put("/etc/exports", EXPORT)
    node1.check(f"exportfs -r && rm -r {DROP_INS} && systemctl daemon-reload")
    node1.check(released["start_again"])
    assert node1.check(SYSTEM) == system
    fstab = node2.get("/etc/fstab").decode()
    assert fstab.replace(RETIRED, "") == fstabs[1]
    assert all(line.startswith(RETIRED) for line in fstab.splitlines() if DATA in line)
    assert "orders" not in node2.check("ls /etc/drbd.d; lvs --noheadings -o lv_tags")
    assert "hapair" not in node2.check("lvs --noheadings -o lv_tags")

    for node in lab.nodes:
        node.check("sync")
        node.power_off()
    for node in lab.nodes:
        node.power_on()
    lab.wait_until(
        "the service answers", lambda: node1.run(["bash", "-c", OPENING]).ok, timeout_s=PATIENCE_S
    )
    assert looks(node1) == before
    is_exported(lab, "10.77.1.1")
    assert not node2.run("systemctl is-active orders.service || grep ' /srv/' /proc/mounts").ok


def test_a_running_service_of_a_site_becomes_an_application(site: Lab) -> None:
    """FAIL: a refusal is untrue or its mend does not help, or something is not as it was."""
    node1 = site.node1
    before, fstabs = looks(node1), [fstab_of(node) for node in site.nodes]
    assert "at most 20480 30720" in before, "the quotas are on"
    is_exported(site, "10.77.1.1")
    form_a_cluster(site)
    system = node1.check(SYSTEM)
    said = refused(site)
    assert said == IN_THE_WAY
    assert looks(node1) == before, "a refusal changes nothing"
    for where, what, typed in said:
        if what == EXPORTED:
            exports_by_its_unit(site)
        else:
            site.machine(where).check(typed)

    node1.check("clbuildapp orders", timeout_s=PATIENCE_S)
    assert looks(node1) == before
    assert [fstab_of(node) for node in site.nodes] == fstabs
    node1.check("clrunapp orders", timeout_s=PATIENCE_S)
    client = NeverStoppingClient(site.outside, cluster.SERVICE_ADDRESS)
    client.start()
    serving = goes_through_faults(site, client, before)
    is_exported(site, cluster.SERVICE_ADDRESS)
    assert [fstab_of(node) for node in site.nodes] == fstabs
    record = client.stop()
    lines = serving.get(cluster.LINES_FILE).decode()
    assert lines.startswith("0 opening\n")
    nothing_lost(
        set(record.numbers), set(record.numbers) - set(missing(record, lines)), serving.name
    )
    leaves_the_cluster(site, before, system, fstabs)
