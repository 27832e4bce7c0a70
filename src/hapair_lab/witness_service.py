"""The witness of the lab: our packaged service on ``outside``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from hapair_lab import faults
from hapair_lab.errors import LabError
from hapair_lab.faults import Direction, Packets
from hapair_lab.machine import Machine
from hapair_lab.packages import install_on, package_file

UNIT: Final = "hapair-witness.service"
PORT: Final = 7790
ADDRESS: Final = "10.77.1.254"
CLUSTER: Final = "lab"


@dataclass(frozen=True, slots=True)
class Invitation:
    """What ``clwitness invite`` prints."""

    element: str  # For clconf.xml.
    code: str  # For clbuild --witness-code.


def install(outside: Machine) -> Invitation:
    """Install the package, start the service and invite the lab's cluster."""
    install_on(outside, package_file())
    outside.check(["systemctl", "enable", "--now", UNIT])
    argv = ["clwitness", "invite", CLUSTER, "--address", ADDRESS, "--json"]
    said = json.loads(outside.check(argv))
    try:
        return Invitation(str(said["line"]), str(said["code"]))
    except KeyError as missing:
        raise LabError(f"clwitness invite said nothing of {missing}: {said}") from None


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
    faults.drop_packets(node, Packets(ADDRESS, "tcp", PORT), Direction.OUT)
