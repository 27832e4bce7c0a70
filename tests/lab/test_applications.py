"""Applications on real kernels: failing starts, a second one, callers without rights."""

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.ledger import SERVER_PATH
from hapair_lab.machine import Machine
from tests.lab.story import notes, server_pid, serving
from tests.labs import LabFrom

pytestmark = pytest.mark.lab(seconds=12)

REFUSED = 1
SCRIPT = "/etc/cluster/orders/run"
MAIL_UNIT = f"""\
[Service]
Type=forking
PIDFile=/run/mail.pid
ExecStart=/usr/bin/python3 -I {SERVER_PATH} /srv/mail/lines.txt 7001 --pid-file /run/mail.pid
"""


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
        formed_lab.wait_until(
            "the alarm is written", lambda: bool(failed(formed_lab)), timeout_s=PATIENCE_S
        )
        assert failed(formed_lab) == ["failed-everywhere"]
        mend_script(formed_lab, "node1", "node2")
        story.node1.check("clrunapp orders", timeout_s=PATIENCE_S)
        story.service_answers()


def failed(lab: Lab) -> list[str]:
    """Return the alarms of a start that failed on both nodes, whoever told of it."""
    told = [*notes(lab.node1), *notes(lab.node2)]
    return [name for name in told if name == "failed-everywhere"]


def write_mail(lab: Lab) -> None:
    """Write the files of a second application, which is a unit of systemd."""
    lab.node1.check("mkdir -p /etc/cluster/mail")
    text = cluster.appconf("mail", preferred="node2", address="10.77.1.60-10.77.1.62")
    script = '<script path="/etc/cluster/mail/run"/>'
    assert script in text
    text = text.replace(script, '<unit name="mail.service"/>')
    lab.node1.put("/etc/cluster/mail/appconf.xml", text)
    for node in lab.nodes:
        node.put("/etc/systemd/system/mail.service", MAIL_UNIT)
        node.check("systemctl daemon-reload")


def mail_runs_on(lab: Lab) -> list[str]:
    asked = "systemctl --quiet is-active mail.service"
    return [node.name for node in lab.nodes if node.run(asked).exit_code == 0]


def test_application_is_added_while_another_runs(formed_lab: Lab) -> None:
    """M29, with XFS and a unit. FAIL: the running application is restarted or stops answering."""
    before = server_pid(formed_lab.node1)
    node1, node2 = formed_lab.nodes
    cluster.make_storage(formed_lab, "mail", disk="/dev/vdc", file_system="xfs", size_mib=320)
    with serving(formed_lab) as story:
        write_mail(formed_lab)
        node1.check("clbuildapp mail", timeout_s=PATIENCE_S)
        assert node1.get("/srv/mail/before-the-cluster") == b"precious\n"
        story.redundant_again()
        node1.check("clrunapp mail --node node2", timeout_s=PATIENCE_S)
        assert node2.get("/srv/mail/before-the-cluster") == b"precious\n"
        assert node2.check("ip address").count("10.77.1.6") == 3
        assert mail_runs_on(formed_lab) == ["node2"]
        # node2 does it, whose guest may stand still for longer than a connection lasts.
        moved = node1.run("clmoveapp mail", timeout_s=PATIENCE_S)
        assert moved.ok or "was lost before it answered" in moved.stderr, moved
        formed_lab.wait_until(
            "mail runs on node1",
            lambda: mail_runs_on(formed_lab) == ["node1"],
            timeout_s=PATIENCE_S,
        )
        assert " /srv/mail xfs " in node1.get("/proc/mounts").decode()
        story.service_answers()
        assert server_pid(story.node1) == before
        assert story.runs_on() == "node1"


def test_clbuildapp_that_cannot_go_on_leaves_everything_as_it_was(formed_lab: Lab) -> None:
    """M30. FAIL: a file system is unmounted, a volume is left over, or the next try fails."""
    node1, node2 = formed_lab.nodes
    cluster.make_storage(formed_lab, "mail", disk="/dev/vdc")
    write_mail(formed_lab)
    before = storage_of(formed_lab)

    node1.check("cd /srv/mail && (exec sleep 600 >/dev/null 2>&1 </dev/null &)")
    refused(node1, "vg_mail/data on /srv/mail is in use by sleep")
    node1.check("pkill -x sleep")

    node2.check("lvcreate -q -y -l 100%FREE -n all vg_mail")
    refused(node2, "vg_mail has 0 MiB free", typed_on=node1)
    node2.check("lvremove -q -y vg_mail/all")
    assert storage_of(formed_lab) == before

    # The volumes of node2 are made, then its drbdadm refuses to read its files: all of them, where
    # drbd.conf says more than as it is shipped.
    shipped = node2.get("/etc/drbd.conf")
    node2.put("/etc/drbd.conf", shipped + b'\ninclude "site/*.res";\n')
    node2.put("/etc/drbd.d/broken.res", "resource {\n")
    refused(node2, "everything was taken back", typed_on=node1)
    assert storage_of(formed_lab) == before
    assert node1.get("/srv/mail/before-the-cluster") == b"precious\n"

    node2.put("/etc/drbd.conf", shipped)  # What is broken there now is of somebody else.
    node1.check("clbuildapp mail", timeout_s=PATIENCE_S)
    assert node1.get("/srv/mail/before-the-cluster") == b"precious\n"
    assert "/dev/drbd" in node1.check("grep /srv/mail /proc/mounts")


def refused(by: Machine, why: str, *, typed_on: Machine | None = None) -> None:
    """Let clbuildapp refuse; it names the node and what is in the way."""
    said = (typed_on or by).run("clbuildapp mail", timeout_s=PATIENCE_S)
    assert said.exit_code, said
    assert why in said.stderr
    assert by.name in said.stderr


def storage_of(lab: Lab) -> list[str]:
    """Return all volumes, mounts and resource files of both nodes."""
    look = (
        "lvs --noheadings -o vg_name,lv_name,lv_size; grep -v cgroup /proc/mounts | sort; "
        "ls /etc/drbd.d/hapair-*; cat /etc/cluster/built/built.json"
    )
    return [node.check(look) for node in lab.nodes]


@pytest.mark.long
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
