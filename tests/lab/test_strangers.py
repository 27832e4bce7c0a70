"""Who has the peer's address but not the secret, and who changed DRBD's options behind our back."""

import re
from typing import Final

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from tests.adapters.hostile import COMMON, options_of
from tests.lab.story import server_pid, serving
from tests.labs import LabFrom

pytestmark = [pytest.mark.lab(seconds=60), pytest.mark.long]

RESOURCE: Final = "orders.data"
FILE: Final = "/etc/drbd.d/hapair-orders.data.res"
KEPT: Final = "/root/kept.res"
BUILT: Final = "/etc/cluster/built/built.json"
CONNECTED: Final = "Peer authenticated using"
WITHOUT: Final = "/cram-hmac-alg/d; /shared-secret/d; /verify-alg/d"
WRONG: Final = 's/shared-secret .*/shared-secret "a guess";/'


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    return lab_from(cluster.formed_step())


def connection(node: Machine) -> str:
    return node.run(f"drbdadm cstate {RESOURCE}").stdout.strip()


def shown(node: Machine) -> str:
    return node.check(f"drbdsetup show {RESOURCE}")


def secret(node: Machine) -> str:
    """Return the secret that the kernel asks for."""
    (found,) = re.findall(r'shared-secret\s+"(\w+)"', shown(node))
    return str(found)


def times(node: Machine, words: str) -> int:
    return node.check("dmesg").count(words)


def comes_as_a_stranger(lab: Lab, edit: str) -> None:
    """Let node2's kernel try to connect with another file; node1 must refuse it."""
    node1, node2 = lab.nodes
    node2.check(f"cp {KEPT} {FILE}; sed -i '{edit}' {FILE}")
    met = times(node1, CONNECTED)
    node1.run(f"drbdadm connect {RESOURCE}")  # It may have given up by the last stranger.
    node2.check(f"drbdadm up {RESOURCE}")
    lab.wait_until(
        "node1's kernel refuses the stranger",
        lambda: connection(node1) == "StandAlone",
        timeout_s=PATIENCE_S,
    )
    assert times(node1, CONNECTED) == met
    assert "Authentication of peer failed" in node1.check("dmesg")
    (received,) = re.findall(r"nr:(\d+)", node2.check("cat /proc/drbd"))
    assert received == "0"
    assert "cs:Sync" not in node2.check("cat /proc/drbd")
    node2.check(f"drbdadm down {RESOURCE}")


def test_a_stranger_with_the_peers_address_is_refused(formed_lab: Lab) -> None:
    """FAIL: a kernel without the secret gets or sends data, or the real peer is not met again."""
    node1, node2 = formed_lab.nodes
    with serving(formed_lab) as story:
        node2.check(f"systemctl stop hapaird; cp -a {FILE} {KEPT}; drbdadm down {RESOURCE}")
        for edit in (WITHOUT, WRONG):
            comes_as_a_stranger(formed_lab, edit)
            story.service_answers()
        assert "refuse each other (StandAlone)" in node1.run("clstat").stdout
        node2.check(f"mv {KEPT} {FILE}; systemctl start hapaird")
        story.redundant_again()
        story.service_answers()
        assert story.runs_on() == "node1"
    assert secret(node1) == secret(node2)


def test_the_secret_is_rotated_while_the_application_runs(formed_lab: Lab) -> None:
    """FAIL: the connection or the program ends, or a node keeps the former secret for ever."""
    node1, node2 = formed_lab.nodes
    before, pid = secret(node1), server_pid(node1)
    assert secret(node2) == before
    node2.check(f"cp -a {BUILT} /root/built.json; cp -a {FILE} {KEPT}")
    met = [times(node, CONNECTED) for node in formed_lab.nodes]
    with serving(formed_lab) as story:
        said = node1.check("clbuild --rotate-secret --force --verbose", timeout_s=PATIENCE_S)
        assert "proved with secret number 2" in said
        formed_lab.wait_until(
            "both kernels ask for the new secret",
            lambda: before not in {secret(node) for node in formed_lab.nodes},
            timeout_s=PATIENCE_S,
        )
        now = secret(node1)
        assert secret(node2) == now
        story.service_answers()
        assert [times(node, CONNECTED) for node in formed_lab.nodes] == met
        assert cluster.is_redundant(formed_lab)

        # node2 as if it had been away meanwhile: all that it has is of the former generation.
        node2.check(f"systemctl stop hapaird; drbdadm down {RESOURCE}")
        node2.check(f"cp -a /root/built.json {BUILT}; cp -a {KEPT} {FILE}")
        node2.check("systemctl start hapaird")
        story.redundant_again()
        story.service_answers()
        assert (secret(node1), secret(node2)) == (now, now)
        assert server_pid(node1) == pid
    for node in formed_lab.nodes:
        assert node.check(f"stat -c '%a %U' {FILE}").split() == ["600", "root"]
        told = node.check("clstat --json; clevents; journalctl -u 'hapair*'")
        assert not any(each in told for each in (before, now))


FORGET: Final = (
    "import json; d = json.load(open(p)); del d['built']['secret_number'];"
    " json.dump(d, open(p, 'w'))"
)


def test_a_cluster_of_the_previous_version_gets_its_secret(formed_lab: Lab) -> None:
    """FAIL: a secret on one node only ends the replication, or nobody says that there is none."""
    node1, node2 = formed_lab.nodes
    with serving(formed_lab) as story:
        for node in formed_lab.nodes:  # What an upgrade finds: built.json knows of no secret.
            node.check(["python3", "-c", f"p = {BUILT!r}; {FORGET}"])
            node.check("systemctl restart hapaird")
        formed_lab.wait_until(
            "no kernel asks for a secret",
            lambda: not any("shared-secret" in shown(node) for node in formed_lab.nodes),
            timeout_s=PATIENCE_S,
        )
        node2.check(f"drbdadm disconnect {RESOURCE}; drbdadm connect {RESOURCE}")
        story.redundant_again()
        assert "DRBD's connections are not authenticated" in node1.run("clstat").stdout
        assert node1.run("clbuild").exit_code != 0
        node1.check("clbuild --force", timeout_s=PATIENCE_S)
        formed_lab.wait_until(
            "both kernels ask for a secret",
            lambda: all("shared-secret" in shown(node) for node in formed_lab.nodes),
            timeout_s=PATIENCE_S,
        )
        assert cluster.is_redundant(formed_lab)
        assert secret(node1) == secret(node2)
        met = times(node1, CONNECTED)
        node2.check(f"drbdadm disconnect {RESOURCE}; drbdadm connect {RESOURCE}")
        story.redundant_again()
        assert times(node1, CONNECTED) > met
        story.service_answers()


def effective(node: Machine) -> dict[str, str]:
    """Return the options of the running resource by name, as the kernel has them."""
    text = node.check(f"drbdsetup show --show-defaults {RESOURCE}")
    pairs = re.findall(r"^\s+([a-z][a-z0-9-]+)\s+([^;{]+);", text, re.MULTILINE)
    return {name: value.strip().strip('"') for name, value in pairs}


def test_a_common_section_switches_nothing_off(formed_lab: Lab) -> None:
    """FAIL: an option or a handler of it is used for our resource, or verify cannot start."""
    node1, node2 = formed_lab.nodes
    before = [effective(node) for node in formed_lab.nodes]
    with serving(formed_lab) as story:
        for node in formed_lab.nodes:
            node.put("/etc/drbd.d/global_common.conf", COMMON)
            node.check(f"drbdadm adjust {RESOURCE}")
        assert [effective(node) for node in formed_lab.nodes] == before
        ours = options_of(node1.check(f"cat {FILE}"))
        asked = {name: value for (where, name), value in ours.items() if where in ("net", "disk")}
        for name in ("disk-flushes", "md-flushes", "al-updates", "fencing", "after-sb-1pri"):
            assert before[0][name] == asked[name]
        node1.check(f"drbdadm disconnect {RESOURCE}; drbdadm connect {RESOURCE}")
        story.redundant_again()
        story.service_answers()

        # What somebody typed is taken back, here by a daemon that starts.
        minor = node2.check(f"drbdadm sh-minor {RESOURCE}").strip()
        node2.check(f"drbdsetup disk-options {minor} --disk-flushes=no --md-flushes=no")
        assert effective(node2)["disk-flushes"] == "no"
        node2.check("systemctl restart hapaird")
        formed_lab.wait_until(
            "the flushes of node2 are on again",
            lambda: effective(node2) == before[1],
            timeout_s=PATIENCE_S,
        )

        node1.check(f"drbdadm verify {RESOURCE}")
        formed_lab.wait_until(
            "the copies were compared",
            lambda: "Online verify done" in " ".join(node1.check("dmesg").split()),
            timeout_s=PATIENCE_S,
        )
        assert cluster.is_redundant(formed_lab)
        story.service_answers()
    assert not any(node.run("test -e /run/handler-ran").ok for node in formed_lab.nodes)
