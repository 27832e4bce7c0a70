"""The witness of the lab: our packaged service on ``outside``."""

from __future__ import annotations

from typing import Final

from hapair_lab import faults
from hapair_lab.errors import LabError
from hapair_lab.faults import Direction
from hapair_lab.machine import Machine
from hapair_lab.packages import install_on, package_file

UNIT: Final = "clwitness.service"
PORT: Final = 7790
ADDRESS: Final = "10.77.1.254"
CLUSTER: Final = "lab"


def install(outside: Machine) -> str:
    """Install the package and start the service; return the element for clconf.xml."""
    install_on(outside, package_file())
    outside.check(["systemctl", "enable", "--now", UNIT])
    said = outside.check(["clwitness", "invite", CLUSTER])
    for line in said.splitlines():
        if line.strip().startswith("<witness "):
            return line.strip()
    raise LabError(f"clwitness invite printed no <witness> element:\n{said}")


def kill(outside: Machine) -> None:
    """End the service for as long as ``start`` is not called."""
    outside.note(f"{outside.name}: the witness is killed")
    outside.run(["systemctl", "kill", "--signal=KILL", UNIT])
    outside.check(["systemctl", "stop", UNIT])


def start(outside: Machine) -> None:
    """Start the service, unless it runs."""
    outside.note(f"{outside.name}: the witness is started")
    outside.check(["systemctl", "start", UNIT])


def hang(outside: Machine) -> None:
    """Let the service stand still: it takes connections and answers nothing."""
    faults.hang_process(outside, UNIT)


def go_on(outside: Machine) -> None:
    """Undo ``hang``; nothing happens when systemd has replaced the service meanwhile."""
    outside.run(["systemctl", "kill", "--signal=CONT", UNIT])


def cut_from(node: Machine) -> None:
    """Let a node no longer reach the witness; everything else goes on."""
    faults.drop_packets(node, f"ip daddr {ADDRESS} tcp dport {PORT}", Direction.OUT)
