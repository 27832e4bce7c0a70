"""Somebody removes what an application has: its addresses, the node's own, its file system."""

from typing import Final

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from tests.lab.story import Story, notes, server_pid, serving, wait_for_alarm
from tests.labs import LabFrom

pytestmark = pytest.mark.lab(seconds=17)

ADDRESS: Final = cluster.SERVICE_ADDRESS
SIX: Final = "fd77:1::50"
# The service address as it is on the card: with the prefix of no subnet.
REMOVE: Final = f"ip address delete {ADDRESS}/32 dev pub0"
REMOVE_SIX: Final = f"ip address delete {SIX}/128 dev pub0"
FLUSH: Final = "ip address flush dev pub0 scope global"
OWN: Final = "10.77.1.1/24"
FIGHT_S: Final = 20
FIGHTER: Final = f"""\
systemd-run --unit=fighter sh -c '
end=$(( $(date +%s) + {FIGHT_S} ))
while [ $(date +%s) -lt $end ]; do {REMOVE}; sleep 0.2; done'
"""

NETWORKD: Final = f"[Match]\nName=pub0\n[Network]\nAddress={OWN}\n"


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    """A settled cluster whose application runs on node1."""
    return lab_from(cluster.formed_step())


def has(node: Machine, address: str = ADDRESS) -> bool:
    return f" {address}/" in node.check("ip -o address show dev pub0")


def wait_until_it_has(story: Story, address: str = ADDRESS) -> None:
    story.lab.wait_until(
        f"{story.node1.name} has {address}",
        lambda: has(story.node1, address),
        timeout_s=PATIENCE_S,
    )


@pytest.mark.long
def test_a_removed_address_is_put_back_and_the_application_goes_on(formed_lab: Lab) -> None:
    """FAIL: clients reach nothing and nobody is told, or the application is started anew."""
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        story.node1.check(REMOVE)
        wait_until_it_has(story)
        story.wait_for_note(story.node1, "address-restored")
        story.service_answers()
        assert story.runs_on() == "node1"
        assert server_pid(story.node1) == before
        assert f"{ADDRESS} is on no card" in story.node1.check("clevents")
    assert not has(formed_lab.node2)


@pytest.mark.long
def test_an_address_does_not_go_with_the_node_s_own(formed_lab: Lab) -> None:
    """FAIL: it goes with the first of its subnet, or the node's own gets no route again."""
    with serving(formed_lab) as story:
        story.node1.check(f"ip address delete {OWN} dev pub0")
        wait_for_alarm(
            formed_lab, story.node1, "own address 10.77.1.1 on network public is on no card"
        )
        assert has(story.node1)
        story.node1.check(f"ip address add {OWN} dev pub0")
        story.service_answers()
        assert "10.77.1.0/24" in story.node1.check("ip route show dev pub0")
        story.node1.check(f"{FLUSH} && ip address add {OWN} dev pub0")
        wait_until_it_has(story)
        story.service_answers()
        story.node1.check("ip link set pub0 down && ip link set pub0 up")
        story.service_answers()
        assert story.runs_on() == "node1"


@pytest.mark.long
def test_what_the_network_s_own_management_removes_is_put_back(formed_lab: Lab) -> None:
    """FAIL: an upgrade that starts systemd-networkd anew takes the service away."""
    with serving(formed_lab) as story:
        story.node1.put("/etc/systemd/network/10-pub0.network", NETWORKD)
        for _ in range(2):
            story.node1.check("systemctl restart systemd-networkd")
            story.node1.check("sleep 3")
            wait_until_it_has(story)
            story.service_answers()
        assert story.runs_on() == "node1"


@pytest.mark.lab(seconds=110)
@pytest.mark.long
def test_who_removes_an_address_again_and_again_is_an_alarm_and_moves_nothing(
    formed_lab: Lab,
) -> None:
    """FAIL: an endless storm, no alarm, or an application that stops because of it."""
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        story.node1.check(FIGHTER)
        wait_for_alarm(formed_lab, story.node1, "removed again and again")
        story.node1.check(f"sleep {FIGHT_S}", timeout_s=PATIENCE_S)
        story.service_answers()
        assert server_pid(story.node1) == before
        told = notes(story.node1)
        assert told.count("address-fought") == 1
        assert told.count("restore addresses") <= 2 * FIGHT_S
        story.wait_for_note(story.node1, "addresses-stay")
        assert "again and again" not in story.node1.run("clstat").stdout


@pytest.mark.lab(seconds=30)
@pytest.mark.long
def test_an_address_of_ipv6_is_put_back_too(formed_lab: Lab) -> None:
    """FAIL: only what the kernel does to IPv4 is noticed."""
    node1 = formed_lab.node1
    node1.check("clhaltapp orders", timeout_s=PATIENCE_S)
    node1.check(
        "sed -i 's|10.77.1.1/24|& fd77:1::1/64|;s|10.77.1.2/24|& fd77:1::2/64|'"
        " /etc/cluster/clconf.xml && clbuild --force",
        timeout_s=cluster.COMMAND_S,
    )
    node1.put("/etc/cluster/orders/appconf.xml", cluster.appconf(address=SIX))
    node1.check("clbuildapp orders && clrunapp orders", timeout_s=cluster.COMMAND_S)
    ping = f"ping -6 -c 1 -W 2 {SIX}"
    formed_lab.outside.check(ping)
    for deed in (REMOVE_SIX, "ip link set pub0 down && ip link set pub0 up"):
        node1.check(f"{deed} && ip address replace fd77:1::1/64 dev pub0 nodad")
        formed_lab.wait_until("node1 has it", lambda: has(node1, SIX), timeout_s=PATIENCE_S)
        formed_lab.wait_until(
            "it answers", lambda: formed_lab.outside.run(ping).ok, timeout_s=PATIENCE_S
        )


@pytest.mark.lab(seconds=40)
@pytest.mark.long
def test_an_unmounted_file_system_is_mounted_again_below_the_application(formed_lab: Lab) -> None:
    """FAIL: what is written into the empty folder is on one node only, and nobody is told."""
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        story.node1.check("umount -l /srv/orders")
        story.wait_for_note(story.node1, "mounted-again")
        assert "not-mounted" in notes(story.node1)
        story.service_answers()
        assert story.runs_on() == "node1"
        assert server_pid(story.node1) != before
        source = story.node1.check("findmnt --noheadings --output SOURCE /srv/orders")
        assert source.split() == ["/dev/drbd0"]
        assert "unmounted" not in story.node1.run("clstat").stdout


@pytest.mark.lab(seconds=40)
@pytest.mark.long
def test_a_mount_that_is_hidden_or_read_only_is_an_alarm_and_stops_nothing(
    formed_lab: Lab,
) -> None:
    """FAIL: nobody is told, or what runs is stopped for something that a stop does not mend."""
    node1, before = formed_lab.node1, server_pid(formed_lab.node1)
    node1.check("mount -t tmpfs strange /srv/orders")
    wait_for_alarm(formed_lab, node1, "is hidden: strange (tmpfs)")
    node1.check("umount /srv/orders")
    with serving(formed_lab) as story:
        story.service_answers()
        assert "is hidden" not in node1.run("clstat").stdout
    assert server_pid(node1) == before
    # A kernel makes nothing read-only, on request, that somebody has open for writing.
    node1.check("kill $(cat /run/orders.pid)")
    read_only = "mount -o remount,bind,ro /srv/orders"
    formed_lab.wait_until("it is read-only", lambda: node1.run(read_only).ok, timeout_s=PATIENCE_S)
    wait_for_alarm(formed_lab, node1, "has become read-only")
    node1.check("mount -o remount,bind,rw /srv/orders")
    formed_lab.wait_until(
        "clstat needs nothing", lambda: node1.run("clstat").ok, timeout_s=PATIENCE_S
    )
    node1.check("findmnt /srv/orders")
