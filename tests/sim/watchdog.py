"""The watchdog device of a machine: it resets what no longer feeds it."""

from typing import Final

from hapair.model.cluster import Watchdog
from tests.sim.machine import Machine

RESET_TAKES_S: Final = 5.0


def bites(machine: Machine, watchdog: Watchdog | None, now_s: float) -> bool:
    """Tell whether the daemon of a running machine has starved the device for too long."""
    if watchdog is None or not machine.guarded or not machine.runs:
        return False
    return now_s - machine.fed_at_s >= watchdog.timeout_s
