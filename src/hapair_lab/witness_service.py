"""The witness of the lab: our packaged service on ``outside``."""

from __future__ import annotations

from typing import Final

from hapair_lab import faults
from hapair_lab.faults import Direction
from hapair_lab.machine import Machine
from hapair_lab.packages import install_on, package_file

UNIT: Final = "clwitness.service"
PORT: Final = 7790
ADDRESS: Final = "10.77.1.254"
AT: Final = f"{ADDRESS}:{PORT}"


def install(outside: Machine) -> None:
    """Install the package and start the service, as an administrator does."""
    install_on(outside, package_file())
    outside.check(["systemctl", "enable", "--now", UNIT])


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
