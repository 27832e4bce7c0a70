"""The lab's own small server, started and stopped by a script: the example of that contract."""

from __future__ import annotations

from typing import Final

from hapair_lab.applications.application import SAMPLES, RealApplication
from hapair_lab.errors import LabError
from hapair_lab.lab import Lab
from hapair_lab.machine import Machine
from hapair_lab.recipe import PAYLOAD

DATA: Final = "/srv/daemon"
LINES: Final = f"{DATA}/lines.txt"
PROGRAM: Final = "/usr/local/sbin/daemon"
QUESTION: Final = 0  # Of the monitor, which is a line like any other to this server.


def prepare(lab: Lab) -> None:
    """Do what the README says."""
    server = b"#!/usr/bin/python3 -IS\n" + (PAYLOAD / "server.py").read_bytes()
    for node in lab.nodes:
        node.put(PROGRAM, server, mode=0o755)
        node.check(
            "mkdir -p /etc/cluster/daemon && "
            f"cp {SAMPLES}/daemon/run {SAMPLES}/daemon/check /etc/cluster/daemon/"
        )
    lab.node1.check(f"chown daemon:daemon {DATA}")


def numbers(node: Machine) -> list[int]:
    found = [int(line.split()[0]) for line in node.get(LINES).decode().splitlines()]
    return [number for number in found if number != QUESTION]


def check(node: Machine) -> None:
    """What a crash left of a last line was cut off: all are whole."""
    if any(" " not in line for line in node.get(LINES).decode().splitlines()):
        raise LabError(f"{node.name}: {LINES} has a line that is not whole")


DAEMON: Final = RealApplication(
    name="daemon",
    mount_point=DATA,
    address="10.77.1.55",
    port=7007,
    speaks="once",
    main="/run/daemon.pid",
    prepare=prepare,
    numbers=numbers,
    check=check,
    ends_when_full=True,
)
