"""Rows of the safety contract that need a real kernel, DRBD or file system to be believed."""

import json
from typing import Final

import pytest

from hapair_lab import cluster, faults
from hapair_lab.faults import Direction, Packets
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from hapair_lab.topology import Segment
from tests.lab.story import (
    Story,
    alarms,
    boot_of,
    notes,
    seen,
    server_pid,
    serving,
    standing,
    wait_for_alarm,
    wait_for_standing,
)
from tests.labs import LabFrom

pytestmark = pytest.mark.lab(seconds=17)

VOLUME: Final = "/dev/vg_orders/data"
HEARTBEATS: Final = Packets(protocol="udp", port=7700)
DISKLESS: Final = "ds:Diskless/UpToDate"
FREEZE_S: Final = 10
TEN_YEARS_S: Final = 10 * 365 * 86400.0


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    """A settled cluster whose application runs on node1."""
    return lab_from(cluster.formed_step())


def stored(node: Machine) -> str:
    return node.get("/var/lib/hapair/state.json").decode().replace(" ", "")


def cut_replication(lab: Lab) -> None:
    """Let the switch between the nodes fail: every card still has its link."""
    lab.cut(lab.node1, lab.node2, segment=Segment.PRIVATE)
    lab.cut(lab.node2, lab.node1, segment=Segment.PRIVATE)


def slow_replication(node: Machine) -> None:
    """Let the node send a megabyte a second on the private network, so that a resync takes long."""
    node.check("tc qdisc replace dev priv0 root netem rate 8mbit limit 60")


def write_much(node: Machine, mib: int = 10) -> None:
    node.check(f"dd if=/dev/urandom of=/srv/orders/much bs=1M count={mib} conv=fsync")


def wait_until_syncing(story: Story) -> None:
    story.lab.wait_until(
        "node2 is sync target",
        lambda: "cs:SyncTarget" in story.node2.run("cat /proc/drbd").stdout,
        timeout_s=PATIENCE_S,
    )


def test_a_copy_that_misses_writes_is_not_promoted_when_the_other_one_dies(formed_lab: Lab) -> None:
    """Row 3. FAIL: the older copy serves, or nobody is told why nothing does."""
    with serving(formed_lab) as story:
        cut_replication(formed_lab)
        formed_lab.wait_until(
            "node2 knows that its copy is behind",
            lambda: '"behind":["orders.data"]' in stored(story.node2),
            timeout_s=PATIENCE_S,
        )
        story.service_answers()
        story.node1.power_off()
        wait_for_standing(formed_lab, "alone", story.node2)
        assert story.runs_on() == ""
        wait_for_alarm(formed_lab, story.node2, "misses writes and is not used")
        assert "promoted" not in notes(story.node2)
        formed_lab.mend_all_cuts()
        story.node1.power_on()
        story.service_answers()
        story.redundant_again()


def test_a_dead_daemon_moves_nothing_while_the_kernel_answers(formed_lab: Lab) -> None:
    """Rows 4 and 4b. FAIL: a take-over beside live addresses, or an alarm that does not say so."""
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        story.node1.check("systemctl stop hapaird")
        for direction in Direction:
            faults.drop_packets(story.node1, HEARTBEATS, direction)
        story.wait_for_note(story.node2, "kernel-answers")
        wait_for_alarm(formed_lab, story.node2, "kernel still answers on the replication link")
        assert "systemctl status hapaird" in alarms(story.node2)
        story.service_answers()
        assert story.runs_on() == "node1"
        story.node1.check("systemctl start hapaird")
        story.service_answers()
        assert standing(story.node2) == "cut"
        faults.pass_packets(story.node1)
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.service_answers()
        assert server_pid(story.node1) == before
    assert "granted" not in (*notes(formed_lab.node1), *notes(formed_lab.node2))


def test_a_node_that_was_away_for_long_stays_down_alone(formed_lab: Lab) -> None:
    """Row 9. FAIL: it serves data that lacks what the other one wrote meanwhile."""
    for node in formed_lab.nodes:
        node.put("/etc/cluster/clstart.xml", '<clstart timeout="5s"/>\n')
    with serving(formed_lab) as story:
        story.node2.power_off()
        wait_for_standing(formed_lab, "alone", story.node1)
        story.service_answers()
        story.node1.power_off()
        story.node2.power_on()
        story.wait_for_note(story.node2, "peer-may-be-ahead")
        assert story.runs_on() == ""
        wait_for_alarm(formed_lab, story.node2, "may have newer data")
        story.node1.power_on()
        story.service_answers()
        assert story.runs_on() == "node1"
        story.redundant_again()


def test_a_stop_that_fails_is_done_by_force_before_the_other_node_starts(formed_lab: Lab) -> None:
    """Row 12. FAIL: the move hangs, or what held the file system is not named."""
    with serving(formed_lab) as story:
        holder = "systemd-run --unit=holder --property=WorkingDirectory=/srv/orders sleep 600"
        story.node1.check(holder)
        script = '#!/bin/sh\n[ "$1" = start ] || exit 7\n'
        story.node1.put("/etc/cluster/orders/run", script, mode=0o755)
        story.node1.check("clmoveapp orders", timeout_s=PATIENCE_S)
        story.service_answers()
        assert story.runs_on() == "node2"
        assert not story.node1.run("systemctl is-active holder").ok
        told = story.node1.check("clevents --json")
        assert "holders-ended" in told
        assert "sleep" in told


@pytest.mark.reference
def test_a_node_is_reset_for_what_cannot_be_stopped(formed_lab: Lab) -> None:
    """Row 12, last rung. FAIL: the move hangs for ever although the file allows the reset."""
    node1 = formed_lab.node1
    text = cluster.appconf().replace("</application>", '<when stop_hangs="reset"/></application>')
    node1.put("/etc/cluster/orders/appconf.xml", text)
    node1.check("clbuildapp orders", timeout_s=PATIENCE_S)
    with serving(formed_lab) as story:
        before = boot_of(node1)
        # Swap keeps the file system busy, and no process could be ended for that.
        held = "/srv/orders/held"
        node1.check(f"dd if=/dev/zero of={held} bs=1M count=2; mkswap {held} && swapon {held}")
        node1.begin("clmoveapp orders --force", timeout_s=PATIENCE_S)
        story.wait_for_note(node1, "reset")
        formed_lab.wait_until(
            "node1 boots", lambda: boot_of(node1) not in ("", before), timeout_s=PATIENCE_S
        )
        story.service_answers()
        assert story.runs_on() == "node2"
        told = notes(node1)
        assert told.index("stuck") < told.index("reset")
        assert "promoted" not in told[told.index("reset") :]
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.redundant_again()


@pytest.mark.reference
def test_a_failing_disk_is_served_from_the_other_copy(formed_lab: Lab) -> None:
    """Row 14. FAIL: the application notices, or nobody is told that one copy is left."""
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        faults.disk_errors(story.node1, VOLUME)
        formed_lab.wait_until(
            "the disk is given up",
            lambda: DISKLESS in story.node1.run("cat /proc/drbd").stdout,
            timeout_s=PATIENCE_S,
        )
        story.service_answers()
        assert story.runs_on() == "node1"
        assert server_pid(story.node1) == before
        wait_for_alarm(formed_lab, story.node1, "the disk of node1 is lost")
        faults.mend_disk(story.node1, VOLUME)
        # As runbook 14 says for those who do not want to halt the node: the volume is guarded.
        # Until the failed writes have ended, it may be guarded once more.
        attach = "blockdev --setrw /dev/vg_orders/data && drbdadm attach orders.data"
        formed_lab.wait_until(
            "the disk is attached", lambda: story.node1.run(attach).ok, timeout_s=PATIENCE_S
        )
        story.redundant_again()
        assert server_pid(story.node1) == before


def test_a_copy_that_is_half_resynced_is_not_promoted(formed_lab: Lab) -> None:
    """Row 15. FAIL: an Inconsistent copy is used, or the service does not return with node1."""
    with serving(formed_lab) as story:
        story.node2.power_off()
        wait_for_standing(formed_lab, "alone", story.node1)
        write_much(story.node1, mib=40)  # Of a busy host the boot takes longer than of others.
        slow_replication(story.node1)
        story.node2.power_on()
        wait_until_syncing(story)
        story.node1.power_off()
        formed_lab.wait_until(
            "node2 has noticed",
            lambda: standing(story.node2) in {"cut", "alone"},
            timeout_s=PATIENCE_S,
        )
        assert story.runs_on() == ""
        assert "promoted" not in notes(story.node2)
        story.node1.power_on()
        story.service_answers()
        assert story.runs_on() == "node1"
        story.redundant_again()


@pytest.mark.long
@pytest.mark.lab(seconds=40)
def test_failback_waits_for_the_resync(formed_lab: Lab) -> None:
    """Row 16. FAIL: it moves back to a copy that is not UpToDate, or not at all when asked to."""
    node1, node2 = formed_lab.nodes
    path = "/etc/cluster/orders/appconf.xml"
    text = cluster.appconf().replace("preferred=", 'failback="yes" preferred=')
    node1.put(path, text)
    node1.check("clbuildapp orders", timeout_s=PATIENCE_S)
    with serving(formed_lab) as story:
        node1.power_off()
        story.service_answers()
        assert story.runs_on() == "node2"
        write_much(node2)
        slow_replication(node2)
        node1.power_on()
        formed_lab.wait_until(
            "node1 is sync target",
            lambda: "cs:SyncTarget" in node1.run("cat /proc/drbd").stdout,
            timeout_s=PATIENCE_S,
        )
        assert story.runs_on() == "node2"
        story.wait_for_note(node2, "failback")
        formed_lab.wait_until(
            "it is back on its preferred node",
            lambda: story.runs_on() == "node1",
            timeout_s=PATIENCE_S,
        )
        assert "ds:UpToDate/UpToDate" in node1.check("cat /proc/drbd")
        story.service_answers()


def test_an_address_that_somebody_else_has_is_not_taken(formed_lab: Lab) -> None:
    """Row 22. FAIL: two machines answer to one address, or the other one is not named."""
    node1, outside = formed_lab.node1, formed_lab.outside
    node1.check("clhaltapp orders", timeout_s=PATIENCE_S)
    outside.check(f"ip address add {cluster.SERVICE_ADDRESS}/24 dev pub0")
    tried = node1.run("clrunapp orders", timeout_s=PATIENCE_S)
    assert not tried.ok
    foreign = outside.plan.guest.card("pub0").mac
    told = f"{tried.stderr} {node1.check('clevents --json')}"
    assert foreign in told
    for node in formed_lab.nodes:
        assert cluster.SERVICE_ADDRESS not in node.check("ip address")
        assert seen(node).programs == ()
    outside.check(f"ip address delete {cluster.SERVICE_ADDRESS}/24 dev pub0")
    node1.check("clrunapp orders", timeout_s=PATIENCE_S)
    with serving(formed_lab) as story:
        story.service_answers()


def test_with_operator_a_machine_that_stood_still_goes_on(formed_lab: Lab) -> None:
    """Row 21. FAIL: its peer takes over unasked, or what runs is touched."""
    node1, node2 = formed_lab.nodes
    node1.check(
        """sed -i 's/by="paths"/by="operator"/' /etc/cluster/clconf.xml && clbuild --force""",
        timeout_s=PATIENCE_S,
    )
    before = server_pid(node1)
    with serving(formed_lab) as story:
        node1.freeze()
        story.wait_for_note(node2, "ask-operator")
        node2.check(f"sleep {FREEZE_S}", timeout_s=PATIENCE_S)
        assert seen(node2).programs == ()
        wait_for_alarm(formed_lab, node2, "clconfirm peer-is-down")
        node1.thaw()
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.redundant_again()
        story.service_answers()
        assert story.runs_on() == "node1"
        assert server_pid(node1) == before
    for node in formed_lab.nodes:
        assert "granted" not in json.dumps(notes(node))


@pytest.mark.long
def test_wall_clocks_that_jump_by_years_stop_nothing(formed_lab: Lab) -> None:
    """Row 21: a dead battery. FAIL: a daemon, a certificate or a heartbeat minds the wall clock."""
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        faults.clock_jump(story.node1, -TEN_YEARS_S)
        faults.clock_jump(story.node2, TEN_YEARS_S)
        for node in formed_lab.nodes:  # A new daemon takes its number from the wall clock.
            faults.kill_process(node, "hapaird.service")
            story.service_answers()
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        assert server_pid(story.node1) == before
        story.node1.power_off()
        story.service_answers()
        assert story.runs_on() == "node2"
        faults.right_clock(story.node2)
        story.node1.power_on()
        story.redundant_again()


@pytest.mark.long
def test_a_device_that_somebody_holds_on_the_standby_is_named_and_waited_for(
    formed_lab: Lab,
) -> None:
    """Row 23. FAIL: the application notices, nobody is told who it is, or the copy stays away."""
    node2 = formed_lab.node2
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        node2.check("clhalt --node node2", timeout_s=PATIENCE_S)
        node2.check(f'dmsetup create foreign --readonly --table "0 8 linear {VOLUME} 0"')
        node2.check("clform", timeout_s=PATIENCE_S)
        story.wait_for_note(node2, "start-failed")
        told = "vg_orders/data is held by the device-mapper map foreign"
        assert told in node2.check("clevents")
        why = node2.run("clstat --why orders").stdout
        assert "map foreign" in " ".join(why.split())
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.service_answers()
        node2.check("dmsetup remove foreign")
        story.redundant_again()
        assert server_pid(story.node1) == before


@pytest.mark.long
@pytest.mark.lab(seconds=250)
def test_a_resync_that_stands_still_is_helped_once_and_then_told(formed_lab: Lab) -> None:
    """Row 18. FAIL: nobody is told, more is tried than once, or the copy is used."""
    node1, node2 = formed_lab.nodes
    with serving(formed_lab) as story:
        node2.power_off()
        wait_for_standing(formed_lab, "alone", node1)
        write_much(node1)
        slow_replication(node1)
        node2.power_on()
        wait_until_syncing(story)

        def stalls() -> bool:
            """Make it so slow that the kernel asks for nothing at all; the connection is well.

            Again each time: the daemon has just started, and takes back once what it finds.
            """
            node2.check("drbdsetup disk-options 0 --c-plan-ahead=0 --resync-rate=1")
            return "resync-stalled" in notes(node2)

        formed_lab.wait_until("node2 notes resync-stalled", stalls, timeout_s=PATIENCE_S)
        story.wait_for_note(node2, "resync-still-stalled")
        assert notes(node2).count("resync-stalled") == 1
        assert "data_before_resync" in node2.check("lvs --noheadings -o lv_name vg_orders")
        story.service_answers()
        assert story.runs_on() == "node1"
        node2.check("drbdadm adjust orders.data </dev/null")
        node1.check("tc qdisc del dev priv0 root")
        story.redundant_again()
