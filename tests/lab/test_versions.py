"""A rolling upgrade to the version after this one, and the way back, under load."""

import json
from pathlib import Path
from typing import Final

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from hapair_lab.packages import FOLDER_IN_GUEST, package_file
from tests.lab.story import Story, notes, server_pid, serving, wait_for_standing
from tests.labs import LabFrom
from tests.versions.package import MEMBER, VERSION, next_package

pytestmark = pytest.mark.lab(seconds=60)

# What apt does with a file whose dependencies are there, in either direction.
INSTALL: Final = "dpkg --install --force-confold --force-downgrade {path}"
STATE: Final = "/var/lib/hapair/state.json"
BUILT: Final = "/etc/cluster/built/built.json"


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    return lab_from(cluster.formed_step())


def installs(story: Story, node: Machine, package: Path) -> None:
    """Install the package, older or newer: the application stays, and the pair finds together."""
    active = story.lab.machine(story.runs_on())
    pid = server_pid(active)
    target = f"{FOLDER_IN_GUEST}/{package.name}"
    node.note(f"{node.name}: installs {package.name}")
    if not node.run(["test", "-e", target]).ok:  # The present one lies there since the first time.
        node.put(target, package.read_bytes())
    node.check(INSTALL.format(path=target), timeout_s=PATIENCE_S)
    wait_for_standing(story.lab, "together", *story.lab.nodes)
    story.redundant_again()
    story.service_answers()
    assert server_pid(active) == pid


def moves(story: Story, before: Machine, after: Machine) -> None:
    before.check("clmoveapp orders", timeout_s=PATIENCE_S)
    assert story.runs_on() == after.name
    story.redundant_again()


def test_a_rolling_upgrade_and_the_way_back(formed_lab: Lab, tmp_path: Path) -> None:
    """R7. FAIL: an upgrade stops the application, or two versions cannot move it."""
    present, later = package_file(), next_package(tmp_path)
    node1, node2 = formed_lab.nodes
    with serving(formed_lab) as story:
        installs(story, node2, later)
        told = node1.check("clstat")
        assert VERSION in told
        assert node2.check("sysctl -n kernel.panic_on_oops").strip() == "1"
        assert "not used until" in told
        moves(story, node1, node2)
        installs(story, node1, later)
        assert "not used until" not in node1.check("clstat")
        node1.check("clbuild --rotate-secret --force", timeout_s=PATIENCE_S)

        installs(story, node1, present)
        moves(story, node2, node1)
        installs(story, node2, present)
        node1.check("clbuild --rotate-secret --force", timeout_s=PATIENCE_S)
        story.redundant_again()
        story.service_answers()
    for node in formed_lab.nodes:
        assert "not-stated" not in notes(node), "each was sent only what its version knows"
        assert MEMBER in json.loads(node.get(STATE)), "what the next version remembers is kept"
        assert MEMBER in json.loads(node.get(BUILT))["built"]
