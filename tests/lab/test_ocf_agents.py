"""Agents of Debian's resource-agents, unchanged, with the real daemons that they start."""

import json
from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from hapair_lab.more_packages import AGENTS_BOOTED
from hapair_lab.progress import say
from tests.lab.ocf_agents import ADDRESS, AGENTS, DATA, NAME
from tests.lab.story import alarms, notes
from tests.labs import shared

pytestmark = [pytest.mark.long, pytest.mark.lab(seconds=30)]

VOLUME_MIB = 768
APPCONF = """\
<application name="{name}" preferred="node1">
  <volumegroup name="vg_{name}"/>
  <network name="public"><address>{address}</address></network>
  <run><ocf agent="ocf:heartbeat:{kind}">{parameters}</ocf></run>
  <limits start="60s" stop="60s"/>
  <monitors restarts="3" period="10m"><ocf interval="2s" timeout="20s"/></monitors>
</application>
"""
# What the daemon asks itself: the agent's monitor, and whether anything lives in the group.
PROBE = f"""\
import asyncio, socket, sys
from pathlib import Path
from hapair.adapters.programs.grouped import GroupedPrograms
from hapair.adapters.programs.groups import root_of_applications
from hapair.config.appconf import read_appconf
from hapair.runtime.places import Places

application = read_appconf(sys.stdin.buffer.read(), file="appconf.xml")
programs = GroupedPrograms(socket.gethostname(), root_of_applications(), Places().started)
print(asyncio.run(programs.running("{NAME}", application.program)))
"""
GROUP = f"hapair-apps.service/{NAME}"


def make_data(lab: Lab) -> None:
    """Make the volume with the data of all agents, and what they need on both nodes."""
    cluster.make_storage(lab, NAME, disk="/dev/vdc", size_mib=VOLUME_MIB)
    lab.node1.check(f"chmod 755 {DATA}")
    for node in lab.nodes:
        node.check(f"mkdir -p /etc/cluster/{NAME}")
        for tried in AGENTS.values():
            node.check(tried.settings)
    for tried in AGENTS.values():
        lab.node1.check(tried.data, timeout_s=PATIENCE_S)


@pytest.fixture
def formed_lab(request: pytest.FixtureRequest, shared_labs: list[Lab]) -> Iterator[Lab]:
    """A formed cluster with the data of all agents, for one agent after another."""
    yield from shared(request, shared_labs, cluster.formed_step(booted=AGENTS_BOOTED), make_data)


def appconf(kind: str) -> str:
    parameters = "".join(
        f"<parameter name={quoteattr(name)} value={quoteattr(value)}/>"
        for name, value in AGENTS[kind].parameters.items()
    )
    return APPCONF.format(name=NAME, address=ADDRESS, kind=kind, parameters=parameters)


def probe(node: Machine, kind: str) -> str:
    """Return what our own look at the agent finds on a node: True, False or None."""
    return node.check(["python3", "-I", "-c", PROBE], stdin=appconf(kind).encode()).strip()


def runs_on(lab: Lab, kind: str, where: Machine | None) -> None:
    """See that it serves on this node alone, and that a stop reaches all of its processes."""
    tried = AGENTS[kind]
    # Not by pgrep: the agents themselves are scripts, and some have the name of what they start.
    each = f"$(pidof {tried.processes or '-'})"
    strays = f"for pid in {each}; do grep -L {GROUP} /proc/$pid/cgroup; done; true"
    for node in lab.nodes:
        assert probe(node, kind) == str(node is where), (kind, node.name)
        assert node.run(tried.answers).ok is (node is where), (kind, node.name)
        assert not node.check(strays), (kind, node.name)


def served_well(lab: Lab, kind: str, node: Machine) -> None:
    """Wait until it answers on a node, and the agent's monitor says so too."""

    def is_well() -> bool:
        told = node.run(f"lemsctl {NAME} list --json")
        states = told.ok and {each["state"] for each in json.loads(told.stdout)["monitors"]}
        return states == {"good"} and node.run(AGENTS[kind].answers).ok

    lab.wait_until(f"{kind} is well on {node.name}", is_well, timeout_s=PATIENCE_S)
    runs_on(lab, kind, node)


def restarts(lab: Lab) -> int:
    return notes(lab.node1).count("health-restart")


@pytest.mark.parametrize("kind", AGENTS)
def test_an_agent_is_started_probed_restarted_moved_and_stopped(formed_lab: Lab, kind: str) -> None:
    """FAIL: it is changed or called wrongly, a failure is not seen, or a process is left."""
    lab, tried = formed_lab, AGENTS[kind]
    node1, node2 = lab.nodes
    node1.put(f"/etc/cluster/{NAME}/appconf.xml", appconf(kind))
    say(node1.check(f"clbuildapp {NAME}", timeout_s=PATIENCE_S))
    cluster.wait_until_settled(lab)
    node1.check(f"clrunapp {NAME}", timeout_s=PATIENCE_S)
    served_well(lab, kind, node1)

    before = restarts(lab)
    node1.check(tried.failure)
    lab.wait_until(
        f"the failure of {kind} is seen", lambda: restarts(lab) > before, timeout_s=PATIENCE_S
    )
    if tried.leftover:
        served_well(lab, kind, node2)
        node1.check(["rm", tried.leftover])
        node1.check(f"clrunapp {NAME} --clear")
        node1.check(f"clmoveapp {NAME}", timeout_s=PATIENCE_S)
    served_well(lab, kind, node1)

    for other in (node2, node1):  # Only where its data is newest it can be built once more.
        node1.check(f"clmoveapp {NAME}", timeout_s=PATIENCE_S)
        served_well(lab, kind, other)
    node1.check(f"clrunapp {NAME} --clear")
    node1.check(f"clhaltapp {NAME}", timeout_s=PATIENCE_S)
    runs_on(lab, kind, None)
    for node in lab.nodes:
        assert "ALARM" not in alarms(node)
        assert "runs-here-too" not in notes(node)
