"""What tools and files of the system say, read from captured text."""

import json

import pytest

from hapair.adapters.scan import parse
from hapair.model.node_facts import Card, CardAddress, Link, Protocols

# `ip -json address show` of a guest of the lab, shortened.
IP_JSON = json.dumps(
    [
        {"ifname": "lo", "flags": ["LOOPBACK", "UP", "LOWER_UP"], "addr_info": []},
        {
            "ifname": "pub0",
            "flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
            "operstate": "UP",
            "addr_info": [
                {"family": "inet", "local": "10.77.1.1", "prefixlen": 24, "scope": "global"},
                {
                    "family": "inet6",
                    "local": "fd77:1::5054:ff:fe77:101",
                    "prefixlen": 64,
                    "scope": "global",
                    "dynamic": True,
                },
                {
                    "family": "inet6",
                    "local": "fe80::5054:ff:fe77:101",
                    "prefixlen": 64,
                    "scope": "link",
                },
            ],
        },
        {"ifname": "pub1", "flags": ["NO-CARRIER", "BROADCAST", "UP"], "addr_info": []},
        {"ifname": "eth2", "flags": ["BROADCAST"], "master": "bond0", "addr_info": []},
        {"ifname": "eth3.7", "flags": ["BROADCAST"], "link": "eth3", "addr_info": []},
        {"ifname": "veth0", "flags": ["BROADCAST"], "link": None, "addr_info": []},
    ]
)


def test_cards_are_read_with_link_and_addresses() -> None:
    assert parse.cards(IP_JSON, ["pub0", "pub1"]) == (
        Card(
            "pub0",
            enabled=True,
            link=Link.UP,
            reports_link=True,
            addresses=(
                CardAddress("10.77.1.1/24"),
                CardAddress("fd77:1::5054:ff:fe77:101/64", leased=True),
            ),
        ),
        Card("pub1", enabled=True, link=Link.DOWN, reports_link=True),
        Card("eth2", enabled=False, link=Link.UNKNOWN, reports_link=False, master="bond0"),
        Card("eth3.7", enabled=False, link=Link.UNKNOWN, reports_link=False, carrier="eth3"),
        Card("veth0", enabled=False, link=Link.UNKNOWN, reports_link=False),
    )


@pytest.mark.parametrize("text", ["", "no json", "{}", "[1]", '[{"ifname": 7}]'])
def test_a_strange_answer_of_ip_means_no_card(text: str) -> None:
    assert all(not card.addresses for card in parse.cards(text, ()))


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("version: 8.4.11 (api:1/proto:86-101)\nsrcversion: 1\n", ((86, 101),)),
        ("version: 9.2.8 (api:2/proto:86-101,118-122)\n", ((86, 101), (118, 122))),
        ("version: 8.0.0 (api:1/proto:86)\n", ((86, 86),)),
        ("", ()),
    ],
)
def test_protocols_of_drbd(text: str, ranges: tuple[tuple[int, int], ...]) -> None:
    assert parse.protocols(text) == tuple(Protocols(*each) for each in ranges)


def test_a_module_on_disk_is_known_by_its_version() -> None:
    assert parse.protocols_of_version("8.4.11") == (Protocols(86, 101),)
    assert parse.protocols_of_version("9.2.8") == ()


def test_minors_in_drbd_files() -> None:
    text = """
    resource web {
      # device /dev/drbd99;
      volume 0 { device minor 3; disk /dev/vdb; meta-disk internal; }
      on a { device /dev/drbd7; }
      on b { device /dev/drbd_web minor 12; }
    }
    """
    assert parse.configured_minors(text) == {3, 7, 12}


def test_minors_that_the_kernel_uses() -> None:
    events = (
        "exists resource name:orders.data role:Secondary suspended:no\n"
        "exists connection name:orders.data peer-node-id:1 conn-name:node2 connection:Connected\n"
        "exists device name:orders.data volume:0 minor:10 disk:UpToDate\n"
        "exists device name:web volume:1 minor:3 disk:Diskless\n"
        "exists -\n"
    )
    assert parse.kernel_minors(events) == (("orders.data", 10), ("web", 3))


def test_the_version_of_lvm() -> None:
    text = "  LVM version:     2.03.16(2) (2022-05-18)\n  Library version: 1.02.185 (2022-05-18)\n"
    assert parse.lvm_version(text) == "2.03.16(2)"
    assert parse.lvm_version("lvm: command not found") == ""


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ('global_filter="r|^/dev/drbd|"\n', ("r|^/dev/drbd|",)),
        ('global_filter=["a|/dev/vd.*|","r|.*|"]\n', ("a|/dev/vd.*|", "r|.*|")),
        ("  Configuration node devices/global_filter not found\n", ()),
        ("", ()),
    ],
)
def test_the_filter_of_lvm(text: str, patterns: tuple[str, ...]) -> None:
    assert parse.lvm_filter(text) == patterns


def test_settings_of_lvm_as_it_prints_them() -> None:
    """Captured: lvm2 2.03.16, ``lvmconfig --typeconfig full`` of settings that may be unset."""
    text = (
        'use_devicesfile=0\ndevicesfile="system.devices"\nvolume_list="vg_a"\n'
        'read_only_volume_list=["vg_b","@archive"]\n'
    )
    assert parse.lvm_settings(text) == {
        "use_devicesfile": ("0",),
        "devicesfile": ("system.devices",),
        "volume_list": ("vg_a",),
        "read_only_volume_list": ("vg_b", "@archive"),
    }
    assert parse.lvm_settings("volume_list=[]\n") == {"volume_list": ()}


@pytest.mark.parametrize(
    ("text", "found"), [("  system ID: vm\n", "vm"), ("  system ID: \n", ""), ("", "")]
)
def test_the_system_id_of_lvm(text: str, found: str) -> None:
    assert parse.system_id(text) == found


def test_the_devices_file_of_lvm() -> None:
    """Captured: lvm2 2.03.16."""
    text = (
        "# LVM uses devices listed in this file.\n"
        "# Created by LVM command lvmdevices pid 23661 at Mon Nov 30 04:19:46 2026\n"
        "VERSION=1.1.1\n"
        "IDTYPE=loop_file IDNAME=/srv/a.img DEVNAME=/dev/loop0 PVID=mnvDJQ79XJ2kdZ70NOfTlhXrR6yk\n"
        "IDTYPE=sys_wwid IDNAME=naa.5000c5 DEVNAME=/dev/sda3 PVID=Fq1Qzd PART=3\n"
    )
    assert parse.lvm_devices(text) == ("/dev/loop0", "/dev/sda3")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("common { disk { size 1G; on-io-error detach; } }", {"size", "on-io-error"}),
        ("common {\n\tnet { protocol C; }\n\tdisk {\n\t\t# size 1G;\n\t}\n}\n", set()),
        ('common { handlers { a "x # } {"; } disk { resync-after r/0; } }', {"resync-after"}),
        ("resource r { disk { size 1G; } }\ncommon { net { timeout 60; } }", set()),
        ("", set()),
    ],
)
def test_what_drbd_says_of_all_disks(text: str, names: set[str]) -> None:
    assert parse.common_disk_options(text) == names


@pytest.mark.parametrize(
    ("unit", "resource"),
    [
        ("drbd@orders.data.target", "orders.data"),
        ("drbd-promote@a\\x2db.service", "a-b"),
        ("drbd.service", ""),
    ],
)
def test_the_resource_of_a_unit(unit: str, resource: str) -> None:
    assert parse.instance_of(unit) == resource


PVS = """
  {
      "report": [
          {
              "pv": [
                  {"pv_name":"/dev/vdb", "vg_name":"vg_orders",
                   "vg_uuid":"Fq1Qzd-6nKd", "vg_size":"2143289344", "vg_free":"1069547520"},
                  {"pv_name":"/dev/vdc", "vg_name":"", "vg_uuid":"", "vg_size":"0", "vg_free":"0"},
                  {"pv_name":"/dev/loop0", "vg_name":"vg_a", "vg_uuid":"dOU931", "vg_size":"62914560", "vg_free":"62914560", "vg_systemid":"other", "vg_lock_type":"", "vg_exported":"exported"},
                  {"pv_name":"[unknown]", "vg_name":"vg_lost", "vg_uuid":"x", "vg_size":"", "vg_free":""}
              ]
          }
      ]
  }
"""  # noqa: E501 - as captured


def test_physical_volumes_with_their_groups() -> None:
    assert parse.physical_volumes(PVS) == (
        parse.ReportedVolume("/dev/vdb", "vg_orders", "Fq1Qzd-6nKd", 2143289344, 1069547520),
        parse.ReportedVolume(
            "/dev/loop0", "vg_a", "dOU931", 62914560, 62914560, system_id="other", exported=True
        ),
        parse.ReportedVolume("[unknown]", "vg_lost", "x", 0, 0),
    )
    assert parse.physical_volumes("garbage") == ()


PROC_NET_TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1E14 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17301 1
   1: 01014D0A:1E15 02014D0A:8D2C 01 00000000:00000000 00:00000000 00000000     0        0 0 1
"""


def test_sockets_with_their_inodes() -> None:
    assert parse.sockets(PROC_NET_TCP) == (parse.Socket(7700, 17301), parse.Socket(7701, 0))
    assert parse.sockets("") == ()


def test_addresses_of_a_name() -> None:
    text = (
        "10.77.1.1       STREAM node1\n10.77.1.1       DGRAM  \n10.77.1.1       RAW    \n"
        "fe80::1%pub0    STREAM \n\n"
    )
    assert parse.host_addresses(text) == ("10.77.1.1", "fe80::1")


MOUNTINFO = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
95 22 0:45 / /mnt/with\\040space rw,relatime - nfs4 server:/export rw,vers=4.2
96 22 0:46 / /mnt/withspace rw,relatime - xfs /dev/vdd rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/disk.img", "ext4"),
        ("/mnt/with space/disk.img", "nfs4"),
        ("/mnt/withspace/disk.img", "xfs"),
        ("/mnt/withspace2/disk.img", "ext4"),
    ],
)
def test_the_file_system_below_a_file(path: str, kind: str) -> None:
    assert parse.file_system_of(path, MOUNTINFO) == kind


FILTERING = """\
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		tcp dport 22 accept
	}
}
"""
REJECTING = """\
table inet filter {
	chain in {
		type filter hook input priority filter; policy accept;
		tcp dport 7700 reject
	}
}
"""
HARMLESS = """\
table inet filter {
	chain input {
		type filter hook input priority filter; policy accept;
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
}
"""


@pytest.mark.parametrize(
    ("ruleset", "filtered"),
    [(FILTERING, True), (REJECTING, True), (HARMLESS, False), ("", False)],
)
def test_a_firewall_is_noticed(ruleset: str, *, filtered: bool) -> None:
    assert parse.input_is_filtered(ruleset) is filtered


@pytest.mark.parametrize(
    ("dep", "builtin", "has"),
    [
        ("kernel/drivers/block/drbd/drbd.ko: kernel/lib/lru_cache.ko\n", "", True),
        ("a.ko:\nupdates/dkms/drbd.ko.xz: kernel/lib/lru_cache.ko\n", "", True),
        ("", "kernel/drivers/block/drbd/drbd.ko\n", True),
        ("kernel/drivers/block/drbd/drbd_transport_tcp.ko:\n", "", False),
        ("x.ko: kernel/drivers/block/mydrbd.ko\n", "", False),
        ("", "", False),
    ],
)
def test_a_kernel_has_a_module_or_not(dep: str, builtin: str, *, has: bool) -> None:
    assert parse.has_module("drbd", dep, builtin) is has
