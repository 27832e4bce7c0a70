"""Programs that end by themselves on real kernels: back at once here, then on the other node."""

import json
import time

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from tests.lab.story import Story, notes, server_pid, serving
from tests.labs import LabFrom

pytestmark = pytest.mark.lab(seconds=45)

RESTARTS = 3  # The default.


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    """A settled cluster whose application runs on node1."""
    return lab_from(cluster.formed_step())


def ends_it(lab: Lab, story: Story) -> None:
    """Kill the program behind the cluster's back, and wait until a new one answers."""
    node = lab.machine(story.runs_on())
    before = server_pid(node)
    begin_s = time.monotonic()
    node.check(f"kill -9 {before}")
    story.service_answers()
    print(f"killed on {node.name}: answers after {time.monotonic() - begin_s:.1f} s")


def test_a_program_that_ends_is_back_here_and_moves_when_that_does_not_last(
    formed_lab: Lab,
) -> None:
    """FAIL: nobody notices, it is started on the other node at once, or it goes to and fro."""
    with serving(formed_lab) as story:
        watched(formed_lab)
        for _ in range(RESTARTS):
            ends_it(formed_lab, story)
            assert story.runs_on() == "node1"
            watched(formed_lab)
        ends_it(formed_lab, story)
        assert story.runs_on() == "node2"
        assert notes(formed_lab.node1).count("health-restart") == RESTARTS


def watched(lab: Lab) -> None:
    """Wait until the monitors that are always there have found it well."""
    lab.wait_until("its monitors are good", lambda: are_good(lab), timeout_s=PATIENCE_S)


def are_good(lab: Lab) -> bool:
    told = lab.node1.run("lemsctl orders list --json")
    if told.exit_code != 0:
        return False
    monitors = json.loads(told.stdout)["monitors"]
    names = {each["name"] for each in monitors if each["state"] == "good"}
    return {"filesystem", "process"} <= names
