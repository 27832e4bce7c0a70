"""The main job on real kernels: what users must not notice, or only for a moment."""

from typing import Final

import pytest

from hapair_lab import cluster, faults, snapshots
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from hapair_lab.packages import installed_step, package_file
from tests.lab.story import (
    notes,
    seen,
    server_pid,
    serving,
    standing,
    wait_for_standing,
)
from tests.labs import LabFrom

pytestmark = pytest.mark.lab(seconds=10)

UNTIL_TOLD: Final = "until [ -e /run/go-on ]; do sleep 0.2; done"
LEAVES_WITHIN_S: Final = 60.0  # Far below twice the limit of a stop and a minute.


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    """A settled cluster whose application runs on node1."""
    return lab_from(cluster.formed_step())


@pytest.mark.reference
def test_power_loss_of_the_active_node(formed_lab: Lab) -> None:
    """FAIL: an acknowledged line is missing, or the application moves back unasked (R6)."""
    with serving(formed_lab) as story:
        story.node1.power_off()
        story.service_answers()
        assert story.runs_on() == "node2"
        story.node1.power_on()
        story.redundant_again()
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.service_answers()
        assert story.runs_on() == "node2"
    told = notes(formed_lab.node2)
    for phase in ("detected", "granted", "decided", "promoted", "mounted", "addresses", "started"):
        assert phase in told


def test_power_loss_of_the_standby_node(formed_lab: Lab) -> None:
    """FAIL: the application is restarted, or does not answer any more."""
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        story.node2.power_off()
        wait_for_standing(formed_lab, "alone", story.node1)
        story.service_answers()
        story.node2.power_on()
        story.redundant_again()
        story.service_answers()
        assert server_pid(story.node1) == before


@pytest.mark.reference
def test_planned_move_and_back(formed_lab: Lab) -> None:
    with serving(formed_lab) as story:
        for target in ("node2", "node1"):
            story.node1.check("clmoveapp orders", timeout_s=PATIENCE_S)
            story.service_answers()
            assert story.runs_on() == target
            story.redundant_again()


def test_halt_and_form(formed_lab: Lab) -> None:
    """FAIL: something of the application is left after clhalt, or does not come back."""
    node1, node2 = formed_lab.nodes
    with serving(formed_lab) as story:
        node1.check("clhalt", timeout_s=PATIENCE_S)
        for node in (node1, node2):
            now = seen(node)
            assert (now.primary, now.mounted, now.programs) == ((), (), ())
            assert "10.77.1.50" not in node.check("ip address")
            assert "cs:" not in node.check("cat /proc/drbd")
            assert standing(node) == "halted"
        assert node2.run("clhalt").exit_code == 0, "halting twice is no error"
        node2.check("clform", timeout_s=PATIENCE_S)
        story.service_answers()
        assert story.runs_on() == "node1"


@pytest.mark.long
def test_what_is_edited_and_not_built_starts_nothing_and_stops_all(formed_lab: Lab) -> None:
    """M24 and M26. FAIL: a start goes by an old file, or a stop is refused for a new one."""
    node1, _ = formed_lab.nodes
    with serving(formed_lab) as story:
        node1.check("mv /etc/cluster/clconf.xml /root/")
        assert "clconf.xml" in node1.run("clstat").stdout
        node1.check("clhalt", timeout_s=PATIENCE_S)
        for lost_or_edited in ("true", "sed s/2s/3s/ /root/clconf.xml >/etc/cluster/clconf.xml"):
            node1.check(lost_or_edited)
            locked = node1.run("clform", timeout_s=PATIENCE_S)
            assert locked.exit_code, locked
            assert "clconf.xml" in locked.stderr
            assert standing(node1) == "halted"
        node1.check("mv /root/clconf.xml /etc/cluster/clconf.xml")
        node1.check("clform", timeout_s=PATIENCE_S)
        story.service_answers()


@pytest.mark.long
@pytest.mark.lab(seconds=60)
def test_a_node_leaves_although_its_peer_was_reset_meanwhile(formed_lab: Lab) -> None:
    """FAIL: each of the two waits for the other one until a multiple of the stop limit is over."""
    slow = cluster.run_script().replace("stop) ", f"stop) {UNTIL_TOLD}; ")
    formed_lab.node1.put("/etc/cluster/orders/run", slow, mode=0o755)
    with serving(formed_lab) as story:
        story.node1.begin("clhalt --node local --shutdown", timeout_s=PATIENCE_S)
        wait_for_standing(formed_lab, "leaving", story.node1)
        story.node2.reset()
        wait_for_standing(formed_lab, "forming", story.node2)
        story.node1.check("touch /run/go-on")
        formed_lab.wait_until(
            "node1 has left", lambda: standing(story.node1) == "halted", timeout_s=LEAVES_WITHIN_S
        )
        story.node1.check("clform --node node1", timeout_s=PATIENCE_S)
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.redundant_again()
        story.service_answers()


def test_reboot_of_the_active_node_in_order(formed_lab: Lab) -> None:
    """Row 25. FAIL: the peer had to detect the loss instead of being handed the application."""
    with serving(formed_lab) as story:
        story.node1.begin("systemctl reboot", timeout_s=30.0)
        story.wait_for_note(story.node2, "started")
        story.service_answers()
        assert story.runs_on() == "node2"
        assert "detected" not in notes(story.node2)
        formed_lab.wait_until(
            "node1 is together again",
            lambda: _answers(formed_lab) and standing(story.node1) == "together",
            timeout_s=PATIENCE_S,
        )
        story.redundant_again()
        story.service_answers()
        assert story.runs_on() == "node2"


def _answers(lab: Lab) -> bool:
    lab.node1.close_channel()
    return lab.node1.channel().answers_hello()


def test_killed_daemon_is_replaced_and_adopts_what_runs(formed_lab: Lab) -> None:
    """R7. FAIL: the application was touched, or the peer took it for dead."""
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        for node in formed_lab.nodes:
            daemon = node.check("systemctl show -P MainPID hapaird").strip()
            faults.kill_process(node, int(daemon))
            formed_lab.wait_until(
                f"{node.name} has a new daemon",
                lambda node=node, daemon=daemon: _other_daemon(node, daemon),  # type: ignore[misc]
                timeout_s=PATIENCE_S,
            )
            wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.service_answers()
        assert server_pid(story.node1) == before
    assert "granted" not in (*notes(formed_lab.node1), *notes(formed_lab.node2))


def _other_daemon(node: Machine, daemon: str) -> bool:
    return node.run("systemctl show -P MainPID hapaird").stdout.strip() not in ("0", daemon)


@pytest.mark.reference
def test_hung_daemon_is_replaced_and_nothing_moves(formed_lab: Lab) -> None:
    """Rows 4 and 21. The peer's kernel answers on the replication link: no take-over."""
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        daemon = story.node1.check("systemctl show -P MainPID hapaird").strip()
        faults.hang_process(story.node1, int(daemon))
        story.wait_for_note(story.node2, "kernel-answers")
        story.service_answers()
        formed_lab.wait_until(
            "systemd has replaced the hung daemon",
            lambda: _other_daemon(story.node1, daemon),
            timeout_s=PATIENCE_S,
        )
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        story.service_answers()
        assert server_pid(story.node1) == before
    assert "granted" not in notes(formed_lab.node2)


def test_cold_start_of_both(formed_lab: Lab) -> None:
    """FAIL: the service does not come back by itself, or not on the preferred node."""
    with serving(formed_lab) as story:
        for node in formed_lab.nodes:
            node.power_off()
        for node in formed_lab.nodes:
            node.power_on(wait=False)
        for node in formed_lab.nodes:
            node.wait_until_booted()
        story.service_answers()
        assert story.runs_on() == "node1"
        story.redundant_again()


def wait_shortly_at_boot(lab: Lab) -> None:
    for node in lab.nodes:
        node.put("/etc/cluster/clstart.xml", '<clstart timeout="5s"/>\n')


def test_cold_start_of_one_asks_before_it_acts(formed_lab: Lab) -> None:
    """Row 8. The peer may be ahead: nothing starts before a person says that it is down."""
    wait_shortly_at_boot(formed_lab)
    with serving(formed_lab) as story:
        for node in formed_lab.nodes:
            node.power_off()
        story.node1.power_on()
        story.wait_for_note(story.node1, "peer-may-be-ahead")
        assert story.runs_on() == ""
        story.node1.check("clconfirm peer-is-down --yes node2", timeout_s=PATIENCE_S)
        story.service_answers()
        assert story.runs_on() == "node1"
        story.node2.power_on()
        story.redundant_again()


def test_node_that_was_alone_starts_alone(formed_lab: Lab) -> None:
    """Row 8. Its own records show that nobody can be ahead of it."""
    wait_shortly_at_boot(formed_lab)
    with serving(formed_lab) as story:
        story.node2.power_off()
        wait_for_standing(formed_lab, "alone", story.node1)
        story.service_answers()
        story.node1.power_off()
        story.node1.power_on()
        story.service_answers()
        assert story.runs_on() == "node1"
        story.node2.power_on()
        story.redundant_again()


def test_loaded_hosts_raise_no_false_alarm(formed_lab: Lab) -> None:
    """Row 21. FAIL: a node takes its busy peer for dead, or the application is touched."""
    before = server_pid(formed_lab.node1)
    with serving(formed_lab) as story:
        for node in formed_lab.nodes:
            faults.load(node, 4)
        story.service_answers(100)
        for node in formed_lab.nodes:
            faults.unload(node)
        assert server_pid(story.node1) == before
        assert standing(story.node1) == standing(story.node2) == "together"
    assert "granted" not in (*notes(formed_lab.node1), *notes(formed_lab.node2))


def test_cut_replication_link_moves_nothing(formed_lab: Lab) -> None:
    """Row 3. The copy that misses writes is known to be behind, and is not promoted later."""
    with serving(formed_lab) as story:
        for node in formed_lab.nodes:
            node.cable("priv0").pull()
        formed_lab.wait_until(
            "node2 knows that its copy is behind",
            lambda: '"behind":["orders.data"]' in _stored(story.node2),
            timeout_s=PATIENCE_S,
        )
        story.service_answers()
        assert story.runs_on() == "node1"
        refused = story.node1.run("clmoveapp orders", timeout_s=PATIENCE_S)
        assert "not UpToDate" in refused.stderr
        for node in formed_lab.nodes:
            node.cable("priv0").plug()
        story.redundant_again()
        formed_lab.wait_until(
            "the copy is trusted again",
            lambda: '"behind":[]' in _stored(story.node2),
            timeout_s=PATIENCE_S,
        )


def _stored(node: Machine) -> str:
    return node.get("/var/lib/hapair/state.json").decode().replace(" ", "")


@pytest.mark.long
@pytest.mark.qemu_only("two releases differ in their kernels, other guests have one kernel")
@pytest.mark.lab(seconds=40)
def test_a_pair_of_two_debian_releases(lab_from: LabFrom) -> None:
    """A cluster whose machines are upgraded in turn. FAIL: it can neither move nor fail over."""
    lab = lab_from(installed_step(package_file(), snapshots.MIXED_BOOTED))
    releases = [node.check("cat /etc/debian_version")[:3] for node in lab.nodes]
    assert releases == ["12.", "13."]
    cluster.form(lab, cluster.REFERENCE)
    with serving(lab) as story:
        story.node1.check("clmoveapp orders", timeout_s=PATIENCE_S)
        story.service_answers()
        assert story.runs_on() == "node2"
        story.redundant_again()
        story.node2.power_off()
        story.service_answers()
        assert story.runs_on() == "node1"
