"""Who is told of a failover: every receiver, by every way, once."""

import json
from typing import Final

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from hapair_lab.more_packages import SNMP_BOOTED
from hapair_lab.recipe import PAYLOAD
from tests.lab.story import serving, wait_for_standing
from tests.labs import LabFrom

pytestmark = pytest.mark.lab(seconds=60)

TOLD: Final = "/run/told"
PROGRAM: Final = "/usr/local/lib/receivers.py"
ALERTS: Final = """
  <arbitration by="paths"/>
  <alerts>
    <mail name="admins" to="root@outside" server="10.77.1.254:25"/>
    <webhook name="chat" url="http://10.77.1.254/alerts"/>
    <syslog name="log" to="10.77.1.254:514"/>
    <trap name="monitoring" to="10.77.1.254:162"/>
    <trap name="safe" to="10.77.1.254:1162" inform="yes" secret="/etc/cluster/snmp.secret"/>
    <hook name="pager" path="/etc/cluster/pager"/>
  </alerts>
"""
WAYS: Final = ("hook", "inform", "mail", "syslog", "trap", "webhook")
# What it is told goes to outside, as from a pager.
HOOK: Final = """\
#!/usr/bin/python3
import socket, sys
text = sys.stdin.read().encode()
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(text, ("10.77.1.254", 9002))
"""
# snmptrapd gives each trap that it has let in to a program.
TAKE: Final = f"""\
#!/usr/bin/python3
import json, sys
with open("{TOLD}", "a") as told:
    told.write(json.dumps({{"way": sys.argv[1], "text": sys.stdin.read()}}) + "\\n")
"""
TRAPS: Final = {
    "trap": (162, "authCommunity log,execute public"),
    "inform": (
        1162,
        'createUser hapair SHA "of-the-lab" AES "of-the-lab"\nauthUser log,execute hapair',
    ),
}
USER_OF_SNMP: Final = """\
defVersion 3
defSecurityName hapair
defSecurityLevel authPriv
defAuthType SHA
defPrivType AES
defPassphrase of-the-lab
"""


@pytest.fixture
def telling_lab(lab_from: LabFrom) -> Lab:
    """A formed cluster that tells ``outside`` by every way."""
    lab = lab_from(cluster.formed_step(booted=SNMP_BOOTED))
    lab.outside.put(PROGRAM, (PAYLOAD / "receivers.py").read_bytes())
    lab.outside.check(f"systemd-run --unit=receivers python3 {PROGRAM} {TOLD}")
    lab.outside.put("/usr/local/bin/take", TAKE, mode=0o755)
    for way in TRAPS:
        take_traps(lab.outside, way)
    for node in lab.nodes:
        node.put("/etc/cluster/pager", HOOK, mode=0o755)
        node.put("/etc/cluster/snmp.secret", USER_OF_SNMP, mode=0o600)
    cluster.arbitrate(lab, ALERTS)
    for node in lab.nodes:
        lab.wait_until(
            f"{node.name} sends alerts",
            lambda node=node: node.run("clalert").ok,  # type: ignore[misc]
            timeout_s=PATIENCE_S,
        )
    return lab


def take_traps(outside: Machine, way: str) -> None:
    """Let net-snmp's own receiver take what comes by this way."""
    port, who = TRAPS[way]
    outside.put(f"/etc/{way}.conf", f"{who}\ntraphandle default /usr/local/bin/take {way}\n")
    outside.check(
        f"systemd-run --unit={way}s --setenv=SNMP_PERSISTENT_DIR=/run/{way}s "
        f"snmptrapd -f -Lo -On -m '' -C -c /etc/{way}.conf udp:{port}"
    )


def told(lab: Lab, words: str) -> list[str]:
    """Return by which ways these words came, sorted."""
    lines = lab.outside.run(f"cat {TOLD}").stdout.splitlines()
    return sorted(each["way"] for each in map(json.loads, lines) if words in each["text"])


@pytest.mark.long
def test_each_receiver_is_told_once_of_a_failover_and_of_what_it_leaves(telling_lab: Lab) -> None:
    """F9. FAIL: a receiver hears nothing of the failover, or hears of it twice."""
    lab = telling_lab
    tried = lab.node1.check("clalert test", timeout_s=PATIENCE_S)
    assert tried.count(": taken") == len(WAYS)
    lab.wait_until(
        "the tests came", lambda: told(lab, "this is a test") == list(WAYS), timeout_s=PATIENCE_S
    )
    with serving(lab) as story:
        lab.outside.check("systemctl stop informs")
        story.node1.power_off()
        story.service_answers()
        assert story.runs_on() == "node2"
        lab.wait_until(
            "who is asked for no answer is told of the failover",
            lambda: "trap" in told(lab, "node2 has taken over orders"),
            timeout_s=PATIENCE_S,
        )
        lab.wait_until(
            "the other one is seen not to answer",
            lambda: "Timeout" in story.node2.check("clalert"),
            timeout_s=PATIENCE_S,
        )
        take_traps(lab.outside, "inform")
        lab.wait_until(
            "everybody is told of the failover",
            lambda: told(lab, "node2 has taken over orders") == list(WAYS),
            timeout_s=PATIENCE_S,
        )
        lab.wait_until(
            "everybody is told that node1 is not there",
            lambda: set(told(lab, "node1 is not there")) == set(WAYS),
            timeout_s=PATIENCE_S,
        )
        story.node2.check("clalert answer --reason 'power is being looked at'")
        story.node1.power_on()
        story.redundant_again()
        wait_for_standing(lab, "together", *lab.nodes)
        lab.wait_until(
            "everybody is told that it is over",
            lambda: told(lab, "node1 is not there") == sorted(2 * WAYS),
            timeout_s=PATIENCE_S,
        )
        story.service_answers()
    assert told(lab, "node2 has taken over orders") == list(WAYS)


@pytest.mark.long
def test_what_a_receiver_refuses_for_good_keeps_nothing_back(telling_lab: Lab) -> None:
    """FAIL: a filter of contents refuses the failover, and nobody hears that node1 is gone."""
    lab, outside = telling_lab, telling_lab.outside
    outside.check("systemctl stop receivers")
    outside.check(f"systemd-run --unit=refusing python3 {PROGRAM} {TOLD} 'taken over'")
    with serving(lab) as story:
        story.node1.power_off()
        story.service_answers()
        lab.wait_until(
            "everybody is told that node1 is not there",
            lambda: set(told(lab, "node1 is not there")) == set(WAYS),
            timeout_s=PATIENCE_S,
        )
        lab.wait_until(
            "who refuses the failover is told that there is something",
            lambda: told(lab, "its text was refused") == ["mail", "webhook"],
            timeout_s=PATIENCE_S,
        )
        assert told(lab, "node2 has taken over orders") == ["hook", "inform", "syslog", "trap"]
        lab.wait_until(
            "nothing waits any more",
            lambda: story.node2.check("clalert").count(": nothing waits") == len(WAYS),
            timeout_s=PATIENCE_S,
        )
        history = story.node2.check("clalert history")
        assert "554 5.7.1 not this" in history
        assert "answered 403" in history
        story.service_answers()
