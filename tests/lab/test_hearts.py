"""A daemon that stands still while its heart, a process of its own, beats (0038)."""

from typing import Final

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from tests.lab.story import notes, server_pid, serving, wait_for_standing
from tests.labs import LabFrom

pytestmark = [pytest.mark.lab(seconds=60), pytest.mark.long]

STANDS_STILL_S: Final = 10
STOP: Final = f"pid=$(systemctl show -P MainPID hapaird); kill -STOP $pid; sleep {STANDS_STILL_S}"

HEARTS: Final = "grep -lx hapaird-heart /proc/[0-9]*/comm | cut -d/ -f3 | grep ."


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    """A settled cluster whose application runs on node1."""
    return lab_from(cluster.formed_step())


def test_a_daemon_that_stands_still_for_ten_seconds_is_silent_to_nobody(formed_lab: Lab) -> None:
    """FAIL: the other node counts a silence, or the daemon takes its own absence for one."""
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        for node in formed_lab.nodes:
            node.check(f"{STOP}; kill -CONT $pid", timeout_s=PATIENCE_S)
            story.wait_for_note(node, "busy")
            story.service_answers()
            wait_for_standing(formed_lab, "together", *formed_lab.nodes)
    for node in formed_lab.nodes:
        assert not {"detected", "paused"} & set(notes(node))
    assert story.runs_on() == "node1"
    assert server_pid(formed_lab.node1) == before


def test_a_killed_heart_beats_again_before_anybody_misses_it(formed_lab: Lab) -> None:
    """FAIL: a silence is counted, or the node goes on without a heart."""
    node1, node2 = formed_lab.nodes
    with serving(formed_lab) as story:
        node1.check(f"kill -KILL $({HEARTS})")
        story.wait_for_note(node1, "heartbeats")
        formed_lab.wait_until(
            "a new heart beats",
            lambda: node1.run(HEARTS).exit_code == 0,
            timeout_s=PATIENCE_S,
        )
        story.service_answers()
    assert "detected" not in notes(node2)
