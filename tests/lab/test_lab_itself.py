"""The lab does what its scenarios rely on: seen on its own, without our package."""

import time
from pathlib import Path

import pytest

from hapair_lab import snapshots
from hapair_lab.errors import LabError
from hapair_lab.folders import new_run_folder
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from hapair_lab.scenarios import by_hand
from hapair_lab.topology import Segment

pytestmark = pytest.mark.lab(seconds=5)

CLOCK_S = 60.0  # On a busy host the time is a while on its way to a guest and back.
WRONG_S = 3600.0
ICMP_COUNTERS = "grep ^Icmp: /proc/net/snmp"


def make_drbd(lab: Lab) -> None:
    """Make a replicated volume on LVM, mounted on node1."""
    by_hand.replicate(lab)
    lab.node1.check("mount /dev/drbd0 /mnt")


def drbd(node: Machine) -> str:
    return by_hand.drbd_state(node)


def has_carrier(node: Machine, card: str) -> bool:
    return node.check(f"cat /sys/class/net/{card}/carrier").strip() == "1"


def test_drbd_on_lvm_replicates_and_a_power_cut_loses_nothing_flushed(booted_lab: Lab) -> None:
    lab = booted_lab
    make_drbd(lab)
    lab.node1.check("dd if=/dev/urandom of=/mnt/proof bs=64k count=4 conv=fsync")
    written = lab.node1.check("sha256sum < /mnt/proof")

    lab.node1.power_off()
    assert not lab.node1.is_on()
    lab.node2.check(f"{by_hand.PROMOTE} && mount /dev/drbd0 /mnt", timeout_s=PATIENCE_S)
    assert lab.node2.check("sha256sum < /mnt/proof") == written

    lab.node1.power_on()
    lab.node1.check("modprobe drbd && drbdadm up r0")
    by_hand.wait_until_synchronised(lab)


@pytest.mark.qemu_only("its guests are frozen for a snapshot, others are halted")
def test_a_snapshot_keeps_drbd_connected_and_the_clocks_right(
    booted_lab: Lab, tmp_path: Path
) -> None:
    lab = booted_lab
    make_drbd(lab)
    lab.node1.set_clock(time.time() - WRONG_S)
    looked_s = time.monotonic()
    uptime_s = float(lab.node1.check("cat /proc/uptime").split()[0])
    saved = snapshots.save(lab, f"test-{tmp_path.name}", new_run_folder().name)
    try:
        time.sleep(3)
        lab.continue_from(saved)
        clock_s = float(lab.node1.check("cat /proc/uptime").split()[0])
        passed_s = time.monotonic() - looked_s
        assert 0 < clock_s - uptime_s < passed_s, "it booted, or its clock leapt ahead"
        before_s = time.time()
        wall_clock_s = float(lab.node1.check("date +%s.%N"))
        assert before_s - CLOCK_S < wall_clock_s < time.time() + CLOCK_S
        lab.node1.check("dd if=/dev/zero of=/mnt/later bs=64k count=1 conv=fsync")
        for node in lab.nodes:
            assert "cs:Connected" in drbd(node)
            assert "ds:UpToDate/UpToDate" in drbd(node)
    finally:
        lab.close()
        snapshots.forget(saved)


@pytest.mark.long
def test_a_pulled_cable_is_seen_at_once_and_only_there(shared_lab: Lab) -> None:
    lab = shared_lab
    assert has_carrier(lab.node1, "pub0")
    lab.node1.cable("pub0").pull()
    lab.wait_until(
        "the card has no carrier", lambda: not has_carrier(lab.node1, "pub0"), timeout_s=PATIENCE_S
    )
    assert "NO-CARRIER" in lab.node1.check("ip link show pub0")
    assert has_carrier(lab.node1, "priv0")
    assert has_carrier(lab.node2, "pub0")
    assert not lab.node1.run("ping -c 1 -W 2 10.77.1.2").ok
    assert lab.node1.run("ping -c 1 -W 60 10.77.2.2").ok

    lab.node1.cable("pub0").plug()
    lab.wait_until(
        "the peer answers again",
        lambda: lab.node1.run("ping -c 1 -W 5 10.77.1.2").ok,
        timeout_s=PATIENCE_S,
    )


@pytest.mark.long
def test_a_cut_in_the_switch_works_in_one_direction(shared_lab: Lab) -> None:
    lab = shared_lab

    def pings_heard() -> int:
        names, values = (line.split() for line in lab.node2.check(ICMP_COUNTERS).splitlines())
        return int(values[names.index("InEchos")])

    before = pings_heard()
    assert lab.node1.run("ping -c 1 -W 60 10.77.2.2").ok
    lab.cut(lab.node2, lab.node1, segment=Segment.PRIVATE)
    assert not lab.node1.run("ping -c 2 -W 2 10.77.2.2").ok
    lab.wait_until(
        "the way there still works", lambda: pings_heard() >= before + 2, timeout_s=PATIENCE_S
    )
    assert lab.node1.run("ping -c 1 -W 60 10.77.1.2").ok
    lab.mend_all_cuts()
    assert lab.node1.run("ping -c 3 -W 60 10.77.2.2").ok


@pytest.mark.long
def test_a_frozen_machine_answers_nothing_and_goes_on_after_the_thaw(shared_lab: Lab) -> None:
    lab = shared_lab
    lab.node2.freeze()
    assert not lab.node1.run("ping -c 1 -W 2 10.77.1.2").ok
    assert has_carrier(lab.node1, "pub0")
    lab.node2.thaw()
    assert lab.node2.check("uname -n") == "node2\n"


def test_a_reset_machine_boots_again(shared_lab: Lab) -> None:
    before = shared_lab.node1.check("cat /proc/sys/kernel/random/boot_id")
    shared_lab.node1.reset()
    assert shared_lab.node1.check("cat /proc/sys/kernel/random/boot_id") != before


@pytest.mark.long
def test_all_guests_enter_one_another_without_a_password(shared_lab: Lab) -> None:
    for source in shared_lab.nodes:
        for address in ("node1", "node2", "outside", "10.77.2.1", "10.77.2.2", "fd77:1::1"):
            source.check(["ssh", "-o", "BatchMode=yes", address, "true"])


def test_files_and_commands_pass_unchanged(shared_lab: Lab) -> None:
    node = shared_lab.node1
    content = bytes(range(256)) * 2000
    node.put("/root/file", content, mode=0o600)
    assert node.get("/root/file") == content
    assert node.check("stat -c %a /root/file") == "600\n"
    finished = node.run("cat; echo said >&2; exit 7", stdin=b"given")
    assert (finished.exit_code, finished.stdout, finished.stderr) == (7, "given", "said\n")


@pytest.mark.long
def test_a_command_that_hangs_is_ended_and_others_are_not_held_up(shared_lab: Lab) -> None:
    node = shared_lab.node1
    slow = node.begin("sleep 600", timeout_s=600)
    assert node.run("sleep 600", timeout_s=1).timed_out
    assert not slow.done()
    with pytest.raises(LabError, match="exit 3"):
        node.check("exit 3")


@pytest.mark.long
def test_a_cable_stays_pulled_while_the_power_is_off(shared_lab: Lab) -> None:
    node = shared_lab.node1
    node.power_off()
    node.cable("priv0").pull()
    node.power_on()
    assert not has_carrier(node, "priv0")
    assert has_carrier(node, "pub0")
    node.cable("priv0").plug()
    shared_lab.wait_until(
        "the carrier is back", lambda: has_carrier(node, "priv0"), timeout_s=PATIENCE_S
    )


@pytest.mark.long
def test_a_guest_that_powers_itself_off_is_off(shared_lab: Lab) -> None:
    shared_lab.node2.begin("systemctl poweroff", timeout_s=60)
    shared_lab.node2.wait_until_off()
    assert not shared_lab.node2.is_on()
    assert shared_lab.node1.is_on()
