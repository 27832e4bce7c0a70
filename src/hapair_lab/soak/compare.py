"""After the last round: are both copies of the data equal, byte for byte?

What a resync forgot would show only after a later failover, and then as damage. So the applications
are halted and the volumes below DRBD are compared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from hapair_lab.errors import LabError
from hapair_lab.lab import Lab
from hapair_lab.machine import Machine

HALT_TIMEOUT_S: Final = 120.0
READ_TIMEOUT_S: Final = 120.0
QUIET_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.5


def copies_that_differ(lab: Lab, applications: Sequence[str]) -> tuple[str, ...]:
    """Halt all applications and return the volumes whose two copies are not equal."""
    for application in applications:
        lab.node1.check(f"clhaltapp {application}", timeout_s=HALT_TIMEOUT_S)
    _wait_until_quiet(lab, len(applications))
    volumes = [f"/dev/vg_{application}/data" for application in applications]
    return tuple(v for v in volumes if len({_sum(node, v) for node in lab.nodes}) > 1)


def _wait_until_quiet(lab: Lab, volumes: int) -> None:
    """Wait until no write is on its way: nobody is Primary and both copies are UpToDate."""
    deadline_s = time.monotonic() + QUIET_TIMEOUT_S
    wanted = "ro:Secondary/Secondary ds:UpToDate/UpToDate"
    while any(node.check("cat /proc/drbd").count(wanted) < volumes for node in lab.nodes):
        if time.monotonic() > deadline_s:
            raise LabError(
                f"the copies are not quiet within {QUIET_TIMEOUT_S:.0f} s after clhaltapp"
            )
        time.sleep(POLL_S)


def _sum(node: Machine, volume: str) -> str:
    """Read the volume itself, past every cache."""
    command = f"set -o pipefail; dd if={volume} bs=1M iflag=direct status=none | md5sum"
    return node.check(["bash", "-c", command], timeout_s=READ_TIMEOUT_S).split()[0]
