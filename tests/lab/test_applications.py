"""Applications on real kernels: failing starts, a second one, upgrades, callers without rights."""

import subprocess
from pathlib import Path

import pytest

from hapair_lab import cluster
from hapair_lab.lab import Lab
from hapair_lab.packages import install_on, package_file
from tests.lab.conftest import LabFrom
from tests.lab.story import PATIENCE_S, notes, server_pid, serving, wait_for_standing

pytestmark = pytest.mark.lab

REFUSED = 1
SCRIPT = "/etc/cluster/orders/run"


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    """A settled cluster whose application runs on node1."""
    return lab_from(cluster.formed_step())


def break_script(lab: Lab, *names: str) -> None:
    for name in names:
        broken = '#!/bin/sh\n[ "$1" = stop ] || { echo "no licence" >&2; exit 7; }\n'
        lab.machine(name).check(f"mv {SCRIPT} {SCRIPT}.good")
        lab.machine(name).put(SCRIPT, broken, mode=0o755)


def mend_script(lab: Lab, *names: str) -> None:
    for name in names:
        lab.machine(name).check(f"mv {SCRIPT}.good {SCRIPT}")


def test_start_that_fails_on_one_node_goes_to_the_other(formed_lab: Lab) -> None:
    """FAIL: the service stays down although the other node could run it."""
    with serving(formed_lab) as story:
        break_script(formed_lab, "node2")
        moved = story.node1.run("clmoveapp orders", timeout_s=PATIENCE_S)
        assert moved.exit_code == REFUSED, moved
        story.service_answers()
        assert story.runs_on() == "node1"
        mend_script(formed_lab, "node2")
        story.node1.check("clmoveapp orders", timeout_s=PATIENCE_S)
        story.service_answers()
        assert story.runs_on() == "node2"


def test_start_that_fails_on_both_nodes_stops_with_one_alarm(formed_lab: Lab) -> None:
    """Row 19. FAIL: it goes to and fro, or the command does not say what to do."""
    with serving(formed_lab) as story:
        story.node1.check("clhaltapp orders", timeout_s=PATIENCE_S)
        break_script(formed_lab, "node1", "node2")
        tried = story.node1.run("clrunapp orders", timeout_s=PATIENCE_S)
        assert tried.exit_code == REFUSED, tried
        assert "failed" in tried.stderr
        assert story.runs_on() == ""
        told = [*notes(story.node1), *notes(story.node2)]
        assert told.count("failed-everywhere") == 1
        mend_script(formed_lab, "node1", "node2")
        story.node1.check("clrunapp orders", timeout_s=PATIENCE_S)
        story.service_answers()


def test_application_is_added_while_another_runs(formed_lab: Lab) -> None:
    """M29. FAIL: the running application is restarted or stops answering."""
    before = server_pid(formed_lab.node1)
    node1, node2 = formed_lab.nodes
    cluster.make_storage(formed_lab, "mail", disk="/dev/vdc")
    with serving(formed_lab) as story:
        node1.check("mkdir -p /etc/cluster/mail")
        text = cluster.appconf("mail", preferred="node2", address="10.77.1.60-10.77.1.62")
        node1.put("/etc/cluster/mail/appconf.xml", text)
        script = cluster.run_script("mail", port=7001)
        for node in formed_lab.nodes:
            node.check("mkdir -p /etc/cluster/mail")
            node.put("/etc/cluster/mail/run", script, mode=0o755)
        node1.check("clbuildapp mail", timeout_s=PATIENCE_S)
        assert node1.get("/srv/mail/before-the-cluster") == b"precious\n"
        story.redundant_again()
        node1.check("clrunapp mail --node node2", timeout_s=PATIENCE_S)
        assert node2.get("/srv/mail/before-the-cluster") == b"precious\n"
        assert node2.check("ip address").count("10.77.1.6") == 3
        story.service_answers()
        assert server_pid(story.node1) == before
        assert story.runs_on("mail") == "node2"


def test_upgrade_of_the_package_touches_no_application(formed_lab: Lab, tmp_path: Path) -> None:
    """R7. FAIL: the application is restarted, or the peer takes it over."""
    newer = newer_package(tmp_path)
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        for node in formed_lab.nodes:
            install_on(node, newer)
            wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.service_answers()
        assert server_pid(story.node1) == before
        assert "+test" in story.node1.check("dpkg-query -W hapair")


def newer_package(folder: Path) -> Path:
    """Return the package with a higher version number and the same content."""
    tree, target = folder / "tree", folder / "hapair_newer_all.deb"
    subprocess.run(["dpkg-deb", "-R", package_file(), tree], check=True)
    control = tree / "DEBIAN" / "control"
    lines = control.read_text().splitlines()
    changed = [f"{line}+test" if line.startswith("Version:") else line for line in lines]
    control.write_text("\n".join(changed) + "\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-b", tree, target], check=True)
    return target


def test_user_without_rights_is_refused_and_a_member_may_read(formed_lab: Lab) -> None:
    node1 = formed_lab.node1
    node1.check("useradd -M visitor && useradd -M -G hapair reader")
    as_user = "setpriv --reuid {0} --regid {0} --init-groups {1}"
    for command in ("clstat", "clevents"):
        refused = node1.run(as_user.format("visitor", command))
        assert refused.exit_code == REFUSED, refused
        assert "hapair" in refused.stderr
        assert node1.run(as_user.format("reader", command)).exit_code == 0
    for command in ("clhalt", "clhaltapp orders", "clmoveapp orders"):
        refused = node1.run(as_user.format("reader", command))
        assert refused.exit_code == REFUSED, refused
        assert "root" in refused.stderr
    with serving(formed_lab) as story:
        story.service_answers()
