"""A /var that is full or read-only (runbook 28): found, told once, and nobody waits for it."""

import time
from typing import Final

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from tests.lab.story import Story, boot_of, notes, server_pid, serving, wait_for_standing
from tests.lab.watchdogs import give_watchdog, is_fed
from tests.labs import LabFrom

pytestmark = [pytest.mark.lab(seconds=90), pytest.mark.long]

MEMORY: Final = "/var/lib/hapair"
FLOOD: Final = "/var/tmp/flood"
# To the last byte: what is left after large pieces is taken in small ones.
FILL: Final = f"for size in 1M 4k 1; do dd if=/dev/zero bs=$size 2>/dev/null >>{FLOOD}; done; true"
MINUTE_S: Final = 60.0  # Ten times what the watchdog waits.
NEEDS_YOU: Final = 5
CANNOT_STORE: Final = f"{MEMORY}/state.json cannot be written: Read-only file system"
READ_ONLY: Final = f"mount --bind {MEMORY} {MEMORY} && mount -o remount,bind,ro {MEMORY}"


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    return lab_from(cluster.formed_step())


def findings(node: Machine) -> str:
    """Return the page as one line: it is wrapped where the terminal ends."""
    return " ".join(node.run("clstat", timeout_s=PATIENCE_S).stdout.split())


def cuts_replication(story: Story) -> None:
    for node in story.lab.nodes:
        node.cable("priv0").pull()


def mends_replication(story: Story) -> None:
    for node in story.lab.nodes:
        node.cable("priv0").plug()
    story.redundant_again()


def test_a_full_stand_by_is_found_and_still_stores_what_the_active_node_waits_for(
    formed_lab: Lab,
) -> None:
    """FAIL: nobody is told, the writes freeze for good, or it cannot take over."""
    with serving(formed_lab) as story:
        story.node2.check(FILL, timeout_s=PATIENCE_S)
        formed_lab.wait_until(
            "the page of node1 names the disk of node2",
            lambda: "takes no new file: No space left" in findings(story.node1),
            timeout_s=PATIENCE_S,
        )
        assert story.node1.run("clstat", timeout_s=PATIENCE_S).exit_code == 5
        cuts_replication(story)
        story.service_answers()
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        mends_replication(story)
        story.node1.power_off()
        story.service_answers()
        assert story.runs_on() == "node2", "the right was stored in reserved room"
        story.node2.check(f"rm {FLOOD}")
        story.node1.power_on()
        story.redundant_again()
        formed_lab.wait_until(
            "the page is clean", lambda: "takes no new" not in findings(story.node1),
            timeout_s=PATIENCE_S,
        )  # fmt: skip


def test_a_stand_by_that_cannot_store_is_not_waited_for(formed_lab: Lab) -> None:
    """FAIL: the writes of the active node freeze until its stand-by's disk is mended."""
    with serving(formed_lab) as story:
        story.node2.check(READ_ONLY)
        formed_lab.wait_until(
            "the page of node1 names the disk of node2",
            lambda: CANNOT_STORE in findings(story.node1),
            timeout_s=PATIENCE_S,
        )
        cuts_replication(story)
        story.service_answers(100)
        wait_for_standing(formed_lab, "alone", story.node1)
        assert findings(story.node1).count("ALARM") == 1
        story.node2.check(f"umount {MEMORY}")
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        assert "stored-again" in notes(story.node2)
        mends_replication(story)
        story.service_answers()
        assert story.runs_on() == "node1"


def guards(lab: Lab, arbitration: str) -> None:
    """Let a watchdog reset each node whose daemon does not feed it."""
    (device,) = {give_watchdog(node) for node in lab.nodes}
    watchdog = f'<watchdog device="{device}" timeout="6s"/>'
    cluster.arbitrate(lab, f'<arbitration by="{arbitration}"/>{watchdog}')


def waits_until(lab: Lab, end_s: float) -> None:
    lab.wait_until("a minute is over", lambda: time.monotonic() > end_s, timeout_s=PATIENCE_S)


def names_its_disk(node: Machine) -> bool:
    page = node.run("clstat", timeout_s=PATIENCE_S)
    return page.exit_code == NEEDS_YOU and CANNOT_STORE in " ".join(page.stdout.split())


def test_an_active_node_that_cannot_store_serves_on_and_is_followed(formed_lab: Lab) -> None:
    """FAIL: it is reset, stopped or moved for its disk, or nobody takes over when it dies."""
    guards(formed_lab, "paths")
    with serving(formed_lab) as story:
        before = boot_of(story.node1), server_pid(story.node1)
        end_s = time.monotonic() + MINUTE_S
        story.node1.check(READ_ONLY)
        refused = story.node1.run("clmoveapp orders", timeout_s=PATIENCE_S)  # Nobody knows yet.
        assert refused.exit_code != 0
        assert "cannot store" in refused.stderr
        for node in formed_lab.nodes:
            formed_lab.wait_until(
                f"{node.name} names the disk of node1",
                lambda node=node: names_its_disk(node),  # type: ignore[misc]
                timeout_s=PATIENCE_S,
            )
        waits_until(formed_lab, end_s)
        story.service_answers()
        assert (boot_of(story.node1), server_pid(story.node1)) == before
        assert is_fed(story.node1)
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.node1.power_off()
        story.service_answers()
        assert story.runs_on() == "node2"


def test_an_active_node_that_cannot_store_outlives_its_peer(formed_lab: Lab) -> None:
    """FAIL: it is reset, or its application is stopped or waits for the disk."""
    guards(formed_lab, "operator")
    with serving(formed_lab) as story:
        before = boot_of(story.node1), server_pid(story.node1)
        story.node1.check(READ_ONLY)
        story.node2.power_off()
        end_s = time.monotonic() + MINUTE_S
        formed_lab.wait_until(
            "node1 names its disk", lambda: names_its_disk(story.node1), timeout_s=PATIENCE_S
        )
        waits_until(formed_lab, end_s)
        story.service_answers()
        assert is_fed(story.node1)
        story.node1.check(f"umount {MEMORY}")
        story.service_answers()
        assert (boot_of(story.node1), server_pid(story.node1)) == before
        assert CANNOT_STORE not in findings(story.node1)


def test_a_node_that_boots_with_a_disk_that_takes_nothing_is_not_reset(formed_lab: Lab) -> None:
    """FAIL: its watchdog resets it again and again, or it stays away when its disk is mended."""
    guards(formed_lab, "paths")
    with serving(formed_lab) as story:
        story.node1.check(f"echo '{MEMORY} {MEMORY} none bind,ro' >>/etc/fstab; sync")
        story.node1.power_off()
        story.service_answers()
        story.node1.power_on()
        before = boot_of(story.node1)
        end_s = time.monotonic() + MINUTE_S / 2
        formed_lab.wait_until(
            "node1 names its disk", lambda: names_its_disk(story.node1), timeout_s=PATIENCE_S
        )
        waits_until(formed_lab, end_s)
        assert boot_of(story.node1) == before
        assert story.runs_on() == "node2"
        story.node1.check(f"umount {MEMORY}")
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.redundant_again()
        story.service_answers()
        assert boot_of(story.node1) == before
