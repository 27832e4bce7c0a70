"""Cards, addresses, logins and ports that are wrong."""

from dataclasses import replace
from ipaddress import ip_interface
from typing import Final

from hapair.model.cluster import Attachment
from hapair.model.node_facts import (
    BusyPort,
    CardAddress,
    Link,
)
from tests.build.hurts import Row, both, card, fact, login, moved, resolves, without_card
from tests.build.material import (
    CLUSTER,
    EMPTY,
    PRIVATE,
    PUBLIC,
    formed,
)

OVERLAPPING: Final = replace(
    CLUSTER,
    networks=(
        PUBLIC,
        replace(
            PRIVATE,
            attachments=tuple(
                Attachment(node, ip_interface(f"10.77.1.{100 + number}/24"), ("priv0",))
                for number, node in enumerate(("node1", "node2"))
            ),
        ),
    ),
)


NETWORK_ROWS: Final = {
    "no such card": Row(
        "node1",
        "the node does not have it (it has: mgmt0, pub0, priv0)",
        "put the card in",
        first=without_card("pub1"),
    ),
    "no card at all": Row("node1", "(it has: none)", "right name", first=fact(cards=())),
    "card in a bond": Row(
        "node2",
        "belongs to bond0",
        "write bond0 instead of pub1",
        second=card("pub1", master="bond0"),
    ),
    "default card is off": Row(
        "node1",
        "switched off",
        "ip link set pub0 up",
        first=card("pub0", enabled=False, link=Link.UNKNOWN),
    ),
    "stand-by card is off": Row(
        "node1",
        "switched off",
        "ip link set pub1 up",
        first=card("pub1", enabled=False, link=Link.UNKNOWN),
        warning=True,
    ),
    "card that does not tell": Row(
        "node1",
        "does not report whether it has a link",
        'attribute="crossover"',
        first=card("pub1", reports_link=False),
    ),
    "default card without link": Row(
        "node1", "it has no link", "ethtool pub0", first=card("pub0", link=Link.DOWN)
    ),
    "stand-by card without link": Row(
        "node1", "it has no link", "ethtool pub1", first=card("pub1", link=Link.DOWN), warning=True
    ),
    "no address": Row(
        "node2",
        "it is not configured on pub0",
        "ip address add 10.77.1.2/24 dev pub0",
        second=card("pub0", addresses=()),
    ),
    "wrong prefix": Row(
        "node2",
        "it is not configured on pub0",
        "10.77.1.2/24",
        second=card("pub0", addresses=(CardAddress("10.77.1.2/16"),)),
    ),
    "address on the stand-by card": Row(
        "node1",
        "it is on pub1, and not on pub0",
        "write pub1 first",
        first=moved("10.77.1.1/24", "pub1"),
    ),
    "address on the stand-by card of a formed cluster": Row(
        "node1",
        "it is on pub1, and not on pub0",
        "write pub1 first",
        first=both(moved("10.77.1.1/24", "pub1"), formed),
        warning=True,
    ),
    "address on a foreign card of a formed cluster": Row(
        "node1",
        "it is on mgmt0",
        "write mgmt0 first",
        first=both(moved("10.77.1.1/24", "mgmt0"), formed),
    ),
    "leased address": Row(
        "node1",
        "by DHCP",
        "static",
        first=card("pub0", addresses=(CardAddress("10.77.1.1/24", leased=True),)),
        warning=True,
    ),
    "stand-by card with an address": Row(
        "node2",
        "must have no address, but has 192.168.5.2/24",
        "ip address del 192.168.5.2/24 dev pub1",
        second=card("pub1", addresses=(CardAddress("192.168.5.2/24"),)),
    ),
    "two VLANs of one card": Row(
        "node1",
        "both go through eth2",
        "a switch of its own",
        first=both(*(card(name, carrier="eth2") for name in ("pub0", "priv0"))),
        warning=True,
    ),
    "a VLAN of the other network's card": Row(
        "node2",
        "both go through pub0",
        "a cable",
        second=card("priv0", carrier="pub0"),
        warning=True,
    ),
    "VLANs of one bond": Row(
        "node1",
        "both go through mgmt0 and pub1",
        "a card",
        first=both(
            *(card(name, carrier="bond0") for name in ("pub0", "priv0")),
            *(card(name, master="bond0") for name in ("mgmt0", "pub1")),
        ),
        warning=True,
    ),
    "overlapping networks": Row(
        "clconf.xml", "its subnet overlaps with 10.77.1.0/24", "own", cluster=OVERLAPPING
    ),
    "foreign card in a subnet": Row(
        "node1",
        "10.77.2.77/24 lies in the subnet of network private",
        "add mgmt0",
        first=card("mgmt0", addresses=(CardAddress("10.77.2.77/24"),)),
        warning=True,
    ),
    "unknown name": Row(
        "node2", "cannot be resolved", "'10.77.1.1 node1' >> /etc/hosts", second=resolves("node1")
    ),
    "wrong name": Row(
        "node2", "it means 192.0.2.9", "'10.77.1.1 node1'", second=resolves("node1", "192.0.2.9")
    ),
    "own name is a loopback": Row(
        "node2",
        "it means 127.0.1.1",
        "/etc/hosts",
        second=resolves("node2", "127.0.1.1"),
        warning=True,
    ),
    "peer's name is a loopback": Row(
        "node2", "it means 127.0.1.1", "/etc/hosts", second=resolves("node1", "127.0.1.1")
    ),
    "unknown host key": Row(
        "node1",
        "no login without a prompt to this address of node2 (Host key verification failed.)",
        "ssh-keyscan 10.77.2.2",
        first=login("10.77.2.2", error="Host key verification failed."),
    ),
    "no key": Row(
        "node2",
        "no login",
        "PermitRootLogin no in the sshd_config of node1",
        second=login("10.77.1.1", error="root@10.77.1.1: Permission denied (publickey)."),
    ),
    "own address": Row(
        "node2",
        "to this address of node2",
        "ssh-copy-id root@10.77.2.2",
        second=login("10.77.2.2", error="Permission denied"),
    ),
    "no sshd": Row(
        "node1",
        "Connection refused",
        "on node2: systemctl enable --now ssh",
        first=login("10.77.2.2", error="Connection refused"),
    ),
    "silent address": Row(
        "node1", "timed out", "ssh root@10.77.2.2 true", first=login("10.77.2.2", error="timed out")
    ),
    "login was not tried": Row("node1", "it was not tried", "true", first=fact(logins=())),
    "somebody else answers": Row(
        "node1",
        "another machine than node2",
        "arping",
        first=login("10.77.2.2", boot_id="boot-web7"),
    ),
    "first port": Row(
        "node1",
        "nginx uses it",
        "stop nginx",
        first=fact(busy_ports=(BusyPort("udp", 7700, "nginx"),)),
    ),
    "drbd port": Row(
        "node2",
        "the kernel uses it",
        "other ports",
        second=fact(busy_ports=(BusyPort("tcp", 7716),)),
    ),
    "stranger in a built cluster": Row(
        "node2",
        "nginx uses it",
        "other ports",
        second=fact(busy_ports=(BusyPort("tcp", 7701, "nginx"),)),
        built=EMPTY,
    ),
    "ephemeral ports": Row(
        "node2",
        "(1024-65000)",
        "ip_local_reserved_ports=7700-7799",
        second=fact(ephemeral_first=1024, ephemeral_last=65000),
        warning=True,
    ),
    "firewall": Row(
        "node1",
        "nftables filters",
        "from 10.77.1.2, 10.77.2.2: udp 7700, tcp 7700-7716",
        first=fact(firewall="nftables"),
        warning=True,
    ),
}
