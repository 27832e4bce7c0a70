"""Every fault does what its name says to a real kernel, and its counterpart mends it."""

import time
from collections.abc import Iterator

import pytest

from hapair_lab import evidence, faults
from hapair_lab.errors import LabError
from hapair_lab.faults import Direction, DiskErrors, Packets
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine

pytestmark = pytest.mark.lab(seconds=5)

VOLUME = "/dev/vg/data"


@pytest.fixture
def node(shared_lab: Lab) -> Iterator[Machine]:
    """A guest with a logical volume that has an empty file system."""
    node = shared_lab.node1
    node.check("vgcreate -q vg /dev/vdb && lvcreate -q -y -L 32M -n data vg")
    node.check(f"mkfs.ext4 -q {VOLUME}")
    yield node
    node.run("umount /mnt; vgremove -q -f vg && pvremove -q /dev/vdb")


def reads(node: Machine) -> bool:
    return node.run(
        f"dd if={VOLUME} of=/dev/null bs=4k count=1 iflag=direct", timeout_s=PATIENCE_S
    ).ok


def writes(node: Machine) -> bool:
    return node.run(
        f"dd if=/dev/zero of={VOLUME} bs=4k count=1 oflag=direct", timeout_s=PATIENCE_S
    ).ok


def test_a_disk_fails_for_everything_or_for_writes_alone_and_is_mended(node: Machine) -> None:
    faults.disk_errors(node, VOLUME)
    assert not reads(node)
    assert not writes(node)
    with pytest.raises(LabError, match="fails already"):
        faults.disk_errors(node, VOLUME)
    faults.mend_disk(node, VOLUME)
    assert reads(node)
    faults.disk_errors(node, VOLUME, DiskErrors.WRITES)
    assert reads(node)
    assert not writes(node)
    faults.mend_disk(node, VOLUME)
    assert writes(node)
    with pytest.raises(LabError, match="disk unplug"):
        faults.disk_errors(node, "/dev/vdb")


@pytest.mark.long
def test_a_disk_hangs_and_goes_on(node: Machine) -> None:
    faults.disk_hang(node, VOLUME)
    waiting = node.begin(
        f"dd if={VOLUME} of=/dev/null bs=4k count=1 iflag=direct", timeout_s=PATIENCE_S
    )
    node.check("sleep 1")
    assert not waiting.done()
    faults.mend_disk(node, VOLUME)
    assert waiting.result(PATIENCE_S)["exit_code"] == 0


@pytest.mark.long
@pytest.mark.qemu_only("no disk can be unplugged from other guests")
def test_a_whole_disk_goes_away_and_is_back_after_power_off_and_on(booted_lab: Lab) -> None:
    node = booted_lab.node1
    assert node.run("test -b /dev/vdc").ok
    faults.disk_unplug(node, "spare")
    booted_lab.wait_until(
        "the disk is gone", lambda: not node.run("test -b /dev/vdc").ok, timeout_s=PATIENCE_S
    )
    node.power_off()
    node.power_on()
    assert node.run("test -b /dev/vdc").ok


@pytest.mark.long
def test_a_file_system_is_filled_and_freed(node: Machine) -> None:
    node.check(f"mount {VOLUME} /mnt")
    faults.fill_file_system(node, "/mnt")
    assert not node.run("dd if=/dev/zero of=/mnt/more bs=64k count=1 conv=fsync").ok
    faults.free_file_system(node, "/mnt")
    assert node.run("dd if=/dev/zero of=/mnt/more bs=64k count=1 conv=fsync").ok


def test_packets_are_dropped_by_kind_and_direction(shared_lab: Lab) -> None:
    node = shared_lab.node1
    faults.drop_packets(node, Packets("10.77.1.2"), Direction.OUT)
    faults.drop_packets(node, Packets("10.77.2.2", "icmp"), Direction.IN)
    assert not node.run("ping -c 1 -W 2 10.77.1.2").ok
    assert not node.run("ping -c 1 -W 2 10.77.2.2").ok
    assert node.run("ping -c 1 -W 60 10.77.1.254").ok
    faults.pass_packets(node)
    faults.pass_packets(node)
    assert node.run("ping -c 1 -W 60 10.77.1.2").ok
    assert node.run("ping -c 1 -W 60 10.77.2.2").ok


@pytest.mark.long
def test_a_bad_line_delays_and_a_good_one_does_not(shared_lab: Lab) -> None:
    node = shared_lab.node1
    faults.bad_line(node, "pub0", delay_s=0.5)
    begun_s = time.monotonic()
    node.check("ping -c 1 -W 60 10.77.1.2")
    assert time.monotonic() - begun_s > 0.5
    faults.bad_line(node, "pub0", loss_percent=100)
    assert not node.run("ping -c 1 -W 2 10.77.1.2").ok
    faults.good_line(node, "pub0")
    assert node.run("ping -c 1 -W 60 10.77.1.2").ok


@pytest.mark.long
def test_a_process_is_killed_or_stopped_by_its_unit(shared_lab: Lab) -> None:
    node = shared_lab.node1
    node.check("systemd-run --unit=victim sleep 600")
    faults.hang_process(node, "victim.service")
    pid = faults.process_id(node, "victim.service")
    state = f"cut -d' ' -f3 /proc/{pid}/stat"
    shared_lab.wait_until(
        "it stands still", lambda: node.check(state) == "T\n", timeout_s=PATIENCE_S
    )
    faults.continue_process(node, "victim.service")
    shared_lab.wait_until("it goes on", lambda: node.check(state) == "S\n", timeout_s=PATIENCE_S)
    node.put("/run/victim.pid", f"{pid}\n")
    faults.kill_process(node, "/run/victim.pid")
    shared_lab.wait_until(
        "the unit has failed",
        lambda: node.run("systemctl is-failed victim").ok,
        timeout_s=PATIENCE_S,
    )
    with pytest.raises(LabError, match="no process"):
        faults.kill_process(node, "victim.service")


@pytest.mark.long
def test_the_wall_clock_jumps_and_is_set_right(shared_lab: Lab) -> None:
    node = shared_lab.node1
    faults.clock_jump(node, 3600)
    assert float(node.check("date +%s")) - time.time() > 3000
    faults.right_clock(node)
    before_s = time.time()
    told_s = float(node.check("date +%s"))
    assert before_s - 60 < told_s < time.time() + 60  # It is a while on its way on a busy host.


@pytest.mark.long
def test_a_loaded_machine_is_busy_until_unloaded(shared_lab: Lab) -> None:
    node = shared_lab.node1
    faults.load(node, 3)
    assert (
        node.check("systemctl list-units --no-legend --state=running 'lab-load-*'").count(
            "lab-load-"
        )
        >= 3
    )
    faults.unload(node)
    assert "lab-load-" not in node.check("systemctl list-units --no-legend 'lab-load-*'")


@pytest.mark.long
def test_the_evidence_of_a_failure_is_kept_also_of_guests_that_do_not_answer(
    shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lab = shared_lab
    lab.node2.power_off()
    lab.outside.freeze()
    kept = evidence.keep(
        lab, tmp_path_factory.mktemp("evidence") / "story", why="because", replay="cllab run story"
    )
    lab.outside.thaw()
    names = {path.name for path in kept.iterdir()}
    assert {"node1-journal-all.txt", "node1-network.txt", "node2-console.txt"} <= names
    assert {"node2-does-not-answer.txt", "outside-does-not-answer.txt"} <= names
    assert "cllab run story" in (kept / "why.txt").read_text()
    assert "node2: power off" in (kept / "timeline.txt").read_text()
    assert "systemd" in (kept / "node1-journal-all.txt").read_text()
